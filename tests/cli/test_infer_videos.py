"""The command line with films: pictures, sound and times are `test_video`'s, here is what a user meets."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

import ppcartoon
from ppcartoon.cli import infer
from tests.helpers import videos
from tests.helpers.samples import photo

TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder with a film of two scenes, 12 pictures of 96x64, in `films`."""
    monkeypatch.chdir(tmp_path)
    Path("films").mkdir()
    videos.write("films/a.mp4", videos.scenes(0, 1, seconds=0.5, height=64, width=96))
    return tmp_path


@pytest.fixture
def run(here, tiny_file, capsys):
    """Runs the command line with the tiny network; gives exit code, standard output and error."""

    def run(*arguments):
        try:
            code = infer.main([*arguments, "--weights", str(tiny_file), "--engine", "onnx"])
        except SystemExit as stop:
            code = stop.code
        return code, *capsys.readouterr()

    return run


def outputs(folder="output"):
    return sorted(path.name for path in Path(folder).glob("*"))


def pictures(path):
    with av.open(str(path)) as film:
        return [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]


def test_a_film(run, predictor):
    code, out, err = run("-i", "films/a.mp4", "--crf", "4")
    assert code == 0 and err == ""
    assert out.startswith("1 cartoon in output; ") and "images/s" not in out
    made, source = pictures("output/a.mp4"), pictures("films/a.mp4")
    assert len(made) == len(source) == 12
    for i in (0, 6):  # where scenes begin
        assert np.abs(np.int_(made[i]) - predictor(source[i])).mean() < 6


def test_a_film_through_the_script(here, tiny_file):
    command = [sys.executable, TOOLS / "infer.py", "-i", "films", "-o", "b.mkv", "-w", tiny_file, "--engine", "onnx"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and "Traceback" not in done.stderr and done.stdout.startswith("1 cartoon in b.mkv; ")
    assert len(pictures("b.mkv")) == 12


def test_a_part_beside_its_cartoon_and_smaller(run):
    arguments = ["--side-by-side", "--start", "0:00.5", "--duration", "0.25", "--max-size", "48"]
    assert run("-i", "films/a.mp4", "-o", "pair.mp4", *arguments)[0] == 0
    made = pictures("pair.mp4")
    assert len(made) == 3 and made[0].shape == (32, 96, 3)
    half = np.asarray(Image.fromarray(videos.scene(1, 64, 96)).resize((48, 32)))
    assert np.abs(np.int_(made[0][:, :48]) - half).mean() < 10 < np.abs(np.int_(made[0][:, 48:]) - half).mean()


def test_gifs_become_gifs_and_still_ones_are_photos(run):
    frames = [Image.fromarray(photo(40, 56, i)) for i in range(3)]
    frames[0].save("films/b.gif", save_all=True, append_images=frames[1:], duration=200)
    frames[0].save("films/c.gif")
    code, out, _ = run("-i", "films")
    assert code == 0 and out.startswith("3 cartoons in output; ")
    assert outputs() == ["a.mp4", "b.gif", "c.png"]
    with Image.open("output/b.gif") as image:
        assert (image.n_frames, image.size, image.info["duration"]) == (3, (56, 40), 200)


def test_numbered_images_to_a_film_and_a_film_to_numbered_images(run):
    assert run("-i", "films/a.mp4", "-o", "cartoons/%03d.png", "--duration", "0.3")[0] == 0
    assert outputs("cartoons") == ["001.png", "002.png", "003.png", "004.png"]
    assert run("-i", "cartoons/%03d.png", "-o", "b.mp4", "--fps", "10")[0] == 0
    with av.open("b.mp4") as film:
        assert film.streams.video[0].frames == 4 and film.streams.video[0].average_rate == 10


def test_a_broken_film_among_photos_is_named_and_the_rest_is_done(run):
    Image.fromarray(photo(24, 32)).save("films/b.png")
    Path("films/c.mp4").write_bytes(Path("films/a.mp4").read_bytes()[:300])
    with av.open("films/d.mkv", "w") as out:
        sound = out.add_stream("aac", 48000, layout="mono")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        silence.sample_rate = 48000
        out.mux(sound.encode(silence))
        out.mux(sound.encode(None))
    code, out, err = run("-i", "films")
    assert code == 1 and out.startswith("2 cartoons in output, 2 failed; ")
    assert sorted(line.split(":")[1] for line in err.splitlines()) == [" films/c.mp4", " films/d.mkv"]
    assert outputs() == ["a.mp4", "b.png"]


def test_of_a_film_that_breaks_off_the_first_part_is_there_and_the_fault_is_told(run):
    videos.write("films/a.mkv", videos.scenes(*range(6), height=64, width=96))
    whole = Path("films/a.mkv").read_bytes()
    Path("films/a.mkv").write_bytes(whole[: len(whole) // 2])
    code, _, err = run("-i", "films/a.mkv")
    assert code == 1 and err.startswith("ppcartoon: films/a.mkv: ") and err.count("\n") == 1
    assert 12 < len(pictures("output/a.mkv")) < 60


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["-o", "b.webm", "--codec", "h264"], "b.webm: webm holds vp9 or av1, not h264"),
        (["-o", "b.avi"], "b.avi: cannot write this format"),
        (["--crf", "60"], "crf 60: h264 takes 0 (best) to 51"),
        (["--start", "9"], "has no frames in the selected time range"),
        (["--start", "soon"], "--start"),
        (["--fps", "0"], "--fps"),
    ],
)
def test_mistakes_are_told_and_nothing_is_written(run, arguments, said):
    code, _, err = run("-i", "films/a.mp4", *arguments)
    assert code in (1, 2) and said in err and "Traceback" not in err
    assert outputs() == [] and not set(outputs(".")) - {"films", "output"}


@pytest.mark.parametrize("library, name", [("av", "PyAV"), ("cv2", "OpenCV")])
def test_a_library_that_is_missing_is_one_line(run, monkeypatch, library, name):
    for module in ("video", *(f"video.{name}" for name in ("clips", "writer", "pipeline", "audio", "deflicker"))):
        monkeypatch.delitem(sys.modules, f"ppcartoon.{module}", raising=False)
    monkeypatch.delattr(ppcartoon, "video", raising=False)
    monkeypatch.setitem(sys.modules, library, None)
    code, _, err = run("-i", "films/a.mp4")
    assert code == 2 and err.count("\n") == 1
    assert name in err and 'pip install "ppcartoon[video]"' in err


def test_what_is_there_already_stays(run):
    Path("output").mkdir()
    Path("output/a.mp4").write_bytes(b"mine")
    videos.write("films/b.mkv", videos.still(videos.scene(2, 64, 96), 0.2))
    code, out, _ = run("-i", "films", "--skip-existing")
    assert code == 0 and out.startswith("1 cartoon in output, 1 skipped, there already; ")
    assert Path("output/a.mp4").read_bytes() == b"mine" and len(pictures("output/b.mkv")) == 2


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_what_was_done_before_it_is_stopped_can_be_played(here, tiny_file, how):
    noise = list(np.random.default_rng(0).integers(0, 256, (8, 96, 128, 3), np.uint8))
    videos.write("films/long.mkv", noise * 250, options={"preset": "ultrafast", "crf": "20"})
    command = [sys.executable, TOOLS / "infer.py", "-i", "films/long.mkv", "films/a.mp4", "-w", tiny_file]
    process = subprocess.Popen([*command, "--engine", "onnx", "--crf", "0"], stderr=subprocess.PIPE, text=True)
    while sum(path.stat().st_size for path in Path().glob("output/.*")) < 100_000:
        time.sleep(0.02)
        assert process.poll() is None
    process.send_signal(how)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + how
    assert "stopped at" in err.splitlines()[-1] and "Traceback" not in err
    assert outputs() == ["long.mkv"] and 0 < len(pictures("output/long.mkv")) < 1900
