"""Atomic writes, leftovers of killed processes, and folders of the user."""

import os
import pwd
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from ppcartoon.errors import DiskFullError, InputError, OutputError
from ppcartoon.utils import files

KILLED = """
import os, signal, sys
from pathlib import Path
from types import SimpleNamespace
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


@pytest.mark.parametrize(
    "platform, folder", [("linux", ".cache"), ("win32", "AppData/Local"), ("darwin", "Library/Caches")]
)
def test_cache_is_where_the_system_has_it(monkeypatch, platform, folder):
    monkeypatch.setattr(sys, "platform", platform)
    assert files.cache_home() == Path.home() / folder


def test_file_that_another_program_has_open_stays_and_the_new_one_is_beside_it(tmp_path, monkeypatch):
    """On Windows; elsewhere the error is rare."""

    def refuse(source, target):
        if Path(target).name == "a.png":
            raise PermissionError(13, "in use")
        Path(source).rename(target)

    monkeypatch.setattr(os, "replace", refuse)
    (tmp_path / "a.png").write_text("old")
    message = r"a\.png: cannot be replaced, perhaps because another program has it open; the new file is .*a\.new\.png"
    with pytest.raises(InputError, match=message) as caught, files.atomic(tmp_path / "a.png") as path:
        path.write_text("new")
    assert type(caught.value) is InputError  # others can still be written
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a.png": "old", "a.new.png": "new"}


@pytest.mark.parametrize("name", ["a", "cone.d", "a.con", "comet", ".a", "a b", "写真", "a..x"])
def test_names_that_all_systems_allow_are_legal(name):
    assert files.is_legal_name(name)


@pytest.mark.parametrize("name", ["", "con", "NUL.txt", "com1.tar.gz", "a:b", "a/b", "a\\b", "a?", "a\n", "a.", "a "])
def test_names_that_are_illegal_on_windows_are_found(name):
    assert not files.is_legal_name(name)


def test_files_that_windows_hides_by_an_attribute_are_hidden(tmp_path, monkeypatch):
    assert files.is_hidden(tmp_path / ".a") and not files.is_hidden(tmp_path)
    monkeypatch.setattr(Path, "lstat", lambda path: SimpleNamespace(st_file_attributes=0x20 | 0x2))
    assert files.is_hidden(tmp_path)
