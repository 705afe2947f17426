"""GIFs, numbered images, and films that are damaged or none."""

import subprocess
import sys

import av
import numpy as np
import pytest
from PIL import Image

from ppcartoon import images
from ppcartoon.errors import InputError, OutputError
from ppcartoon.video import pipeline
from ppcartoon.video.pipeline import Options, cartoonize
from tests.helpers import videos
from tests.helpers.samples import photo

SEEDS = range(6)


def negative(rgb, time):
    return 255 - rgb


def delays(path):
    with Image.open(path) as image:
        found = []
        for i in range(image.n_frames):
            image.seek(i)
            found.append(image.info["duration"])
        return found


def write_gif(path, delays, **options):
    frames = [Image.fromarray(videos.scene(seed, 36, 64)) for seed in range(len(delays))]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=delays, **options)
    return path


@pytest.mark.parametrize("loop", [0, 3, None])
def test_gifs_keep_their_delays_and_rounds(tmp_path, loop):
    path = write_gif(tmp_path / "a.gif", [100, 40, 700, 20], **({} if loop is None else {"loop": loop}))
    assert cartoonize(path, tmp_path / "b.gif", negative).pictures == 4
    assert delays(tmp_path / "b.gif") == [100, 40, 700, 20]
    with Image.open(tmp_path / "b.gif") as image:
        assert image.info.get("loop") == loop


def test_gifs_of_films_go_round_for_ever_in_colors_of_their_own(tmp_path):
    path = videos.write(tmp_path / "a.mp4", [videos.scene(seed, 90, 160) for seed in SEEDS])
    cartoonize(path, tmp_path / "b.gif", lambda rgb, time: rgb)
    assert sum(delays(tmp_path / "b.gif")) == 500 and set(delays(tmp_path / "b.gif")) == {80, 90}
    with Image.open(tmp_path / "b.gif") as image:
        assert image.info["loop"] == 0
        for seed in SEEDS:
            image.seek(seed)
            assert np.abs(np.int_(image.convert("RGB")) - videos.scene(seed, 90, 160)).mean() < 8


def test_gifs_show_no_picture_too_shortly_for_viewers(tmp_path):
    for number in range(12):
        images.write(tmp_path / f"{number}.png", images.Picture(photo(8, 8, number)))
    cartoonize(tmp_path / "%d.png", tmp_path / "a.gif", negative, Options(fps=120))
    assert min(delays(tmp_path / "a.gif")) >= 20 and sum(delays(tmp_path / "a.gif")) <= 110


def test_what_is_transparent_is_white(tmp_path):
    frames = []
    for x in (0, 20):
        frame = Image.new("RGBA", (40, 30))
        frame.paste((200, 0, 0, 255), (x, 10, x + 10, 20))
        frames.append(frame)
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=100, disposal=2)
    seen = []
    cartoonize(tmp_path / "a.gif", tmp_path / "b.mp4", lambda rgb, time: seen.append(rgb) or rgb)
    assert (seen[1][0, 0] == 255).all() and (seen[1][15, 25] == (200, 0, 0)).all() and (seen[1][15, 5] == 255).all()


def test_images_to_images_keep_their_numbers(tmp_path):
    for number in (8, 9, 10, 12):
        images.write(tmp_path / "in" / f"a_{number:03d}.png", images.Picture(photo(10, 12, number)))
    (tmp_path / "in" / "a_011.txt").touch()
    (tmp_path / "in" / "a_13.png").touch()  # not how the pattern writes it
    seen = []
    keep = lambda rgb, time: seen.append(time) or 255 - rgb  # noqa: E731
    report = cartoonize(tmp_path / "in/a_%03d.png", tmp_path / "out/%d.png", keep, Options(fps=10))
    assert report.pictures == 4 and seen == pytest.approx([0, 0.1, 0.2, 0.3])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["10.png", "12.png", "8.png", "9.png"]
    assert (images.read(tmp_path / "out/12.png").rgb == 255 - photo(10, 12, 12)).all()


def test_images_to_a_film_and_back(tmp_path):
    for number in range(1, 31):
        images.write(tmp_path / f"{number}.png", images.Picture(np.full((16, 16, 3), 8 * number, np.uint8)))
    cartoonize(tmp_path / "%d.png", tmp_path / "a.mp4", negative, Options(fps=29.97, start=0.5, crf=4))
    with av.open(str(tmp_path / "a.mp4")) as film:
        assert film.streams.video[0].average_rate == pytest.approx(29.97, abs=0.01)
    report = cartoonize(tmp_path / "a.mp4", tmp_path / "back/%05d.png", negative)
    assert report.pictures == 15
    levels = [images.read(tmp_path / "back" / f"{number:05d}.png").rgb.mean() for number in range(1, 16)]
    assert np.abs(np.subtract(levels, [8 * (number + 15) for number in range(1, 16)])).max() < 4


def test_an_image_that_cannot_be_read_is_named_and_the_rest_stays_in_time(tmp_path):
    for number in range(1, 5):
        images.write(tmp_path / f"{number}.png", images.Picture(photo(16, 16, number)))
    (tmp_path / "3.png").write_bytes((tmp_path / "3.png").read_bytes()[:60])
    report = cartoonize(tmp_path / "%d.png", tmp_path / "a.mp4", negative, Options(fps=10))
    assert report.pictures == 3 and len(report.warnings) == 1 and "3.png: " in report.warnings[0]
    with av.open(str(tmp_path / "a.mp4")) as film:
        assert [frame.time for frame in film.decode(video=0)] == pytest.approx([0, 0.1, 0.3])


def test_a_pattern_without_images_is_said(tmp_path):
    with pytest.raises(InputError, match=r"%04d\.png: no such images"):
        cartoonize(tmp_path / "none/%04d.png", tmp_path / "a.mp4", negative)


@pytest.fixture(scope="module", params=["mkv", "mp4"])
def film(tmp_path_factory, request):
    path = tmp_path_factory.mktemp("film") / f"film.{request.param}"
    options = {"options": videos.HALVES | {"movflags": "faststart"} if request.param == "mp4" else videos.HALVES}
    return videos.write(path, videos.scenes(*SEEDS, seconds=0.5, height=90, width=160), **options)


def pictures(path):
    with av.open(str(path)) as film:
        return [(frame.time, 255 - frame.to_ndarray(format="rgb24").astype(int)) for frame in film.decode(video=0)]


def test_of_a_film_that_breaks_off_the_first_part_is_kept_and_that_is_said(tmp_path):
    path = videos.write(tmp_path / "a.mkv", videos.scenes(*SEEDS, seconds=0.5), options=videos.HALVES)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    report = cartoonize(path, tmp_path / "b.mp4", negative)
    assert 9 < report.pictures < 30 and len(pictures(tmp_path / "b.mp4")) == report.pictures
    assert any("breaks off at 0:00:0" in fault and "of 0:00:03.00" in fault for fault in report.warnings)


def test_of_a_damaged_film_the_rest_is_kept_in_time_and_the_damage_counted(film, tmp_path):
    path, data = tmp_path / film.name, bytearray(film.read_bytes())
    middle = len(data) * 4 // 10
    data[middle : middle + 1500] = np.random.default_rng(0).bytes(1500)
    path.write_bytes(data)
    report = cartoonize(path, tmp_path / "b.mkv", negative)
    assert any("damaged pieces passed over" in fault for fault in report.warnings)
    found = {round(time, 2): picture for time, picture in pictures(tmp_path / "b.mkv")}
    for time in (0, 2.5):
        assert np.abs(found[time] - videos.scene(int(2 * time), 90, 160)).mean() < 5


@pytest.mark.parametrize("content", [b"", b"Once upon a time\n" * 50, np.random.default_rng(0).bytes(9000)])
def test_files_that_are_no_films_are_one_line(tmp_path, content):
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.mp4: ") as caught:
        cartoonize(path, tmp_path / "b.mp4", negative)
    assert "\n" not in str(caught.value) and list(tmp_path.iterdir()) == [path]


def test_sound_alone_is_no_film(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as out:
        track = out.add_stream("aac", 48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.int16), "s16", "mono")
        frame.sample_rate = 48000
        out.mux(track.encode(frame))
        out.mux(track.encode(None))
    with pytest.raises(InputError, match="no film in it"):
        cartoonize(path, tmp_path / "b.mp4", negative)


@pytest.mark.parametrize("target", ["b.mp4", "b.gif", "b/%d.png"])
def test_a_part_with_no_picture_in_it_is_said_and_nothing_is_written(film, tmp_path, target):
    with pytest.raises(InputError, match="has no pictures in the part that is wanted"):
        cartoonize(film, tmp_path / target, negative, Options(start=5))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("target", ["file/b.mp4", "file/b.gif", "file/%d.png", "/proc/nowhere/b.mkv"])
def test_a_folder_that_cannot_be_is_said(film, tmp_path, target):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"a file is there, where a folder is needed|cannot be written"):
        cartoonize(film, tmp_path / target, negative)


def test_what_the_caller_cannot_do_is_said_with_the_film_s_name(film, tmp_path):
    def refuse(rgb, time):
        raise InputError("160x90 needs more memory: use --max-size 80")

    (tmp_path / "b.mp4").write_bytes(b"before")
    with pytest.raises(InputError, match=rf"{film.name}: 160x90 needs more memory"):
        cartoonize(film, tmp_path / "b.mp4", refuse)
    assert (tmp_path / "b.mp4").read_bytes() == b"before" and len(list(tmp_path.iterdir())) == 1


def test_films_of_which_the_file_is_replaced_are_whole_first(film, tmp_path):
    target = tmp_path / f"b{film.suffix}"
    target.write_bytes(film.read_bytes())
    pipeline.cartoonize(target, target, negative)
    assert len(pictures(target)) == 36


def test_without_pyav_one_line_says_what_to_install():
    script = "import sys; sys.modules['av'] = None\nimport ppcartoon.inference.jobs\nimport ppcartoon.video.pipeline"
    failed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert failed.stderr.splitlines()[-1] == (
        'ppcartoon.errors.InputError: videos need PyAV: pip install "ppcartoon[video]"'
    )


def test_sound_of_another_kind_in_mid_film_ends_neither_pictures_nor_sound(tmp_path):
    """In FLV it is a stream that was not there at first."""
    path = videos.write_flash(tmp_path / "a.flv", codec="flv", seconds=4)
    data, place, sounds = bytearray(path.read_bytes()), 13, []
    while place + 11 < len(data):
        sounds += [place + 11] if data[place] == 8 else []
        place += 15 + int.from_bytes(data[place + 1 : place + 4], "big")
    data[sounds[100]] = 0x2F  # MP3 among AAC
    path.write_bytes(data)
    assert cartoonize(path, tmp_path / "b.mkv", negative).pictures == 48
    with av.open(str(tmp_path / "b.mkv")) as film:
        assert sum(packet.size > 0 for packet in film.demux(audio=0)) > 180
