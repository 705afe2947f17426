"""How the making of a film ends: by a signal, a full disk, an error in one of its threads; and that none stays."""

import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import av
import numpy as np
import pytest

from ppcartoon import images
from ppcartoon.errors import InputError
from ppcartoon.utils.threads import prefetch, write_behind
from ppcartoon.video.pipeline import cartoonize
from tests.helpers import videos

SLOW = """
import sys, time
from pathlib import Path
from ppcartoon.errors import Interrupted
from ppcartoon.video.pipeline import cartoonize

def slowly(rgb, moment):
    print(moment, flush=True)
    time.sleep(float(sys.argv[3]))
    return 255 - rgb

try:
    cartoonize(Path(sys.argv[1]), Path(sys.argv[2]), slowly)
except Interrupted as stop:
    print(stop, file=sys.stderr)
    sys.exit(130)
"""


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    return videos.write_flash(tmp_path_factory.mktemp("film") / "film.mp4", seconds=20)


def start(source, target, seconds=0.02, **options):
    """Makes a cartoon in a process of its own, so many seconds a picture."""
    command = [sys.executable, "-c", SLOW, str(source), str(target), str(seconds)]
    root = Path(__file__).parents[2]
    return subprocess.Popen(command, cwd=root, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def wait_for_pictures(process, number):
    for _ in range(number):
        process.stdout.readline()


def frames(path, kind="video"):
    with av.open(str(path)) as opened:
        return [frame.time for frame in opened.decode(**{kind: 0})]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("name", ["b.mp4", "b.mkv", "b.webm", "b.gif"])
def test_what_was_done_before_ctrl_c_can_be_played(film, tmp_path, name, number):
    process = start(film, tmp_path / name)
    wait_for_pictures(process, 12)
    process.send_signal(number)
    said = process.communicate(timeout=20)[1]
    assert process.returncode == 130 and "Traceback" not in said
    made = frames(tmp_path / name)
    assert 12 <= len(made) < 40 and list(tmp_path.iterdir()) == [tmp_path / name]
    assert f"{tmp_path / name}: stopped at 0:00:0{made[-1] + 1 / 12:.1f}" in said
    if name != "b.gif":
        assert abs(frames(tmp_path / name, "audio")[-1] - made[-1]) < 0.2


def test_a_second_ctrl_c_ends_it_without_a_file(film, tmp_path):
    process = start(film, tmp_path / "b.mp4", 1)
    wait_for_pictures(process, 2)
    process.send_signal(signal.SIGINT)
    while "once more" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == -signal.SIGINT and not list(tmp_path.iterdir())


def test_what_is_killed_leaves_no_file_that_looks_whole(film, tmp_path):
    process = start(film, tmp_path / "b.mp4")
    wait_for_pictures(process, 3)
    process.kill()
    process.communicate()
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".")


@pytest.mark.parametrize("name", ["b.mp4", "b.mkv", "b.gif", "%d.png"])
def test_a_full_disk_is_one_line_and_nothing_is_half_written(tmp_path, name):
    """A limit on the size of a file stands for the disk: writing beyond it fails in the same way."""
    noise = np.random.default_rng(0).integers(0, 256, (4, 96, 128, 3), np.uint8)
    path = tmp_path / "in"
    path.mkdir()
    for number, rgb in enumerate(noise):
        images.write(path / f"{number}.png", images.Picture(rgb))

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    process = start(path / "%d.png", tmp_path / "out" / name, preexec_fn=limit)
    said = process.communicate(timeout=20)[1]
    assert process.returncode == 1 and "cannot be written (File too large)" in said.splitlines()[-1]
    assert not list((tmp_path / "out").iterdir())


@pytest.fixture
def alone():
    """No thread is left when the test ends."""
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def test_the_threads_are_gone_when_all_is_done(film, tmp_path, alone):
    assert cartoonize(film, tmp_path / "b.mkv", lambda rgb, time: rgb).pictures == 240


def test_and_when_the_caller_fails(film, tmp_path, alone):
    def fail(rgb, time):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cartoonize(film, tmp_path / "b.mkv", fail)
    assert not list(tmp_path.iterdir())


def test_and_when_writing_fails(film, tmp_path, alone):
    with pytest.raises(ValueError):
        cartoonize(film, tmp_path / "b.mkv", lambda rgb, time: rgb / 255)
    assert not list(tmp_path.iterdir())


def test_reading_ahead_keeps_the_order_and_a_bound(alone):
    taken = []
    with prefetch(iter(taken.append(i) or i for i in range(100)), 3) as items:
        for i in range(50):
            assert next(items) == i
            while len(taken) < i + 2:  # the next is made meanwhile
                time.sleep(0.001)
            assert len(taken) <= i + 1 + 3
    assert len(taken) <= 54


def test_errors_in_reading_ahead_come_after_what_was_before_them(alone):
    def broken():
        yield 1
        yield 2
        raise InputError("broken")

    seen = []
    with pytest.raises(InputError, match="broken"), prefetch(broken()) as items:
        for item in items:
            seen.append(item)
    assert seen == [1, 2]


def test_working_behind_keeps_the_order_and_a_bound_and_ends_with_all_done(alone):
    done, gate = [], threading.Event()

    def work(item):
        gate.wait()
        done.append(item)

    with write_behind(work, 2) as call:
        call(0)
        call(1)
        timer = threading.Timer(0.1, gate.set)
        timer.start()
        begun = time.monotonic()
        call(2)  # waits for the first
        assert time.monotonic() - begun > 0.05 and done[:1] == [0]
    timer.join()
    assert done == [0, 1, 2]


def test_errors_of_work_behind_come_up_and_the_rest_is_dropped(alone):
    done = []

    def work(item):
        if item == 1:
            raise InputError("full")
        time.sleep(0.01)
        done.append(item)

    with pytest.raises(InputError, match="full"), write_behind(work, 2) as call:
        for item in range(100):
            call(item)
    assert done[0] == 0 and len(done) < 6
