"""Key frames of one video: which are kept, why others are dropped, and the images written."""

import cv2
import numpy as np
import pytest
from PIL import Image

from ppcartoon.data import image_folder
from ppcartoon.data.cache import center
from ppcartoon.data.keyframes import extract
from tests.helpers import videos

CREDITS = videos.credits("Directed by", "Somebody Important", "Music", "Another Name")
PARTS = {  # one second each
    "first": videos.still(videos.scene(0)),
    "second": videos.still(videos.scene(1)),
    "fade in": videos.fade(videos.scene(2)),
    "third": videos.still(videos.scene(2)),
    "fade out": videos.fade(videos.scene(2), up=False),
    "white": videos.still(videos.BLACK + 255),
    "letterbox": videos.still(videos.letterbox(3)),
    "blurred": videos.still(cv2.GaussianBlur(videos.scene(7), None, 6)),
    "first again": videos.still(videos.scene(0)),
    "credits": videos.still(CREDITS),
    "black": videos.still(videos.BLACK),
}
ALL = {"kept": 4, "cropped": 1, "duplicate": 9, "black": 3, "blank": 2, "blurred": 2, "credits": 2}
CUTS = {"kept": 4, "cropped": 1, "duplicate": 1, "black": 1, "blank": 1, "blurred": 1, "credits": 1}


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    pictures = [picture for part in PARTS.values() for picture in part]
    return videos.write(tmp_path_factory.mktemp("story") / "story.mp4", pictures, options=videos.HALVES)


def kept(folder):
    """The images by the time in their names."""
    return {path.stem.split("_", 1)[1]: np.asarray(Image.open(path)) for path in sorted(folder.glob("*.png"))}


def off(picture, drawn):
    return np.abs(picture.astype(int) - drawn).mean()


@pytest.mark.parametrize("pick, counts", [("keyframes", ALL), (0.5, ALL), ("scenes", CUTS)])
def test_each_frame_gets_its_outcome(story, tmp_path, pick, counts):
    before = story.read_bytes(), story.stat().st_mtime_ns
    report = extract(story, tmp_path / "out", pick)
    assert (report.counts, report.broken) == (counts, 0)
    wanted = {
        "00-00-00.000": videos.scene(0),
        "00-00-01.000": videos.scene(1),
        "00-00-03.000": videos.scene(2),
        "00-00-06.000": videos.scene(3, 124),
    }
    found = kept(tmp_path / "out")
    assert found.keys() == wanted.keys()
    for picture, drawn in zip(found.values(), wanted.values()):
        assert picture.shape == (256, 256, 3) and picture.dtype == np.uint8
        assert off(picture, center(drawn, 256)) < 8
        assert min(edge.max(-1).mean() for edge in (picture[0], picture[-1], picture[:, 0], picture[:, -1])) > 24
    assert (story.read_bytes(), story.stat().st_mtime_ns) == before


def test_the_folder_holds_pngs_and_a_hidden_database(story, tmp_path):
    extract(story, tmp_path / "out", size=128)
    files = sorted((tmp_path / "out").iterdir())
    assert [file.name for file in files[:1]] == [".frames.sqlite"] and len(files) == 5
    assert {(image.format, image.size, image.mode) for image in map(Image.open, files[1:])} == {
        ("PNG", (128, 128), "RGB")
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "out_story_contact_sheet.jpg"]


def test_the_summary_names_all_outcomes(story, tmp_path):
    assert extract(story, tmp_path / "out", count=3).summary() == (
        "3 of 22 pictures kept, 3 black, 2 blank, 2 with credits, 2 blurred, 9 nearly the same as another, "
        "1 more than --count, black bars cut off 1"
    )


def test_a_scene_that_fades_in_is_kept_at_full_brightness(tmp_path):
    pictures = [*videos.still(videos.BLACK), *videos.fade(videos.scene(0), seconds=3), *videos.still(videos.scene(0))]
    video = videos.write(tmp_path / "a.mkv", pictures, options={"g": "1"})
    counts = extract(video, tmp_path / "out", pick=0.001, size=64).counts
    assert counts["kept"] == 1 and counts["duplicate"] > 20
    (picture,) = kept(tmp_path / "out").values()
    assert picture.std() > 0.75 * center(videos.scene(0), 64).std()


def test_resize_keeps_the_whole_frame_and_crop_its_center(story, tmp_path):
    for fit, drawn in (("resize", cv2.resize(videos.scene(0), (96, 96), interpolation=cv2.INTER_AREA)), ("crop", None)):
        extract(story, tmp_path / fit, size=96, fit=fit)
        picture = kept(tmp_path / fit)["00-00-00.000"]
        assert picture.shape == (96, 96, 3)
        assert off(picture, center(videos.scene(0), 96) if drawn is None else drawn) < 6


def test_black_bars_of_rotated_videos_are_cropped(tmp_path):
    clockwise = 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30
    video = videos.write(tmp_path / "a.mp4", videos.still(videos.letterbox(3)), matrix=clockwise)
    assert extract(video, tmp_path / "out").counts == {"kept": 1, "cropped": 1}
    (picture,) = kept(tmp_path / "out").values()
    assert off(picture, np.rot90(center(videos.scene(3, 124), 256), -1)) < 8


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """Twelve seconds of 24 scenes."""
    pictures = videos.scenes(*range(24), seconds=0.5)
    return videos.write(tmp_path_factory.mktemp("long") / "long.mkv", pictures, options=videos.HALVES)


@pytest.mark.parametrize("count", [1, 2, 5, 23, 24, 100])
def test_count_is_exact_and_spread_over_the_video(long, tmp_path, count):
    counts = extract(long, tmp_path / "out", count=count, size=32).counts
    number = min(count, 24)
    assert counts == {key: value for key, value in (("kept", number), ("spare", 24 - number)) if value}
    times = [int(name[6:8]) + float(name[8:]) for name in kept(tmp_path / "out")]
    assert len(times) == number and times[0] == 0
    if number > 1:
        assert times[-1] == 11.5
        assert np.ptp(np.diff(times)) <= 0.5


def tiles(sheet, columns=20, height=96, gap=8):
    """The thumbnails of a contact sheet of square images."""
    image, step = np.asarray(Image.open(sheet)), height + gap
    assert (image.shape[0] - gap) % step == 0 and (image.shape[1] - gap) % step == 0
    rows = [
        image[y : y + height, x : x + height]
        for y in range(gap, len(image), step)
        for x in range(gap, image.shape[1], step)
    ]
    return [tile for tile in rows if tile.min() < 200]


def test_the_contact_sheet_shows_each_frame_and_is_beside_the_folder(long, tmp_path):
    report = extract(long, tmp_path / "out", size=64)
    assert report.sheet == tmp_path / "out_long_contact_sheet.jpg"
    found = tiles(report.sheet)
    assert len(found) == 24
    for tile, picture in zip(found, kept(tmp_path / "out").values()):
        assert off(tile, cv2.resize(picture, (96, 96), interpolation=cv2.INTER_CUBIC)) < 8


def test_a_contact_sheet_of_too_many_frames_is_spread_over_the_video(long, tmp_path, monkeypatch):
    monkeypatch.setattr(image_folder, "ON_SHEET", 4)
    found = tiles(extract(long, tmp_path / "out", size=96).sheet)
    assert len(found) == 4
    pictures = list(kept(tmp_path / "out").values())
    assert [min(range(24), key=lambda i: off(tile, pictures[i])) for tile in found] == [0, 6, 12, 18]


def test_without_kept_frames_there_is_no_contact_sheet(tmp_path):
    video = videos.write(tmp_path / "a.mp4", videos.still(videos.BLACK))
    report = extract(video, tmp_path / "out")
    assert report.counts == {"black": 1} and report.sheet is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "out"]


def test_videos_smaller_than_the_images_are_enlarged(tmp_path):
    video = videos.write(tmp_path / "a.mkv", [videos.scene(0, 36, 64)], "ffv1")
    assert extract(video, tmp_path / "out").counts == {"kept": 1}
    assert kept(tmp_path / "out")["00-00-00.000"].shape == (256, 256, 3)


def test_damaged_packets_are_counted(long, tmp_path):
    data = bytearray(long.read_bytes())
    data = data[: len(data) // 2] + bytes(3000) + data[len(data) // 2 + 3000 :]
    (tmp_path / "a.mkv").write_bytes(data)
    report = extract(tmp_path / "a.mkv", tmp_path / "out")
    assert report.broken > 0 and 10 < report.counts["kept"] < 24
    assert f"{report.broken} damaged pieces passed over" in report.summary()
