"""Films as cartoons: times, sound, colors and shapes. The cartoon is the negative, so that pixels can be checked."""

import av
import numpy as np
import pytest

from ppcartoon import InputError
from ppcartoon.video.formats import CODECS
from ppcartoon.video.pipeline import Options, cartoonize
from tests.helpers import videos
from tests.helpers.samples import photo

QUICK = {"vp9": ".webm", "h264": ".mp4", "h265": ".mov", "av1": ".mkv"}


def negative(rgb, time):
    return 255 - rgb


def made(source, target, **options):
    report = cartoonize(source, target, negative, Options(**options))
    assert not report.warnings
    return target


def times(path, stream="video"):
    with av.open(str(path)) as film:
        packets = (packet for packet in film.demux(**{stream: 0}) if packet.size)
        return sorted(float(packet.pts * packet.time_base) for packet in packets)


def pictures(path):
    """As players show them: by the film's own tags."""
    with av.open(str(path)) as film:
        return [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]


def sound(path):
    with av.open(str(path)) as film:
        streams = film.streams.audio
        found = {each.index: (each.metadata.get("language"), []) for each in streams}
        for packet in film.demux(streams):
            if packet.size:
                found[packet.stream.index][1].append((packet.pts * packet.time_base, bytes(packet)))
        return list(found.values())


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".mov", ".webm"])
@pytest.mark.parametrize("source", ["a.mp4", "a.mkv"])
def test_times_are_kept_even_where_the_rate_varies(tmp_path, source, ending):
    moments = [0, 1, 2, 5, 6, 14, 15, 30]
    path = videos.write(tmp_path / source, [videos.scene(i, 36, 64) for i in range(8)], times=moments)
    kept = times(made(path, tmp_path / f"cartoon{ending}"))
    assert np.abs(np.subtract(kept, times(path))).max() < 0.001
    assert kept[0] == 0 and kept[-1] == 2.5


def test_how_long_the_last_picture_lasts_is_kept(tmp_path):
    still = videos.write(tmp_path / "a.mp4", [videos.scene(0, 36, 64)])
    with av.open(str(made(still, tmp_path / "b.mp4"))) as film:
        assert film.duration == pytest.approx(1e6 / videos.RATE, abs=1000)


@pytest.mark.parametrize("kind", ["mp4", "mov", "mkv"])
def test_sound_is_copied_bit_for_bit_with_its_times_and_languages(tmp_path, kind):
    path = videos.write_flash(tmp_path / f"a.{kind}", languages=("deu", "fra"))
    assert sound(made(path, tmp_path / f"b.{kind}")) == sound(path)
    with av.open(str(tmp_path / f"b.{kind}")) as film:
        assert [stream.type for stream in film.streams] == ["video", "audio", "audio"]


@pytest.mark.parametrize(
    "source, codec, target, wanted",
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
def test_sound_stays_where_it_is_heard_in_every_container(tmp_path, source, codec, target, wanted):
    before = videos.onset(videos.write_flash(tmp_path / source, sound=codec, languages=("fra",)))
    path = made(tmp_path / source, tmp_path / target)
    with av.open(str(path)) as film:
        assert film.streams.audio[0].codec_context.codec.canonical_name == wanted
        assert film.streams.audio[0].language == (None if source == "a.avi" else "fra")
    white = next(i for i, picture in enumerate(pictures(path)) if picture.mean() < 128)  # the negative's
    late = videos.onset(path)[1] - times(path)[white]
    assert abs(late - (before[1] - before[0])) < 0.01


@pytest.mark.parametrize("source", ["a.mp4", "a.mkv", "a.ts"])
@pytest.mark.parametrize("target", ["b.mp4", "b.mkv", "b.webm"])
def test_a_part_has_its_pictures_and_their_sound(tmp_path, source, target):
    path = videos.write_flash(tmp_path / source, moment=1, seconds=2)
    made(path, tmp_path / target, start=0.7, duration=0.8)
    dark = [picture.mean() < 128 for picture in pictures(tmp_path / target)]
    kept = times(tmp_path / target)
    assert kept[0] < 1 / videos.RATE and kept[-1] < 0.8 and len(kept) in (9, 10)
    assert abs(kept[dark.index(True)] - 0.3) < 0.03
    assert abs(videos.onset(tmp_path / target)[1] - kept[dark.index(True)]) < 0.03
    heard = times(tmp_path / target, "audio")
    assert heard[0] >= -0.01 and 0.7 < heard[-1] < 0.8


def test_a_part_begins_at_the_first_picture_from_then_on(tmp_path):
    path = videos.write(tmp_path / "a.mkv", [videos.scene(i, 36, 64) for i in range(12)])
    seen = []
    cartoonize(path, tmp_path / "b.mp4", lambda rgb, time: seen.append(time) or rgb, Options(start=0.5, duration=0.25))
    assert seen == pytest.approx([0, 1 / 12, 2 / 12], abs=0.001)


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".mov", ".webm"])
def test_colors_are_bt709_and_come_back_as_they_were(tmp_path, ending):
    patches = [(255, 255, 255), (0, 0, 0), (118, 118, 118), (200, 120, 60), (60, 160, 90), (60, 80, 200)]
    image = np.repeat(np.repeat(np.uint8([patches]), 64, 0), 32, 1)
    folder = tmp_path / "%d.png"
    av.VideoFrame.from_ndarray(image).to_image().save(tmp_path / "1.png")
    path = made(folder, tmp_path / f"a{ending}", crf=4)
    middle = pictures(path)[0][32, 16::32].astype(int)
    assert np.abs(middle - (255 - np.int_(patches))).max() <= 3
    with av.open(str(path)) as film:
        context = film.streams.video[0].codec_context
        assert (context.colorspace, context.color_range, context.color_trc, context.color_primaries) == (1, 1, 1, 1)


@pytest.mark.parametrize("turn", [(0, 1, -1, 0), (-1, 0, 0, -1)])
def test_pictures_are_upright_and_nothing_turns_them_again(tmp_path, turn):
    a, b, c, d = (each << 16 for each in turn)
    image = np.full((48, 64, 3), 200, np.uint8)
    image[:16, :16] = 20  # a corner, at the top left
    path = videos.write(tmp_path / "a.mp4", [image], matrix=(a, b, 0, c, d, 0, 0, 0, 1 << 30))
    with av.open(str(made(path, tmp_path / "b.mp4"))) as film:
        (frame,) = film.decode(video=0)
        rgb = 255 - frame.to_ndarray(format="rgb24")
        assert "DISPLAYMATRIX" not in frame.side_data
    assert rgb.shape == ((64, 48, 3) if b else (48, 64, 3))
    corner = rgb[:12, -12:] if b else rgb[-12:, -12:]
    assert corner.mean() < 40 and rgb.mean() > 150


def test_pixels_become_square(tmp_path):
    path = videos.write(tmp_path / "a.mkv", [videos.scene(0, 48, 64)], aspect=(2, 1))
    with av.open(str(made(path, tmp_path / "b.mp4"))) as film:
        assert (film.streams.video[0].width, film.streams.video[0].height) == (128, 48)
        assert film.streams.video[0].sample_aspect_ratio in (None, 1)


@pytest.mark.parametrize("height, width", [(1, 1), (17, 33), (16, 33), (17, 32)])
def test_odd_sides_get_one_more_pixel_like_the_last(tmp_path, height, width):
    rgb = photo(height, width)
    av.VideoFrame.from_ndarray(rgb).to_image().save(tmp_path / "1.png")
    (picture,) = pictures(made(tmp_path / "%d.png", tmp_path / "a.mp4", crf=4))
    assert picture.shape == (height + height % 2, width + width % 2, 3)
    assert np.abs(picture[:height, :width].astype(int) - (255 - rgb)).mean() < 12
    assert np.abs(picture[-1].astype(int) - picture[height - 1]).mean() < 12


def test_a_size_that_changes_becomes_the_first(tmp_path):
    for number, size in enumerate([(24, 32), (48, 64), (20, 20)]):
        av.VideoFrame.from_ndarray(photo(*size)).to_image().save(tmp_path / f"{number}.png")
    found = pictures(made(tmp_path / "%d.png", tmp_path / "a.mkv"))
    assert [picture.shape for picture in found] == [(24, 32, 3)] * 3
    assert np.abs(found[0].astype(int) - found[1]).mean() < 12


def test_pictures_are_reduced_and_set_beside_their_cartoons(tmp_path):
    path = videos.write(tmp_path / "a.mp4", [videos.scene(0)])
    (both,) = pictures(made(path, tmp_path / "b.mp4", max_size=80, side_by_side=True, crf=4))
    assert both.shape == (46, 160, 3)  # 45 rows, and one
    left, right = np.split(both.astype(int), 2, 1)
    assert np.abs(left - (255 - right)).mean() < 6


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_makes_a_film(tmp_path, codec, capfd):
    path = videos.write(tmp_path / "a.mp4", [videos.scene(i, 64, 96) for i in range(4)])
    target = made(path, tmp_path / f"b{QUICK[codec]}", codec=codec)
    assert len(pictures(target)) == 4
    assert np.abs(pictures(target)[0].astype(int) - (255 - videos.scene(0, 64, 96))).mean() < 8
    assert not [line for line in capfd.readouterr().err.splitlines() if "frame" not in line]


def test_more_crf_is_less_file(tmp_path):
    path = videos.write(tmp_path / "a.mp4", videos.scenes(0, 1))
    sizes = [made(path, tmp_path / f"{crf}.mp4", crf=crf).stat().st_size for crf in (10, None, 40)]
    assert sizes[0] > sizes[1] > sizes[2]


@pytest.mark.parametrize(
    "target, options, said",
    [
        ("b.webm", {"codec": "h264"}, "webm holds vp9 or av1, not h264"),
        ("b.mp4", {"crf": 52}, "crf 52: h264 knows 0, the best, to 51"),
        ("b.avi", {}, r"films are \.mp4"),
        ("%d.bmp", {}, r"images are \.jpg"),
        ("b.mp4", {"codec": "av1", "max_size": 2}, "libsvtav1 takes no pictures of 2x2"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_written(tmp_path, target, options, said):
    path = videos.write(tmp_path / "a.mp4", [videos.scene(0, 32, 64)])
    with pytest.raises(InputError, match=said) as caught:
        made(path, tmp_path / target, **options)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == [path]
