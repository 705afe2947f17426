"""Selecting cartoons: measures of drawn images, limits, evening out, the folder of the kept images."""

import os

import cv2
import numpy as np
import pytest

from ppcartoon import images
from ppcartoon.data.image_folder import image_files
from ppcartoon.data.selection import Limits, even_out, measure, select
from ppcartoon.errors import InputError
from tests.helpers.folders import save

SIDE = 128


def squares(background=200, square=120, number=3, grain=0.0):
    """Gray squares on a background, a number of them per side, with noise."""
    image = np.full((SIDE, SIDE), background, np.float32)
    step = SIDE // number
    for y in range(number):
        for x in range(number):
            image[y * step + step // 4 : y * step + 3 * step // 4, x * step + step // 4 : x * step + 3 * step // 4] = (
                square
            )
    image += grain * np.random.default_rng(0).standard_normal(image.shape)
    return np.uint8(np.clip(np.dstack([image] * 3), 0, 255))


CLEAR = squares()
POOR = {
    "mean luma under 108": squares(110, 30),
    "edges on less than 0.03 of the pixels": squares(number=1),
    "edges on more than 0.16 of the pixels": np.hstack([squares(number=16)[:, :SIDE], CLEAR[:, : SIDE // 8]]),
    "grain over 1.55": squares(grain=4),
    "contrast under 30": squares(200, 140),
}


def state(folder):
    return {path: (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino) for path in folder.rglob("*.png")}


@pytest.fixture
def drawings(tmp_path):
    """One clear drawing, and one for each limit that fails it."""
    folder = tmp_path / "drawings"
    for i, image in enumerate([CLEAR, *POOR.values()]):
        save(folder / f"{i}.png", image)
    return folder


def test_measures_of_squares_are_those_of_their_outlines_and_areas():
    found = measure(CLEAR)
    luma = CLEAR[..., 0].astype(float)
    assert (found.luma, found.contrast) == (pytest.approx(luma.mean()), pytest.approx(luma.std()))
    assert found.edges == pytest.approx(9 * 4 * 20 / SIDE**2, rel=0.1)
    assert found.grain < 1e-4


def test_grain_is_measured_away_from_edges_and_is_infinite_without_such_pixels():
    noise = np.random.default_rng(0).standard_normal((SIDE, SIDE)).astype(np.float32)
    expected = np.median(np.abs(noise - cv2.GaussianBlur(noise, (0, 0), 1.5)))
    assert measure(squares(grain=4)).grain == pytest.approx(4 * expected, rel=0.1)
    assert measure(squares(number=16)).grain == np.inf


@pytest.mark.parametrize("reason", POOR)
def test_each_limit_fails_the_image_that_lacks_it(reason):
    assert Limits().faults(measure(CLEAR)) == []
    assert Limits().faults(measure(POOR[reason])) == [reason]
    assert Limits(0, 0, 1, np.inf, 0).faults(measure(POOR[reason])) == []


def test_a_measure_equal_to_its_limit_is_kept():
    exact = measure(CLEAR)
    limits = Limits(exact.luma, exact.edges, exact.edges, exact.grain, exact.contrast)
    assert limits.faults(exact) == []


@pytest.mark.parametrize(
    "low, high, wanted_low, wanted_high", [(90, 150, 41, 210), (8, 250, 8, 250), (140, 155, 61, 103)]
)
def test_evening_out_moves_luma_toward_the_full_range(low, high, wanted_low, wanted_high):
    evened = even_out(squares(high, low))
    assert evened.dtype == np.uint8 and (np.unique(evened) == [wanted_low, wanted_high]).all()


def test_evening_out_takes_most_of_a_tint_away():
    gray = np.repeat(np.linspace(8, 250, SIDE)[None], SIDE, 0)

    def tint(image):
        mean = ((image / 255) ** 2.2).mean((0, 1))
        return mean[0] / mean[2]

    tinted = np.uint8(gray[..., None] * [1, 0.9, 0.8])
    assert tint(even_out(tinted)) == pytest.approx(tint(tinted) ** 0.4, rel=0.03)


@pytest.mark.parametrize("level", [0, 255])
def test_evening_out_accepts_images_of_one_color(level):
    assert even_out(np.full((16, 16, 3), level, np.uint8)).shape == (16, 16, 3)


def test_kept_images_are_written_unchanged_or_evened_out_and_the_others_named_by_reason(drawings, tmp_path):
    before = state(drawings)
    found = select(drawings, tmp_path / "out")
    assert found.kept == [drawings / "0.png"] and found.number_left_out == 5 and found.failed == {}
    assert found.left_out == {reason: [drawings / f"{i}.png"] for i, reason in enumerate(POOR, 1)}
    assert [file.name for file in image_files(tmp_path / "out")] == ["0.png"]
    assert (images.read(tmp_path / "out/0.png").rgb == CLEAR).all()
    select(drawings, tmp_path / "out", even=True)
    assert (images.read(tmp_path / "out/0.png").rgb == even_out(CLEAR)).all()
    assert state(drawings) == before


def test_contact_sheets_of_kept_and_left_out_images_are_beside_the_folder(drawings, tmp_path):
    sheets = select(drawings, tmp_path / "out").sheets
    assert sheets == (tmp_path / "out_kept_contact_sheet.jpg", tmp_path / "out_left_out_contact_sheet.jpg")
    widths = [images.read(sheet).rgb.shape[1] for sheet in sheets]
    assert widths[0] == 96 + 16 and widths[1] >= 5 * 96
    everything = select(drawings, tmp_path / "all", Limits(0, 0, 1, np.inf, 0))
    assert len(everything.kept) == 6 and everything.sheets == (tmp_path / "all_kept_contact_sheet.jpg", None)


def test_a_second_run_writes_only_what_is_missing(drawings, tmp_path):
    limits = Limits(min_luma=0, max_grain=np.inf)
    select(drawings, tmp_path / "out", limits)
    before = state(tmp_path / "out")
    assert len(before) == 3
    missing = tmp_path / "out/0.png"
    missing.unlink()
    select(drawings, tmp_path / "out", limits)
    after = state(tmp_path / "out")
    assert {path for path in before if after[path] != before[path]} == {missing}


def test_images_of_an_earlier_selection_that_are_left_out_now_are_refused_and_kept(drawings, tmp_path):
    save(tmp_path / "out/of another folder.png", CLEAR)
    select(drawings, tmp_path / "out", Limits(min_luma=0))
    before = state(tmp_path / "out")
    with pytest.raises(InputError, match=r"out: has 1 images that are left out now, 1\.png first"):
        select(drawings, tmp_path / "out")
    assert state(tmp_path / "out") == before and len(before) == 3


@pytest.mark.parametrize("output", ["drawings", "drawings/kept", "link/kept"])
def test_an_output_inside_the_folder_of_cartoons_is_refused(drawings, tmp_path, output):
    (tmp_path / "link").symlink_to(drawings)
    with pytest.raises(InputError, match="is inside the folder of cartoons; choose another --output"):
        select(drawings, tmp_path / output)
    assert sorted(os.listdir(tmp_path)) == ["drawings", "link"] and len(os.listdir(drawings)) == 6


def test_unreadable_files_are_named_and_the_others_selected(drawings, tmp_path):
    (drawings / "junk.jpg").write_bytes(b"no image")
    found = select(drawings, tmp_path / "out", jobs=2)
    assert list(found.failed) == [drawings / "junk.jpg"] and "not an image" in found.failed[drawings / "junk.jpg"]
    assert found.kept == [drawings / "0.png"] and found.number_left_out == 5
