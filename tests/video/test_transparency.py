"""Transparency of videos and animated images: kept where the output can hold it, else on white, and never in colors."""

from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from ppcartoon import images
from ppcartoon.video.clips import AnimatedImage, ImageSequence, TimeRange, VideoClip
from ppcartoon.video.pipeline import VideoOptions, process
from ppcartoon.video.reader import VideoReader

HEIGHT, WIDTH = 64, 96
SHOWN, HIDDEN = (40, 90, 200), (250, 20, 20)


def drawn(count=4, opaque=True):
    """RGBA frames of a box that moves over transparent ground; the second is opaque, if wanted, and the last empty."""
    found = []
    for i in range(count):
        frame = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
        frame[..., :3] = HIDDEN
        frame[16:48, 8 * i + 8 : 8 * i + 40] = *SHOWN, 255
        found.append(frame)
    if opaque:
        found[1][:] = *SHOWN, 255
    found[-1][..., 3] = 0
    return found


def write_video(path, codec, pixels, frames):
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, 10)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pixels
        stream.metadata["alpha_mode"] = "1"
        for i, frame in enumerate(frames):
            encoded = av.VideoFrame.from_ndarray(frame, "rgba").reformat(format=pixels)
            encoded.pts, encoded.time_base = i, Fraction(1, 10)
            out.mux(stream.encode(encoded))
        out.mux(stream.encode(None))


def write_source(folder, kind, frames):
    if kind == "png sequence":
        for i, frame in enumerate(frames):
            Image.fromarray(frame).save(folder / f"{i}.png")
        return folder / "%d.png"
    path = folder / f"in.{kind}"
    if kind in ("webm", "mov"):
        codec = {"webm": ("libvpx-vp9", "yuva420p"), "mov": ("prores_ks", "yuva444p10le")}
        write_video(path, *codec[kind], frames)
        return path
    first, *others = (Image.fromarray(frame) for frame in frames)
    options = {"disposal": 2} if kind == "gif" else {"lossless": True} if kind == "webp" else {}
    first.save(path, save_all=True, append_images=others, duration=100, **options)
    return path


def read(path):
    """The frames of a video, an animated image or numbered images."""
    clip = VideoClip if path.suffix in (".webm", ".mov", ".mkv", ".mp4", ".gif") else AnimatedImage
    if "%" in path.name:
        clip = ImageSequence
    with clip(path, TimeRange(), *([] if clip is VideoClip else [Fraction(10)])) as opened:
        return list(opened.frames())


SOURCES = ("gif", "webm", "mov", "webp", "png", "png sequence")
TARGETS = {"a.gif": {}, "a.webm": {}, "a.mkv": {"codec": "vp9"}, "a.mov": {"codec": "prores"}}
TARGETS |= {"a.webp": {}, "a.png": {}, "out_%d.png": {}, "out_%d.webp": {}}


def test_opaque_parts_on_a_transparent_canvas_stay_transparent_around_in_webp(tmp_path):
    """libwebp encodes each frame as an opaque rectangle, and then says that the file has no transparency."""
    source, target = write_source(tmp_path, "png", drawn(3, opaque=False)), tmp_path / "a.webp"
    process(source, target, lambda rgb, time: rgb)
    frames = [np.asarray(picture.alpha) for picture, _ in images.frames(target)]
    assert all(
        np.array_equal(alpha, frame[..., 3]) for alpha, frame in zip(frames, drawn(3, opaque=False), strict=True)
    )


@pytest.mark.parametrize("source, target", [*((s, "a.webp") for s in SOURCES), *(("mov", t) for t in TARGETS)])
def test_transparency_is_kept_where_the_output_can_hold_it(tmp_path, source, target):
    frames = drawn(opaque=source != "gif")  # Pillow writes opaque frames of GIFs so that they stay
    path = write_source(tmp_path, source, frames)
    report = process(path, tmp_path / target, lambda rgb, time: rgb, VideoOptions(fps=10, **TARGETS[target]))
    found = read(tmp_path / target)
    assert len(found) == len(frames) and report.remarks == [] and report.warnings == []
    for after, before in zip(found, frames):
        alpha = np.full((HEIGHT, WIDTH), 255, np.uint8) if after.alpha is None else after.alpha
        assert np.abs(np.int_(alpha) - before[..., 3]).mean() < 0.5
        if before[..., 3].any():
            assert np.abs(np.int_(after.rgb) - SHOWN)[before[..., 3] > 0].mean() < 6


@pytest.mark.parametrize("target", ["a.mp4", "a.mkv", "out_%d.jpg"])
@pytest.mark.parametrize("source", ["gif", "webm"])
def test_transparent_parts_are_white_elsewhere_and_a_remark_says_so(tmp_path, source, target):
    frames = drawn(opaque=False)
    report = process(write_source(tmp_path, source, frames), tmp_path / target, lambda rgb, time: rgb)
    (remark,) = report.remarks
    assert "transparent parts of 4 frames are white, since " in remark
    for after, before in zip(read(tmp_path / target), frames):
        assert after.alpha is None
        wanted = np.where(before[..., 3:] > 0, np.int_(SHOWN), 255)
        assert np.abs(after.rgb - wanted).mean() < 6


@pytest.mark.parametrize("kind", SOURCES)
def test_network_sees_visible_colors_under_transparent_pixels(tmp_path, kind):
    seen = []
    path = write_source(tmp_path, kind, drawn()[:2])
    process(path, tmp_path / "out_%d.png", lambda rgb, time: seen.append(rgb) or rgb)
    # VP9 and ProRes store less color than light, and blur it: away from the edge of the box it is exact
    assert np.abs(np.int_(seen[0]) - SHOWN).mean() < (12 if kind in ("webm", "mov") else 3)


def test_hidden_colors_are_not_blended_in_where_frames_are_reduced(tmp_path):
    path = write_source(tmp_path, "gif", drawn())
    with VideoReader(path) as video:
        first = next(video.frames("frames", shorter=HEIGHT // 2))
    assert first.rgb.shape == (HEIGHT // 2, WIDTH // 2, 3) and first.alpha.shape == (HEIGHT // 2, WIDTH // 2)
    assert np.abs(np.int_(first.rgb) - SHOWN).max() <= 4


@pytest.mark.parametrize("pick", ["keyframes", "scenes", 0.1])
def test_frames_of_vp9_with_transparency_can_be_selected_and_sought(tmp_path, pick):
    path = write_source(tmp_path, "webm", drawn(30))
    with VideoReader(path) as video:
        found = list(video.frames(pick))
        again = list(video.frames(pick))
    assert [frame.time for frame in found] == [frame.time for frame in again]
    assert found[0].alpha is not None and len(found) == {"keyframes": 1, "scenes": 3, 0.1: 30}[pick]


def test_opaque_video_gets_no_transparency(tmp_path):
    opaque = [np.dstack([frame[..., :3], np.full((HEIGHT, WIDTH), 255, np.uint8)]) for frame in drawn()]
    path = write_source(tmp_path, "mov", opaque)
    process(path, tmp_path / "a.webm", lambda rgb, time: rgb)
    with VideoReader(tmp_path / "a.webm") as video:
        assert not video.has_alpha


def test_photo_beside_its_cartoon_keeps_its_transparency(tmp_path):
    path = write_source(tmp_path, "gif", drawn())
    process(path, tmp_path / "out_%d.png", lambda rgb, time: 255 - rgb, VideoOptions(side_by_side=True))
    pair = images.read(tmp_path / "out_1.png")
    assert pair.rgb.shape == (HEIGHT, 2 * WIDTH, 3) and (pair.alpha[:, :WIDTH] == pair.alpha[:, WIDTH:]).all()
    assert (pair.alpha[:, :WIDTH] == drawn()[0][..., 3]).all()
