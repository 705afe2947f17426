"""Pictures out of films: their times, their shape, and what is refused or passed over."""

import numpy as np
import pytest

from ppcartoon.video.reader import GAP, VideoReader
from tests.helpers import videos

SEEDS = range(8)
KINDS = {  # of files with a scene every half second, and an I-frame at each
    "mkv": {"options": videos.HALVES},
    "mp4": {"options": videos.HALVES},
    "ts": {"options": videos.HALVES},
    "mpg": {"codec": "mpeg2video", "options": {"g": "6", "bf": "0", "sc_threshold": "1000000000"}},
    "h264": {"options": videos.HALVES},
}


def take(path, *arguments, **options):
    with VideoReader(path) as film:
        return [shot for shot in film.shots(*arguments, **options) if not shot.late]


def times(path, *arguments, **options):
    return [round(shot.time, 3) for shot in take(path, *arguments, **options)]


def off(shot, seed):
    return np.abs(shot.rgb.astype(int) - videos.scene(seed, *shot.rgb.shape[:2])).mean()


@pytest.fixture(scope="module")
def eight(tmp_path_factory):
    """Four seconds of eight scenes in files of several kinds."""
    folder = tmp_path_factory.mktemp("eight")
    pictures = videos.scenes(*SEEDS, seconds=0.5)
    return {kind: videos.write(folder / f"eight.{kind}", pictures, **options) for kind, options in KINDS.items()}


@pytest.mark.parametrize("kind", ["mkv", "mp4", "ts", "mpg"])
@pytest.mark.parametrize("pick", ["keyframes", "scenes", 0.5])
def test_every_scene_is_found_at_its_time(eight, kind, pick):
    shots = take(eight[kind], pick)
    assert [round(shot.time, 3) for shot in shots] == [0.5 * seed for seed in SEEDS]
    assert max(off(shot, seed) for shot, seed in zip(shots, SEEDS)) < 4


@pytest.mark.parametrize("start", [0, 1.5])
def test_scenes_are_shown_again_a_second_after_they_began(tmp_path, start):
    path = videos.write(tmp_path / "a.mkv", videos.scenes(0, 1, seconds=2) + videos.scenes(2, 3, seconds=0.5))
    with VideoReader(path) as film:
        shots = list(film.shots("scenes", start))
    every = [(0, False), (1, True), (2, False), (3, True), (4, False), (4.5, False)]
    assert [(round(shot.time, 3), shot.late) for shot in shots] == [each for each in every if each[0] >= start]
    for i, shot in enumerate(shots[:-1]):
        with VideoReader(path) as film:
            rest = list(film.shots("scenes", start, after=shot.time))
        assert [(a.time, a.late) for a in rest] == [(b.time, b.late) for b in shots[i + 1 :]]


@pytest.mark.parametrize("light", [1, 0.5])
def test_cuts_are_found_in_dim_films_too(tmp_path, light):
    pictures = [np.uint8(light * picture) for picture in videos.scenes(*range(30), seconds=0.25)]
    assert len(take(videos.write(tmp_path / "a.mkv", pictures), "scenes")) >= 28


def test_cameras_that_move_and_lights_that_flicker_are_few_cuts(tmp_path):
    wide = videos.scene(3, 180, 640)
    moves = np.random.default_rng(0).integers(-6, 7, 60)
    pictures = [np.uint8(wide[:, 4 * i + move + 6 :][:, :320] * (0.9 + move / 60)) for i, move in enumerate(moves)]
    assert len(take(videos.write(tmp_path / "a.mkv", pictures), "scenes")) <= 6


@pytest.mark.parametrize("pick", ["keyframes", "scenes"])
def test_streams_without_timestamps_have_all_their_scenes(eight, pick):
    shots = take(eight["h264"], pick)
    assert [seed for seed, shot in enumerate(shots) if off(shot, seed) < 4] == list(SEEDS)
    assert [round(shot.time, 3) for shot in shots] == [0.5 * seed for seed in SEEDS]


@pytest.mark.parametrize(
    "pick, limits, wanted",
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
def test_start_and_end_and_every_so_often(eight, pick, limits, wanted):
    assert times(eight["mp4"], pick, **limits) == wanted


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pick", ["keyframes", "scenes", 0.25])
def test_after_gives_exactly_the_rest(eight, kind, pick):
    shots = take(eight[kind], pick)
    for i in (0, len(shots) // 2, len(shots) - 2, len(shots) - 1):
        rest = take(eight[kind], pick, after=shots[i].time)
        assert [shot.time for shot in rest] == [shot.time for shot in shots[i + 1 :]]
        assert all((a.rgb == b.rgb).all() for a, b in zip(rest, shots[i + 1 :]))


@pytest.mark.parametrize("kind", ["mkv", "mp4", "ts", "flv"])
@pytest.mark.parametrize("pick", ["scenes", 0.25])
def test_after_gives_exactly_the_rest_where_i_frames_are_rare(tmp_path, kind, pick):
    options = {"g": "999", "sc_threshold": "0"}
    path = videos.write(tmp_path / f"a.{kind}", videos.scenes(*SEEDS, seconds=0.5), options=options)
    shots = take(path, pick)
    rest = take(path, pick, after=shots[-2].time)
    assert [shot.time for shot in rest] == [shots[-1].time]
    assert (rest[0].rgb == shots[-1].rgb).all()


@pytest.mark.parametrize("kind", ["mkv", "mp4", "ts"])
def test_times_count_from_the_film_s_start_at_any_rate(tmp_path, kind):
    moments = [0, 1, 2, 12, 13, 30, 31, 60]
    pictures = [videos.scene(seed) for seed in (0, 0, 0, 1, 1, 2, 2, 3)]
    path = videos.write(tmp_path / f"a.{kind}", pictures, times=[99_999 + i for i in moments], options={"g": "1"})
    assert times(path, "scenes") == [0, 1, 2.5, 5]
    assert times(path, "scenes", after=2.5) == [5]
    assert times(path, 2) == [0, 2.5, 5]


def test_films_of_i_frames_give_no_more_than_some_a_second(tmp_path):
    path = videos.write(tmp_path / "a.mov", videos.scenes(0, 1), "prores_ks", "yuv422p10le")
    gaps = np.diff(times(path, "keyframes"))
    assert gaps.min() > GAP - 0.001 and gaps.max() < GAP + 1 / videos.RATE


def test_key_frames_of_vp9_are_its_i_frames(tmp_path):
    path = videos.write(
        tmp_path / "a.webm", videos.scenes(0, 1, 2), "libvpx-vp9", options={"g": "12", "deadline": "realtime"}
    )
    assert times(path, "keyframes") == [0, 1, 2]


def test_gifs_are_films(tmp_path):
    shots = take(videos.write(tmp_path / "a.gif", videos.scenes(0, 1, seconds=0.5), "gif", "rgb8"), "scenes")
    assert [shot.time for shot in shots] == [0, 0.5]
    assert max(off(shot, seed) for seed, shot in enumerate(shots)) < 25  # of 256 colors for all


@pytest.mark.parametrize("shift", [24, 0], ids=["timestamps go on", "timestamps start over"])
@pytest.mark.parametrize("kind", ["ts", "mpg"])
def test_films_of_parts_of_two_sizes_go_on(tmp_path, kind, shift):
    first = videos.write(tmp_path / f"1.{kind}", videos.scenes(0, 1), **KINDS[kind])
    pictures = videos.scenes(2, 3, 4, 5, 6, height=240, width=432)
    second = videos.write(tmp_path / f"2.{kind}", pictures, times=[shift + i for i in range(60)], **KINDS[kind])
    path = tmp_path / f"both.{kind}"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    shots = take(path, "scenes")
    assert [shot.rgb.shape for shot in shots] == [(180, 320, 3)] * 2 + [(240, 432, 3)] * 5
    assert max(off(shot, seed) for seed, shot in enumerate(shots)) < 4


@pytest.mark.parametrize("kind", ["ts", "mpg"])
def test_after_gives_exactly_the_rest_where_timestamps_start_over(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    for seeds in (range(20), range(20, 60)):
        pictures = videos.scenes(*seeds, seconds=0.5, height=90, width=160)
        path.open("ab").write(videos.write(tmp_path / f"part.{kind}", pictures, **KINDS[kind]).read_bytes())
    wanted = times(path, 0.5)
    assert len(wanted) == 60
    for i in range(5, 60, 7):
        assert times(path, 0.5, after=wanted[i]) == wanted[i + 1 :]


def test_a_change_to_interlaced_is_no_scene(tmp_path):
    plain, woven = ({"g": "6"}, {"g": "6", "flags": "+ildct+ilme"})
    path = tmp_path / "a.m2v"
    with open(path, "wb") as out:
        for options, seed in ((plain, 0), (woven, 0), (plain, 0), (woven, 1)):
            part = videos.write(tmp_path / "part.m2v", videos.scenes(seed), "mpeg2video", options=options)
            out.write(part.read_bytes())
    assert [seed for shot in take(path, "scenes") for seed in (0, 1) if off(shot, seed) < 6] == [0, 1]


def tall(rgb):
    """Height to width of what is dark."""
    y, x = np.nonzero(rgb.max(2) < 128)
    return (np.ptp(y) + 1) / (np.ptp(x) + 1)


@pytest.mark.parametrize("aspect, size", [((32, 27), (480, 853)), ((8, 9), (540, 720)), ((1, 1), (480, 720))])
def test_circles_are_round(tmp_path, aspect, size):
    y, x = np.mgrid[:480, :720]
    inside = (y - 240) ** 2 + ((x - 360) * aspect[0] / aspect[1]) ** 2 < 150**2
    image = np.repeat(np.uint8(np.where(inside, 20, 230))[..., None], 3, 2)
    (shot,) = take(videos.write(tmp_path / "a.mkv", [image], aspect=aspect), "keyframes")
    assert shot.rgb.shape == (*size, 3)
    assert abs(tall(shot.rgb) - 1) < 0.01


def test_large_pictures_are_reduced(eight):
    (shot, *_) = take(eight["mkv"], "scenes", shorter=90)
    assert shot.rgb.shape == (90, 160, 3)
    assert off(shot, 0) < 6


TURNS = {"none": (1, 0, 0, 1), "clockwise": (0, 1, -1, 0), "half": (-1, 0, 0, -1), "counterclockwise": (0, -1, 1, 0)}
MIRRORED = {"left and right": (-1, 0, 0, 1), "top and bottom": (1, 0, 0, -1)}


@pytest.mark.parametrize("matrix", [*TURNS.values(), *MIRRORED.values()], ids=[*TURNS, *MIRRORED])
def test_pictures_are_upright(tmp_path, matrix):
    a, b, c, d = matrix
    image = videos.BLACK.copy()
    levels = {(-1, -1): 50, (1, -1): 110, (-1, 1): 170, (1, 1): 230}  # of the corners, right and down
    for (x, y), level in levels.items():
        image[90 * (y > 0) :][:90, 160 * (x > 0) :][:, :160] = level
    sixteen = 1 << 16
    rows = (a * sixteen, b * sixteen, 0, c * sixteen, d * sixteen, 0, 0, 0, 1 << 30)
    (shot,) = take(videos.write(tmp_path / "a.mp4", [image], matrix=rows), "keyframes")
    assert shot.rgb.shape == ((180, 320, 3) if a else (320, 180, 3))
    for (x, y), level in levels.items():
        right, down = a * x + c * y > 0, b * x + d * y > 0
        assert abs(shot.rgb[-20 if down else 20, -20 if right else 20].mean() - level) < 4


INTERLACED = {
    "MPEG-2": ("a.mpg", "mpeg2video", {"flags": "+ildct+ilme"}),
    "H.264, top first": ("a.mp4", "libx264", {"x264-params": "tff=1"}),
    "H.264, bottom first": ("a.mkv", "libx264", {"x264-params": "bff=1"}),
}


def combed(rgb):
    rows = rgb.mean(2)
    return np.abs(2 * rows[1:-1] - rows[:-2] - rows[2:]).mean()


@pytest.mark.parametrize("name, codec, options", INTERLACED.values(), ids=INTERLACED)
def test_interlaced_films_have_no_combs(tmp_path, name, codec, options):
    pictures = []
    for i in range(6):
        image = np.full_like(videos.BLACK, 200)
        for field in (0, 1):
            image[field::2, 20 + 40 * i + 20 * field :][:, :40] = 20
        pictures.append(image)
    shots = take(videos.write(tmp_path / name, pictures, codec, options=options), 0.001)
    assert combed(pictures[0]) > 20
    assert len(shots) == 6 and max(combed(shot.rgb) for shot in shots) < 1
    assert all(abs((shot.rgb[90].max(1) < 100).sum() - 40) < 4 for shot in shots)


def test_other_films_keep_each_line(tmp_path):
    image = np.full_like(videos.BLACK, 200)
    image[::2] = 20
    (shot,) = take(videos.write(tmp_path / "a.mkv", [image]), "keyframes")
    assert np.abs(shot.rgb - image.astype(int)).mean() < 4
