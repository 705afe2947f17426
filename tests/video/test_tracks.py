"""Subtitles, chapters, tags and attachments are copied where the output can hold them, and named where it cannot."""

import io
import re
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from ppcartoon.video.pipeline import VideoOptions, process
from tests.helpers import videos

CHAPTERS = [(0, 1.2, "Part one"), (1.2, 2, "Part two")]
SUBTITLES = [(0.1, 0.7, "Hello"), (1.5, 0.4, "Good bye")]
HEADER = b"[Script Info]\nScriptType: v4.00+\n\n[Events]\nFormat: Layer, Start, End, Style, Name, Text\n"


def write(path, codec="subrip", attachments=False):
    """Writes a video of two seconds with subtitles, chapters, a title and a place, and a font and a cover if wanted."""
    with av.open(str(path), "w") as out:
        video = out.add_stream("libvpx-vp9" if path.suffix == ".webm" else "libx264", videos.RATE)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        text = out.add_stream(codec, time_base=Fraction(1, 1000))
        text.codec_context.subtitle_header = HEADER
        text.metadata["language"] = "eng"
        out.metadata.update(title="My holiday", location="+48.1+011.5/")
        base = Fraction(1, 1000)
        out.set_chapters(
            [
                {"id": i, "start": int(1000 * a), "end": int(1000 * b), "time_base": base, "metadata": {"title": title}}
                for i, (a, b, title) in enumerate(CHAPTERS, 1)
            ]
        )
        if attachments:
            cover = io.BytesIO()
            Image.new("RGB", (32, 32), "red").save(cover, "JPEG")
            out.add_attachment("font.ttf", "application/x-truetype-font", b"a font")
            out.add_attachment("cover.jpg", "image/jpeg", cover.getvalue())
        for i in range(2 * videos.RATE):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 100, np.uint8))
            frame.pts, frame.time_base = i, Fraction(1, videos.RATE)
            out.mux(video.encode(frame))
        for start, duration, words in SUBTITLES:
            line = av.subtitles.subtitle.SubtitleSet.create(
                f"0,0,Default,,0,0,0,,{words}".encode(), 0, int(1000 * duration)
            )
            packet = text.codec_context.encode_subtitle(line)
            packet.stream, packet.time_base = text, base
            packet.pts = packet.dts = round(1000 * start)
            packet.duration = round(1000 * duration)
            out.mux(packet)
        out.mux(video.encode(None))
    return path


def subtitles(path):
    """Start, duration and text of each subtitle, without its style."""
    with av.open(str(path)) as video:
        found = []
        for packet in video.demux(subtitles=0):
            if packet.size > 2:
                (line,) = packet.decode()
                times = (float(ticks * packet.time_base) for ticks in (packet.pts, packet.duration))
                found.append((*times, re.sub("{.*?}", "", line.dialogue.decode())))
        return found


def chapters(path):
    with av.open(str(path)) as video:
        return [
            (*(float(chapter[end] * chapter["time_base"]) for end in ("start", "end")), chapter["metadata"]["title"])
            for chapter in video.chapters()
        ]


def converted(source, target, **options):
    report = process(source, target, lambda rgb, time: rgb, VideoOptions(**options))
    assert not report.warnings
    return [remark.split(": ", 1)[1] for remark in report.remarks]


@pytest.mark.parametrize("target", ["b.mkv", "b.mp4", "b.mov", "b.webm"])
@pytest.mark.parametrize(
    "source, codec", [("a.mkv", "subrip"), ("a.mkv", "ass"), ("a.mp4", "mov_text"), ("a.webm", "webvtt")]
)
def test_subtitles_chapters_and_title_are_kept_in_every_container(tmp_path, source, codec, target):
    assert converted(write(tmp_path / source, codec), tmp_path / target) == []
    for found, wanted in zip(subtitles(tmp_path / target), SUBTITLES, strict=True):
        assert found[:2] == pytest.approx(wanted[:2], abs=0.002) and found[2] == wanted[2]
    for found, wanted in zip(chapters(tmp_path / target), CHAPTERS, strict=True):
        assert found[:2] == pytest.approx(wanted[:2], abs=0.002) and found[2] == wanted[2]
    with av.open(str(tmp_path / target)) as video:
        assert video.metadata["title"] == "My holiday" and "location" not in video.metadata
        assert video.streams.subtitles[0].language == "eng"


def test_time_range_selects_and_shifts_subtitles_and_chapters(tmp_path):
    assert converted(write(tmp_path / "a.mkv"), tmp_path / "b.mkv", start=0.5, duration=1.2) == []
    found = subtitles(tmp_path / "b.mkv")
    assert [line[2] for line in found] == ["Hello", "Good bye"]
    assert np.abs(np.subtract([line[:2] for line in found], [(0, 0.3), (1, 0.2)])).max() < 0.002
    found = chapters(tmp_path / "b.mkv")
    assert np.abs(np.subtract([chapter[:2] for chapter in found], [(0, 0.7), (0.7, 1.2)])).max() < 0.002


def test_attachments_and_cover_are_kept_in_matroska(tmp_path):
    assert converted(write(tmp_path / "a.mkv", attachments=True), tmp_path / "b.mkv") == []
    with av.open(str(tmp_path / "b.mkv")) as video:
        (font,) = video.streams.attachments
        assert (font.name, font.mimetype, font.data) == ("font.ttf", "application/x-truetype-font", b"a font")
        (cover,) = [stream for stream in video.streams.video if stream.codec_context.name == "mjpeg"]
        assert (cover.codec_context.width, cover.metadata["filename"]) == (32, "cover.jpg")


@pytest.mark.parametrize(
    "target, expected",
    [
        ("b.mp4", "left out, since mp4 cannot hold it: attachment font.ttf, cover image"),
        (
            "b.gif",
            "left out, since a GIF cannot hold it: subtitle track srt (eng), attachment font.ttf, cover image, "
            "the chapters, the title",
        ),
        (
            "b/%d.png",
            "left out, since numbered images cannot hold it: subtitle track srt (eng), attachment font.ttf, "
            "cover image, the chapters, the title",
        ),
    ],
)
def test_what_the_output_cannot_hold_is_named(tmp_path, target, expected):
    assert converted(write(tmp_path / "a.mkv", attachments=True), tmp_path / target) == [expected]


def test_subtitles_that_are_images_are_named_where_the_output_cannot_hold_them(tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as out:
        video = out.add_stream("libx264", videos.RATE)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        out.add_mux_stream("hdmv_pgs_subtitle")
        out.mux(video.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), 100, np.uint8))))
        out.mux(video.encode(None))
    assert converted(tmp_path / "a.mkv", tmp_path / "b.mkv") == []
    (remark,) = converted(tmp_path / "a.mkv", tmp_path / "b.mp4")
    assert remark == "left out, since mp4 cannot hold it: subtitle track pgssub"
