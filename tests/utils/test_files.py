"""Atomic writes, leftovers of killed processes, and folders of the user."""

import os
import pwd
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ppcartoon.errors import DiskFullError, InputError, OutputError
from ppcartoon.utils import files

KILLED = """
import os, signal, sys
from pathlib import Path
from ppcartoon.utils import files
with files.temporary_folder(Path(sys.argv[1])) as folder, files.atomic(Path(sys.argv[1]) / "a.png") as path:
    (folder / "b").touch()
    path.touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def own(tmp_path):
    """A temporary file of this process, of a living one, of another machine, and files of the user."""
    hidden = "0" * 32
    names = {
        "alive": f".{files.HOST:08x}-{os.getppid()}-{hidden}.png",
        "elsewhere": f".{files.HOST ^ 1:08x}-1-{hidden}.png",
        "old": f".{files.HOST ^ 1:08x}-2-{hidden}.png",
        "dead": f".{files.HOST:08x}-{2**22 + 1}-{hidden}",  # above Linux's largest process number
        "user": f"{files.HOST:08x}-{2**22 + 1}-{hidden}",
        "other": f".{files.HOST:08x}-{2**22 + 1}-{hidden[1:]}.png",
    }
    for name in names.values():
        (tmp_path / name).touch()
    two_days_ago = time.time() - 2 * files.DAY
    os.utime(tmp_path / names["old"], (two_days_ago, two_days_ago))
    return names


def test_only_leftovers_are_removed(tmp_path, own):
    with files.atomic(tmp_path / "a.png") as path:
        path.touch()
    kept = {own[key] for key in own if key not in ("old", "dead")}
    assert {path.name for path in tmp_path.iterdir()} == kept | {"a.png"}


@pytest.mark.slow
def test_next_process_removes_the_files_of_a_killed_one(tmp_path):
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    for _ in range(2):
        done = subprocess.run(command, cwd=Path(__file__).parents[2], timeout=60)
        assert done.returncode == -signal.SIGKILL and len(list(tmp_path.iterdir())) == 2
    with files.atomic(tmp_path / "a.png") as path:
        path.touch()
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_two_files_can_be_written_at_the_same_time(tmp_path):
    with files.atomic(tmp_path / "a") as one, files.atomic(tmp_path / "b") as other:
        one.write_text("1")
        other.write_text("2")
    assert (tmp_path / "a").read_text() + (tmp_path / "b").read_text() == "12"


def test_temporary_folder_leaves_nothing_but_what_was_there(tmp_path):
    with files.temporary_folder(tmp_path / "new") as folder:
        (folder / "a").touch()
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"file: cannot be written"), files.temporary_folder(tmp_path / "file"):
        pass


@pytest.mark.parametrize(
    "number, kind",
    [(28, DiskFullError), (122, DiskFullError), (27, DiskFullError), (13, OutputError), (36, InputError)],
)
@pytest.mark.parametrize("block", [files.atomic, files.output_errors])
def test_full_disk_is_told_from_other_errors(tmp_path, block, number, kind):
    with pytest.raises(InputError, match=r"/a: cannot be written \(") as caught, block(tmp_path / "a"):
        raise OSError(number, os.strerror(number))
    assert type(caught.value) is kind and not list(tmp_path.iterdir())


def test_a_user_without_a_home_has_a_cache_among_the_temporary_files(monkeypatch, tmp_path):
    def unknown(number):
        raise KeyError(number)

    monkeypatch.setenv("HOME", str(tmp_path))
    assert files.cache_home() == tmp_path / ".cache"
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(files.tempfile, "gettempdir", lambda: str(tmp_path))
    assert files.cache_home().parent == tmp_path
