"""Image files <-> RGB uint8 [H, W, 3], and those <-> the networks' float32 [N, 3, H, W] in [-1, 1]."""

from __future__ import annotations

import functools
import io
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image, ImageOps

from .errors import InputError
from .files import atomic

# What Pillow reads without starting another program (EPS) and without a document inside (PDF).
READABLE = ("JPEG", "PNG", "WEBP", "AVIF", "JPEG2000", "TIFF", "BMP", "DIB", "GIF", "PPM", "TGA", "ICO")
WRITABLE = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP"}
MAX_SIDE = {"JPEG": 65500, "WEBP": 16383}


class Picture(NamedTuple):
    """An image as it is seen: upright, in sRGB, 8 bits a channel.

    Attributes:
        rgb: uint8 [H, W, 3].
        alpha: uint8 [H, W], 255 is opaque; None where the source had no transparency.
    """

    rgb: np.ndarray
    alpha: np.ndarray | None = None


def read(source: Path | BinaryIO) -> Picture:
    """The first frame of an image file, by its path or opened.

    Raises:
        InputError: the file cannot be read, is no image of a known format, is damaged, or unreasonably large; the
            message leaves it to the caller to name the file.
    """
    if isinstance(source, Path) and source.exists() and not source.is_file():
        raise InputError("a folder, or no file that can be read")
    try:
        # Given a path, Pillow maps plain TIFFs into memory and takes their orientation wrongly.
        with (
            open(source, "rb") if isinstance(source, Path) else source as file,
            Image.open(file, formats=_readable()) as image,
        ):
            return decode(image)
    except Image.UnidentifiedImageError as error:
        raise InputError("not an image that can be read here") from error
    except Image.DecompressionBombError as error:
        raise InputError(f"more pixels than Pillow trusts a file with ({error})") from error
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

    Raises:
        InputError: a float image has values outside [0, 1].
    """
    image = ImageOps.exif_transpose(image)
    alpha = None
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        if "transparency" in image.info:  # one gray value
            alpha = np.uint8(np.asarray(image) != image.info["transparency"]) * 255
        image = _to_8_bits(image)
    if image.has_transparency_data:
        alpha = np.asarray(image.convert("RGBA").getchannel("A"))
    if alpha is not None or image.mode not in ("RGB", "L", "CMYK", "LAB"):
        image = _without_alpha(image)
    return Picture(np.asarray(_to_srgb(image)), alpha)


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Gray images of integers in [0, 65535], or of floats in [0, 1]."""
    values = np.asarray(image).astype(np.float64)
    if image.mode != "F":
        values /= 65535
    if not (values.min() >= 0 and values.max() <= 1):
        raise InputError("gray values outside [0, 65535] for integers, or [0, 1] for floats")
    result = Image.fromarray(np.uint8(values * 255 + 0.5))
    result.info = _profile(image)
    return result


def _without_alpha(image: Image.Image) -> Image.Image:
    result = image.convert("RGBA").convert("L" if image.mode in ("LA", "La", "1") else "RGB")
    result.info = _profile(image)
    return result


def _profile(image: Image.Image) -> dict:
    return {key: value for key, value in image.info.items() if key == "icc_profile"}


def _to_srgb(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if profile or image.mode == "LAB":
        from PIL import ImageCms

        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile)) if profile else ImageCms.createProfile("LAB")
            return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):  # a damaged profile, or one for other channels: the numbers as they are
            pass
    return image.convert("RGB")


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
            image = Image.composite(image, Image.new("RGB", image.size, "white"), alpha)
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
        InputError: the format cannot hold the picture.
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
    tiles = [t.resize((round(t.width * height / t.height), height), Image.Resampling.LANCZOS) for t in tiles]
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
