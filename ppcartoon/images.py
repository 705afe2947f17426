"""Image files <-> RGB uint8 [H, W, 3], and those <-> the networks' float32 [N, 3, H, W] in [-1, 1]."""

from __future__ import annotations

import ctypes
import functools
import io
import logging
import os
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps

from .errors import InputError
from .utils.files import atomic

# What Pillow reads without starting another program (EPS) and without a document inside (PDF).
READABLE = ("JPEG", "PNG", "WEBP", "AVIF", "JPEG2000", "TIFF", "BMP", "DIB", "GIF", "PPM", "TGA", "ICO")
WRITABLE = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP"}
MAX_SIDE = {"JPEG": 65500, "WEBP": 16383}
WIDE = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")  # Pillow's modes of gray with more than 8 bits
# Modes -> those of their colours alone, 8 bits a channel, which profiles are for; all others: RGB.
COLORS = dict.fromkeys(("1", "L", "LA", "La", *WIDE), "L") | {"CMYK": "CMYK", "LAB": "LAB"}
LONGEST = 1 << 18  # pixels a side; for a row of millions Pillow takes minutes
BAND = 1 << 20  # pixels

# Of damaged metadata, which do not matter, Pillow warns in many words; whoever wants to hear it, says so to `warnings`.
warnings.filterwarnings("ignore", module=r"PIL\.", append=True)
logging.getLogger("PIL").addHandler(logging.NullHandler())
with suppress(AttributeError, OSError):  # libtiff writes to standard error by itself
    ctypes.CDLL(Image.core.__file__).TIFFSetErrorHandler(None)


class Picture(NamedTuple):
    """An image as it is seen: upright, in sRGB, 8 bits a channel.

    Attributes:
        rgb: uint8 [H, W, 3].
        alpha: uint8 [H, W], 255 is opaque; None where the source had no transparency.
    """

    rgb: np.ndarray
    alpha: np.ndarray | None = None


def read(source: Path | BinaryIO, most: int | None = None) -> Picture:
    """The first frame of an image file, by its path or opened.

    Args:
        source: the file.
        most: megapixels that it may have by its header, before anything is decoded; None for what Pillow allows.

    Raises:
        InputError: the file cannot be read, is no image of a known format, is damaged, or unreasonably large; the
            message leaves it to the caller to name the file.
    """
    try:
        named = isinstance(source, os.PathLike)
        if named and os.path.exists(source) and not os.path.isfile(source):
            raise InputError("a folder, or no file that can be read")
        # Given a path, Pillow maps plain TIFFs into memory and takes their orientation wrongly.
        with open(source, "rb") if named else source as file, Image.open(file, formats=_readable()) as image:
            if max(image.size) > LONGEST:
                raise InputError(f"{image.width}x{image.height}: no side may be longer than {LONGEST} pixels")
            if most and image.width * image.height > most * 1_000_000:
                raise InputError(f"{image.width}x{image.height}: more than {most} megapixels, which are the most here")
            return decode(image)
    except Image.UnidentifiedImageError as error:
        raise InputError("not an image that can be read here") from error
    except Image.DecompressionBombError as error:
        raise InputError(f"more pixels than Pillow trusts a file with ({error})") from error
    except MemoryError as error:
        raise InputError("needs more memory than there is") from error
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror or error})") from error
    except InputError:
        raise
    except Exception as error:  # decoders raise anything on damaged files
        raise InputError(f"damaged image ({error})") from error


@functools.cache
def _readable() -> tuple[str, ...]:
    """The formats that this build of Pillow has."""
    Image.init()
    return tuple(name for name in READABLE if name in Image.OPEN)


def decode(image: Image.Image) -> Picture:
    """EXIF orientation applied, alpha apart, 16 bits to 8, gray and palette and CMYK to RGB, ICC profile to sRGB.

    Goes band by band: beside the image, in which Pillow takes 4 bytes a colour pixel, only the result is in memory.

    Raises:
        InputError: a float image has values outside [0, 1].
    """
    image.load()
    orientation = _orientation(image)
    size = image.size if orientation > 4 else image.size[::-1]
    rgb = np.empty((*size, 3), np.uint8)
    alpha = np.empty(size, np.uint8) if image.has_transparency_data else None
    to_srgb, rows = _to_srgb(image), max(1, BAND // image.width)
    for top in range(0, image.height, rows):
        lines = slice(top, min(top + rows, image.height))
        band = image.crop((0, lines.start, image.width, lines.stop))
        if alpha is not None:
            _as_stored(alpha, orientation)[lines] = _alpha(band)
        _as_stored(rgb, orientation)[lines] = to_srgb(_colors(band))
    return Picture(rgb, alpha)


def _orientation(image: Image.Image) -> int:
    """EXIF's, from 1 (upright) to 8; 1 where the metadata are damaged, on which Pillow raises anything."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:
        return 1
    return int(value) if value in range(1, 9) else 1


def _as_stored(upright: np.ndarray, orientation: int) -> np.ndarray:
    """A view of an upright image [H, W, ...] in the order in which an orientation has its pixels in the file."""
    y, x = ((1, 1), (1, -1), (-1, -1), (-1, 1))[(orientation - 1) % 4]
    view = upright[::y, ::x]
    return view.swapaxes(0, 1) if orientation > 4 else view


def _alpha(band: Image.Image) -> np.ndarray:
    if band.mode in WIDE:  # one gray value is transparent
        return np.uint8(np.asarray(band) != band.info["transparency"]) * 255
    return np.asarray(band.convert("RGBA").getchannel("A"))


def _colors(band: Image.Image) -> Image.Image:
    """Its colours alone; wide gray ones are integers in [0, 65535], or floats in [0, 1]."""
    mode = COLORS.get(band.mode, "RGB")
    if band.mode not in WIDE:
        return band if band.mode == mode else band.convert("RGBA").convert(mode)
    values, most = np.asarray(band), 1 if band.mode == "F" else 65535
    if not (values.min() >= 0 and values.max() <= most):
        raise InputError("gray values outside [0, 65535] for integers, or [0, 1] for floats")
    return Image.fromarray(np.uint8(values * (255 / most) + 0.5))


def _to_srgb(image: Image.Image) -> Callable[[Image.Image], Image.Image]:
    """What turns the image's colours, or a band of them, into sRGB."""
    profile, mode = image.info.get("icc_profile"), COLORS.get(image.mode, "RGB")
    if profile or mode == "LAB":
        from PIL import ImageCms

        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile)) if profile else ImageCms.createProfile("LAB")
            return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB").apply
        except (ImageCms.PyCMSError, OSError):  # a damaged profile, or one for other channels: the numbers as they are
            pass
    return lambda colors: colors.convert("RGB")


def encode(picture: Picture, suffix: str, quality: int = 95) -> bytes:
    """The bytes of an image file, without metadata: none of the source's would still be known to be right.

    Args:
        picture: what to write; a format without transparency gets it on white.
        suffix: ".jpg", ".jpeg", ".png" or ".webp".
        quality: 1 to 100, for JPEG and WebP.

    Raises:
        InputError: a side is longer than the format allows.
    """
    kind = WRITABLE[suffix.lower()]
    if max(picture.rgb.shape[:2]) > MAX_SIDE.get(kind, 1 << 31):
        raise InputError(f"{kind} holds at most {MAX_SIDE[kind]} pixels a side: use --ext png")
    image = Image.fromarray(picture.rgb)
    if picture.alpha is not None:
        alpha = Image.fromarray(picture.alpha)
        if kind == "JPEG":
            image.paste("white", mask=ImageOps.invert(alpha))
        else:
            image.putalpha(alpha)
    options = {"JPEG": {"quality": quality, "subsampling": 0}, "WEBP": {"quality": quality}}
    buffer = io.BytesIO()
    image.save(buffer, kind, **options.get(kind, {}))
    return buffer.getvalue()


def write(path: Path, picture: Picture, quality: int = 95) -> None:
    """Writes an image file whole or not at all, in the format of the path's suffix.

    Raises:
        OutputError: the file cannot be written.
        InputError: the format cannot hold the picture, or the name is too long or a folder's.
    """
    data = encode(picture, path.suffix, quality)
    with atomic(path) as temporary:
        temporary.write_bytes(data)


def shrink(picture: Picture, max_size: int) -> Picture:
    """The picture with its longer side at most `max_size` pixels; as it is where that holds already."""
    height, width = picture.rgb.shape[:2]
    scale = max_size / max(height, width)
    if scale >= 1:
        return picture
    size = max(1, round(width * scale)), max(1, round(height * scale))
    rgb, alpha = (
        None if a is None else np.asarray(Image.fromarray(a).resize(size, Image.Resampling.LANCZOS)) for a in picture
    )
    return Picture(rgb, alpha)


def beside(left: Picture, right: Picture) -> Picture:
    """Two pictures of one size next to each other."""
    alphas = [a for _, a in (left, right) if a is not None]
    return Picture(np.hstack([left.rgb, right.rgb]), np.hstack(alphas) if len(alphas) == 2 else None)


def sheet(rows: list[Picture], height: int = 256, columns: int = 2) -> Picture:
    """An overview: the pictures at one height, `columns` in a row, on white."""
    tiles = [Image.fromarray(p.rgb) for p in rows]
    tiles = [t.resize((max(1, round(t.width * height / t.height)), height), Image.Resampling.LANCZOS) for t in tiles]
    lines = [tiles[i : i + columns] for i in range(0, len(tiles), columns)]
    gap = 8
    width = max(sum(t.width + gap for t in line) for line in lines) + gap
    canvas = Image.new("RGB", (width, len(lines) * (height + gap) + gap), "white")
    for i, line in enumerate(lines):
        x = gap
        for tile in line:
            canvas.paste(tile, (x, gap + i * (height + gap)))
            x += tile.width + gap
    return Picture(np.asarray(canvas))


def to_network(images: np.ndarray) -> np.ndarray:
    """uint8 [N, H, W, 3] -> float32 [N, 3, H, W] in [-1, 1]."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32) / 127.5 - 1


def from_network(images: np.ndarray) -> np.ndarray:
    """float32 [N, 3, H, W] in [-1, 1] -> uint8 [N, H, W, 3], rounded to nearest."""
    return np.uint8(np.clip((images + 1) * 127.5, 0, 255) + 0.5).transpose(0, 2, 3, 1)


def pad(image: np.ndarray, multiple: int = 4) -> np.ndarray:
    """[H, W, C] padded at the bottom and right to multiples of `multiple`, by reflection where the side allows."""
    height, width = image.shape[:2]
    return np.pad(image, ((0, -height % multiple), (0, -width % multiple), (0, 0)), "reflect")
