"""Runs the commands of docs/service.md against the service, and checks the options in its examples."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from ppcartoon.cli import demo as demo_options
from ppcartoon.cli import serve as serve_options
from tests.helpers.documents import ROOT, blocks, create_example_files
from tests.helpers.visitors import demo

pytestmark = pytest.mark.slow

ADDRESS = "http://127.0.0.1:7860"
BLOCKS = [(language, "\n".join(lines)) for _, language, lines in blocks("docs/service.md")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_weights):
    """The folder of the files in the examples, and the address of a service."""
    path = create_example_files(tmp_path_factory.mktemp("reader"), tiny_weights)
    with demo(path / "tmp", "-w", path / "shipped/peppercarrot.safetensors", command="serve") as (_, address):
        yield path, address


def test_shell_commands_succeed_and_write_their_files(folder):
    path, address = folder
    shell = [text for language, text in BLOCKS if language == "sh"]
    assert len(shell) == 4
    script = "\n".join(["set -euo pipefail", *shell]).replace(ADDRESS, address)
    done = subprocess.run(["bash", "-c", script], cwd=path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert '"error":"' not in done.stdout.replace('"error":""', "") and "ppcartoon_jobs_total" in done.stdout
    assert Image.open(path / "cartoon.jpg").size == Image.open(path / "photo.jpg").size
    assert (path / "same.jpg").read_bytes() == (path / "photo.jpg").read_bytes()
    for name in ("cartoon.png", "preview.jpg", "preview_of_cartoon.jpg"):
        assert np.asarray(Image.open(path / name)).std() > 1
    assert (path / "cartoon.mp4").stat().st_size and (path / "cartoons.zip").stat().st_size


def test_python_example_makes_a_video(folder):
    path, address = folder
    (code,) = (text for language, text in BLOCKS if language == "python")
    assert len(code.splitlines()) <= 30
    done = subprocess.run(
        [sys.executable, "-c", code.replace(ADDRESS, address)], cwd=path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("done") and (path / "made.mp4").stat().st_size


def test_options_in_the_examples_exist():
    text = "\n".join(text for _, text in BLOCKS)
    (compose,) = (yaml.safe_load(text) for language, text in BLOCKS if language == "yaml")
    found = re.findall(r"(?m)^(?:ExecStart=\S+/)?ppcartoon (.*?)(?:  +#.*)?$", text)
    commands = [shlex.split(line) for line in [*found, compose["services"]["ppcartoon"]["command"]]]
    assert [command[0] for command in commands].count("serve") >= 5
    for name, *arguments in commands:
        {"demo": demo_options, "serve": serve_options}[name].parser().parse_args(arguments)
    assert Path(ROOT, compose["services"]["ppcartoon"]["build"]["dockerfile"]).exists()
