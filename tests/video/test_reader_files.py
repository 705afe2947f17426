"""Files that are not videos, damaged videos, and unusual file names."""

import http.server
import io
import threading
from fractions import Fraction
from functools import partial
from itertools import chain
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from ppcartoon.errors import InputError
from ppcartoon.video.clips import TimeRange, VideoClip
from ppcartoon.video.reader import VideoReader
from tests.helpers import videos

SEEDS = range(8)


def read(path, pick):
    """The selected frames, and the number of broken packets and frames."""
    with VideoReader(path) as video:
        return list(video.frames(pick)), video.broken


def error_of(path):
    """The message of the error, which must be one line that starts with the path."""
    with pytest.raises(InputError) as caught:
        read(path, "keyframes")
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)
    return str(caught.value)


def difference(frame):
    """Mean absolute difference between a frame and its scene; scenes last half a second."""
    return np.abs(frame.rgb.astype(int) - videos.scene(int(2 * frame.time + 0.01))).mean()


@pytest.fixture(scope="module", params=["mkv", "mp4"])
def video(tmp_path_factory, request):
    path = tmp_path_factory.mktemp("video") / f"video.{request.param}"
    return videos.write(path, videos.scenes(*SEEDS, seconds=0.5), options=videos.HALVES)


def test_missing_files_folders_and_overlong_names_are_refused(tmp_path):
    assert "no such file" in error_of(tmp_path / "a.mp4")
    assert "a folder" in error_of(tmp_path)
    (tmp_path / "link.mp4").symlink_to(tmp_path / "a.mp4")
    assert "no such file" in error_of(tmp_path / "link.mp4")
    assert error_of(tmp_path / ("a" * 300))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.txt", "a", "a.srt", "a.m3u8"])
@pytest.mark.parametrize(
    "content",
    [b"", b"Once upon a time\nthere was a video.\n" * 50, np.random.default_rng(0).bytes(50_000)],
    ids=["empty", "text", "noise"],
)
def test_files_that_are_not_videos_are_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    message = error_of(tmp_path / name)
    assert "not a video" in message or "contains no video" in message


def encode_audio(out):
    """Adds an audio stream to a container; yields the packets of a second of silence."""
    audio = out.add_stream("mp3" if out.format.name == "mp3" else "aac", rate=44100, layout="stereo")
    for i in range(38):
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1152), np.float32), "fltp", "stereo")
        frame.sample_rate, frame.pts, frame.time_base = 44100, 1152 * i, Fraction(1, 44100)
        yield from audio.encode(frame)
    yield from audio.encode(None)


def encode_video(out, codec, pix_fmt, frames, **attributes):
    """Adds a video stream to a container; yields its packets."""
    stream = out.add_stream(codec, videos.RATE)
    stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], pix_fmt
    for name, value in attributes.items():
        setattr(stream, name, value)
    for i, rgb in enumerate(frames):
        frame = av.VideoFrame.from_ndarray(rgb).reformat(format=pix_fmt)
        frame.pts, frame.time_base = i, Fraction(1, videos.RATE)
        yield from stream.encode(frame)
    yield from stream.encode(None)


def write_streams(path, *streams):
    """Writes a file with streams, each a function that adds it to the container and yields its packets."""
    with av.open(str(path), "w") as out:
        packets = [list(encode(out)) for encode in streams]  # all streams are added before the first packet is written
        for packet in chain.from_iterable(packets):
            out.mux(packet)
    return path


encode_cover = partial(
    encode_video,
    codec="mjpeg",
    pix_fmt="yuvj420p",
    frames=[np.full((640, 640, 3), 200, np.uint8)],
    disposition=av.stream.Disposition.attached_pic,
)
encode_scenes = partial(encode_video, codec="libx264", pix_fmt="yuv420p", frames=videos.scenes(*SEEDS, seconds=0.5))


@pytest.mark.parametrize(
    "name, streams",
    [
        ("a.mp3", [encode_audio]),
        ("a.m4a", [encode_audio]),
        ("a.mka", [encode_audio]),
        ("a.mp4", [encode_audio]),
        ("a.mp3", [encode_cover, encode_audio]),
    ],
)
def test_audio_with_or_without_an_album_cover_is_refused(tmp_path, name, streams):
    assert "contains no video" in error_of(write_streams(tmp_path / name, *streams))


@pytest.mark.parametrize(
    "streams", [(encode_cover, encode_scenes, encode_audio), (encode_scenes, encode_audio, encode_cover)]
)
def test_cover_of_a_video_is_not_one_of_its_frames(tmp_path, streams):
    frames, broken = read(write_streams(tmp_path / "a.mp4", *streams), "scenes")
    assert [frame.time for frame in frames] == [0.5 * seed for seed in SEEDS]
    assert max(map(difference, frames)) < 4 and not broken


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_video_without_frames_is_refused(tmp_path, name):
    with av.open(str(tmp_path / name), "w") as out:
        stream = out.add_stream("libx264", videos.RATE)
        stream.height, stream.width, stream.pix_fmt = 180, 320, "yuv420p"
        out.start_encoding()
    assert error_of(tmp_path / name)


def test_truncated_video_gives_the_frames_before_its_end(video, tmp_path):
    path = tmp_path / video.name
    path.write_bytes(video.read_bytes()[: video.stat().st_size * 6 // 10])
    if video.suffix == ".mp4":  # its index is at its end
        assert "not a video" in error_of(path)
        return
    frames, _ = read(path, "scenes")
    assert [frame.time for frame in frames[:3]] == [0, 0.5, 1] and len(frames) < 8
    assert max(map(difference, frames)) < 4


@pytest.mark.parametrize("end, is_cut", [(0.6, True), (1, False), (-1, False)])
def test_gif_that_ends_within_a_frame_is_told_from_one_without_its_last_byte(tmp_path, end, is_cut):
    path, data = tmp_path / "a.gif", io.BytesIO()
    first, *others = (Image.fromarray(videos.scene(seed, 48, 64)) for seed in range(3))
    first.save(data, "GIF", save_all=True, append_images=others)
    path.write_bytes(data.getvalue()[: end if end < 0 else int(end * len(data.getvalue()))])
    with VideoClip(path, TimeRange()) as clip:
        assert list(clip.frames()) and clip.warnings == ["truncated, its last frame may be incomplete"] * is_cut


def test_truncated_avi_is_reported_by_the_number_of_frames_in_its_header(tmp_path):
    path = videos.write(tmp_path / "a.avi", videos.scenes(1, 2, 3), "mjpeg", "yuvj420p")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with VideoClip(path, TimeRange()) as clip:
        assert 10 < len(list(clip.frames())) < 30
        assert clip.warnings[-1].endswith(" of 0:00:03.00, the part before is kept")


@pytest.mark.parametrize("damage", [b"\0", b"\xff", np.random.default_rng(0).bytes(1)], ids=["zeros", "ones", "noise"])
def test_damaged_video_gives_its_intact_frames_and_counts_the_broken_ones(video, tmp_path, damage):
    path, data = tmp_path / video.name, bytearray(video.read_bytes())
    middle = len(data) * 4 // 10
    data[middle : middle + 3000] = damage * 3000
    path.write_bytes(data)
    frames, broken = read(path, "keyframes")
    assert broken > 0
    assert {0.0, 0.5, 3.0, 3.5} <= {frame.time for frame in frames} < {0.5 * seed for seed in SEEDS}
    assert max(map(difference, frames)) < 4


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
def test_unusual_names_and_links_can_be_read(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    videos.write(tmp_path / "video.mkv", videos.scenes(1, 3, seconds=0.5), options=videos.HALVES)
    (tmp_path / "video.mkv").rename(name)
    (tmp_path / "link").symlink_to(name)
    for path in (tmp_path / name, Path(name), Path("link")):
        assert [frame.time for frame in read(path, "keyframes")[0]] == [0, 0.5]


class Recorder(http.server.BaseHTTPRequestHandler):
    """Records the requested paths."""

    def do_GET(self):
        self.server.requested.append(self.path)
        self.send_error(404)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with http.server.HTTPServer(("127.0.0.1", 0), Recorder) as server:
        server.requested = []
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


PLAYLISTS = {
    "segments.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{url}/a.ts\n#EXT-X-ENDLIST\n",
    "variants.m3u8": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1000\n{url}/a.m3u8\n",
    "list.ffconcat": "ffconcat version 1.0\nfile {url}/a.ts\n",
    "list.mp4": "ffconcat version 1.0\nfile {url}/a.ts\n",
}


@pytest.mark.parametrize("name", PLAYLISTS)
def test_playlist_is_not_followed_to_another_host(tmp_path, server, name):
    (tmp_path / name).write_text(PLAYLISTS[name].format(url=f"http://127.0.0.1:{server.server_port}"))
    assert error_of(tmp_path / name)
    assert not server.requested
