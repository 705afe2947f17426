"""Key frames of videos that were interrupted or finished before, and of several videos in one folder."""

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ppcartoon.data.keyframe_store import FILE, open_store
from ppcartoon.data.keyframes import extract
from ppcartoon.errors import DiskFullError, InputError, OutputError
from tests.helpers import videos

ROOT = Path(__file__).parents[2]
SMALL = {"height": 90, "width": 160, "seconds": 0.5}
OPTIONS = {"size": 64, "count": 12}


def video(path, *seeds):
    """One scene per half second."""
    return videos.write(path, videos.scenes(*seeds, **SMALL), options=videos.HALVES)


@pytest.fixture(scope="module")
def twenty(tmp_path_factory):
    return video(tmp_path_factory.mktemp("twenty") / "twenty.mkv", *range(16), 3, 5, 20, 21)


@pytest.fixture(scope="module")
def whole(twenty, tmp_path_factory):
    """The folder and report of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("whole") / "out"
    report = extract(twenty, folder, **OPTIONS)
    assert report.counts == {"kept": 12, "duplicate": 2, "spare": 6}
    return folder, report


def rows(folder):
    with contextlib.closing(sqlite3.connect(folder / FILE)) as db:
        return [db.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in ("film", "picture")]


def content(folder):
    """All files in the folder and beside it, without the database, which `rows` compares."""
    files = (path for path in folder.parent.rglob("*") if path.is_file() and not path.name.startswith(FILE))
    return {path.name: path.read_bytes() for path in files}


def pictures(folder):
    return sorted(path.name for path in folder.glob("*.png"))


def refusal(*arguments, kind=InputError, **options):
    with pytest.raises(kind) as caught:
        extract(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_finished_video_is_not_decoded_again(twenty, tmp_path):
    first = extract(twenty, tmp_path / "out", **OPTIONS)
    before = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in (tmp_path / "out").iterdir()}
    sheet = first.sheet.read_bytes()
    assert extract(twenty, tmp_path / "out", **OPTIONS, jobs=2) == first
    assert {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in (tmp_path / "out").iterdir()} == before
    assert first.sheet.read_bytes() == sheet


def test_the_number_of_threads_makes_no_difference(twenty, whole, tmp_path):
    extract(twenty, tmp_path / "out", **OPTIONS, jobs=3)
    assert (content(tmp_path / "out"), rows(tmp_path / "out")) == (content(whole[0]), rows(whole[0]))


def test_frames_deleted_by_the_user_stay_deleted_and_leave_the_contact_sheet(twenty, whole, tmp_path):
    folder = tmp_path / "out"
    shutil.copytree(whole[0], folder)
    for name in pictures(folder)[:7]:
        (folder / name).unlink()
    report = extract(twenty, folder, **OPTIONS)
    assert pictures(folder) == pictures(whole[0])[7:]
    assert report.sheet.stat().st_size < whole[1].sheet.stat().st_size


DRIVER = """
import os, signal, sys
from pathlib import Path
from ppcartoon.data import keyframe_store, keyframes

where, number, video, folder = sys.argv[1], int(sys.argv[2]), *map(Path, sys.argv[3:])
owner, name, when = where.split()
owner = {"os": os, "keyframes": keyframes, "KeyframeStore": keyframe_store.KeyframeStore}[owner]
does = getattr(owner, name)
calls = 0


def counted(*arguments, **options):
    global calls
    calls += 1
    if calls == number and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    result = does(*arguments, **options)
    if calls == number:
        os.kill(os.getpid(), signal.SIGKILL)
    return result


setattr(owner, name, counted)
keyframes.extract(video, folder, size=64, count=12)
"""
KILLED = {  # where the process is killed, and how many frames are in the database by then
    "before an image is renamed": ("os replace before", 5, 4),
    "after an image is renamed": ("os replace after", 5, 4),
    "after a frame is stored": ("KeyframeStore add after", 9, 8),
    "before spare frames are removed": ("KeyframeStore drop after", 3, 20),
    "after the video is finished": ("KeyframeStore finish after", 1, 20),
    "before the contact sheet is written": ("keyframes write_contact_sheet before", 1, 20),
}


@pytest.mark.parametrize("where, number, stored", KILLED.values(), ids=KILLED)
def test_a_killed_run_is_resumed(twenty, whole, tmp_path, where, number, stored):
    command = [sys.executable, "-c", DRIVER, where, str(number), str(twenty), str(tmp_path / "out")]
    assert subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}).returncode == -signal.SIGKILL
    assert len(rows(tmp_path / "out")[1]) == stored
    assert extract(twenty, tmp_path / "out", **OPTIONS) == (*whole[1][:2], tmp_path / "out_twenty_contact_sheet.jpg")
    assert rows(tmp_path / "out") == rows(whole[0])
    assert content(tmp_path / "out") == content(whole[0])


def test_runs_killed_several_times_give_the_same_result(twenty, whole, tmp_path):
    command = [sys.executable, str(ROOT / "tools/prepare_data.py"), "frames", str(twenty), "-o", str(tmp_path / "out")]
    command += ["--size", "64", "--count", "12", "--jobs", "1"]
    chance = random.Random(0)
    for wanted in (1, 6, 13):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while len(pictures(tmp_path / "out")) < wanted and process.poll() is None:
            time.sleep(0.002)
        time.sleep(chance.random() * 0.02)
        process.kill()
        process.communicate()
    assert subprocess.run(command, capture_output=True).returncode == 0
    assert rows(tmp_path / "out") == rows(whole[0])
    seen = {name: data for name, data in content(tmp_path / "out").items() if not name.startswith(".")}
    assert seen == content(whole[0])


def test_other_options_are_refused_and_overwrite_replaces_the_frames(twenty, whole, tmp_path):
    folder = tmp_path / "out"
    shutil.copytree(whole[0], folder)
    (folder / "own.png").write_bytes(b"mine")
    before = content(folder), rows(folder)
    message = refusal(twenty, folder, size=32, count=12)
    assert message.startswith("twenty.mkv: ") and "size 64 instead of 32" in message and "--overwrite" in message
    assert (content(folder), rows(folder)) == before
    assert extract(twenty, folder, start=3, end=4, size=32, overwrite=True).counts == {"kept": 3}
    assert pictures(folder) == ["own.png", *(f"twenty_00-00-0{i}.png" for i in ("3.000", "3.500", "4.000"))]


def test_a_video_that_has_changed_is_refused(twenty, tmp_path):
    path = video(tmp_path / "a.mkv", 0, 1)
    extract(path, tmp_path / "out")
    video(path, 0, 1, 2)
    assert "--overwrite" in refusal(path, tmp_path / "out")


def test_a_scene_in_two_videos_is_kept_once(tmp_path):
    videos_of = {"a.mkv": (0, 1, 2), "b.mkv": (1, 5, 2, 6)}
    counts = [extract(video(tmp_path / name, *seeds), tmp_path / "out").counts for name, seeds in videos_of.items()]
    assert counts == [{"kept": 3}, {"kept": 2, "duplicate": 2}]
    assert [name[:2] for name in pictures(tmp_path / "out")] == ["a_"] * 3 + ["b_"] * 2
    again = extract(tmp_path / "a.mkv", tmp_path / "out", overwrite=True)
    assert again.counts == {"kept": 3}
    assert len(pictures(tmp_path / "out")) == 5


def named_alike(tmp_path, other):
    first, second = tmp_path / "1" / "video.mkv", tmp_path / "2" / other
    for path, seeds in ((first, (0, 1, 2)), (second, (3, 4, 5))):
        path.parent.mkdir()
        video(path, *seeds)
    size = max(first.stat().st_size, second.stat().st_size)
    return first, second, size


@pytest.mark.parametrize("same_size", [False, True])
def test_another_video_of_the_same_name_is_refused_or_kept_apart(tmp_path, same_size):
    first, second, size = named_alike(tmp_path, "video.mkv")
    for path in (first, second) if same_size else ():
        with open(path, "ab") as out:  # as the parts of a DVD have
            out.truncate(size)
    extract(first, tmp_path / "out", size=64)
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.png")}
    with contextlib.suppress(InputError):
        assert extract(second, tmp_path / "out", size=64).counts == {"kept": 3}
        assert len(pictures(tmp_path / "out")) == 6
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.png") if path.name in before} == before


def test_videos_whose_names_differ_in_their_extensions_do_not_replace_each_other_s_frames(tmp_path):
    first, second, _ = named_alike(tmp_path, "video.mp4")
    extract(first, tmp_path / "out", size=64)
    before = {path.read_bytes() for path in (tmp_path / "out").glob("*.png")}
    with contextlib.suppress(InputError):
        extract(second, tmp_path / "out", size=64)
    assert before <= {path.read_bytes() for path in (tmp_path / "out").glob("*.png")}


def test_a_second_process_in_the_same_folder_is_refused(twenty, tmp_path):
    with open_store(tmp_path / "out") as store:
        store.begin("other.mkv", {})
        assert refusal(twenty, tmp_path / "out") == f"{tmp_path / 'out'}: another process is writing to it"
    assert extract(twenty, tmp_path / "out", **OPTIONS).counts["kept"] == 12


@pytest.mark.parametrize("reason, kind", [("database or disk is full", DiskFullError), ("disk I/O error", OutputError)])
def test_a_full_disk_is_told_from_other_errors_of_the_database(tmp_path, reason, kind):
    with pytest.raises(OutputError, match=f"sqlite: cannot be written \\({reason}\\)") as caught, open_store(tmp_path):
        raise sqlite3.OperationalError(reason)
    assert type(caught.value) is kind


@pytest.mark.parametrize("name", ["out", "out/below"])
def test_a_file_with_the_name_of_the_folder_is_refused(twenty, tmp_path, name):
    (tmp_path / "out").write_text("in the way")
    assert str(tmp_path / name) in refusal(twenty, tmp_path / name, kind=OutputError)


@pytest.mark.parametrize("size", [None, 0, 50, 5000], ids=["text", "empty", "cut in its head", "cut"])
def test_a_damaged_database_is_named_or_started_anew(twenty, whole, tmp_path, size):
    folder = tmp_path / "out"
    shutil.copytree(whole[0], folder)
    if size is None:
        (folder / FILE).write_text("not a database\n" * 100)
    else:
        os.truncate(folder / FILE, size)
    if size == 0:
        assert extract(twenty, folder, **OPTIONS).counts == whole[1].counts
    else:
        assert str(folder / FILE) in refusal(twenty, folder, **OPTIONS)
