"""`ppcartoon infer` with videos: outputs, messages and exit codes; frames and audio are tested in tests/video."""

import re
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

import ppcartoon
from ppcartoon.cli import infer
from ppcartoon.video.pipeline import Estimate
from tests.helpers import videos
from tests.helpers.samples import photo

pytestmark = pytest.mark.slow

TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder with a video of two scenes, 12 frames of 96x64, in `videos`."""
    monkeypatch.chdir(tmp_path)
    Path("videos").mkdir()
    videos.write("videos/a.mp4", videos.scenes(0, 1, seconds=0.5, height=64, width=96))
    return tmp_path


@pytest.fixture
def run(here, tiny_file, capsys):
    """Runs the command with the tiny network; returns exit code, standard output and standard error."""

    def run(*arguments):
        try:
            code = infer.main([*arguments, "--weights", str(tiny_file), "--engine", "onnx"])
        except SystemExit as stop:
            code = stop.code
        return code, *capsys.readouterr()

    return run


def outputs(folder="output"):
    return sorted(path.name for path in Path(folder).glob("*"))


def frames(path):
    with av.open(str(path)) as video:
        return [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]


def test_video_is_cartoonized(run, predictor):
    code, out, err = run("-i", "videos/a.mp4", "--crf", "4")
    assert code == 0
    assert re.fullmatch(r"ppcartoon: videos/a.mp4: 96x64, working size 96, 12 frames: about [\d.]+ s\n", err)
    assert out.startswith("1 cartoon in output/a.mp4; ") and re.search(r", 12 frames at [\d.]+ per second, ", out)
    cartoon, source = frames("output/a.mp4"), frames("videos/a.mp4")
    assert len(cartoon) == len(source) == 12
    for i in (0, 6):  # the first frames of the scenes
        assert np.abs(np.int_(cartoon[i]) - predictor(source[i])).mean() < 6


@pytest.mark.parametrize(
    "size, frames, seconds, expected",
    [
        ((1920, 1080), 1500, 0.2, "1920x1080, working size 768, 1500 frames: about 5 min"),
        ((1920, 1080), 1500, 2, "1920x1080, working size 768, 1500 frames: about 50 min; --working-size 320 is faster"),
        ((300, 200), 90_000, 0.1, "300x200, working size 300, 90000 frames: about 2 h; --duration 0:10 makes a sample"),
        ((640, 360), None, 0.25, "640x360, working size 640, per frame: about 0.2 s"),
    ],
)
def test_line_at_the_start_of_a_video_tells_its_time_and_what_is_faster(size, frames, seconds, expected):
    deflicker = types.SimpleNamespace(working_size=768)
    line = infer.forecast(Path("a.mp4"), deflicker, Estimate(size, frames, seconds))
    assert line == f"ppcartoon: a.mp4: {expected}"


def test_script_cartoonizes_a_folder_with_one_video_into_a_file(here, tiny_file):
    command = [sys.executable, TOOLS / "infer.py", "-i", "videos", "-o", "b.mkv", "-w", tiny_file, "--engine", "onnx"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and "Traceback" not in done.stderr and done.stdout.startswith("1 cartoon in b.mkv; ")
    assert len(frames("b.mkv")) == 12


def test_time_range_max_size_and_side_by_side_are_applied(run):
    arguments = ["--side-by-side", "--start", "0:00.5", "--duration", "0.25", "--max-size", "48"]
    assert run("-i", "videos/a.mp4", "-o", "pair.mp4", *arguments)[0] == 0
    pairs = frames("pair.mp4")
    assert len(pairs) == 3 and pairs[0].shape == (32, 96, 3)
    half = np.asarray(Image.fromarray(videos.scene(1, 64, 96)).resize((48, 32)))
    assert np.abs(np.int_(pairs[0][:, :48]) - half).mean() < 10 < np.abs(np.int_(pairs[0][:, 48:]) - half).mean()


def test_animated_gif_stays_a_gif_and_a_still_one_is_a_photo(run):
    stills = [Image.fromarray(photo(40, 56, i)) for i in range(3)]
    stills[0].save("videos/b.gif", save_all=True, append_images=stills[1:], duration=200)
    stills[0].save("videos/c.gif")
    code, out, _ = run("-i", "videos")
    assert code == 0 and out.startswith("3 cartoons in output; ")
    assert outputs() == ["a.mp4", "b.gif", "c.png"]
    with Image.open("output/b.gif") as image:
        assert (image.n_frames, image.size, image.info["duration"]) == (3, (56, 40), 200)


def test_animated_webp_stays_one_and_a_still_cartoon_of_it_gives_a_remark(run):
    stills = [Image.fromarray(photo(40, 56, i)) for i in range(3)]
    stills[0].save("videos/b.webp", save_all=True, append_images=stills[1:], duration=200)
    assert run("videos/b.webp")[0] == 0
    with Image.open("output/b.webp") as image:
        assert (image.n_frames, image.size) == (3, (56, 40))
    code, _, err = run("videos/b.webp", "--ext", "jpg")
    assert code == 0 and err == "ppcartoon: videos/b.webp: the first of 3 frames is used, 2 left out\n"


def test_video_becomes_numbered_images_and_numbered_images_become_a_video(run):
    assert run("-i", "videos/a.mp4", "-o", "cartoons/%03d.png", "--duration", "0.3")[0] == 0
    assert outputs("cartoons") == ["001.png", "002.png", "003.png", "004.png"]
    assert run("-i", "cartoons/%03d.png", "-o", "b.mp4", "--fps", "10")[0] == 0
    with av.open("b.mp4") as video:
        assert video.streams.video[0].frames == 4 and video.streams.video[0].average_rate == 10


def test_flags_of_encoders_and_of_numbered_images_are_named_where_they_change_nothing(run):
    code, _, err = run("videos/a.mp4", "-o", "a.gif", "--codec", "vp9", "--crf", "9", "--fps", "3", "--start", "0.1")
    assert code == 0 and err.startswith("ppcartoon: --codec, --crf, --fps: no effect on these inputs\n")


def test_damaged_video_and_audio_file_are_reported_and_the_rest_is_cartoonized(run):
    Image.fromarray(photo(24, 32)).save("videos/b.png")
    Path("videos/c.mp4").write_bytes(Path("videos/a.mp4").read_bytes()[:300])
    with av.open("videos/d.mkv", "w") as out:
        audio = out.add_stream("aac", 48000, layout="mono")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        silence.sample_rate = 48000
        out.mux(audio.encode(silence))
        out.mux(audio.encode(None))
    code, out, err = run("-i", "videos")
    assert code == 1 and out.startswith("2 cartoons in output, 2 failed; ")
    failures = [line for line in err.splitlines() if "working size" not in line]
    assert sorted(line.split(":")[1] for line in failures) == [" videos/c.mp4", " videos/d.mkv"]
    assert outputs() == ["a.mp4", "b.png"]


def test_truncated_video_keeps_its_first_part_and_gives_exit_code_1(run):
    videos.write("videos/a.mkv", videos.scenes(*range(6), height=64, width=96))
    complete = Path("videos/a.mkv").read_bytes()
    Path("videos/a.mkv").write_bytes(complete[: len(complete) // 2])
    code, _, err = run("-i", "videos/a.mkv")
    assert code == 1 and err.count("\n") == 2
    assert err.splitlines()[1].startswith("ppcartoon: videos/a.mkv: truncated at ")
    assert 12 < len(frames("output/a.mkv")) < 60


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["-o", "b.webm", "--codec", "h264"], "b.webm: webm holds vp9 or av1, not h264"),
        (["-o", "b.avi"], "b.avi: cannot write this format"),
        (["--crf", "60"], "crf 60: h264 takes 0 (best) to 51"),
        (["--start", "9"], "has no frames in the selected time range"),
        (["--start", "soon"], "--start"),
        (["--fps", "0"], "--fps"),
    ],
)
def test_invalid_options_are_reported_and_nothing_is_written(run, arguments, message):
    code, _, err = run("-i", "videos/a.mp4", *arguments)
    assert code in (1, 2) and message in err and "Traceback" not in err
    assert outputs() == [] and not set(outputs(".")) - {"videos", "output"}


@pytest.mark.parametrize("library, package", [("av", "av"), ("cv2", "opencv-python-headless")])
def test_missing_library_is_one_line_that_says_what_to_install(run, monkeypatch, library, package):
    for module in ("video", *(f"video.{name}" for name in ("clips", "writer", "pipeline", "audio", "deflicker"))):
        monkeypatch.delitem(sys.modules, f"ppcartoon.{module}", raising=False)
    monkeypatch.delattr(ppcartoon, "video", raising=False)
    monkeypatch.setitem(sys.modules, library, None)
    code, _, err = run("-i", "videos/a.mp4")
    assert code == 2 and err.count("\n") == 1
    assert err == f"ppcartoon: {library} is not installed; for videos: pip install {package}\n"


def test_skip_existing_keeps_existing_cartoons(run):
    Path("output").mkdir()
    Path("output/a.mp4").write_bytes(b"mine")
    videos.write("videos/b.mkv", videos.still(videos.scene(2, 64, 96), 0.2))
    code, out, _ = run("-i", "videos", "--skip-existing")
    assert code == 0 and out.startswith("1 cartoon in output, 1 skipped, there already; ")
    assert Path("output/a.mp4").read_bytes() == b"mine" and len(frames("output/b.mkv")) == 2


def test_skip_existing_makes_an_interrupted_video_again(run):
    Path("output").mkdir()
    Path("output/a.partial.mp4").write_bytes(b"a part")
    code, out, _ = run("-i", "videos", "--skip-existing")
    assert code == 0 and "skipped" not in out and outputs() == ["a.mp4"]


def test_skip_existing_keeps_numbered_images_that_exist(run):
    Path("out").mkdir()
    for number in (2, 5):
        Path(f"out/{number}.png").write_bytes(b"mine")
    code, _, err = run("-i", "videos/a.mp4", "-o", "out/%d.png", "--skip-existing")
    assert code == 0 and "2 of 12 numbered images were there already" in err
    assert [path.read_bytes() == b"mine" for path in (Path(f"out/{i}.png") for i in range(1, 13))].count(True) == 2
    code, _, err = run("-i", "videos/a.mp4", "-o", "out/%d.png", "--skip-existing")
    assert code == 0 and "12 of 12 numbered images were there already" in err


def test_partial_file_of_a_cartoon_never_replaces_an_input(run):
    Path("videos/a.mp4").rename("videos/a.partial.mp4")
    code, _, err = run("-i", "videos/a.partial.mp4", "-o", "videos/a.mp4")
    assert code == 2 and "would replace an input" in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_video_is_a_partial_file_and_later_videos_are_not_started(here, tiny_file, number):
    noise = list(np.random.default_rng(0).integers(0, 256, (8, 96, 128, 3), np.uint8))
    videos.write("videos/long.mkv", noise * 250, options={"preset": "ultrafast", "crf": "20"})
    command = [sys.executable, TOOLS / "infer.py", "-i", "videos/long.mkv", "videos/a.mp4", "-w", tiny_file]
    process = subprocess.Popen([*command, "--engine", "onnx", "--crf", "0"], stderr=subprocess.PIPE, text=True)
    while sum(path.stat().st_size for path in Path().glob("output/.*")) < 100_000:
        time.sleep(0.02)
        assert process.poll() is None
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "stopped at" in err.splitlines()[-1] and "Traceback" not in err
    assert outputs() == ["long.partial.mkv"] and 0 < len(frames("output/long.partial.mkv")) < 1900
