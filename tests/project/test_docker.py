"""Checks of the Dockerfiles that need no Docker; .ci/docker installs what one of them does."""

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
    """The instructions of a Dockerfile, each with its arguments."""
    text = [line for line in request.param.read_text().splitlines() if line and not line.startswith("#")]
    return [tuple(line.split(" ", 1)) for line in text]


def test_each_device_has_a_dockerfile():
    assert [path.suffix for path in DOCKERFILES] == [".cpu", ".gpu"]


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.suffix)
def test_hadolint_finds_nothing(path):
    done = subprocess.run([Path(sys.executable).with_name("hadolint"), path], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")
    assert "hadolint" not in path.read_text()  # no rule is disabled


def in_context(path: str) -> bool:
    """Whether .dockerignore keeps a path in the build context; its last matching pattern decides."""
    included = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line and not line.startswith("#"):
            pattern = line.removeprefix("!")
            if fnmatch.fnmatch(path, pattern) or path.startswith(f"{pattern}/") or fnmatch.fnmatch(f"/{path}", pattern):
                included = line.startswith("!")
    return included


def test_copied_paths_exist_and_are_in_the_build_context(lines):
    copied = [path for word, rest in lines if word == "COPY" and "--from" not in rest for path in rest.split()[:-1]]
    assert {"ppcartoon", "weights", "setup.py"} <= set(copied)
    for source in copied:
        assert (ROOT / source).exists() and in_context(source), source


def test_build_context_excludes_other_files():
    assert not any(map(in_context, (".git", ".venv", "output", "tests", "docs", "ppcartoon/__pycache__")))


def test_pip_installs_only_locked_packages_and_our_own(lines):
    """Locked packages are checked by their hashes; our own is built without a network."""
    commands = [rest for word, rest in lines if word == "RUN" and "pip" in rest]
    assert len(commands) == 2
    for command in commands:
        assert command.startswith("pip install ") and "--no-deps" in command and "--target=/opt/" in command
    assert "--require-hashes" in commands[0] and re.findall(r"-r (\S+)", commands[0])
    assert "--no-build-isolation" in commands[1] and commands[1].endswith(" .")


def test_image_runs_the_console_script_without_root_rights(lines):
    instructions = dict(lines)
    assert json.loads(instructions["ENTRYPOINT"]) == ["ppcartoon"]
    assert json.loads(instructions["CMD"])[0] == "demo"
    assert instructions["USER"].isdigit() and int(instructions["USER"]) > 0
    assert [word for word, _ in lines][-6:] == ["USER", "WORKDIR", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD"]
    assert any("/opt/ppcartoon/bin:" in rest for word, rest in lines if word == "ENV")


@pytest.mark.parametrize("name", ["cpu", "gpu"])
@pytest.mark.parametrize("python", PYTHONS)
def test_locks_of_the_images_do_not_contain_paddle(name, python):
    assert not [pin for pin in pins(f"requirements/{name}.txt", python) if "paddle" in pin]


def test_base_images_have_tested_versions_of_python_and_paddle():
    cpu, gpu = (re.findall(r"^FROM (\S+)", path.read_text(), re.M) for path in DOCKERFILES)
    assert {re.fullmatch(r"python:(3\.\d+)-.*", image)[1] for image in cpu} < set(PYTHONS)
    version = re.search(r"^paddlepaddle==(\S+)", (ROOT / "requirements/paddle.in").read_text(), re.M)[1]
    assert [image.startswith(f"paddlepaddle/paddle:{version}-gpu-") for image in gpu] == [True]
