"""Reading and writing images of every kind."""

import math

import numpy as np
import pytest
from PIL import Image, ImageCms

from ppcartoon import InputError, images
from ppcartoon.errors import OutputError
from tests.helpers.samples import photo


def saved(tmp_path, image, name, **options):
    path = tmp_path / name
    image.save(path, **options)
    return path


GRAY = np.uint8(np.linspace(0, 255, 12 * 20).reshape(12, 20))


@pytest.mark.parametrize(
    "image, name",
    [
        (Image.fromarray(GRAY), "gray.png"),
        (Image.fromarray(np.uint16(GRAY) * 257), "gray16.png"),
        (Image.fromarray(np.uint16(GRAY) * 257), "gray16.tif"),
        (Image.fromarray(np.int32(GRAY) * 257), "gray32.tif"),
        (Image.fromarray(np.float32(GRAY) / 255), "float.tif"),
        (Image.fromarray(GRAY).convert("P"), "palette.gif"),
        (Image.fromarray(GRAY).convert("RGB"), "rgb.bmp"),
        (Image.fromarray(GRAY).convert("RGB"), "rgb.webp"),
    ],
)
def test_gray_images_of_every_mode_and_format_are_read_as_gray(tmp_path, image, name):
    picture = images.read(saved(tmp_path, image, name, **({"lossless": True} if name.endswith("webp") else {})))
    assert picture.alpha is None
    assert picture.rgb.dtype == np.uint8
    np.testing.assert_allclose(picture.rgb, np.repeat(GRAY[..., None], 3, 2), atol=1)


def test_one_bit_image_is_read_as_black_and_white(tmp_path):
    bits = GRAY > 128
    picture = images.read(saved(tmp_path, Image.fromarray(bits), "bits.png"))
    assert (picture.rgb == np.where(bits, 255, 0)[..., None]).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_alpha_is_separated_from_color(tmp_path, mode, suffix):
    if (mode, suffix) == ("PA", "png"):
        image = Image.fromarray(np.dstack([photo(12, 20), GRAY])).quantize(64, method=Image.Quantize.FASTOCTREE)
    else:
        image = Image.fromarray(np.dstack([GRAY] * 3 + [GRAY])).convert(mode)
    picture = images.read(saved(tmp_path, image, f"a.{suffix}"))
    np.testing.assert_allclose(picture.alpha, GRAY, atol=60 if mode == "PA" else 0)
    assert picture.rgb.shape == (12, 20, 3)
    if mode != "PA":
        assert (picture.rgb == GRAY[..., None])[GRAY > 0].all()


def test_transparent_gray_value_of_16_bits_becomes_alpha(tmp_path):
    data = np.uint16(GRAY) * 257
    path = saved(tmp_path, Image.fromarray(data), "a.png", transparency=int(data[3, 4]))
    picture = images.read(path)
    assert (picture.alpha == np.where(data == data[3, 4], 0, 255)).all()
    assert (picture.rgb == GRAY[..., None])[picture.alpha > 0].all()


def test_transparent_palette_color_becomes_alpha(tmp_path):
    image = Image.fromarray(np.uint8(GRAY > 128) + 1, "P")
    image.putpalette([0, 0, 0, 10, 20, 30, 200, 100, 50])
    picture = images.read(saved(tmp_path, image, "a.gif", transparency=1))
    assert (picture.alpha == np.where(GRAY > 128, 255, 0)).all()
    assert (picture.rgb[GRAY > 128] == [200, 100, 50]).all()


@pytest.mark.parametrize("name, mode", [("a.png", "RGB"), ("a.tif", "L"), ("a.tif", "RGBA")])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, orientation, name, mode):
    upright = np.asarray(Image.fromarray(photo(16, 24)).convert(mode))
    inverse = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: a.swapaxes(0, 1),
        6: np.rot90,
        7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
        8: lambda a: np.rot90(a, -1),
    }
    stored = Image.fromarray(np.ascontiguousarray(inverse[orientation](upright)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = images.read(saved(tmp_path, stored, name, exif=exif))
    assert (picture.rgb == np.asarray(Image.fromarray(upright).convert("RGB"))).all()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_icc_profile_is_applied(tmp_path, mode):
    """The profile swaps red and blue, so that red would stay red if it were ignored."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, blue = profile.index(b"rXYZ"), profile.index(b"bXYZ")
    profile[red : red + 4], profile[blue : blue + 4] = b"bXYZ", b"rXYZ"
    image = Image.new("RGB", (8, 8), (255, 0, 0)).convert(mode)
    path = saved(tmp_path, image, "a.png", icc_profile=bytes(profile))
    np.testing.assert_allclose(images.read(path).rgb[0, 0], [0, 0, 255], atol=3)


def test_damaged_icc_profile_is_ignored(tmp_path):
    path = saved(tmp_path, Image.new("RGB", (8, 8), (250, 10, 20)), "a.png", icc_profile=b"no profile")
    assert (images.read(path).rgb == [250, 10, 20]).all()


def test_cmyk_is_converted_to_rgb(tmp_path):
    path = saved(tmp_path, Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "a.tif")
    assert (images.read(path).rgb == [255, 0, 0]).all()


def test_lab_is_converted_to_rgb(tmp_path):
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    image = ImageCms.profileToProfile(Image.new("RGB", (8, 8), (200, 100, 50)), srgb, lab, outputMode="LAB")
    np.testing.assert_allclose(images.read(saved(tmp_path, image, "a.tif")).rgb[0, 0], [200, 100, 50], atol=4)


def test_format_is_detected_by_content_not_by_name(tmp_path):
    path = saved(tmp_path, Image.fromarray(photo(8, 8)), "a.jpg", format="PNG")
    assert (images.read(path).rgb == photo(8, 8)).all()


@pytest.mark.parametrize(
    "data",
    [b"", b"hello", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"\x89PNG\r\n\x1a\n" + b"\0" * 50],
    ids=["nothing", "text", "EPS, which Ghostscript would have to run", "no header"],
)
def test_file_that_is_not_an_image_is_refused(tmp_path, data):
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(InputError, match="not an image that can be read here"):
        images.read(tmp_path / "a.png")


def test_image_with_too_many_pixels_is_refused(tmp_path, monkeypatch):
    path = saved(tmp_path, Image.new("1", (300, 300)), "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(InputError, match="more pixels than"):
        images.read(path)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [300, -0.1, np.nan, np.inf, np.frombuffer(b"\1\0\x80\x7f", np.float32)[0]])
def test_floats_outside_the_range_are_refused(tmp_path, value):
    """The last value is a NaN about which NumPy would warn."""
    with pytest.raises(InputError, match="outside"):
        images.read(saved(tmp_path, Image.fromarray(np.array([[0, value]], np.float32)), "a.tif"))


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.jpg", "A.JPEG"])
def test_written_images_can_be_read_back(tmp_path, name):
    alpha = np.full((16, 24), 255, np.uint8)
    alpha[:8] = 0
    images.write(tmp_path / name, images.Picture(photo(16, 24), alpha))
    back = images.read(tmp_path / name)
    if name.lower().endswith(("jpg", "jpeg")):
        assert back.alpha is None
        assert (back.rgb[:8] > 250).all()  # white where the image was transparent
    else:
        assert (back.alpha == alpha).all()
    np.testing.assert_allclose(back.rgb[8:].mean(), photo(16, 24)[8:].mean(), atol=4)


def test_metadata_is_not_written(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    source = saved(tmp_path, Image.fromarray(photo(16, 24)), "a.jpg", exif=exif, dpi=(300, 300))
    images.write(tmp_path / "b.jpg", images.read(source))
    with Image.open(tmp_path / "b.jpg") as image:
        assert dict(image.getexif()) == {} and "icc_profile" not in image.info


def test_failed_write_keeps_the_old_file_and_leaves_no_other(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def fail_halfway(self, data):
        with open(self, "wb") as file:
            file.write(data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", fail_halfway)
    with pytest.raises(OutputError, match=r"a\.png: cannot be written \(No space left on device\)"):
        images.write(path, images.Picture(photo(8, 8)))
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_side_that_is_too_long_for_the_format_is_refused(tmp_path):
    with pytest.raises(InputError, match="WEBP holds at most 16383 pixels per side; use --ext png"):
        images.write(tmp_path / "a.webp", images.Picture(np.zeros((1, 16384, 3), np.uint8)))


@pytest.mark.parametrize("side", range(1, 10))
def test_padding_reflects_the_image_up_to_a_multiple_of_four(side):
    image = np.arange(side, dtype=np.uint8)[:, None, None].repeat(8, 1).repeat(3, 2)
    padded = images.pad(image)
    assert padded.shape[0] % 4 == 0 and 0 <= padded.shape[0] - side < 4
    assert (padded[:side] == image).all()
    assert (images.pad(image.swapaxes(0, 1)) == padded.swapaxes(0, 1)).all()
    if side > 4:
        assert padded[side:, 0, 0].tolist() == list(range(side - 2, side - 2 - (len(padded) - side), -1))


def test_network_range_is_reversible_and_clipped():
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, 3)
    network = images.to_network(levels)
    assert network.shape == (1, 3, 16, 16) and network.dtype == np.float32
    assert network.min() == -1 and network.max() == 1
    assert (images.from_network(network) == levels).all()
    assert images.from_network(np.float32([[[[2.0]], [[-2.0]], [[0.0]]]])).tolist() == [[[[255, 0, 128]]]]


def test_shrink_keeps_the_aspect_ratio_and_never_enlarges():
    picture = images.Picture(photo(40, 80), np.full((40, 80), 7, np.uint8))
    small = images.shrink(picture, 20)
    assert small.rgb.shape == (10, 20, 3) and small.alpha.shape == (10, 20)
    assert images.shrink(picture, 80) is picture
    assert images.shrink(images.Picture(photo(1, 100)), 10).rgb.shape == (1, 10, 3)


def test_psnr_of_a_known_difference():
    one = np.full((4, 5, 3), 100, np.uint8)
    assert images.psnr(one, one) == math.inf
    assert images.psnr(one, one + 1) == images.psnr(one + 1, one) == pytest.approx(20 * math.log10(255))
    assert images.psnr(np.float32([0, 0]), np.float32([0.2, -0.2]), 2) == pytest.approx(20)


def test_indices_by_shape_follow_the_order_of_the_images():
    sizes = [(2, 3), (4, 4), (2, 3), (3, 2)]
    assert list(images.by_shape([np.zeros(size) for size in sizes])) == [[0, 2], [1], [3]]
