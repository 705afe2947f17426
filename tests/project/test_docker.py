"""The Dockerfiles, as far as can be seen without Docker; .ci/docker runs what one of them installs."""

import fnmatch
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project.test_locks import PYTHONS, ROOT, pins

pytestmark = pytest.mark.slow

DOCKERFILES = sorted((ROOT / "docker").glob("Dockerfile.*"))


@pytest.fixture(params=DOCKERFILES, ids=lambda path: path.suffix)
def lines(request) -> list[tuple[str, str]]:
    """Instructions and what stands after them."""
    text = [line for line in request.param.read_text().splitlines() if line and not line.startswith("#")]
    return [tuple(line.split(" ", 1)) for line in text]


def test_there_is_one_for_each_device():
    assert [path.suffix for path in DOCKERFILES] == [".cpu", ".gpu"]


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.suffix)
def test_hadolint_finds_nothing(path):
    done = subprocess.run([Path(sys.executable).with_name("hadolint"), path], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")
    assert "hadolint" not in path.read_text()  # nothing is told to be ignored


def sent(path: str) -> bool:
    """Whether .dockerignore lets a file or folder through; its last pattern that fits decides."""
    through = True
    for pattern in (ROOT / ".dockerignore").read_text().splitlines():
        if pattern and not pattern.startswith("#"):
            top, kept = pattern.removeprefix("!"), pattern.startswith("!")
            if fnmatch.fnmatch(path, top) or path.startswith(f"{top}/") or fnmatch.fnmatch(f"/{path}", top):
                through = kept
    return through


def test_what_is_copied_is_there_and_gets_through(lines):
    copied = [source for word, rest in lines if word == "COPY" and "--from" not in rest for source in rest.split()[:-1]]
    assert {"ppcartoon", "weights", "setup.py"} <= set(copied)
    for source in copied:
        assert (ROOT / source).exists() and sent(source), source


def test_nothing_else_gets_through():
    assert not any(map(sent, (".git", ".venv", "output", "tests", "docs", "ppcartoon/__pycache__")))


def test_pip_installs_what_is_locked_and_nothing_else(lines):
    """Each with its hash, into folders of our own, and our package without a network."""
    commands = [rest for word, rest in lines if word == "RUN" and "pip" in rest]
    assert len(commands) == 2
    for command in commands:
        assert command.startswith("pip install ") and "--no-deps" in command and "--target=/opt/" in command
    assert "--require-hashes" in commands[0] and re.findall(r"-r (\S+)", commands[0])
    assert "--no-build-isolation" in commands[1] and commands[1].endswith(" .")


def test_it_runs_the_console_script_and_not_as_root(lines):
    words = dict(lines)
    assert json.loads(words["ENTRYPOINT"]) == ["ppcartoon"]
    assert words["USER"].isdigit() and int(words["USER"]) > 0
    assert [word for word, _ in lines][-3:] == ["USER", "WORKDIR", "ENTRYPOINT"]
    assert any("/opt/ppcartoon/bin:" in rest for word, rest in lines if word == "ENV")


@pytest.mark.parametrize("name", ["cpu", "gpu"])
@pytest.mark.parametrize("python", PYTHONS)
def test_no_lock_of_an_image_brings_a_paddle(name, python):
    assert not [pin for pin in pins(f"requirements/{name}.txt", python) if "paddle" in pin]


def test_the_images_are_those_that_the_tests_stand_for():
    cpu, gpu = (re.findall(r"^FROM (\S+)", path.read_text(), re.M) for path in DOCKERFILES)
    assert {re.fullmatch(r"python:(3\.\d+)-.*", image)[1] for image in cpu} < set(PYTHONS)
    version = re.search(r"^paddlepaddle==(\S+)", (ROOT / "requirements/paddle.in").read_text(), re.M)[1]
    assert [image.startswith(f"paddlepaddle/paddle:{version}-gpu-") for image in gpu] == [True]
