"""The commands in the documents, and a folder with the files that they use."""

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from ppcartoon.data.samples import draw_photo
from ppcartoon.weights import Weights, save
from tests.helpers import studies, videos
from tests.helpers.folders import drawn

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    path.relative_to(ROOT).as_posix()
    for pattern in ("README.md", "CONTRIBUTING.md", "docs/*.md", "weights/README.md", "docker/*.md")
    for path in sorted(ROOT.glob(pattern))
]
TESTED_ELSEWHERE = {"docs/api.md", "docs/service.md", "CONTRIBUTING.md"}  # by tests of their own
MARKS = {"GPU", "the paper's data", "downloads", "Docker", "Paddle Lite"}  # requirements that tests do not have
SHELL, NOT_RUN = {"", "sh", "bash", "shell"}, {"text", "yaml", "json", "bibtex", "diff"}  # languages of code blocks
STUBBED = "python", "pip", "make", "ppcartoon", "visualdl", "docker", "nvidia-smi", "paddle_lite_opt"
STUB = """#!/bin/bash
printf '%s\\x1f' "${0##*/}" "$@" >> "$RECORD"; echo >> "$RECORD"
"""


class Command(NamedTuple):
    """A shell command, or a block of Python code, of a document.

    Attributes:
        document: path from the root of the repository.
        line: number of its first line.
        text: its lines, without the indentation of the block.
        variables: the lines above it in the block that set shell variables.
        language: "bash" or "python".
    """

    document: str
    line: int
    text: str
    variables: str
    language: str

    @property
    def marks(self) -> set[str]:
        """The MARKS in a comment at the end of one of its lines; empty if the command can be run."""
        comments = re.findall(r"(?m)(?:^|\s)#\s+(.*?)\)?$", self.text) if self.language == "bash" else []
        lists = [set(re.split(r",\s*", re.split(r"[(:]\s*", comment)[-1])) for comment in comments]
        return set().union(*(words for words in lists if words <= MARKS))

    def __str__(self) -> str:
        return f"{self.document}:{self.line}: {self.text.splitlines()[0].strip()[:70]}"


def blocks(document: str) -> Iterator[tuple[int, str, list[str]]]:
    """The code blocks of a document: number of the first line, language, and lines without indentation or fences."""
    lines = [*(ROOT / document).read_text().splitlines(), ""]
    start, language, found = 0, None, []  # the language is None outside of fences
    for number, line in enumerate(lines, 1):
        if language is None and (fence := re.fullmatch(r"```\s*(\w*)", line)):
            start, language, found = number + 1, fence[1], []
        elif language is not None and line == "```":
            yield start, language, found
            language, found = None, []
        elif language is not None:
            found.append(line)
        elif line.startswith("    ") and (found or not lines[number - 2].strip()):
            start, found = start if found else number, [*found, line[4:]]
        elif found:
            yield start, "", found
            found = []


def prose(document: str) -> str:
    """A document without its code blocks."""
    lines = (ROOT / document).read_text().splitlines()
    for start, _, found in blocks(document):
        for number in range(start, start + len(found)):
            lines[number - 1] = ""
    return "\n".join(line for line in lines if not line.startswith("```"))


def commands(document: str) -> Iterator[Command]:
    """The commands of a document in order."""
    for start, language, lines in blocks(document) if document not in TESTED_ELSEWHERE else ():
        if language == "python":
            yield Command(document, start, "\n".join(lines), "", "python")
        elif language in SHELL:
            yield from _shell_commands(document, start, lines)
        else:
            assert language in NOT_RUN, f"{document}:{start}: unknown language {language}"


def _shell_commands(document: str, start: int, lines: list[str]) -> Iterator[Command]:
    """The commands of a shell block: lines joined by a backslash, or from `for` to `done`, are one command."""
    variables, pending = "", []
    for number, line in enumerate(lines, start):
        pending.append(line)
        text = "\n".join(pending)
        open_loops = len(re.findall(r"(?m)^\s*for ", text)) - len(re.findall(r"(?m)^\s*done", text))
        if line.endswith("\\") or open_loops:
            continue
        if re.fullmatch(r"(\w+=\S+\s*)+", text):
            variables += text + "\n"
        elif text.strip() and not text.startswith("#"):
            yield Command(document, number + 1 - len(pending), text, variables, "bash")
        pending = []
    assert not pending, f"{document}:{start}: the last command of the block is incomplete"


def programs(command: Command, folder: Path) -> list[list[str]]:
    """The programs that a command would start, with the arguments that the shell passes to them; none is run."""
    stubs, record = folder / ".stubs", folder / ".record"
    if not stubs.exists():
        stubs.mkdir()
        for name in STUBBED:
            (stubs / name).write_text(STUB)
            (stubs / name).chmod(0o755)
    record.write_text("")
    environment = {**os.environ, "PATH": f"{stubs}:{os.environ['PATH']}", "RECORD": str(record)}
    script = f"set -e\n{command.variables}{command.text}"
    done = subprocess.run(["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return [line.split("\x1f")[:-1] for line in record.read_text().splitlines()]


def create_example_files(folder: Path, tiny: Weights) -> Path:
    """Creates small versions of all files that the documents use, with `tiny` as the shipped weights."""
    for name in ("tools", "configs", "docs"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "weights.npz").symlink_to(ROOT / "tests/fixtures/networks.npz")
    for name in ("shipped", "more", "frames", "photos", "drawings"):
        (folder / name).mkdir()
    for name in ("mine", "shinkai"):
        save(folder / f"{name}.safetensors", replace(tiny, style=name))
    save(folder / "shipped/peppercarrot.safetensors", replace(tiny, style="peppercarrot"))
    sums = subprocess.check_output(["sha256sum", "peppercarrot.safetensors"], cwd=folder / "shipped")
    (folder / "shipped/SHA256SUMS").write_bytes(sums)
    for seed, name in enumerate(("photo.jpg", "a.jpg", "b.jpg", "photos/c.jpg", "photos/d.jpg", "more/e.png")):
        Image.fromarray(draw_photo(seed, 80)[:62]).save(folder / name)
    for number in range(3):
        Image.fromarray(videos.scene(number, 48, 64)).save(folder / f"frames/{number:05}.png")
    Image.fromarray(videos.scene(0)).save(folder / "drawings/scene.png")
    videos.write(folder / "clip.mp4", videos.scenes(0, 1, height=48, width=64))
    for seed, name in enumerate(("video.mp4", "holiday.mp4", "other.mkv")):
        videos.write(folder / name, videos.scenes(*range(3 * seed, 3 * seed + 3)), options={"crf": "12", "g": "6"})
    pages = [Image.fromarray(videos.scene(seed, 48, 64)) for seed in range(2)]
    for name in ("moving.webp", "pages.tif"):
        pages[0].save(folder / name, save_all=True, append_images=pages[1:])
    for data in ("data/custom", "data/large"):
        drawn(folder / data, photos=4, cartoons=2)
    drawn(folder, photos=0, cartoons=3, size=62)
    studies.write_study(folder / "study", photos=2)
    return folder
