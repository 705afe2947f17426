"""GIFs, numbered images, and sources that are damaged or not videos."""

import subprocess
import sys

import av
import numpy as np
import pytest
from PIL import Image

from ppcartoon import images
from ppcartoon.errors import InputError, OutputError
from ppcartoon.video.pipeline import VideoOptions, process
from ppcartoon.video.reader import VideoReader
from tests.helpers import videos
from tests.helpers.samples import photo

SEEDS = range(6)


def negative(rgb, time):
    return 255 - rgb


def delays(path):
    """The delays of the frames of a GIF in milliseconds."""
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
def test_gif_keeps_its_delays_and_loop_count(tmp_path, loop):
    path = write_gif(tmp_path / "a.gif", [100, 40, 700, 20], **({} if loop is None else {"loop": loop}))
    assert process(path, tmp_path / "b.gif", negative).frames == 4
    assert delays(tmp_path / "b.gif") == [100, 40, 700, 20]
    with Image.open(tmp_path / "b.gif") as image:
        assert image.info.get("loop") == loop


def test_video_becomes_a_gif_that_loops_forever_with_a_palette_per_frame(tmp_path):
    path = videos.write(tmp_path / "a.mp4", [videos.scene(seed, 90, 160) for seed in SEEDS])
    process(path, tmp_path / "b.gif", lambda rgb, time: rgb)
    assert sum(delays(tmp_path / "b.gif")) == 500 and set(delays(tmp_path / "b.gif")) == {80, 90}
    with Image.open(tmp_path / "b.gif") as image:
        assert image.info["loop"] == 0
        for seed in SEEDS:
            image.seek(seed)
            assert np.abs(np.int_(image.convert("RGB")) - videos.scene(seed, 90, 160)).mean() < 8


def test_gif_has_no_delay_that_viewers_would_ignore(tmp_path):
    for number in range(12):
        images.write(tmp_path / f"{number}.png", images.Picture(photo(8, 8, number)))
    process(tmp_path / "%d.png", tmp_path / "a.gif", negative, VideoOptions(fps=120))
    assert min(delays(tmp_path / "a.gif")) >= 20 and sum(delays(tmp_path / "a.gif")) <= 110


@pytest.mark.parametrize(
    "source, expected", [([100, 100, 10, 3000], [100, 100, 3010]), ([10, 3000, 10, 90], [3010, 100]), ([10] * 10, None)]
)
def test_gif_that_drops_short_frames_keeps_its_total_time_and_its_long_frames(tmp_path, source, expected):
    report = process(write_gif(tmp_path / "a.gif", source), tmp_path / "b.gif", lambda rgb, time: rgb)
    written = delays(tmp_path / "b.gif")
    assert sum(written) == sum(source) and min(written) >= 20 and (expected is None or written == expected)
    count = len(source) - len(written)
    assert report.remarks == [
        f"{tmp_path / 'a.gif'}: {count} of {len(source)} frames left out: a GIF holds at most 50 per second"
    ]
    with Image.open(tmp_path / "b.gif") as image:
        longest = int(np.argmax(source))
        image.seek(int(np.argmax(written)))
        assert expected is None or np.abs(np.int_(image.convert("RGB")) - videos.scene(longest, 36, 64)).mean() < 30


def test_transparent_pixels_of_a_gif_become_white_in_a_format_without_transparency(tmp_path):
    frames = []
    for x in (0, 20):
        frame = Image.new("RGBA", (40, 30))
        frame.paste((200, 0, 0, 255), (x, 10, x + 10, 20))
        frames.append(frame)
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=100, disposal=2)
    report = process(tmp_path / "a.gif", tmp_path / "b.mp4", lambda rgb, time: rgb, VideoOptions(crf=4))
    with VideoReader(tmp_path / "b.mp4") as video:
        seen = [frame.rgb for frame in video.frames("frames")]
    assert (seen[1][0, 0] == 255).all() and (seen[1][15, 5] == 255).all()
    assert np.abs(np.int_(seen[1][15, 25]) - (200, 0, 0)).max() < 8
    assert report.remarks == [
        f"{tmp_path / 'a.gif'}: transparent parts of 2 frames are white, since h264 in mp4 cannot hold them; "
        ".webm and .webp can"
    ]


def test_numbered_images_keep_their_numbers(tmp_path):
    for number in (8, 9, 10, 12):
        images.write(tmp_path / "in" / f"a_{number:03d}.png", images.Picture(photo(10, 12, number)))
    (tmp_path / "in" / "a_011.txt").touch()
    (tmp_path / "in" / "a_13.png").touch()  # the pattern has three digits
    times = []

    def recording_negative(rgb, time):
        times.append(time)
        return 255 - rgb

    report = process(tmp_path / "in/a_%03d.png", tmp_path / "out/%d.png", recording_negative, VideoOptions(fps=10))
    assert report.frames == 4 and times == pytest.approx([0, 0.1, 0.2, 0.3])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["10.png", "12.png", "8.png", "9.png"]
    assert (images.read(tmp_path / "out/12.png").rgb == 255 - photo(10, 12, 12)).all()


def test_numbered_images_become_a_video_and_a_video_becomes_numbered_images(tmp_path):
    for number in range(1, 31):
        images.write(tmp_path / f"{number}.png", images.Picture(np.full((16, 16, 3), 8 * number, np.uint8)))
    process(tmp_path / "%d.png", tmp_path / "a.mp4", negative, VideoOptions(fps=29.97, start=0.5, crf=4))
    with av.open(str(tmp_path / "a.mp4")) as video:
        assert video.streams.video[0].average_rate == pytest.approx(29.97, abs=0.01)
    report = process(tmp_path / "a.mp4", tmp_path / "back/%05d.png", negative)
    assert report.frames == 15
    levels = [images.read(tmp_path / "back" / f"{number:05d}.png").rgb.mean() for number in range(1, 16)]
    assert np.abs(np.subtract(levels, [8 * (number + 15) for number in range(1, 16)])).max() < 4


def test_unreadable_numbered_image_is_reported_and_leaves_a_time_gap(tmp_path):
    for number in range(1, 5):
        images.write(tmp_path / f"{number}.png", images.Picture(photo(16, 16, number)))
    (tmp_path / "3.png").write_bytes((tmp_path / "3.png").read_bytes()[:60])
    report = process(tmp_path / "%d.png", tmp_path / "a.mp4", negative, VideoOptions(fps=10))
    assert report.frames == 3 and len(report.warnings) == 1 and "3.png: " in report.warnings[0]
    with av.open(str(tmp_path / "a.mp4")) as video:
        assert [frame.time for frame in video.decode(video=0)] == pytest.approx([0, 0.1, 0.3])


def test_pattern_without_images_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"%04d\.png: no images match this pattern"):
        process(tmp_path / "none/%04d.png", tmp_path / "a.mp4", negative)


@pytest.fixture(scope="module", params=["mkv", "mp4"])
def video(tmp_path_factory, request):
    path = tmp_path_factory.mktemp("video") / f"video.{request.param}"
    options = videos.HALVES | ({"movflags": "faststart"} if request.param == "mp4" else {})
    return videos.write(path, videos.scenes(*SEEDS, seconds=0.5, height=90, width=160), options=options)


def sources(path):
    """The source frames of a video of negatives, each with its time."""
    with av.open(str(path)) as video:
        return [(frame.time, 255 - frame.to_ndarray(format="rgb24").astype(int)) for frame in video.decode(video=0)]


def test_truncated_video_keeps_its_first_part_and_reports_it(tmp_path):
    path = videos.write(tmp_path / "a.mkv", videos.scenes(*SEEDS, seconds=0.5), options=videos.HALVES)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    report = process(path, tmp_path / "b.mp4", negative)
    assert 9 < report.frames < 30 and len(sources(tmp_path / "b.mp4")) == report.frames
    assert any("truncated at 0:00:0" in warning and "of 0:00:03.00" in warning for warning in report.warnings)


def test_damaged_video_keeps_its_intact_frames_at_their_times_and_reports_the_rest(video, tmp_path):
    path, data = tmp_path / video.name, bytearray(video.read_bytes())
    middle = len(data) * 4 // 10
    data[middle : middle + 1500] = np.random.default_rng(0).bytes(1500)
    path.write_bytes(data)
    report = process(path, tmp_path / "b.mkv", negative)
    assert any("damaged pieces skipped" in warning for warning in report.warnings)
    found = {round(time, 2): rgb for time, rgb in sources(tmp_path / "b.mkv")}
    for time in (0, 2.5):
        assert np.abs(found[time] - videos.scene(int(2 * time), 90, 160)).mean() < 5


@pytest.mark.parametrize("content", [b"", b"Once upon a time\n" * 50, np.random.default_rng(0).bytes(9000)])
def test_source_that_is_not_a_video_is_refused_in_one_line_and_nothing_is_written(tmp_path, content):
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.mp4: ") as caught:
        process(path, tmp_path / "b.mp4", negative)
    assert "\n" not in str(caught.value) and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("target", ["b.mp4", "b.gif", "b/%d.png"])
def test_time_range_without_frames_is_refused_and_nothing_is_written(video, tmp_path, target):
    with pytest.raises(InputError, match="has no frames in the selected time range"):
        process(video, tmp_path / target, negative, VideoOptions(start=5))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("target", ["file/b.mp4", "file/b.gif", "file/%d.png", "/proc/nowhere/b.mkv"])
def test_output_folder_that_cannot_be_created_is_reported(video, tmp_path, target):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"a file is there, where a folder is needed|cannot be written"):
        process(video, tmp_path / target, negative)


def test_error_in_inference_names_the_video_and_keeps_the_previous_output(video, tmp_path):
    def refuse(rgb, time):
        raise InputError("160x90 needs more memory: use --max-size 80")

    (tmp_path / "b.mp4").write_bytes(b"before")
    with pytest.raises(InputError, match=rf"{video.name}: 160x90 needs more memory"):
        process(video, tmp_path / "b.mp4", refuse)
    assert (tmp_path / "b.mp4").read_bytes() == b"before" and len(list(tmp_path.iterdir())) == 1


def test_video_can_be_replaced_by_its_own_cartoon(video, tmp_path):
    target = tmp_path / f"b{video.suffix}"
    target.write_bytes(video.read_bytes())
    process(target, target, negative)
    assert len(sources(target)) == 36


def test_missing_pyav_is_one_line_that_says_what_to_install():
    script = "import sys; sys.modules['av'] = None\nimport ppcartoon.inference.jobs\nimport ppcartoon.video.pipeline"
    failed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (
        failed.stderr.splitlines()[-1] == "ppcartoon.errors.InputError: av is not installed; for videos: pip install av"
    )


def test_audio_that_changes_its_codec_ends_neither_frames_nor_audio(tmp_path):
    """In FLV the audio of another codec is a stream that was not there at first."""
    path = videos.write_flash(tmp_path / "a.flv", codec="flv", seconds=4)
    data, position, audio_tags = bytearray(path.read_bytes()), 13, []
    while position + 11 < len(data):
        audio_tags += [position + 11] if data[position] == 8 else []
        position += 15 + int.from_bytes(data[position + 1 : position + 4], "big")
    data[audio_tags[100]] = 0x2F  # MP3 among AAC
    path.write_bytes(data)
    assert process(path, tmp_path / "b.mkv", negative).frames == 48
    with av.open(str(tmp_path / "b.mkv")) as video:
        assert sum(packet.size > 0 for packet in video.demux(audio=0)) > 180
