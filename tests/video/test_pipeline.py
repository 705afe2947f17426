"""Videos in, videos out: timestamps, audio, colors and sizes. The cartoon is the negative, so that pixels are known."""

import threading
from pathlib import Path

import av
import numpy as np
import pytest

from ppcartoon import InputError, images
from ppcartoon.video import cartoonize
from ppcartoon.video.formats import CODECS, choose_codec
from ppcartoon.video.pipeline import VideoOptions, process, with_fixed_size
from tests.helpers import videos
from tests.helpers.samples import photo

SUFFIXES = {"prores": ".mov", "vp9": ".webm", "h264": ".mp4", "h265": ".mov", "av1": ".mkv"}


def negative(rgb, time):
    return 255 - rgb


def converted(source, target, **options):
    """The target, after the source was written to it as a negative, without warnings."""
    report = process(source, target, negative, VideoOptions(**options))
    assert not report.warnings
    return target


def times(path, stream="video"):
    with av.open(str(path)) as video:
        packets = (packet for packet in video.demux(**{stream: 0}) if packet.size)
        return sorted(float(packet.pts * packet.time_base) for packet in packets)


def frames(path):
    """The frames in RGB, converted as players do, by the color tags of the file."""
    with av.open(str(path)) as video:
        return [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]


def audio(path):
    """The language of each audio track, and its packets with their times."""
    with av.open(str(path)) as video:
        streams = video.streams.audio
        found = {stream.index: (stream.metadata.get("language"), []) for stream in streams}
        for packet in video.demux(streams):
            if packet.size:
                found[packet.stream.index][1].append((packet.pts * packet.time_base, bytes(packet)))
        return list(found.values())


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".webm"])
@pytest.mark.parametrize("source", ["a.mp4", "a.mkv"])
def test_variable_frame_rate_is_kept(tmp_path, source, suffix):
    irregular = [0, 1, 2, 5, 6, 14, 15, 30]
    path = videos.write(tmp_path / source, [videos.scene(i, 36, 64) for i in range(8)], times=irregular)
    written = times(converted(path, tmp_path / f"cartoon{suffix}"))
    assert np.abs(np.subtract(written, times(path))).max() < 0.001
    assert written[0] == 0 and written[-1] == 2.5


def test_duration_of_the_last_frame_is_kept(tmp_path):
    path = videos.write(tmp_path / "a.mp4", [videos.scene(0, 36, 64)])
    with av.open(str(converted(path, tmp_path / "b.mp4"))) as video:
        assert video.duration == pytest.approx(1e6 / videos.RATE, abs=1000)


@pytest.mark.parametrize("kind", ["mp4", "mov", "mkv"])
def test_audio_is_copied_bit_for_bit_with_timestamps_and_languages(tmp_path, kind):
    path = videos.write_flash(tmp_path / f"a.{kind}", languages=("deu", "fra"))
    assert audio(converted(path, tmp_path / f"b.{kind}")) == audio(path)
    with av.open(str(tmp_path / f"b.{kind}")) as video:
        assert [stream.type for stream in video.streams] == ["video", "audio", "audio"]


@pytest.mark.parametrize(
    "source, codec, target, expected",
    [
        ("a.mp4", "aac", "b.webm", "opus"),
        ("a.mkv", "pcm_s16le", "b.mp4", "aac"),
        ("a.mkv", "pcm_s16le", "b.mov", "pcm_s16le"),
        ("a.mkv", "libopus", "b.webm", "opus"),
        ("a.mkv", "libopus", "b.mov", "aac"),
        ("a.ts", "aac", "b.mp4", "aac"),
        ("a.avi", "libmp3lame", "b.mkv", "mp3"),
    ],
)
def test_audio_stays_in_sync_whether_copied_or_encoded(tmp_path, source, codec, target, expected):
    white, loud = videos.onset(videos.write_flash(tmp_path / source, audio_codec=codec, languages=("fra",)))
    path = converted(tmp_path / source, tmp_path / target)
    with av.open(str(path)) as video:
        assert video.streams.audio[0].codec_context.codec.canonical_name == expected
        assert video.streams.audio[0].language == (None if source == "a.avi" else "fra")
    black = next(i for i, frame in enumerate(frames(path)) if frame.mean() < 128)  # in the negative
    delay = videos.onset(path)[1] - times(path)[black]
    assert abs(delay - (loud - white)) < 0.01


@pytest.mark.parametrize("source", ["a.mp4", "a.mkv", "a.ts"])
@pytest.mark.parametrize("target", ["b.mp4", "b.mkv", "b.webm"])
def test_time_range_selects_its_frames_and_their_audio(tmp_path, source, target):
    path = videos.write_flash(tmp_path / source, flash=1, seconds=2)
    converted(path, tmp_path / target, start=0.7, duration=0.8)
    dark = [frame.mean() < 128 for frame in frames(tmp_path / target)]
    written = times(tmp_path / target)
    assert written[0] < 1 / videos.RATE and written[-1] < 0.8 and len(written) in (9, 10)
    assert abs(written[dark.index(True)] - 0.3) < 0.03
    assert abs(videos.onset(tmp_path / target)[1] - written[dark.index(True)]) < 0.03
    audio_times = times(tmp_path / target, "audio")
    assert audio_times[0] >= -0.01 and 0.7 < audio_times[-1] < 0.8


def test_time_range_starts_at_the_first_frame_inside_it(tmp_path):
    path = videos.write(tmp_path / "a.mkv", [videos.scene(i, 36, 64) for i in range(12)])
    seen = []
    options = VideoOptions(start=0.5, duration=0.25)
    process(path, tmp_path / "b.mp4", lambda rgb, time: seen.append(time) or rgb, options)
    assert seen == pytest.approx([0, 1 / 12, 2 / 12], abs=0.001)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".webm"])
def test_output_is_tagged_bt709_and_decodes_to_the_same_colors(tmp_path, suffix):
    patches = [(255, 255, 255), (0, 0, 0), (118, 118, 118), (200, 120, 60), (60, 160, 90), (60, 80, 200)]
    image = np.repeat(np.repeat(np.uint8([patches]), 64, 0), 32, 1)
    av.VideoFrame.from_ndarray(image).to_image().save(tmp_path / "1.png")
    path = converted(tmp_path / "%d.png", tmp_path / f"a{suffix}", crf=4)
    centers = frames(path)[0][32, 16::32].astype(int)
    assert np.abs(centers - (255 - np.int_(patches))).max() <= 3
    with av.open(str(path)) as video:
        context = video.streams.video[0].codec_context
        assert (context.colorspace, context.color_range, context.color_trc, context.color_primaries) == (1, 1, 1, 1)


@pytest.mark.parametrize("rotation", [(0, 1, -1, 0), (-1, 0, 0, -1)])
def test_rotated_video_is_written_upright_without_a_display_matrix(tmp_path, rotation):
    a, b, c, d = (number << 16 for number in rotation)
    image = np.full((48, 64, 3), 200, np.uint8)
    image[:16, :16] = 20  # a corner, at the top left
    path = videos.write(tmp_path / "a.mp4", [image], matrix=(a, b, 0, c, d, 0, 0, 0, 1 << 30))
    with av.open(str(converted(path, tmp_path / "b.mp4"))) as video:
        (frame,) = video.decode(video=0)
        rgb = 255 - frame.to_ndarray(format="rgb24")
        assert "DISPLAYMATRIX" not in frame.side_data
    assert rgb.shape == ((64, 48, 3) if b else (48, 64, 3))
    corner = rgb[:12, -12:] if b else rgb[-12:, -12:]
    assert corner.mean() < 40 and rgb.mean() > 150


def test_anamorphic_video_is_written_with_square_pixels(tmp_path):
    path = videos.write(tmp_path / "a.mkv", [videos.scene(0, 48, 64)], aspect=(2, 1))
    with av.open(str(converted(path, tmp_path / "b.mp4"))) as video:
        assert (video.streams.video[0].width, video.streams.video[0].height) == (128, 48)
        assert video.streams.video[0].sample_aspect_ratio in (None, 1)


@pytest.mark.parametrize("height, width", [(1, 1), (17, 33), (16, 33), (17, 32)])
def test_odd_sides_are_padded_by_a_copy_of_the_last_row_or_column(tmp_path, height, width):
    rgb = photo(height, width)
    av.VideoFrame.from_ndarray(rgb).to_image().save(tmp_path / "1.png")
    (frame,) = frames(converted(tmp_path / "%d.png", tmp_path / "a.mp4", crf=4))
    assert frame.shape == (height + height % 2, width + width % 2, 3)
    assert np.abs(frame[:height, :width].astype(int) - (255 - rgb)).mean() < 12
    assert np.abs(frame[-1].astype(int) - frame[height - 1]).mean() < 12


def test_images_of_other_sizes_are_fitted_into_the_first_with_black_bars_in_a_video(tmp_path):
    for number, size in enumerate([(24, 32), (48, 64), (20, 20)]):
        av.VideoFrame.from_ndarray(photo(*size)).to_image().save(tmp_path / f"{number}.png")
    report = process(tmp_path / "%d.png", tmp_path / "a.mkv", negative, VideoOptions(crf=4))
    written = frames(tmp_path / "a.mkv")
    assert [frame.shape for frame in written] == [(24, 32, 3)] * 3
    assert np.abs(written[0].astype(int) - written[1]).mean() < 12
    assert written[2][:, :3].max() < 20 and written[2][:, -3:].max() < 20 and written[2][:, 5:-5].mean() > 60
    assert not report.warnings
    assert [remark.split(": ")[1] for remark in report.remarks] == [
        "2 frames of other sizes, such as 64x48, were fitted into 32x24, that of the first"
    ]


@pytest.mark.parametrize("numbered", [False, True])
def test_numbered_images_keep_each_its_own_size(tmp_path, numbered):
    sizes = [(24, 32), (48, 64), (20, 20)]
    if numbered:
        source = tmp_path / "%d.png"
        for number, size in enumerate(sizes):
            av.VideoFrame.from_ndarray(photo(*size)).to_image().save(tmp_path / f"{number}.png")
    else:
        sizes, source = [(48, 64), (64, 96)], tmp_path / "a.h264"
        for size in sizes:
            part = videos.write(tmp_path / "part.h264", [videos.scene(0, *size)])
            source.open("ab").write(part.read_bytes())
    assert converted(source, tmp_path / "out/%d.png").parent.is_dir()
    paths = sorted((tmp_path / "out").iterdir())
    assert [images.read(path).rgb.shape for path in paths] == [(*size, 3) for size in sizes]


def test_change_of_size_inside_a_video_is_fitted_and_told(tmp_path):
    path = tmp_path / "a.h264"
    for size in ((48, 64), (48, 128)):
        path.open("ab").write(
            videos.write(tmp_path / "part.h264", [np.full((*size, 3), 20, np.uint8)] * 3).read_bytes()
        )
    report = process(path, tmp_path / "b.mp4", negative, VideoOptions(crf=4))
    written = frames(tmp_path / "b.mp4")
    assert [frame.shape for frame in written] == [(48, 64, 3)] * 6
    assert written[-1][:10].max() < 20 and written[-1][14:34].min() > 200
    assert [remark.split(": ")[1] for remark in report.remarks] == [
        "3 frames of 128x48 were fitted into 64x48, that of the first"
    ]


def test_max_size_reduces_frames_and_side_by_side_joins_them_with_their_cartoons(tmp_path):
    path = videos.write(tmp_path / "a.mp4", [videos.scene(0)])
    (pair,) = frames(converted(path, tmp_path / "b.mp4", max_size=80, side_by_side=True, crf=4))
    assert pair.shape == (46, 160, 3)  # 45 rows, padded by one
    left, right = np.split(pair.astype(int), 2, 1)
    assert np.abs(left - (255 - right)).mean() < 6


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_writes_a_video_and_prints_nothing(tmp_path, codec, capfd):
    path = videos.write(tmp_path / "a.mp4", [videos.scene(i, 64, 96) for i in range(4)])
    target = converted(path, tmp_path / f"b{SUFFIXES[codec]}", codec=codec)
    assert len(frames(target)) == 4
    assert np.abs(frames(target)[0].astype(int) - (255 - videos.scene(0, 64, 96))).mean() < 8
    assert not [line for line in capfd.readouterr().err.splitlines() if "frame" not in line]


def test_larger_crf_gives_a_smaller_file(tmp_path):
    path = videos.write(tmp_path / "a.mp4", videos.scenes(0, 1))
    sizes = [converted(path, tmp_path / f"{crf}.mp4", crf=crf).stat().st_size for crf in (10, None, 40)]
    assert sizes[0] > sizes[1] > sizes[2]


@pytest.mark.parametrize(
    "target, options, message",
    [
        ("b.webm", {"codec": "h264"}, "webm holds vp9 or av1, not h264"),
        ("b.mp4", {"crf": 52}, r"crf 52: h264 takes 0 \(best\) to 51"),
        ("b.mov", {"crf": 9, "codec": "prores"}, "crf 9: prores has no such setting"),
        ("b.avi", {}, r"unknown video format; use \.mp4"),
        ("%d.bmp", {}, r"unknown image format; use \.jpg"),
        ("b.mp4", {"codec": "av1", "max_size": 2}, "libsvtav1 cannot encode frames of 2x2"),
    ],
)
def test_invalid_options_are_refused_and_nothing_is_written(tmp_path, target, options, message):
    path = videos.write(tmp_path / "a.mp4", [videos.scene(0, 32, 64)])
    with pytest.raises(InputError, match=message) as caught:
        converted(path, tmp_path / target, **options)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == [path]


class CountingPredictor:
    """Stands for a CartoonPredictor that returns its frames unchanged, and counts its calls."""

    def __init__(self):
        self.calls = self.blended_calls = 0
        self.working_size = 0

    def __call__(self, rgb):
        self.calls += 1
        return rgb

    def reduce(self, rgb):
        return rgb

    def finish(self, cartoon, rgb):
        return cartoon

    def with_stats(self, rgb, stats, alpha):
        self.blended_calls += 1
        return rgb, np.zeros(1)


def test_without_gpl_encoders_the_default_is_a_free_one(monkeypatch):
    monkeypatch.setattr("av.codec.codecs_available", {"libvpx-vp9", "libsvtav1", "prores_ks"})
    assert [choose_codec(Path(f"a{suffix}"), None, None) for suffix in (".mp4", ".mkv")] == [
        CODECS["vp9"]._replace(alpha=None),
        CODECS["vp9"],
    ]
    assert choose_codec(Path("a.mov"), None, None) == CODECS["prores"]
    with pytest.raises(InputError, match=r"a.mp4: FFmpeg has no encoder libx264 here; use --codec vp9 or av1"):
        choose_codec(Path("a.mp4"), "h264", None)


def test_frames_are_finished_in_order_in_another_thread(tmp_path):
    """The network does not wait for enlarging and encoding; side by side shows what `finish` made."""
    source = videos.write(tmp_path / "a.mp4", [videos.scene(i, 64, 96) for i in range(4)])
    seen = []

    def finish(drawn, frame):
        seen.append((threading.current_thread(), float(drawn)))
        return 255 - frame

    options = VideoOptions(side_by_side=True)
    process(source, tmp_path / "%d.png", lambda frame, time: np.float64(time), options, finish=finish)
    finishing, times = zip(*seen)
    assert times == pytest.approx((0, 1 / 12, 2 / 12, 3 / 12)) and threading.current_thread() not in finishing
    made = images.read(tmp_path / "1.png").rgb
    assert made.shape == (64, 192, 3) and (made[:, 96:] == 255 - made[:, :96]).all()


@pytest.mark.parametrize("options, expected", [({}, (0, 4)), ({"deflicker": False}, (4, 0))])
def test_cartoonize_deflickers_by_default(tmp_path, options, expected):
    source = videos.write(tmp_path / "a.mp4", [videos.scene(i, 64, 96) for i in range(4)])
    predictor = CountingPredictor()
    report = cartoonize(str(source), tmp_path / "b.mp4", predictor, **options)
    assert (report.frames, report.warnings) == (4, []) and len(frames(tmp_path / "b.mp4")) == 4
    assert (predictor.calls, predictor.blended_calls) == expected


def test_cartoonize_passes_its_options_on(tmp_path):
    source = videos.write(tmp_path / "a.mp4", [videos.scene(i, 64, 96) for i in range(4)])
    report = cartoonize(source, str(tmp_path / "b.mp4"), CountingPredictor(), VideoOptions(max_size=48, duration=0.2))
    assert report.frames == 3 and frames(tmp_path / "b.mp4")[0].shape == (32, 48, 3)


@pytest.mark.parametrize(
    "options, expected", [({}, [0, 1, 2, 3]), ({"start": 1, "duration": 2}, [1, 2]), ({"start": 9}, None)]
)
@pytest.mark.parametrize("numbered", [False, True])
def test_working_size_is_chosen_from_frames_of_the_whole_time_range(tmp_path, predictor, options, expected, numbered):
    scenes = videos.scenes(0, 1, 2, 3, seconds=1, height=32, width=48)
    source = videos.write(tmp_path / "a.mp4", scenes, options={"g": str(videos.RATE)})
    if numbered:
        source, options = tmp_path / "%03d.png", options | {"fps": videos.RATE}
        for i, frame in enumerate(scenes):
            av.VideoFrame.from_ndarray(frame).to_image().save(tmp_path / f"{i:03d}.png")
    seen = []
    auto = predictor.replace(working_size="auto")
    auto.choose_size = lambda frames: seen.extend(frames) or 77
    fixed = with_fixed_size(auto, source, VideoOptions(**options))
    if expected is None:
        assert fixed.working_size == "auto" and not seen
        return
    assert fixed.working_size == 77 and len(seen) <= 8
    nearest = [
        min(range(4), key=lambda i: np.abs(scenes[videos.RATE * i].astype(int) - frame).mean()) for frame in seen
    ]
    assert sorted(set(nearest)) == expected
