"""Fuzzing: valid files, random edits that damage them, and checks on what a reader does with the result.

PPCARTOON_FUZZ=20000 runs that many random examples per test, different ones each time.
"""

import io
import os
import resource
import struct
import time
import warnings
import zlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, features

from ppcartoon import InputError
from tests.helpers.photo_files import chunk, dng, heic, png
from tests.helpers.samples import photo

EXAMPLES = int(os.environ.get("PPCARTOON_FUZZ", 0))
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
MAX_SECONDS, MAX_MEGABYTES = 5, 1000  # OpenJPEG takes 800 MB for the largest number of tiles


def tries(count):
    """Settings for `count` examples, the same each time, unless PPCARTOON_FUZZ is set."""
    return settings(
        derandomize=not EXAMPLES,
        max_examples=EXAMPLES or count,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


def interlaced():
    """A gray PNG in Adam7's seven passes, which Pillow can read but not write."""
    gray, passes = photo(12, 20)[..., 0], ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4))
    passes += ((2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    rows = b"".join(b"\0" + row.tobytes() for y, x, dy, dx in passes for row in gray[y::dy, x::dx])
    header = struct.pack(">IIBBBBB", 20, 12, 8, 0, 0, 0, 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def file(mode, kind, **options):
    """The bytes of an image file."""
    image = Image.fromarray(np.dstack([photo(12, 20), photo(12, 20)[..., 0]]))
    if mode in ("I;16", "I", "F"):
        values = np.asarray(image.convert("L"))
        image = Image.fromarray(
            {"I;16": np.uint16(values) * 257, "I": np.int32(values), "F": np.float32(values / 255)}[mode]
        )
    elif mode == "P":
        image = image.quantize(16, method=Image.Quantize.FASTOCTREE)
    else:
        image = image.convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def exif():
    tags = Image.Exif()
    tags[0x0112] = 6
    return tags


MORE = {"save_all": True, "append_images": [Image.new("RGB", (20, 12), "red")]}
FILES = {
    "JPEG": [file("RGB", "JPEG", exif=exif(), icc_profile=PROFILE), file("CMYK", "JPEG", progressive=True)],
    "MPO": [file("RGB", "MPO", **MORE)],
    "PNG": [file("RGBA", "PNG", exif=exif(), icc_profile=PROFILE), file("1", "PNG"), interlaced()],
    "PNG, 16 bits": [file("I;16", "PNG", transparency=771)],
    "PNG, palette": [file("P", "PNG"), file("P", "PNG", save_all=True, append_images=[Image.new("P", (20, 12))])],
    "WebP": [file("RGBA", "WEBP", exif=exif(), icc_profile=PROFILE), file("RGB", "WEBP", lossless=True, **MORE)],
    "JPEG 2000": [file("RGBA", "JPEG2000"), file("I;16", "JPEG2000", no_jp2=True)],
    "TIFF": [file("RGBA", "TIFF", exif=exif(), icc_profile=PROFILE), file("F", "TIFF"), file("I", "TIFF")],
    "TIFF, packed": [file("RGB", "TIFF", compression=how) for how in ("tiff_lzw", "jpeg", "tiff_adobe_deflate")]
    + [file("1", "TIFF", compression="group4"), file("LAB", "TIFF", compression="packbits")],
    "BMP": [file("RGB", "BMP"), file("P", "BMP"), file("RGB", "DIB")],
    "GIF": [file("P", "GIF"), file("RGBA", "GIF", **MORE)],
    "PPM": [file("RGB", "PPM"), file("I", "PPM"), b"P3 2 2 255 1 2 3 4 5 6 7 8 9 10 11 12\n", file("F", "PPM")],
    "TGA": [file("RGBA", "TGA", compression="tga_rle"), file("P", "TGA")],
    "ICO": [file("RGBA", "ICO", sizes=[(8, 8), (12, 12)]), file("RGBA", "ICO", sizes=[(12, 12)], bitmap_format="bmp")],
}  # fmt: skip
COLORS = ((b"gAMA", struct.pack(">I", 70000)), (b"cICP", bytes([9, 16, 0, 1])))
FILES["PNG"] += [png(photo(12, 20), color) for color in COLORS]
FILES["HEIC"] = [
    heic(photo(64, 80), exif=exif().tobytes()),
    heic(np.dstack([photo(64, 80)] * 2)[..., :4], color_primaries=9, transfer_characteristics=18),
]
if find_spec("rawpy"):
    FILES["RAW"] = [dng(6)]
if features.check("avif"):
    FILES["AVIF"] = [file("RGBA", "AVIF", exif=exif(), icc_profile=PROFILE), file("RGB", "AVIF", **MORE)]

NUMBERS = [struct.pack(how, n) for how in ("<H", ">H", "<I", ">I") for n in (0, 1, 60000, 65535)] + [b"\xff" * 8]
EDITS = st.lists(
    st.tuples(
        st.sampled_from(["flip", "replace", "insert", "delete", "repeat", "truncate"]),
        st.one_of(st.integers(0, 60), st.integers(0, 3000)),
        st.one_of(st.binary(min_size=1, max_size=8), st.sampled_from(NUMBERS)),
    ),
    min_size=1,
    max_size=4,
)


def damaged(data, edits):
    """The data after all edits, each a kind, a position and bytes."""
    data = bytearray(data)
    for kind, position, value in edits:
        i = position % (len(data) + 1)
        length = value[0] % 40 + 1
        if kind == "flip" and i < len(data):
            data[i] ^= value[0] or 1
        elif kind == "replace":
            data[i : i + len(value)] = value
        elif kind == "insert":
            data[i:i] = value
        elif kind == "delete":
            del data[i : i + length]
        elif kind == "repeat":
            data[i:i] = data[i : i + length]
        elif kind == "truncate":
            del data[i:]
    return bytes(data)


def outcome(function, *arguments):
    """The result of a function, or None for an InputError of one printable line; checks warnings, time and memory."""
    start, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")  # also shows Pillow's, which are hidden outside of tests
        try:
            result = function(*arguments)
        except InputError as error:
            result = None
            assert str(error).isprintable() and 0 < len(str(error)) <= 1000, repr(error)
    assert all("PIL" in Path(w.filename).parts for w in caught), [str(w.message) for w in caught]
    assert time.process_time() - start < MAX_SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MAX_MEGABYTES << 10
    return result
