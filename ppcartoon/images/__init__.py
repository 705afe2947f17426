"""Reads and writes images as RGB uint8 [H, W, 3], and converts them to network tensors, float32 [N, 3, H, W]."""

from __future__ import annotations

import ctypes
import functools
import io
import logging
import math
import os
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps
from PIL.TiffImagePlugin import PHOTOMETRIC_INTERPRETATION, SAMPLEFORMAT

from ..errors import InputError, naming
from ..utils import machine
from ..utils.files import atomic
from . import color, formats
from .transparency import fill_hidden

# EPS would need another program, PDF is a document. RAW is before TIFF, which its thumbnails are.
READABLE = ("JPEG", "PNG", "WEBP", "AVIF", "HEIF", "JPEG2000", "JPEG XL")
READABLE += ("RAW", "TIFF", "BMP", "DIB", "GIF", "PPM", "TGA", "ICO")
STILL = ("MPO", "ICO")  # formats whose further images are previews of the first
# Beginnings of the files that can hold several frames or pages: GIF, PNG, WebP, AVIF, TIFF.
SEVERAL = re.compile(rb"GIF8|\x89PNG|RIFF.{4}WEBPVP8X|.{4}ftyp.{0,60}avis|II\*\0|MM\0\*", re.DOTALL)
DEFAULT_DURATION = 0.1  # seconds that viewers show a frame of an animation that states none
WRITABLE = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP"}
MAX_SIDE = {"JPEG": 65500, "WEBP": 16383}
WIDE = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")  # Pillow's gray modes with more than 8 bits
# Pillow's modes and the 8-bit mode without alpha that an ICC profile applies to; RGB for all others.
COLORS = dict.fromkeys(("1", "L", "LA", "La", *WIDE), "L") | {"CMYK": "CMYK", "LAB": "LAB"}
BYTES_PER_PIXEL = 8  # of Pillow's image and ours, while one is converted to the other
LONGEST = 1 << 18  # pixels per side; Pillow takes minutes to decode rows of millions
BAND = 1 << 20  # pixels that are converted at once
HEAD = 1 << 16  # bytes of a file that are searched for its color primaries


class Picture(NamedTuple):
    """An upright image in sRGB, 8 bits per channel.

    Attributes:
        rgb: uint8 [H, W, 3].
        alpha: uint8 [H, W], 255 is opaque; None for an image without transparency.
    """

    rgb: np.ndarray
    alpha: np.ndarray | None = None


def endings() -> set[str]:
    """File name endings of the formats that can be read, in lower case."""
    kinds = _readable()  # which registers more extensions
    return {ending for ending, kind in Image.registered_extensions().items() if kind in kinds}


def read(source: Path | BinaryIO, max_megapixels: int | None = None, max_size: int | None = None) -> Picture:
    """Reads the first frame of an image file; fully transparent pixels get the colors of visible ones nearby.

    Args:
        source: its path, or the open file.
        max_megapixels: limit that is checked against the header, before decoding; None for Pillow's.
        max_size: pixels of the longer side to which the image is reduced if it is larger; saves time and memory with
            large JPEG files, which are decoded at a fraction of their size, but not below this size.

    Raises:
        InputError: the file cannot be read, has an unknown format, is damaged or too large; the message names its path.
    """
    with opened(source) as image:
        _check_size(image, max_megapixels)
        if max_size:
            scale = max_size / max(image.size)
            image.draft(None, (math.ceil(image.width * scale), math.ceil(image.height * scale)))
        picture = decode(image)
    return shrink(picture, max_size) if max_size else picture


def frames(source: Path, max_megapixels: int | None = None) -> Iterator[tuple[Picture, float | None]]:
    """Reads all frames or pages of an image file, one by one.

    Args:
        source: its path.
        max_megapixels: limit for each frame; None for Pillow's.

    Yields:
        Each frame as in `read`, and the seconds that it is shown; None for pages.

    Raises:
        InputError: see `read`; for frames after the first, when they are reached.
    """
    with opened(source) as image:
        coding = image.info["coding"]
        for i in range(1 if image.info.get("default_image") else 0, image.n_frames):
            image.seek(i)
            image.info["coding"] = coding
            _check_size(image, max_megapixels)
            picture = decode(image)
            seconds = image.info.get("duration", 0) / 1000 or DEFAULT_DURATION
            yield picture, None if image.format == "TIFF" else seconds


def _check_size(image: Image.Image, max_megapixels: int | None) -> None:
    """Raises an InputError for an image, or a page of one, that is too large."""
    if max(image.size) > LONGEST:
        raise InputError(f"{image.width}x{image.height}: no side may be longer than {LONGEST} pixels")
    # Pillow checks the first page alone
    limit = max_megapixels * 1_000_000 if max_megapixels else 2 * (Image.MAX_IMAGE_PIXELS or math.inf)
    if image.width * image.height > limit:
        raise InputError(f"{image.width}x{image.height}: more than {limit / 1e6:.0f} megapixels, the limit")
    if image.width * image.height * BYTES_PER_PIXEL > (memory := machine.memory()):
        raise InputError(f"{image.width}x{image.height}: needs more than the {memory / 1e9:.2g} GB of memory here")


@contextmanager
def opened(source: Path | BinaryIO) -> Iterator[Image.Image]:
    """Opens an image file in Pillow; all that fails in the block is an InputError that names the file's path."""
    silence_decoders()
    named = isinstance(source, os.PathLike)
    with naming(source) if named else nullcontext(), _decoder_errors():
        if named and os.path.exists(source) and not os.path.isfile(source):
            raise InputError("a folder or special file, not an image")
        # Given a path, Pillow memory-maps uncompressed TIFFs and misreads their orientation.
        with open(source, "rb") if named else nullcontext(source) as file:
            file.seek(0)
            coding = color.coding(file.read(HEAD))
            file.seek(0)
            with Image.open(file, formats=_readable()) as image:
                image.info["coding"] = coding
                yield image


def animated_format(path: Path) -> str | None:
    """Pillow's name of the format of a GIF, WebP, PNG, AVIF or TIFF with several frames; None for all other files."""
    with suppress(OSError, InputError):
        if not path.is_file():
            return None
        with open(path, "rb") as file:
            if not SEVERAL.match(file.read(80)):
                return None
        with opened(path) as image:
            return image.format if getattr(image, "is_animated", False) else None
    return None


def left_out(source: Path | BinaryIO) -> str:
    """A remark on the frames or pages of an image file that `read` does not use; empty if there is but one.

    Raises:
        InputError: see `read`; also if frames after the first are damaged.
    """
    with opened(source) as image:
        count = 1 if image.format in STILL else getattr(image, "n_frames", 1)
    return f"the first of {count} frames is used, {count - 1} left out" if count > 1 else ""


@contextmanager
def _decoder_errors() -> Iterator[None]:
    """Raises an InputError for whatever exception a decoder raises in the block."""
    try:
        yield
    except Image.UnidentifiedImageError as error:
        raise InputError("not an image that can be read here") from error
    except Image.DecompressionBombError as error:
        raise InputError(f"more pixels than Pillow accepts ({error})") from error
    except MemoryError as error:
        raise InputError("too large for the memory of this machine") from error
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror or error})") from error
    except InputError:
        raise
    except Exception as error:  # decoders raise any exception on damaged files
        raise InputError(f"damaged image ({error})") from error


@functools.cache
def silence_decoders() -> None:
    """Hides Pillow's and libtiff's messages about damaged metadata, which do not affect the pixels; done once.

    Filters that are already set in `warnings` take precedence.
    """
    warnings.filterwarnings("ignore", module=r"PIL\.", append=True)
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    with suppress(AttributeError, OSError):  # libtiff writes to standard error directly
        ctypes.CDLL(Image.core.__file__).TIFFSetErrorHandler(None)


@functools.cache
def _readable() -> tuple[str, ...]:
    """The readable formats that this build of Pillow supports, with ours."""
    Image.init()
    formats.add_to_pillow()
    return tuple(name for name in READABLE if name in Image.OPEN)


def decode(image: Image.Image) -> Picture:
    """Converts a Pillow image: upright, in sRGB, with 8 bits, and with visible colors under transparent pixels.

    Works in bands, so that only the image, with Pillow's 4 bytes per color pixel, and the result are in memory.

    Raises:
        InputError: a float image has values outside [0, 1].
    """
    silence_decoders()
    image.load()
    orientation = _orientation(image)
    size = image.size if orientation > 4 else image.size[::-1]
    rgb = np.empty((*size, 3), np.uint8)
    alpha = np.empty(size, np.uint8) if image.has_transparency_data else None
    to_8_bits, to_srgb, rows = _to_8_bits(image), _to_srgb(image), max(1, BAND // image.width)
    for top in range(0, image.height, rows):
        lines = slice(top, min(top + rows, image.height))
        band = image.crop((0, lines.start, image.width, lines.stop))
        if alpha is not None:
            _as_stored(alpha, orientation)[lines] = _alpha(band)
        _as_stored(rgb, orientation)[lines] = to_srgb(to_8_bits(band))
    if alpha is not None:
        fill_hidden(rgb, alpha)
    return Picture(rgb, alpha)


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, from 1 (upright) to 8; 1 if the metadata is damaged, on which Pillow raises any exception."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:
        return 1
    return int(value) if value in range(1, 9) else 1


def _as_stored(upright: np.ndarray, orientation: int) -> np.ndarray:
    """A view of an upright image [H, W, ...] in the pixel order of a file with the given orientation."""
    y = -1 if orientation in (3, 4, 7, 8) else 1
    x = -1 if orientation in (2, 3, 6, 7) else 1
    view = upright[::y, ::x]
    return view.swapaxes(0, 1) if orientation > 4 else view


def _alpha(band: Image.Image) -> np.ndarray:
    if band.mode in WIDE:  # one gray value is transparent
        return np.uint8(np.asarray(band) != band.info["transparency"]) * 255
    return np.asarray(band.convert("RGBA").getchannel("A"))


def _to_8_bits(image: Image.Image) -> Callable[[Image.Image], Image.Image]:
    """A function that converts a band of the image to 8 bits per channel, without alpha.

    Wide gray is integers in [0, 65535], or [0, 2^32 - 1] in a TIFF that uses them, or floats in [0, 1].
    """
    mode = COLORS.get(image.mode, "RGB")
    if image.mode not in WIDE:
        return lambda band: band if band.mode == mode else band.convert("RGBA").convert(mode)
    tags = getattr(image, "tag_v2", {})
    white_is_zero, unsigned = tags.get(PHOTOMETRIC_INTERPRETATION) == 0, tags.get(SAMPLEFORMAT, (1,)) == (1,)
    white = 1 if image.mode == "F" else 65535
    if image.mode == "I" and tags and unsigned and not 0 <= image.getextrema()[0] <= image.getextrema()[1] <= white:
        white = 2**32 - 1

    def convert(band: Image.Image) -> Image.Image:
        values = np.asarray(band)
        values = values.view(np.uint32) if white > 65535 else values
        if not (values.min() >= 0 and values.max() <= white):
            raise InputError("gray values outside [0, 65535] for integers, or [0, 1] for floats")
        values = white - values if white_is_zero else values
        return Image.fromarray(np.uint8(values * (255 / white) + 0.5))

    return convert


def _to_srgb(image: Image.Image) -> Callable[[Image.Image], Image.Image]:
    """A function that converts a band of the image, 8 bits without alpha, to sRGB.

    By the first of these that there is: color primaries and transfer characteristics in PNG, an ICC profile, the former
    in AVIF and HEIF, gamma and chromaticities in PNG, sRGB.
    """
    info, mode = image.info, COLORS.get(image.mode, "RGB")
    profile, coding = info.get("icc_profile"), info.get("coding")
    if coding and (image.format == "PNG" or not profile):
        primaries, transfer = coding
        if color.beyond_srgb(transfer, primaries):
            return _on_arrays(color.to_srgb, transfer, primaries)
        profile = None
    if profile or mode == "LAB":
        from PIL import ImageCms

        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile)) if profile else ImageCms.createProfile("LAB")
            return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB").apply
        except (ImageCms.PyCMSError, OSError):  # the profile is damaged or for other channels: ignored
            pass
    elif "gamma" in info and "srgb" not in info and not coding:
        described = info["gamma"], info.get("chromaticity", color.BT709)
        if not color.is_srgb(*described):
            return _on_arrays(color.from_gamma, *described)
    return lambda band: band.convert("RGB")


def _on_arrays(convert: Callable[..., np.ndarray], *described: object) -> Callable[[Image.Image], Image.Image]:
    return lambda band: Image.fromarray(convert(np.asarray(band.convert("RGB")), *described))


def encode(picture: Picture, suffix: str, quality: int = 95) -> bytes:
    """Encodes an image file, without metadata, since that of the source may no longer apply.

    Args:
        picture: the image; on white in a format without transparency.
        suffix: ".jpg", ".jpeg", ".png" or ".webp".
        quality: 1 to 100, for JPEG and WebP.

    Raises:
        InputError: a side is longer than the format allows.
    """
    kind = WRITABLE[suffix.lower()]
    check_side(picture.rgb, kind)
    image = Image.fromarray(on_white(picture) if kind == "JPEG" else picture.rgb)
    if picture.alpha is not None and kind != "JPEG":
        image.putalpha(Image.fromarray(picture.alpha))
    options = {"JPEG": {"quality": quality, "subsampling": 0}, "WEBP": {"quality": quality}}
    buffer = io.BytesIO()
    image.save(buffer, kind, **options.get(kind, {}))
    return buffer.getvalue()


def check_side(pixels: np.ndarray, kind: str) -> None:
    """Raises an InputError for an image [H, W, ...] that is too large for a format of Pillow."""
    if max(pixels.shape[:2]) > MAX_SIDE.get(kind, 1 << 31):
        raise InputError(f"{kind} holds at most {MAX_SIDE[kind]} pixels per side; use --ext png")


def write(path: Path, picture: Picture, quality: int = 95) -> None:
    """Writes an image file atomically, in the format of the suffix.

    Raises:
        OutputError: the file cannot be written.
        InputError: the image is too large for the format, or the name is too long or that of a folder.
    """
    data = encode(picture, path.suffix, quality)
    with atomic(path) as temporary:
        temporary.write_bytes(data)


def on_white(picture: Picture) -> np.ndarray:
    """An image on a white background, RGB uint8 [H, W, 3]."""
    if picture.alpha is None:
        return picture.rgb
    image = Image.fromarray(picture.rgb)
    image.paste("white", mask=ImageOps.invert(Image.fromarray(picture.alpha)))
    return np.asarray(image)


def shrink(picture: Picture, max_size: int) -> Picture:
    """Reduces an image so that its longer side is at most `max_size` pixels; smaller images are returned unchanged."""
    height, width = picture.rgb.shape[:2]
    scale = max_size / max(height, width)
    if scale >= 1:
        return picture
    return resize(picture, (max(1, round(width * scale)), max(1, round(height * scale))))


def resize(picture: Picture, size: tuple[int, int]) -> Picture:
    """Resizes an image, and its transparency, to a width and a height in pixels."""
    resized = [
        None if channels is None else np.asarray(Image.fromarray(channels).resize(size, Image.Resampling.LANCZOS))
        for channels in picture
    ]
    return Picture(*resized)


def side_by_side(left: Picture, right: Picture) -> Picture:
    """Joins two images of equal size horizontally; with alpha if both have it."""
    alphas = [picture.alpha for picture in (left, right) if picture.alpha is not None]
    return Picture(np.hstack([left.rgb, right.rgb]), np.hstack(alphas) if len(alphas) == 2 else None)


def to_network(images: np.ndarray) -> np.ndarray:
    """uint8 [N, H, W, 3] -> float32 [N, 3, H, W] in [-1, 1]."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32) / 127.5 - 1


def from_network(images: np.ndarray) -> np.ndarray:
    """float32 [N, 3, H, W] in [-1, 1] -> uint8 [N, H, W, 3], rounded to nearest."""
    return np.uint8(np.clip((images + 1) * 127.5, 0, 255) + 0.5).transpose(0, 2, 3, 1)


def by_shape(images: Sequence[np.ndarray]) -> Iterator[list[int]]:
    """The indices of the images of each shape."""
    for shape in dict.fromkeys(image.shape for image in images):
        yield [i for i, image in enumerate(images) if image.shape == shape]


def psnr(one: np.ndarray, other: np.ndarray, span: float = 255) -> float:
    """Peak signal-to-noise ratio of two arrays in dB, infinite if they are equal; `span` is the range of the values."""
    mean_square = float(np.square(np.subtract(one, other, dtype=np.float32)).mean(dtype=np.float64))
    return 10 * math.log10(span**2 / mean_square) if mean_square else math.inf


def pad(image: np.ndarray, multiple: int = 4) -> np.ndarray:
    """Pads [H, W, C] by reflection at the bottom and right to multiples of `multiple`."""
    height, width = image.shape[:2]
    return np.pad(image, ((0, -height % multiple), (0, -width % multiple), (0, 0)), "reflect")
