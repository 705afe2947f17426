"""Damaged, spliced and made-up input ends in a result or in one printable line, and in nothing else.

PPCARTOON_FUZZ=20000 tries that many of each, other ones every time.
"""

import io
import json
import os
import resource
import struct
import time
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from conftest import photo
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from ppcartoon import InputError, graph, images, weights

LONG = int(os.environ.get("PPCARTOON_FUZZ", 0))
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SECONDS, MEGABYTES = 5, 200


def tries(count):
    """`count` examples, the same every time; or as many as are asked for."""
    return settings(
        derandomize=not LONG,
        max_examples=LONG or count,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def interlaced():
    """A gray PNG in Adam7's seven passes, which Pillow reads and does not write."""
    gray, passes = photo(12, 20)[..., 0], ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4))
    passes += ((2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    rows = b"".join(b"\0" + row.tobytes() for y, x, dy, dx in passes for row in gray[y::dy, x::dx])
    header = struct.pack(">IIBBBBB", 20, 12, 8, 0, 0, 0, 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def made(mode, kind, **options):
    """The bytes of an image file with a bit of everything: orientation, profile, alpha where it can be."""
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
    "JPEG": [made("RGB", "JPEG", exif=exif(), icc_profile=PROFILE), made("CMYK", "JPEG", progressive=True)],
    "MPO": [made("RGB", "MPO", **MORE)],
    "PNG": [made("RGBA", "PNG", exif=exif(), icc_profile=PROFILE), made("1", "PNG"), interlaced()],
    "PNG, 16 bits": [made("I;16", "PNG", transparency=771)],
    "PNG, palette": [made("P", "PNG"), made("P", "PNG", **MORE)],
    "WebP": [made("RGBA", "WEBP", exif=exif(), icc_profile=PROFILE), made("RGB", "WEBP", lossless=True, **MORE)],
    "JPEG 2000": [made("RGBA", "JPEG2000"), made("I;16", "JPEG2000", no_jp2=True)],
    "TIFF": [made("RGBA", "TIFF", exif=exif(), icc_profile=PROFILE), made("F", "TIFF"), made("I", "TIFF")],
    "TIFF, packed": [made("RGB", "TIFF", compression=how) for how in ("tiff_lzw", "jpeg", "tiff_adobe_deflate")]
    + [made("1", "TIFF", compression="group4"), made("LAB", "TIFF", compression="packbits")],
    "BMP": [made("RGB", "BMP"), made("P", "BMP"), made("RGB", "DIB")],
    "GIF": [made("P", "GIF"), made("RGBA", "GIF", **MORE)],
    "PPM": [made("RGB", "PPM"), made("I", "PPM"), b"P3 2 2 255 1 2 3 4 5 6 7 8 9 10 11 12\n", made("F", "PPM")],
    "TGA": [made("RGBA", "TGA", compression="tga_rle"), made("P", "TGA")],
    "ICO": [made("RGBA", "ICO", sizes=[(8, 8), (12, 12)]), made("RGBA", "ICO", sizes=[(12, 12)], bitmap_format="bmp")],
}  # fmt: skip
if "AVIF" in images._readable():
    FILES["AVIF"] = [made("RGBA", "AVIF", exif=exif(), icc_profile=PROFILE), made("RGB", "AVIF", **MORE)]

NUMBERS = [struct.pack(how, n) for how in ("<H", ">H", "<I", ">I") for n in (0, 1, 60000, 65535)] + [b"\xff" * 8]
EDITS = st.lists(
    st.tuples(
        st.sampled_from(["flip", "put", "insert", "cut", "double", "end"]),
        st.one_of(st.integers(0, 60), st.integers(0, 3000)),
        st.one_of(st.binary(min_size=1, max_size=8), st.sampled_from(NUMBERS)),
    ),
    min_size=1,
    max_size=4,
)


def damaged(data, edits):
    data = bytearray(data)
    for kind, at, value in edits:
        at %= len(data) + 1
        length = value[0] % 40 + 1
        if kind == "flip" and at < len(data):
            data[at] ^= value[0] or 1
        elif kind == "put":
            data[at : at + len(value)] = value
        elif kind == "insert":
            data[at:at] = value
        elif kind == "cut":
            del data[at : at + length]
        elif kind == "double":
            data[at:at] = data[at : at + length]
        elif kind == "end":
            del data[at:]
    return bytes(data)


def outcome(function, *arguments):
    """What the function gives, or None for an InputError of one printable line; soon, silently, in little memory."""
    start, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")  # Pillow's own go nowhere, which needs a process of its own to be seen
        try:
            result = function(*arguments)
        except InputError as error:
            result = None
            assert str(error).isprintable() and 0 < len(str(error)) < 400, repr(error)
    assert all("PIL" in Path(w.filename).parts for w in caught), [str(w.message) for w in caught]
    assert time.process_time() - start < SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEGABYTES << 10
    return result


def check_picture(path):
    picture = outcome(images.read, path)
    if picture is not None:
        height, width, channels = picture.rgb.shape
        assert picture.rgb.dtype == np.uint8 and channels == 3 and height and width
        if picture.alpha is not None:
            assert picture.alpha.dtype == np.uint8 and picture.alpha.shape == (height, width)


@pytest.fixture
def small(monkeypatch):
    """Headers that were made to say millions of pixels are refused, for their decoding alone would take long."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1 << 18)


@pytest.mark.parametrize("kind", FILES)
def test_the_files_are_sound_before_they_are_damaged(tmp_path, kind):
    for data in FILES[kind]:
        (tmp_path / "a").write_bytes(data)
        assert images.read(tmp_path / "a").rgb.size


@pytest.mark.parametrize("kind", FILES)
def test_damaged_images(tmp_path, small, capfd, kind):
    path = tmp_path / "a"

    @tries(30)
    @given(st.sampled_from(FILES[kind]), EDITS)
    def run(data, edits):
        path.write_bytes(damaged(data, edits))
        check_picture(path)

    run()
    assert capfd.readouterr().err == ""


def test_spliced_images(tmp_path, small, capfd):
    path = tmp_path / "a"
    some = st.sampled_from([data for files in FILES.values() for data in files])

    @tries(60)
    @given(some, some, st.integers(1, 200), st.integers(0, 200), EDITS)
    def run(head, tail, until, since, edits):
        path.write_bytes(damaged(head[:until] + tail[since:], edits[1:]))
        check_picture(path)

    run()
    assert capfd.readouterr().err == ""


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(weights.ENCODERS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
SHAPES = st.lists(st.sampled_from([0, 1, 3, 2**31, 2**63, 2**64 - 1, -1, 1.5]), max_size=5)
DTYPES = st.sampled_from(["F16", "F32", "F64", "BF16", "F8_E4M3", "I64", "U8", "BOOL", "C64", "F4", "nothing", 3])
CHANGES = st.one_of(
    st.tuples(st.just("dtype"), DTYPES),
    st.tuples(st.just("shape"), SHAPES),
    st.tuples(st.just("data_offsets"), st.lists(st.integers(-1, 1 << 40), max_size=3)),
    st.tuples(st.sampled_from(["format", "network", "style", "config"]), JSON | st.text()),
    st.tuples(st.text(max_size=5), JSON),
)


def check_weights(path):
    """What is loaded can be built, or says in one line why not."""
    loaded = outcome(weights.load, path)
    if loaded is not None:
        assert all(t.dtype == np.float32 and np.isfinite(t).all() for t in loaded.tensors.values())
        assert all(getattr(loaded, key).isprintable() for key in weights.TEXTS)
        outcome(graph.build, loaded)


@tries(200)
@given(edits=EDITS)
def test_damaged_weights(tiny_file, tmp_path_factory, edits):
    path = tmp_path_factory.getbasetemp() / "damaged.safetensors"
    path.write_bytes(damaged(tiny_file.read_bytes(), edits))
    check_weights(path)


@tries(200)
@given(change=CHANGES, which=st.integers(0, 1000), value=st.sampled_from([None, np.nan, np.inf, -0.0, 65504]))
def test_made_up_headers_of_weights(tiny_file, tmp_path_factory, change, which, value):
    data = tiny_file.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header, tensors = json.loads(data[8:start]), np.frombuffer(data[start:], np.float16).copy()
    key, new = change
    if key in ("dtype", "shape", "data_offsets"):
        header[sorted(header)[which % len(header)]][key] = new
    else:
        header["__metadata__"][key] = new if which % 2 and isinstance(new, str) else json.dumps(new)
        if which % 5 == 0:
            header[key] = new
    if value is not None:
        tensors[which % len(tensors)] = value
    packed = json.dumps(header).encode()
    path = tmp_path_factory.getbasetemp() / "made_up.safetensors"
    path.write_bytes(struct.pack("<Q", len(packed)) + packed + tensors.tobytes())
    check_weights(path)
