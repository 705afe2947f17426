"""Animated WebP, PNG and AVIF, and TIFFs of several pages, as inputs and outputs."""

import numpy as np
import pytest
from PIL import Image

from ppcartoon import images
from ppcartoon.errors import InputError
from ppcartoon.video.pipeline import VideoOptions, process
from tests.helpers import videos

DURATIONS = [100, 300, 33, 2000]  # milliseconds
KINDS = {"webp": {"quality": 95}, "png": {}, "avif": {"quality": 95}, "gif": {}}


def write(path, durations=DURATIONS, **options):
    first, *others = (Image.fromarray(videos.scene(seed, 48, 64)) for seed in range(len(durations)))
    first.save(path, save_all=True, append_images=others, duration=durations, **options)
    return path


def durations(path):
    with Image.open(path) as image:
        return [round(1000 * seconds) for _, seconds in images.frames(path)], image.info.get("loop")


@pytest.mark.parametrize("target", ["b.webp", "b.png", "b.apng"])
@pytest.mark.parametrize("source", ["webp", "png", "avif"])
def test_frames_and_durations_are_kept(tmp_path, source, target):
    path, times = write(tmp_path / f"a.{source}", **KINDS[source]), []
    report = process(path, tmp_path / target, lambda rgb, time: times.append(time) or rgb)
    assert times == pytest.approx([0, 0.1, 0.4, 0.433]) and report.frames == 4
    assert report.seconds == pytest.approx(2.433) and report.remarks == report.warnings == []
    assert durations(tmp_path / target)[0] == DURATIONS
    for seed, (picture, _) in enumerate(images.frames(tmp_path / target)):
        assert picture.alpha is None or picture.alpha.min() == 255
        assert np.abs(np.int_(picture.rgb) - videos.scene(seed, 48, 64)).mean() < 8


@pytest.mark.parametrize("target", ["b.mp4", "b.gif", "b.webm"])
def test_animated_image_becomes_a_video(tmp_path, target):
    path = write(tmp_path / "a.webp", [100, 300, 40, 2000])
    process(path, tmp_path / target, lambda rgb, time: rgb)
    again = process(tmp_path / target, tmp_path / "c%d.png", lambda rgb, time: rgb)
    assert again.frames == 4 and again.seconds == pytest.approx(2.44, abs=0.01)


def test_video_becomes_an_animated_image_that_loops_forever(tmp_path):
    path = videos.write(tmp_path / "a.mp4", videos.scenes(0, 1, height=48, width=64))
    for name in ("b.webp", "b.apng"):
        process(path, tmp_path / name, lambda rgb, time: rgb)
        found, loop = durations(tmp_path / name)
        assert sum(found) == 2000 and loop == 0


@pytest.mark.parametrize("loop", [0, 1, 3])
def test_animated_image_keeps_how_often_it_is_shown(tmp_path, loop):
    path = write(tmp_path / "a.webp", loop=loop)
    for name in ("b.webp", "b.png"):
        process(path, tmp_path / name, lambda rgb, time: rgb)
        assert durations(tmp_path / name)[1] == loop
    process(path, tmp_path / "b.gif", lambda rgb, time: rgb)
    assert durations(tmp_path / "b.gif")[1] == (None if loop == 1 else max(loop - 1, 0))


def test_time_range_of_an_animated_image(tmp_path):
    path, times = write(tmp_path / "a.png"), []
    options = VideoOptions(start=0.1, duration=0.32)
    process(path, tmp_path / "b.webp", lambda rgb, time: times.append(time) or rgb, options)
    assert times == pytest.approx([0, 0.3])


def test_pages_become_numbered_images_each_of_its_size(tmp_path):
    first, *others = (Image.fromarray(videos.scene(seed, 48, 64 + 8 * seed)) for seed in range(3))
    first.save(tmp_path / "a.tif", save_all=True, append_images=others)
    assert process(tmp_path / "a.tif", tmp_path / "page_%d.png", lambda rgb, time: rgb).frames == 3
    for seed in range(3):
        assert (images.read(tmp_path / f"page_{seed + 1}.png").rgb == videos.scene(seed, 48, 64 + 8 * seed)).all()
    report = process(tmp_path / "a.tif", tmp_path / "b.gif", lambda rgb, time: rgb, VideoOptions(fps=2))
    assert durations(tmp_path / "b.gif")[0] == [500] * 3 and "2 frames of other sizes" in report.remarks[0]


def test_damaged_animation_keeps_the_frames_before_and_reports_it(tmp_path):
    path = write(tmp_path / "a.png")
    data = bytearray(path.read_bytes())
    at = data.rindex(b"fdAT")
    data[at + 100 : at + 400] = bytes(300)
    path.write_bytes(data)
    report = process(path, tmp_path / "b.webp", lambda rgb, time: rgb)
    assert report.frames == 3
    assert report.warnings == [f"{path}: damaged after frame 3 of 4, the part before is kept"]


def test_still_image_before_an_animation_is_not_one_of_its_frames(tmp_path):
    still, *frames = (Image.fromarray(videos.scene(seed, 48, 64)) for seed in range(3))
    still.save(tmp_path / "a.png", save_all=True, append_images=frames, default_image=True, duration=100)
    assert process(tmp_path / "a.png", tmp_path / "b.png", lambda rgb, time: rgb).frames == 2


def test_animated_webp_that_is_too_large_is_refused_in_one_line(tmp_path):
    Image.new("RGB", (16400, 4)).save(tmp_path / "1.png")
    with pytest.raises(InputError, match="WEBP holds at most 16383 pixels per side"):
        process(tmp_path / "%d.png", tmp_path / "a.webp", lambda rgb, time: rgb)
