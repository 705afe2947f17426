"""Sources whose timestamps do not rise, start late or have gaps: every frame comes out, and the rest is reported."""

import re
import struct
from itertools import pairwise

import av
import numpy as np
import pytest

from ppcartoon.video.pipeline import VideoOptions, process
from ppcartoon.video.timestamps import Timeline
from tests.helpers import videos

STEP = 1 / videos.RATE


def converted(source, target, **options):
    """The report, and the times of the frames of the target."""
    report = process(source, target, lambda rgb, time: rgb, VideoOptions(**options))
    with av.open(str(target)) as video:
        return report, [frame.time for frame in video.decode(video=0)]


def is_even(times):
    return np.abs(np.diff(times) - STEP).max() < 0.002


def scenes(count):
    """Frames of which each is brighter than the one before."""
    return [np.full((48, 64, 3), 20 + 3 * i, np.uint8) for i in range(count)]


@pytest.mark.parametrize("codec, b_frames", [("libx264", 3), ("libx264", 8), ("mpeg4", 2)])
def test_b_frames_in_avi_which_stores_no_times_come_out_evenly_and_in_order(tmp_path, codec, b_frames):
    options = {"bf": str(b_frames)} | ({"x264-params": "b-adapt=0"} if codec == "libx264" else {})
    path = videos.write(tmp_path / "a.avi", scenes(30), codec, options=options)
    report, times = converted(path, tmp_path / "b.mp4", crf=4)
    assert report.frames == len(times) == 30 and is_even(times) and not report.warnings + report.remarks
    with av.open(str(tmp_path / "b.mp4")) as video:
        assert (np.diff([frame.to_ndarray(format="gray").mean() for frame in video.decode(video=0)]) > 0).all()


@pytest.mark.parametrize("kind, codec", [("ts", "mpeg2video"), ("ts", "libx264"), ("mpg", "mpeg2video")])
@pytest.mark.parametrize("counts", [(12, 12, 12), (5, 30, 10)])
def test_joined_clips_whose_times_jump_back_keep_all_frames(tmp_path, kind, codec, counts):
    path = tmp_path / f"a.{kind}"
    for count in counts:
        part = videos.write(tmp_path / f"part.{kind}", scenes(count), codec, options={"bf": "0"})
        path.open("ab").write(part.read_bytes())
    report, times = converted(path, tmp_path / "b.mp4")
    assert report.frames == len(times) == sum(counts) and is_even(times) and not report.warnings
    assert [remark.split(": ", 1)[1] for remark in report.remarks] == [
        "timestamps that did not rise and were corrected: 2"
    ]


def test_audio_of_short_joined_clips_is_complete_and_in_sync(tmp_path):
    part = videos.write_flash(tmp_path / "part.ts", flash=0.5, seconds=0.9)
    (tmp_path / "a.ts").write_bytes(3 * part.read_bytes())
    converted(tmp_path / "a.ts", tmp_path / "b.mkv")
    with av.open(str(tmp_path / "b.mkv")) as video:
        white = [frame.time for frame in video.decode(video=0) if frame.to_ndarray(format="gray").mean() > 128]
        video.seek(0)
        loud = [frame.time for frame in video.decode(audio=0) if np.abs(frame.to_ndarray()).max() > 0.1]
    for i in range(3):
        start = 0.9 * i + 0.5
        assert min(np.abs(np.subtract(white, start))) < 0.1 and min(np.abs(np.subtract(loud, start))) < 0.1
    assert len(loud) > 3 * 15


DAMAGES = {  # by name: new times in milliseconds, by the number of the frame
    "one to the start": {20: 0},
    "one far ahead": {20: 20_000},
    "the first": {0: 20_000},
    "the last": {39: 20_000},
    "several to the same": dict.fromkeys(range(20, 25), 5),
    "all to the same": dict.fromkeys(range(40), 40),
    "several far ahead": {i: 20_000 + 83 * i for i in range(20, 30)},
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_times_are_replaced_and_no_frame_is_lost(tmp_path, damage):
    path = videos.write(tmp_path / "a.mkv", scenes(40), "mpeg4", options={"bf": "0"})
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as video:
        packets = [(packet.pos, packet.pts) for packet in video.demux() if packet.size]
    for i, milliseconds in damage.items():
        at = data.index(b"\x81", packets[i][0]) + 1  # after the number of the track
        data[at : at + 2] = struct.pack(">h", struct.unpack(">h", data[at : at + 2])[0] + milliseconds - packets[i][1])
    path.write_bytes(data)
    report, times = converted(path, tmp_path / "b.mp4")
    assert report.frames == len(times) == 40 and is_even(times) and not report.warnings
    assert "did not rise" in report.remarks[0]


def test_good_timestamps_are_unchanged_by_the_timeline():
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.choice([0.001, 0.04, 0.5, 3, 60], 300)).tolist()
    timeline = Timeline(0, STEP)
    assert [timeline.place(time, STEP, after) for time, after in zip(times, [*times[1:], None])] == times
    assert timeline.corrected == 0


def test_any_timestamps_become_rising_ones():
    rng = np.random.default_rng(1)
    for _ in range(50):
        times = [*rng.choice([*rng.normal(0, 9, 20), -1e9, 1e9, None], 60), None]
        timeline = Timeline(0, STEP, 100)
        placed = [timeline.place(time, STEP, after) for time, after in pairwise(times)]
        assert (np.diff(placed) > 0).all() and placed[0] >= 0 and placed[-1] < 1000


@pytest.mark.parametrize("kind", ["mkv", "webm", "mp4", "mov", "ts", "flv", "mpg", "nut"])
def test_video_that_starts_late_is_whole(tmp_path, kind):
    codec = {"webm": "libvpx-vp9", "mpg": "mpeg2video"}.get(kind, "libx264")
    path = videos.write(tmp_path / f"a.{kind}", scenes(24), codec, times=[60 + i for i in range(24)])
    report, times = converted(path, tmp_path / "b.mp4")
    assert (
        report.frames == 24 and report.seconds == pytest.approx(2, abs=0.02) and times[0] == pytest.approx(0, abs=0.1)
    )
    assert not report.warnings + report.remarks


@pytest.mark.parametrize("kind", ["mkv", "webm", "flv"])
def test_lost_part_of_a_damaged_video_is_told_in_seconds(tmp_path, kind):
    codec, noise = "libvpx-vp9" if kind == "webm" else "libx264", np.random.default_rng(0)
    frames = list(noise.integers(0, 256, (60, 48, 64, 3), np.uint8))
    path = videos.write(tmp_path / f"a.{kind}", frames, codec, options={"g": "58"})
    data = bytearray(path.read_bytes())
    data[len(data) // 3 : len(data) // 2] = noise.bytes(len(data) // 2 - len(data) // 3)
    path.write_bytes(data)
    report, times = converted(path, tmp_path / "b.mp4")
    gaps = np.diff(times)[np.diff(times) > 1.5 * STEP] - STEP
    (warning,) = [warning for warning in report.warnings if "without frames" in warning]
    told = [float(seconds) for seconds in re.findall(r"([\d.]+) s (?:at|in)", warning)]
    assert sum(told) == pytest.approx(gaps.sum(), abs=0.02) and gaps.sum() > 0.2


def test_long_gap_of_an_undamaged_video_is_a_remark(tmp_path):
    path = videos.write(tmp_path / "a.mkv", scenes(20), times=[i + 36 * (i > 9) for i in range(20)])
    report, times = converted(path, tmp_path / "b.mkv")
    assert np.diff(times).max() == pytest.approx(37 * STEP, abs=0.002) and not report.warnings
    assert "without frames for 3.00 s at 0:00:00.83" in report.remarks[0]
