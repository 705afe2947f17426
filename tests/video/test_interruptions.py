"""How processing a video ends early: by a signal, a full disk or an error; no thread or partial file is left."""

import resource
import signal
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from ppcartoon import images
from ppcartoon.video.pipeline import VideoOptions, process
from tests.helpers import videos

pytestmark = pytest.mark.slow

SLOW = """
import sys, time
from pathlib import Path
from ppcartoon.errors import Interrupted
from ppcartoon.video.pipeline import process

def slow_negative(rgb, seconds):
    print(seconds, flush=True)
    time.sleep(float(sys.argv[3]))
    return 255 - rgb

try:
    process(Path(sys.argv[1]), Path(sys.argv[2]), slow_negative)
except Interrupted as stop:
    print(stop, file=sys.stderr)
    sys.exit(130)
"""


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return videos.write_flash(tmp_path_factory.mktemp("video") / "video.mp4", seconds=20)


def start(source, target, seconds_per_frame=0.02, **options):
    """Starts a process that processes a video slowly and prints the time of each frame."""
    command = [sys.executable, "-c", SLOW, str(source), str(target), str(seconds_per_frame)]
    root = Path(__file__).parents[2]
    return subprocess.Popen(command, cwd=root, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def wait_for_frames(process, count):
    for _ in range(count):
        process.stdout.readline()


def times(path, kind="video"):
    with av.open(str(path)) as opened:
        return [frame.time for frame in opened.decode(**{kind: 0})]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("name", ["b.mp4", "b.mkv", "b.webm", "b.gif"])
def test_interrupted_video_is_a_partial_file_that_plays_up_to_the_time_in_the_message(video, tmp_path, name, number):
    (tmp_path / name).write_bytes(b"before")
    saved = tmp_path / name.replace(".", ".partial.")
    running = start(video, tmp_path / name)
    wait_for_frames(running, 12)
    running.send_signal(number)
    error = running.communicate(timeout=20)[1]
    assert running.returncode == 130 and "Traceback" not in error
    written = times(saved)
    assert 12 <= len(written) < 40 and sorted(tmp_path.iterdir()) == sorted([tmp_path / name, saved])
    assert (tmp_path / name).read_bytes() == b"before"
    assert f"{saved}: stopped at 0:00:0{written[-1] + 1 / 12:.1f}" in error
    if name != "b.gif":
        assert abs(times(saved, "audio")[-1] - written[-1]) < 0.2


def test_complete_run_removes_the_partial_file_of_an_interrupted_one(video, tmp_path):
    (tmp_path / "b.partial.mp4").touch()
    process(video, tmp_path / "b.mp4", lambda rgb, time: rgb, VideoOptions(duration=0.5))
    assert list(tmp_path.iterdir()) == [tmp_path / "b.mp4"]


def test_second_ctrl_c_ends_the_process_without_output(video, tmp_path):
    running = start(video, tmp_path / "b.mp4", 1)
    wait_for_frames(running, 2)
    running.send_signal(signal.SIGINT)
    while "once more" not in running.stderr.readline():
        assert running.poll() is None
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=20)
    assert running.returncode == -signal.SIGINT and not list(tmp_path.iterdir())


def test_hidden_file_of_a_killed_process_is_removed_by_the_next_run(video, tmp_path):
    running = start(video, tmp_path / "b.mkv")
    wait_for_frames(running, 40)  # by then the encoder has written some
    running.kill()
    running.communicate()
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".")
    process(video, tmp_path / "b.mkv", lambda rgb, time: rgb, VideoOptions(duration=0.2))
    assert list(tmp_path.iterdir()) == [tmp_path / "b.mkv"]


@pytest.mark.parametrize("name", ["b.mp4", "b.mkv", "b.gif", "%d.png"])
def test_full_disk_is_reported_in_one_line_and_leaves_no_partial_file(tmp_path, name):
    """A limit on file sizes simulates the full disk; writing fails in the same way."""
    noise = np.random.default_rng(0).integers(0, 256, (4, 96, 128, 3), np.uint8)
    folder = tmp_path / "in"
    folder.mkdir()
    for number, rgb in enumerate(noise):
        images.write(folder / f"{number}.png", images.Picture(rgb))

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    running = start(folder / "%d.png", tmp_path / "out" / name, preexec_fn=limit)
    error = running.communicate(timeout=20)[1]
    assert running.returncode == 1 and "cannot be written (File too large)" in error.splitlines()[-1]
    assert not list((tmp_path / "out").iterdir())


def test_threads_end_after_the_last_frame(video, tmp_path, no_threads_left):
    assert process(video, tmp_path / "b.mkv", lambda rgb, time: rgb).frames == 240


def fail_in_inference(rgb, time):
    raise ZeroDivisionError


def fail_in_writing(rgb, time):
    return rgb / 255  # floats, which the writer rejects


@pytest.mark.parametrize(
    "cartoonize_frame, error", [(fail_in_inference, ZeroDivisionError), (fail_in_writing, ValueError)]
)
def test_errors_end_all_threads_and_leave_no_file(video, tmp_path, no_threads_left, cartoonize_frame, error):
    with pytest.raises(error):
        process(video, tmp_path / "b.mkv", cartoonize_frame)
    assert not list(tmp_path.iterdir())
