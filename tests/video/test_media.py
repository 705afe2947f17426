"""References are not followed, reads have a time limit and end by a signal, and frames a largest size."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ppcartoon.errors import InputError
from ppcartoon.inference.jobs import Kind, find_kind
from ppcartoon.video import media
from ppcartoon.video.reader import VideoReader
from tests.helpers import videos
from tests.helpers.memory import measure

REFERENCES = {
    "an HLS or M3U playlist": [
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:0.4,\nsecret.ts\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:0.4,\n{path}\n#EXT-X-ENDLIST\n",
        "\ufeff#EXTM3U\r\n#EXT-X-STREAM-INF:BANDWIDTH=1000\r\nfile:{path}\r\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:1,\nconcat:{path}|{path}\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:1,\nsubfile,,start,0,end,999,,:{path}\n#EXT-X-ENDLIST\n",
    ],
    "a list of files to join": ["ffconcat version 1.0\nfile secret.ts\n", "ffconcat version 1.0\nfile '{path}'\n"],
    "an SDP description": ["v=0\no=- 0 0 IN IP4 127.0.0.1\ns=a\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\n"],
    "a DASH manifest": [
        '<?xml version="1.0"?>\n<!-- a -->\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period>'
        '<AdaptationSet mimeType="video/mp2t"><Representation id="1" bandwidth="1"><BaseURL>{path}</BaseURL>'
        "</Representation></AdaptationSet></Period></MPD>",
    ],
    "a playlist": [
        "[playlist]\nFile1={path}\n",
        "<asx><entry><ref href='{path}'/></entry></asx>",
        '<?xml version="1.0"?><CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/2067-3/2016">',
    ],
    "a link": ["[Reference]\nRef1=http://127.0.0.1/a\n", "file://{path}\n"],
    "not a video": ['<svg xmlns="http://www.w3.org/2000/svg"><image href="{path}" width="9" height="9"/></svg>'],
}
TEXTS = [(kind, text) for kind, texts in REFERENCES.items() for text in texts]
SLOW = """
import io, sys, time
from pathlib import Path
from ppcartoon.cli import common
from ppcartoon.video import media, pipeline

slow_from = 0 if sys.argv[3] == "opening" else 4

class SlowDisk(io.FileIO):
    def read(self, size):
        if slow_from <= frames:
            print("slow", flush=True)
            time.sleep(0.3)
            size = 16
        return super().read(size)

def cartoonize(rgb, time):
    global frames
    frames += 1
    return rgb

frames, io.FileIO = 0, SlowDisk
source, target = map(Path, sys.argv[1:3])
sys.exit(common.run("p", lambda: pipeline.process(source, target, cartoonize) and 0, ""))
"""


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    folder = tmp_path_factory.mktemp("video")
    return videos.write(folder / "secret.ts", videos.scenes(1, 2, 3, seconds=0.5), options=videos.HALVES)


@pytest.mark.parametrize("kind, text", TEXTS, ids=[f"{kind}-{i}" for i, (kind, _) in enumerate(TEXTS)])
@pytest.mark.parametrize("name", ["a.m3u8", "a.mp4", "a.png", "a"])
def test_file_that_refers_to_others_is_refused_and_named(video, kind, text, name):
    path = video.with_name(name)
    path.write_text(text.format(path=video), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        VideoReader(path)
    assert str(caught.value).startswith(f"{path}: ") and kind in str(caught.value)
    # so that the command line asks the video reader
    assert find_kind(path) is Kind.VIDEO or (kind == "not a video" and path.suffix in (".png", ""))


@pytest.mark.parametrize(
    "name", ["%d.ts", "*.ts", "concat:secret.ts", "subfile,,start,0,end,0,,:secret.ts", "/dev/zero"]
)
def test_name_of_a_pattern_a_protocol_or_a_device_opens_nothing(video, monkeypatch, name):
    monkeypatch.chdir(video.parent)
    with pytest.raises(InputError, match=r"no such file|a pipe or device"):
        VideoReader(Path(name))


def test_pipe_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "a.mp4")
    with pytest.raises(InputError, match="a pipe or device, not a video"):
        VideoReader(tmp_path / "a.mp4")


def test_slow_reading_ends_at_the_time_limit(video, monkeypatch):
    monkeypatch.setattr(media, "SECONDS", 0.2)
    with VideoReader(video) as reader:
        times = [time.monotonic()]
        clock = iter(range(1, 1000))
        monkeypatch.setattr(media.time, "monotonic", lambda: times[0] + 0.1 * next(clock))
        with pytest.raises(InputError, match=r"secret\.ts: reading takes more than 0 seconds"):
            list(reader.frames("frames", start=0.9))


@pytest.mark.slow
@pytest.mark.parametrize("step", ["opening", "reading"])
def test_sigterm_ends_slow_opening_and_reading_within_two_seconds(video, tmp_path, step):
    long = tmp_path / "long.ts"
    long.write_bytes(video.read_bytes() * 20)
    command = [sys.executable, "-c", SLOW, str(long), str(tmp_path / "b.mkv"), step]
    with subprocess.Popen(
        command, cwd=Path(__file__).parents[2], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        assert running.stdout.readline() == "slow\n"
        time.sleep(1)
        sent = time.monotonic()
        running.send_signal(signal.SIGTERM)
        error = running.communicate(timeout=20)[1]
        assert time.monotonic() - sent < 2
        assert running.returncode == 143 and "Traceback" not in error, error
    assert len(list(tmp_path.glob("b.*"))) == (step == "reading")


def wide_pixels(path, width, height, aspect):
    header = f"YUV4MPEG2 W{width} H{height} F25:1 Ip A{aspect}:1 C420jpeg\nFRAME\n"
    path.write_bytes(header.encode() + bytes(width * height * 3 // 2))
    return path


def still(width, height):
    return [np.full((height, width, 3), 99, np.uint8)] * 3


def read_frames(path):
    with VideoReader(path) as reader:
        return [frame.rgb.shape for frame in reader.frames("frames")], reader.broken


def test_size_with_square_pixels_is_limited(tmp_path):
    with pytest.raises(InputError, match=r"a\.avi: 608000x1000: more than 36 megapixels, the limit"):
        VideoReader(wide_pixels(tmp_path / "a.avi", 320, 1000, 1900))
    assert VideoReader(wide_pixels(tmp_path / "a.avi", 320, 100, 19)).size == (6080, 100)


@pytest.mark.parametrize("aspect", [1, 30])
def test_frames_that_grow_beyond_the_limit_are_skipped_and_counted(tmp_path, aspect):
    parts = [
        videos.write(tmp_path / f"{i}.ts", still(*size), options={"g": "1", "tune": "zerolatency"}, aspect=(aspect, 1))
        for i, size in enumerate([(64, 64), (1280, 800), (64, 64)])
    ]
    (tmp_path / "a.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    with VideoReader(tmp_path / "a.ts", max_megapixels=1) as reader:
        shapes = {frame.rgb.shape for frame in reader.frames("frames")}
        assert shapes == {(64, 64 * aspect, 3)} and reader.broken >= 3
    with pytest.raises(InputError, match="more than 1 megapixels"):
        VideoReader(parts[1], max_megapixels=1)


@pytest.mark.slow
def test_memory_for_frames_beyond_the_limit_is_bounded(tmp_path):
    large = videos.write(tmp_path / "large.ts", still(10240, 6144), options={"preset": "ultrafast"})
    small = videos.write(tmp_path / "small.ts", still(64, 64), options={"preset": "ultrafast"})
    grow = tmp_path / "grow.ts"
    grow.write_bytes(small.read_bytes() + large.read_bytes())
    wide = wide_pixels(tmp_path / "wide.avi", 320, 1000, 1900)
    messages, megabytes = measure(read_frames, large, wide, grow)
    assert "10240x6144: more than 36" in messages[0] and "608000x1000: more than 36" in messages[1]
    assert megabytes < 150
