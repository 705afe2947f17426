"""VideoReader: selected frames, their times, their orientation and their shape."""

import numpy as np
import pytest

from ppcartoon.video.reader import GAP, VideoReader
from tests.helpers import videos

SEEDS = range(8)
KINDS = {  # how to write files with a new scene every half second and I-frames only there
    "mkv": {"options": videos.HALVES},
    "mp4": {"options": videos.HALVES},
    "ts": {"options": videos.HALVES},
    "mpg": {"codec": "mpeg2video", "options": {"g": "6", "bf": "0", "sc_threshold": "1000000000"}},
    "h264": {"options": videos.HALVES},
}


def read(path, *arguments, **options):
    """The selected frames, except for the late ones."""
    with VideoReader(path) as video:
        return [frame for frame in video.frames(*arguments, **options) if not frame.late]


def times(path, *arguments, **options):
    return [round(frame.time, 3) for frame in read(path, *arguments, **options)]


def difference(frame, seed):
    """Mean absolute difference between a frame and a drawn scene."""
    return np.abs(frame.rgb.astype(int) - videos.scene(seed, *frame.rgb.shape[:2])).mean()


@pytest.fixture(scope="module")
def eight_scenes(tmp_path_factory):
    """Videos of four seconds with eight scenes, by kind."""
    folder = tmp_path_factory.mktemp("videos")
    frames = videos.scenes(*SEEDS, seconds=0.5)
    return {kind: videos.write(folder / f"video.{kind}", frames, **options) for kind, options in KINDS.items()}


@pytest.mark.parametrize("kind", KINDS)  # .h264 has no timestamps
@pytest.mark.parametrize("pick", ["keyframes", "scenes", 0.5])
def test_every_scene_is_found_at_its_time(eight_scenes, kind, pick):
    frames = read(eight_scenes[kind], pick)
    assert [round(frame.time, 3) for frame in frames] == [0.5 * seed for seed in SEEDS]
    assert max(difference(frame, seed) for frame, seed in zip(frames, SEEDS)) < 4


@pytest.mark.parametrize("start", [0, 1.5])
def test_scenes_have_a_late_frame_one_second_after_the_first(tmp_path, start):
    path = videos.write(tmp_path / "a.mkv", videos.scenes(0, 1, seconds=2) + videos.scenes(2, 3, seconds=0.5))
    with VideoReader(path) as video:
        frames = list(video.frames("scenes", start))
    expected = [(0, False), (1, True), (2, False), (3, True), (4, False), (4.5, False)]
    assert [(round(frame.time, 3), frame.late) for frame in frames] == [x for x in expected if x[0] >= start]
    for i, frame in enumerate(frames[:-1]):
        with VideoReader(path) as video:
            rest = list(video.frames("scenes", start, after=frame.time))
        assert [(a.time, a.late) for a in rest] == [(b.time, b.late) for b in frames[i + 1 :]]


@pytest.mark.parametrize("brightness", [1, 0.5])
def test_cuts_are_found_in_bright_and_dim_videos(tmp_path, brightness):
    frames = [np.uint8(brightness * frame) for frame in videos.scenes(*range(30), seconds=0.25)]
    assert len(read(videos.write(tmp_path / "a.mkv", frames), "scenes")) >= 28


def test_shaking_camera_and_flickering_light_give_few_false_cuts(tmp_path):
    wide = videos.scene(3, 180, 640)
    shifts = np.random.default_rng(0).integers(-6, 7, 60)
    frames = [np.uint8(wide[:, 4 * i + shift + 6 :][:, :320] * (0.9 + shift / 60)) for i, shift in enumerate(shifts)]
    assert len(read(videos.write(tmp_path / "a.mkv", frames), "scenes")) <= 6


@pytest.mark.parametrize(
    "pick, limits, expected",
    [
        ("keyframes", {"start": 1}, [1, 1.5, 2, 2.5, 3, 3.5]),
        ("keyframes", {"start": 0.7, "end": 2.2}, [1, 1.5, 2]),
        ("scenes", {"start": 0.7, "end": 2.5}, [1, 1.5, 2, 2.5]),
        ("scenes", {"end": 0}, [0]),
        (1, {}, [0, 1, 2, 3]),
        (1, {"start": 0.5, "end": 3.4}, [0.5, 1.5, 2.5]),
        (0.75, {"start": 1.25}, [1.25, 2, 2.75, 3.5]),
        (100, {}, [0]),
        (1, {"start": 5}, []),
        ("scenes", {"start": 3, "end": 2}, []),
    ],
)
def test_start_end_and_interval_select_frames_by_time(eight_scenes, pick, limits, expected):
    assert times(eight_scenes["mp4"], pick, **limits) == expected


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pick", ["keyframes", "scenes", 0.25])
def test_after_skips_to_the_remaining_frames(eight_scenes, kind, pick):
    frames = read(eight_scenes[kind], pick)
    for i in (0, len(frames) // 2, len(frames) - 2, len(frames) - 1):
        rest = read(eight_scenes[kind], pick, after=frames[i].time)
        assert [frame.time for frame in rest] == [frame.time for frame in frames[i + 1 :]]
        assert all((a.rgb == b.rgb).all() for a, b in zip(rest, frames[i + 1 :]))


@pytest.mark.parametrize("kind", ["mkv", "mp4", "ts", "flv"])
@pytest.mark.parametrize("pick", ["scenes", 0.25])
def test_after_skips_to_the_remaining_frames_where_i_frames_are_rare(tmp_path, kind, pick):
    options = {"g": "999", "sc_threshold": "0"}
    path = videos.write(tmp_path / f"a.{kind}", videos.scenes(*SEEDS, seconds=0.5), options=options)
    frames = read(path, pick)
    rest = read(path, pick, after=frames[-2].time)
    assert [frame.time for frame in rest] == [frames[-1].time]
    assert (rest[0].rgb == frames[-1].rgb).all()


@pytest.mark.parametrize("kind", ["mkv", "mp4", "ts"])
def test_times_count_from_the_first_frame_of_a_video_with_variable_frame_rate(tmp_path, kind):
    irregular = [99_999 + i for i in (0, 1, 2, 12, 13, 30, 31, 60)]
    frames = [videos.scene(seed) for seed in (0, 0, 0, 1, 1, 2, 2, 3)]
    path = videos.write(tmp_path / f"a.{kind}", frames, times=irregular, options={"g": "1"})
    assert times(path, "scenes") == [0, 1, 2.5, 5]
    assert times(path, "scenes", after=2.5) == [5]
    assert times(path, 2) == [0, 2.5, 5]


def test_i_frames_are_thinned_out_in_a_video_of_i_frames(tmp_path):
    path = videos.write(tmp_path / "a.mov", videos.scenes(0, 1), "prores_ks", "yuv422p10le")
    gaps = np.diff(times(path, "keyframes"))
    assert gaps.min() > GAP - 0.001 and gaps.max() < GAP + 1 / videos.RATE


def test_key_frames_of_vp9_are_found(tmp_path):
    path = videos.write(
        tmp_path / "a.webm", videos.scenes(0, 1, 2), "libvpx-vp9", options={"g": "12", "deadline": "realtime"}
    )
    assert times(path, "keyframes") == [0, 1, 2]


def test_gif_is_read_as_a_video(tmp_path):
    frames = read(videos.write(tmp_path / "a.gif", videos.scenes(0, 1, seconds=0.5), "gif", "rgb8"), "scenes")
    assert [frame.time for frame in frames] == [0, 0.5]
    assert max(difference(frame, seed) for seed, frame in enumerate(frames)) < 25  # one palette for the whole GIF


@pytest.mark.parametrize("shift", [24, 0], ids=["timestamps continue", "timestamps restart"])
@pytest.mark.parametrize("kind", ["ts", "mpg"])
def test_concatenated_videos_of_two_sizes_are_read_to_the_end(tmp_path, kind, shift):
    first = videos.write(tmp_path / f"1.{kind}", videos.scenes(0, 1), **KINDS[kind])
    larger = videos.scenes(2, 3, 4, 5, 6, height=240, width=432)
    second = videos.write(tmp_path / f"2.{kind}", larger, times=[shift + i for i in range(60)], **KINDS[kind])
    path = tmp_path / f"both.{kind}"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    frames = read(path, "scenes")
    assert [frame.rgb.shape for frame in frames] == [(180, 320, 3)] * 2 + [(240, 432, 3)] * 5
    assert max(difference(frame, seed) for seed, frame in enumerate(frames)) < 4


@pytest.mark.parametrize("kind", ["ts", "mpg"])
def test_after_skips_to_the_remaining_frames_where_timestamps_restart(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    for seeds in (range(20), range(20, 60)):
        frames = videos.scenes(*seeds, seconds=0.5, height=90, width=160)
        path.open("ab").write(videos.write(tmp_path / f"part.{kind}", frames, **KINDS[kind]).read_bytes())
    expected = times(path, 0.5)
    assert len(expected) == 60
    for i in range(5, 60, 7):
        assert times(path, 0.5, after=expected[i]) == expected[i + 1 :]


def test_change_to_interlaced_frames_is_not_a_cut(tmp_path):
    progressive, interlaced = ({"g": "6"}, {"g": "6", "flags": "+ildct+ilme"})
    path = tmp_path / "a.m2v"
    with open(path, "wb") as out:
        for options, seed in ((progressive, 0), (interlaced, 0), (progressive, 0), (interlaced, 1)):
            part = videos.write(tmp_path / "part.m2v", videos.scenes(seed), "mpeg2video", options=options)
            out.write(part.read_bytes())
    assert [seed for frame in read(path, "scenes") for seed in (0, 1) if difference(frame, seed) < 6] == [0, 1]


def aspect_ratio(rgb):
    """Height divided by width of the dark area."""
    y, x = np.nonzero(rgb.max(2) < 128)
    return (np.ptp(y) + 1) / (np.ptp(x) + 1)


@pytest.mark.parametrize("aspect, size", [((32, 27), (480, 853)), ((8, 9), (540, 720)), ((1, 1), (480, 720))])
def test_anamorphic_video_is_stretched_to_square_pixels(tmp_path, aspect, size):
    y, x = np.mgrid[:480, :720]
    inside = (y - 240) ** 2 + ((x - 360) * aspect[0] / aspect[1]) ** 2 < 150**2
    image = np.repeat(np.uint8(np.where(inside, 20, 230))[..., None], 3, 2)
    (frame,) = read(videos.write(tmp_path / "a.mkv", [image], aspect=aspect), "keyframes")
    assert frame.rgb.shape == (*size, 3)
    assert abs(aspect_ratio(frame.rgb) - 1) < 0.01  # a circle


def test_large_frames_are_reduced(eight_scenes):
    (frame, *_) = read(eight_scenes["mkv"], "scenes", shorter=90)
    assert frame.rgb.shape == (90, 160, 3)
    assert difference(frame, 0) < 6


ROTATED = {"none": (1, 0, 0, 1), "clockwise": (0, 1, -1, 0), "half": (-1, 0, 0, -1), "counterclockwise": (0, -1, 1, 0)}
MIRRORED = {"left and right": (-1, 0, 0, 1), "top and bottom": (1, 0, 0, -1)}


@pytest.mark.parametrize("matrix", [*ROTATED.values(), *MIRRORED.values()], ids=[*ROTATED, *MIRRORED])
def test_display_matrix_is_applied(tmp_path, matrix):
    a, b, c, d = matrix
    image = videos.BLACK.copy()
    levels = {(-1, -1): 50, (1, -1): 110, (-1, 1): 170, (1, 1): 230}  # of the corners, by side: right and bottom are 1
    for (x, y), level in levels.items():
        image[90 * (y > 0) :][:90, 160 * (x > 0) :][:, :160] = level
    one = 1 << 16
    rows = (a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    (frame,) = read(videos.write(tmp_path / "a.mp4", [image], matrix=rows), "keyframes")
    assert frame.rgb.shape == ((180, 320, 3) if a else (320, 180, 3))
    for (x, y), level in levels.items():
        right, down = a * x + c * y > 0, b * x + d * y > 0
        assert abs(frame.rgb[-20 if down else 20, -20 if right else 20].mean() - level) < 4


INTERLACED = {
    "MPEG-2": ("a.mpg", "mpeg2video", {"flags": "+ildct+ilme"}),
    "H.264, top first": ("a.mp4", "libx264", {"x264-params": "tff=1"}),
    "H.264, bottom first": ("a.mkv", "libx264", {"x264-params": "bff=1"}),
}


def combing(rgb):
    """Mean second difference between rows, which combs of two fields make large."""
    rows = rgb.mean(2)
    return np.abs(2 * rows[1:-1] - rows[:-2] - rows[2:]).mean()


@pytest.mark.parametrize("name, codec, options", INTERLACED.values(), ids=INTERLACED)
def test_interlaced_frames_are_read_without_combing(tmp_path, name, codec, options):
    frames = []
    for i in range(6):
        image = np.full_like(videos.BLACK, 200)
        for field in (0, 1):
            image[field::2, 20 + 40 * i + 20 * field :][:, :40] = 20
        frames.append(image)
    decoded = read(videos.write(tmp_path / name, frames, codec, options=options), 0.001)
    assert combing(frames[0]) > 20
    assert len(decoded) == 6 and max(combing(frame.rgb) for frame in decoded) < 1
    assert all(abs((frame.rgb[90].max(1) < 100).sum() - 40) < 4 for frame in decoded)


def test_progressive_frames_keep_every_row(tmp_path):
    image = np.full_like(videos.BLACK, 200)
    image[::2] = 20
    (frame,) = read(videos.write(tmp_path / "a.mkv", [image]), "keyframes")
    assert np.abs(frame.rgb - image.astype(int)).mean() < 4
