"""Formats that Pillow does not read by itself, and colors that files describe without an ICC profile."""

import io
import struct
import sys

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from ppcartoon import InputError, images
from tests.helpers.damage import file
from tests.helpers.photo_files import avif, chunk, dng, heic, png
from tests.helpers.samples import photo

GRAYS = np.uint8(np.linspace(0, 255, 12 * 20).reshape(12, 20))
NITS = np.array([5, 50, 100, 203, 1000])
SEEN = [43, 136, 186, 255, 255]  # as sRGB, with reference white at 203 nits


def read(data):
    return images.read(io.BytesIO(data)).rgb


def pq(nits):
    """The signal of SMPTE ST 2084, in [0, 1]."""
    y = (nits / 10000) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * y) / (1 + 2392 / 128 * y)) ** (2523 / 32)


def hlg(nits):
    """The signal of HLG of grays, for a display of 1000 nits, by BT.2100."""
    scene = (nits / 1000) ** (1 / 1.2)
    high = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), high)


@pytest.mark.parametrize("transfer, encode", [(16, pq), (18, hlg)], ids=["PQ", "HLG"])
@pytest.mark.parametrize("kind", ["PNG", "AVIF", "HEIC"])
def test_hdr_grays_are_read_as_in_videos(kind, transfer, encode):
    """Pillow decodes these to 8 bits, whose steps are up to three of sRGB's."""
    rgb = np.uint8(np.round(255 * encode(NITS)))[None, :, None].repeat(16, 1).repeat(64, 0).repeat(3, 2)
    data = {
        "PNG": lambda: png(rgb, (b"cICP", bytes([9, transfer, 0, 1]))),
        "AVIF": lambda: avif(rgb, 9, transfer),
        "HEIC": lambda: heic(rgb, color_primaries=9, transfer_characteristics=transfer, matrix_coefficients=9),
    }[kind]()
    assert np.abs(np.int16(read(data)[32, 8::16]) - np.array(SEEN)[:, None]).max() <= 3


COLORS = np.uint8([(200, 60, 50), (90, 150, 80), (120, 150, 90), (128, 128, 128)])
BT709_OF = {  # published matrices of linear RGB
    "Display P3": ((1.2249, -0.2249, 0), (-0.0421, 1.0421, 0), (-0.0196, -0.0786, 1.0983)),
    "Adobe RGB": ((1.3984, -0.3984, 0), (0, 1, 0), (0, -0.0429, 1.0429)),
}


def decoded(signal):
    """Linear light of sRGB, both in [0, 1]."""
    return np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)


def encoded(light):
    """sRGB in [0, 255] of linear light in [0, 1]."""
    light = light.clip(0, 1)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("make", [avif, lambda rgb, *tags: png(rgb, (b"cICP", bytes([*tags, 0, 1])))])
def test_display_p3_is_converted_to_srgb(make):
    result = read(make(COLORS[None].repeat(32, 1).repeat(16, 0), 12, 13))[8, 16::32]
    assert np.abs(result - encoded(decoded(COLORS / 255) @ np.transpose(BT709_OF["Display P3"]))).max() <= 3


def test_color_primaries_of_png_override_its_icc_profile():
    swapped = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, blue = swapped.index(b"rXYZ"), swapped.index(b"bXYZ")
    swapped[red : red + 4], swapped[blue : blue + 4] = b"bXYZ", b"rXYZ"
    data = png(photo(8, 8), (b"cICP", bytes([1, 13, 0, 1])), icc_profile=bytes(swapped))
    assert (read(data) == photo(8, 8)).all()


def test_png_with_linear_light_is_read_as_the_same_picture():
    rgb = np.uint8(np.round(255 * decoded(GRAYS / 255)))[..., None].repeat(3, 2)
    for chunks in ([(b"gAMA", struct.pack(">I", 100000))], [(b"cICP", bytes([1, 8, 0, 1]))]):
        result = np.int16(read(png(rgb, *chunks)))[..., 0]
        assert np.abs(result - GRAYS)[GRAYS > 60].max() <= 4  # 8 bits of linear light are coarse in the dark
    assert (read(png(rgb, (b"gAMA", struct.pack(">I", 100000)), (b"sRGB", b"\0"))) == rgb).all()


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGB", "I;16"])
def test_gamma_of_a_png_applies_to_every_mode(mode):
    data = file(mode, "PNG")
    plain = read(data)
    shown = read(data[:33] + chunk(b"gAMA", struct.pack(">I", 100000)) + data[33:])
    assert np.abs(shown - encoded(plain / 255)).max() <= 1


@pytest.mark.parametrize(
    "gamma, chromaticities",
    [(45455, None), (45455, (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)), (0, None), (45455, (0,) * 8)],
    ids=["gamma of sRGB", "sRGB", "no gamma", "no chromaticities"],
)
def test_png_that_describes_srgb_or_nothing_usable_keeps_its_values(gamma, chromaticities):
    chunks = [(b"gAMA", struct.pack(">I", gamma))]
    chunks += [(b"cHRM", struct.pack(">8I", *chromaticities))] if chromaticities else []
    assert (read(png(photo(9, 9), *chunks)) == photo(9, 9)).all()


def test_chromaticities_of_a_png_are_applied():
    adobe = b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000)
    result = read(png(COLORS[None], (b"gAMA", struct.pack(">I", 45470)), adobe))[0]
    light = (COLORS / 255) ** (1 / 0.4547) @ np.transpose(BT709_OF["Adobe RGB"])
    assert np.abs(result - encoded(light)).max() <= 1


@pytest.mark.parametrize(
    "dtype, white, compression",
    [
        ("<u2", 65535, None),
        ("<u2", 65535, "zlib"),
        (">u2", 65535, None),
        (">u2", 65535, "zlib"),
        ("<u4", 2**32 - 1, None),
        ("<u4", 65535, "zlib"),
        ("<f4", 1, "zlib"),
        (">f4", 1, None),
    ],
)
def test_white_is_zero_tiff_equals_the_black_is_zero_one(tmp_path, dtype, white, compression):
    values = (np.float64(GRAYS) / 255 * white).astype(dtype)
    for name, stored in (("miniswhite", np.dtype(dtype).type(white) - values), ("minisblack", values)):
        path = tmp_path / f"{name}.tif"
        tifffile.imwrite(path, stored, byteorder=dtype[0], photometric=name, compression=compression)
        assert np.abs(np.int16(images.read(path).rgb) - GRAYS[..., None]).max() <= 1


def test_heic_is_read_upright_with_its_alpha():
    exif = Image.Exif()
    exif[0x0112] = 6
    rgba = np.dstack([photo(48, 64), np.full((48, 64), 130, np.uint8)])
    picture = images.read(io.BytesIO(heic(rgba, exif=exif.tobytes())))
    assert np.abs(np.int16(picture.rgb) - np.rot90(photo(48, 64), -1)).mean() < 3
    assert picture.alpha.shape == (64, 48) and (picture.alpha == 130).all()
    mif1 = heic(photo(48, 64)).replace(b"ftypheix", b"ftypmif1").replace(b"ftypheic", b"ftypmif1")
    assert read(mif1).shape == (48, 64, 3)


@pytest.mark.parametrize("orientation, shape", [(1, (48, 64, 3)), (6, (64, 48, 3))])
def test_raw_photo_is_developed_upright(orientation, shape):
    assert read(dng(orientation)).shape == shape


@pytest.mark.parametrize(
    "head",
    [
        None,
        b"FUJIFILMCCD-RAW 0201",
        b"IIRO\x08\0\0\0",
        b"IIU\0\x18\0\0\0",
        b"II*\0\x10\0\0\0CR\2\0",
        b"\0\0\0\x18ftypcrx ",
    ],
    ids=["DNG", "RAF", "ORF", "RW2", "CR2", "CR3"],
)
def test_raw_photo_without_rawpy_is_refused_with_the_remedy(tmp_path, monkeypatch, head):
    monkeypatch.setitem(sys.modules, "rawpy", None)
    path = tmp_path / "a.jpg"
    path.write_bytes(head + bytes(100) if head else dng())
    with pytest.raises(InputError, match=r"a\.jpg: rawpy is not installed; for RAW photos: pip install rawpy$"):
        images.read(path)


@pytest.mark.parametrize("data", [b"\xff\x0a\xfa\x1f", b"\0\0\0\x0cJXL \r\n\x87\n"])
def test_jpeg_xl_is_refused_with_the_remedy(data):
    with pytest.raises(InputError, match="JPEG XL cannot be read here; convert it first"):
        read(data + bytes(100))


MORE = {"save_all": True, "append_images": [Image.new("RGB", (20, 12), color) for color in ("red", "blue")]}


@pytest.mark.parametrize("kind", ["WEBP", "PNG", "AVIF", "TIFF", "GIF"])
def test_frames_that_are_left_out_are_counted(kind):
    assert images.left_out(io.BytesIO(file("RGB", kind, **MORE))) == "the first of 3 frames is used, 2 left out"
    assert images.left_out(io.BytesIO(file("RGB", kind))) == ""


def test_previews_in_a_photo_are_no_frames():
    assert images.left_out(io.BytesIO(file("RGB", "MPO", **MORE))) == ""
