"""Files that are no films, damaged films, and names."""

import http.server
import threading
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from ppcartoon.errors import InputError
from ppcartoon.video.reader import VideoReader
from tests.helpers import videos

SEEDS = range(8)


def take(path, *arguments):
    """The pictures, and how many pieces were broken."""
    with VideoReader(path) as film:
        return list(film.shots(*arguments)), film.broken


def refusal(path):
    with pytest.raises(InputError) as caught:
        take(path, "keyframes")
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)
    return str(caught.value)


def off(shot):
    """How much a picture of eight scenes, half a second each, differs from its scene."""
    return np.abs(shot.rgb.astype(int) - videos.scene(int(2 * shot.time + 0.01))).mean()


@pytest.fixture(scope="module", params=["mkv", "mp4"])
def film(tmp_path_factory, request):
    path = tmp_path_factory.mktemp("film") / f"film.{request.param}"
    return videos.write(path, videos.scenes(*SEEDS, seconds=0.5), options=videos.HALVES)


def test_missing_files_and_folders_are_refused(tmp_path):
    assert "no such file" in refusal(tmp_path / "a.mp4")
    assert "a folder" in refusal(tmp_path)
    (tmp_path / "link.mp4").symlink_to(tmp_path / "a.mp4")
    assert "no such file" in refusal(tmp_path / "link.mp4")


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.txt", "a", "a.srt", "a.m3u8"])
@pytest.mark.parametrize(
    "content",
    [b"", b"Once upon a time\nthere was a film.\n" * 50, np.random.default_rng(0).bytes(50_000)],
    ids=["empty", "text", "noise"],
)
def test_files_that_are_no_films_are_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    message = refusal(tmp_path / name)
    assert "not a video" in message or "no film" in message or "no film in it" in message


def add_sound(out):
    """A second of silence."""
    sound = out.add_stream("mp3" if out.format.name == "mp3" else "aac", rate=44100, layout="stereo")
    for i in range(38):
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1152), np.float32), "fltp", "stereo")
        frame.sample_rate, frame.pts, frame.time_base = 44100, 1152 * i, Fraction(1, 44100)
        yield from sound.encode(frame)
    yield from sound.encode(None)


def add_picture(out, codec, pix_fmt, pictures, **attributes):
    stream = out.add_stream(codec, videos.RATE)
    stream.height, stream.width, stream.pix_fmt = *pictures[0].shape[:2], pix_fmt
    for name, value in attributes.items():
        setattr(stream, name, value)
    for i, picture in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(picture).reformat(format=pix_fmt)
        frame.pts, frame.time_base = i, Fraction(1, videos.RATE)
        yield from stream.encode(frame)
    yield from stream.encode(None)


def write_streams(path, *streams):
    with av.open(str(path), "w") as out:
        packets = [list(add(out, *rest, **options)) for add, rest, options in streams]
        for packet in (packet for some in packets for packet in some):
            out.mux(packet)
    return path


SOUND = add_sound, (), {}
COVER = {"disposition": av.stream.Disposition.attached_pic}
PICTURE = add_picture, ("mjpeg", "yuvj420p", [np.full((640, 640, 3), 200, np.uint8)]), COVER


@pytest.mark.parametrize("name", ["a.mp3", "a.m4a", "a.mka", "a.mp4"])
def test_sound_is_refused(tmp_path, name):
    assert "no film in it" in refusal(write_streams(tmp_path / name, SOUND))


def test_the_cover_of_a_song_is_no_film(tmp_path):
    assert "no film in it" in refusal(write_streams(tmp_path / "a.mp3", PICTURE, SOUND))


@pytest.mark.parametrize("first", [True, False])
def test_the_cover_of_a_film_is_none_of_its_pictures(tmp_path, first):
    moving = add_picture, ("libx264", "yuv420p", videos.scenes(*SEEDS, seconds=0.5)), {}
    streams = (PICTURE, moving, SOUND) if first else (moving, SOUND, PICTURE)
    shots, broken = take(write_streams(tmp_path / "a.mp4", *streams), "scenes")
    assert [shot.time for shot in shots] == [0.5 * seed for seed in SEEDS]
    assert max(map(off, shots)) < 4 and not broken


def test_films_of_no_frame_are_refused(tmp_path):
    for name in ("a.mp4", "a.mkv"):
        with av.open(str(tmp_path / name), "w") as out:
            stream = out.add_stream("libx264", videos.RATE)
            stream.height, stream.width, stream.pix_fmt = 180, 320, "yuv420p"
            out.start_encoding()
        assert refusal(tmp_path / name)


def test_of_a_film_that_breaks_off_the_first_part_is_used(film, tmp_path):
    path = tmp_path / film.name
    path.write_bytes(film.read_bytes()[: film.stat().st_size * 6 // 10])
    if film.suffix == ".mp4":  # its index is at its end
        assert "not a video" in refusal(path)
        return
    shots, _ = take(path, "scenes")
    assert [shot.time for shot in shots[:3]] == [0, 0.5, 1] and len(shots) < 8
    assert max(map(off, shots)) < 4


@pytest.mark.parametrize("damage", [b"\0", b"\xff", np.random.default_rng(0).bytes(1)], ids=["zeros", "ones", "noise"])
def test_of_a_damaged_film_the_rest_is_used_and_the_damage_counted(film, tmp_path, damage):
    path, data = tmp_path / film.name, bytearray(film.read_bytes())
    middle = len(data) * 4 // 10
    data[middle : middle + 3000] = damage * 3000
    path.write_bytes(data)
    shots, broken = take(path, "keyframes")
    assert broken > 0
    assert {0.0, 0.5, 3.0, 3.5} <= {shot.time for shot in shots} < {0.5 * seed for seed in SEEDS}
    assert max(map(off, shots)) < 4


@pytest.mark.parametrize(
    "name",
    [
        "a b.mp4",
        "a:b.mp4",
        "http:a.mp4",
        "写真 ünï.mp4",
        "A.MP4",
        "100%d.mp4",
        "-o.mp4",
        'it\'s;"a",[0].mp4',
        "a",
        "concat:a|b",
    ],
)
def test_names_do_not_matter(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    videos.write(tmp_path / "made.mkv", videos.scenes(1, 3, seconds=0.5), options=videos.HALVES)
    (tmp_path / "made.mkv").rename(name)
    (tmp_path / "link").symlink_to(name)
    for path in (tmp_path / name, Path(name), Path("link")):
        assert [shot.time for shot in take(path, "keyframes")[0]] == [0, 0.5]


def test_a_name_that_is_too_long_is_refused(tmp_path):
    assert refusal(tmp_path / ("a" * 300))


class Recorder(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        self.send_error(404)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with http.server.HTTPServer(("127.0.0.1", 0), Recorder) as made:
        made.asked = []
        thread = threading.Thread(target=made.serve_forever, args=(0.01,))
        thread.start()
        yield made
        made.shutdown()
        thread.join()


PLAYLISTS = {
    "pieces.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{url}/a.ts\n#EXT-X-ENDLIST\n",
    "variants.m3u8": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1000\n{url}/a.m3u8\n",
    "list.ffconcat": "ffconcat version 1.0\nfile {url}/a.ts\n",
    "list.mp4": "ffconcat version 1.0\nfile {url}/a.ts\n",
}


@pytest.mark.parametrize("name", PLAYLISTS)
def test_playlists_are_not_followed_to_other_machines(tmp_path, server, name):
    (tmp_path / name).write_text(PLAYLISTS[name].format(url=f"http://127.0.0.1:{server.server_port}"))
    assert refusal(tmp_path / name)
    assert not server.asked
