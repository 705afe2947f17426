"""Measures of cartoons and their photos, on images with known answers, and the table."""

import cv2
import numpy as np
import pytest

from ppcartoon import images
from ppcartoon.errors import InputError
from ppcartoon.evaluation import fid, outputs, pictures
from ppcartoon.evaluation.features import VGGFeatures
from tests.helpers.folders import drawn, save

GRAY = np.uint8(np.random.default_rng(0).integers(40, 200, (32, 48, 1)).repeat(3, 2))


def step(low, high, width=1):
    """A vertical edge between two gray values, over a number of pixels."""
    ramp = np.clip((np.arange(40) - 20 + width / 2) / width, 0, 1)
    return np.uint8(np.round(low + (high - low) * ramp))[None, :, None].repeat(40, 0).repeat(3, 2)


def test_a_photo_compared_with_itself_has_no_error_and_all_of_its_edges_and_contrast():
    found = pictures.measure(GRAY, GRAY)
    assert found == (0, pytest.approx(0, abs=1e-3), 1, 1, 0)


def test_chroma_error_is_the_mean_difference_in_u_and_v():
    blue = np.full((8, 8, 3), (0, 0, 255), np.uint8)
    luma = 0.114 * 255
    expected = (0.492 * (255 - luma) + 0.877 * luma) / 2
    gray = np.full((8, 8, 3), 77, np.uint8)
    assert pictures.measure(gray, blue).chroma == pytest.approx(expected, rel=1e-4)
    assert pictures.measure(gray, gray + 50).chroma == pytest.approx(0, abs=1e-4)


def test_flat_surface_is_the_share_of_pixels_with_little_deviation_in_their_window():
    luma = np.full((40, 100), 90, np.float32)
    luma[:, 50:] += 40
    assert pictures.flat_surface(luma) == pytest.approx(0.96)  # the windows of four columns reach over the edge
    checks = np.indices((40, 40)).sum(0) % 2
    assert pictures.flat_surface(np.float32(90 + 3.8 * checks)) == 1  # a deviation of 1.9
    assert pictures.flat_surface(np.float32(90 + 4.4 * checks)) == 0


@pytest.mark.parametrize("output, expected", [(step(60, 120), 0.5), (step(100, 100), 0), (step(0, 240), 2)])
def test_edge_sharpness_is_the_gradient_over_that_of_the_photo(output, expected):
    assert pictures.measure(step(40, 160), output).edges == pytest.approx(expected, abs=0.01)


def test_edges_of_the_output_where_the_photo_has_none_do_not_count():
    photo = step(40, 160, 6)  # on more than a tenth of the pixels
    output = photo.copy()
    output[:, 4:6] = 255
    assert pictures.measure(photo, output).edges == pytest.approx(1)
    assert pictures.measure(photo, step(40, 160, 12)).edges == pytest.approx(0.5, abs=0.05)


def test_contrast_and_luma_follow_a_linear_change_of_brightness():
    found = pictures.measure(GRAY, np.uint8(GRAY // 2 + 60))
    luma = GRAY[..., 0].astype(float)
    changed = luma // 2 + 60
    assert found.contrast == pytest.approx(changed.std() / luma.std(), rel=1e-4)
    assert found.luma == pytest.approx(abs(changed.mean() - luma.mean()), rel=1e-4)


def test_photo_of_one_brightness_counts_as_having_kept_its_edges_and_contrast():
    found = pictures.measure(np.full((16, 16, 3), 90, np.uint8), GRAY[:16, :16])
    assert (found.edges, found.contrast) == (1, 1)


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Three photos of 64x48 in a folder, and outputs of other sizes and types of file in the folder `made`."""
    monkeypatch.setattr("ppcartoon.evaluation.features.Path.home", lambda: tmp_path / "home")
    for i in range(3):
        image = images.read(save(tmp_path / "photos" / f"{i}.png", drawn_photo(i))).rgb
        save(tmp_path / "made" / f"{i}.bmp", cv2.resize(image // 2, (32, 24), interpolation=cv2.INTER_AREA))
    return tmp_path / "photos"


def drawn_photo(number):
    y, x = np.mgrid[:48, :64]
    return np.uint8(np.dstack([4 * x, 5 * y, 255 * ((x + y + 9 * number) % 32 > 16)]))


def values(columns):
    return {column.header: dict(zip(columns[0].values, column.values)) for column in columns[1:]}


def test_table_has_means_over_the_photos_for_folders_of_any_size_and_for_weights(photos, tmp_path, tiny_file):
    given = {"made": tmp_path / "made", "tiny": tiny_file}
    columns = pictures.compare(photos, given, tmp_path / "work", size=32)
    assert columns[0].values == ["the photos", "made", "tiny"]
    found = values(columns)
    assert [header for header in found] == [header for header, _ in pictures.COLUMNS]
    assert found["contrast kept"]["the photos"] == 1 and found["chroma error"]["the photos"] == 0
    reduced = [images.shrink(images.read(photo), 32).rgb for photo in sorted(photos.iterdir())]
    made = [images.read(path).rgb for path in sorted((tmp_path / "made").iterdir())]
    expected = np.mean([pictures.measure(*pair) for pair in zip(reduced, made)], 0)
    assert [found[header]["made"] for header in found] == pytest.approx(expected)
    assert found["contrast kept"]["made"] == pytest.approx(0.5, abs=0.02)
    shapes = {images.read(path).rgb.shape for path in (tmp_path / "work").rglob("*.png")}
    assert shapes == {(24, 32, 3)}  # weights see the photos at that size


def test_weights_run_once_on_the_reduced_photos(photos, tmp_path, tiny_file, monkeypatch):
    first = pictures.compare(photos, {"tiny": tiny_file}, tmp_path / "work", size=32)
    monkeypatch.setattr(outputs, "cartoonize_files", None)
    assert pictures.compare(photos, {"tiny": tiny_file}, tmp_path / "work", size=32) == first


def test_output_of_another_shape_than_its_photo_gives_an_error(photos, tmp_path):
    save(tmp_path / "made/1.bmp", np.zeros((32, 32, 3), np.uint8))
    with pytest.raises(InputError, match=r"made/1\.bmp: 32x32 after reduction, but its photo has 64x48"):
        pictures.compare(photos, {"made": tmp_path / "made"}, tmp_path / "work")


def test_name_of_the_row_of_photos_is_refused_for_a_method(photos, tmp_path):
    with pytest.raises(InputError, match="this row is for the photos"):
        pictures.compare(photos, {"the photos": tmp_path / "made"}, tmp_path / "work")


def test_frechet_distances_are_of_the_means_in_sixteen_cells_of_each_image(photos, tmp_path):
    cartoons = drawn(tmp_path, photos=0, cartoons=3) / "cartoons"
    features = pictures.vgg_features(cartoons, "random")
    columns = pictures.compare(photos, {"made": tmp_path / "made"}, tmp_path / "work", 64, features)
    found = values(columns)
    name = "VGG19 conv3_4 with random weights Fréchet distance to"
    assert [*found][:2] == [f"{name} the style", f"{name} the photos"]
    assert found[f"{name} the photos"]["the photos"] == pytest.approx(0, abs=1e-6)
    rows = [features.rows(sorted(folder.iterdir()), 64) for folder in (tmp_path / "made", cartoons)]
    assert rows[0].shape == (3 * 16, 256)
    expected = fid.frechet_distance(*map(fid.statistics, rows))
    assert found[f"{name} the style"]["made"] == pytest.approx(expected, rel=1e-4)


def test_cells_are_the_means_of_the_parts_of_the_features(photos):
    picture = images.read(photos / "0.png").rgb[None, :, :48]
    found = VGGFeatures("conv1_1", "random", 4)(picture).reshape(4, 4, 64)
    assert found.mean((0, 1)) == pytest.approx(VGGFeatures("conv1_1", "random")(picture)[0], rel=1e-3, abs=1e-5)
    changed = picture.copy()
    changed[:, :8, 40:] = 0
    differs = np.abs(VGGFeatures("conv1_1", "random", 4)(changed).reshape(4, 4, 64) - found).max(2) > 1e-4
    assert differs[0, 3] and differs.sum() == 1
