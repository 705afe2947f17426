"""What the documents tell their readers to type, and a folder with the files that they speak of."""

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
OTHERWISE = {"docs/api.md", "CONTRIBUTING.md"}  # signatures, and code for certain files: tests of their own run these
MARKS = {"GPU", "the paper's data", "downloads", "Docker", "Paddle Lite"}  # what a command needs that is not here
SHELL, OTHERS = {"", "sh", "bash", "shell"}, {"text", "yaml", "json", "bibtex", "diff"}
STUBS = "python", "pip", "make", "ppcartoon", "visualdl", "docker", "nvidia-smi", "paddle_lite_opt"
STUB = """#!/bin/bash
printf '%s\\x1f' "${0##*/}" "$@" >> "$RECORD"; echo >> "$RECORD"
"""


class Command(NamedTuple):
    """A line of a document, or as many as belong together.

    Attributes:
        document: where it stands, from the repository's root.
        line: its first one there.
        text: all of it, without the block's indentation.
        before: the lines of its block above it that set variables.
        language: "bash" or "python".
    """

    document: str
    line: int
    text: str
    before: str
    language: str

    @property
    def marks(self) -> set[str]:
        """What it needs, by the comment at the end of one of its lines; empty where it can be run."""
        comments = re.findall(r"(?m)(?:^|\s)#\s+(.*?)\)?$", self.text) if self.language == "bash" else []
        needs = [set(re.split(r",\s*", re.split(r"[(:]\s*", comment)[-1])) for comment in comments]
        return set().union(*(need for need in needs if need <= MARKS))

    def __str__(self) -> str:
        return f"{self.document}:{self.line}: {self.text.splitlines()[0].strip()[:70]}"


def blocks(document: str) -> Iterator[tuple[int, str, list[str]]]:
    """The code of a document: number of the first line, language, and lines without indentation or fences."""
    lines = [*(ROOT / document).read_text().splitlines(), ""]
    start, fence, found = 0, None, []
    for number, line in enumerate(lines, 1):
        if fence is None and (opened := re.fullmatch(r"```\s*(\w*)", line)):
            start, fence, found = number + 1, opened[1], []
        elif fence is not None and line == "```":
            yield start, fence, found
            fence, found = None, []
        elif fence is not None:
            found.append(line)
        elif line.startswith("    ") and (found or not lines[number - 2].strip()):
            start, found = start if found else number, [*found, line[4:]]
        elif found:
            yield start, "", found
            found = []


def prose(document: str) -> str:
    """A document without its blocks of code."""
    lines = (ROOT / document).read_text().splitlines()
    for start, _, found in blocks(document):
        for number in range(start, start + len(found)):
            lines[number - 1] = ""
    return "\n".join(line for line in lines if not line.startswith("```"))


def commands(document: str) -> Iterator[Command]:
    for start, language, lines in blocks(document) if document not in OTHERWISE else ():
        if language == "python":
            yield Command(document, start, "\n".join(lines), "", "python")
        elif language in SHELL:
            yield from _lines_of(document, start, lines)
        else:
            assert language in OTHERS, f"{document}:{start}: {language} is neither run nor known as text"


def _lines_of(document: str, start: int, lines: list[str]) -> Iterator[Command]:
    """Commands of a block for the shell: lines that go on with a backslash, or from `for` to `done`, are one."""
    before, held = "", []
    for number, line in enumerate(lines, start):
        held.append(line)
        text = "\n".join(held)
        loops = len(re.findall(r"(?m)^\s*for ", text)) - len(re.findall(r"(?m)^\s*done", text))
        if line.endswith("\\") or loops:
            continue
        if re.fullmatch(r"(\w+=\S+\s*)+", text):
            before += text + "\n"
        elif text.strip() and not text.startswith("#"):
            yield Command(document, number + 1 - len(held), text, before, "bash")
        held = []
    assert not held, f"{document}:{start}: goes on after its end"


def programs(command: Command, folder: Path) -> list[list[str]]:
    """The programs that a command starts, with their arguments, as the shell gives them; none is run."""
    stubs, record = folder / ".stubs", folder / ".record"
    if not stubs.exists():
        stubs.mkdir()
        for name in STUBS:
            (stubs / name).write_text(STUB)
            (stubs / name).chmod(0o755)
    record.write_text("")
    environment = {**os.environ, "PATH": f"{stubs}:{os.environ['PATH']}", "RECORD": str(record)}
    script = f"set -e\n{command.before}{command.text}"
    done = subprocess.run(["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return [line.split("\x1f")[:-1] for line in record.read_text().splitlines()]


def lay_out(folder: Path, tiny: Weights) -> Path:
    """The files that the documents take for granted, all of them small; `tiny` stands for the shipped weights."""
    for name in ("tools", "configs", "docs", "weights.npz"):
        (folder / name).symlink_to(ROOT / {"weights.npz": "tests/fixtures/networks.npz"}.get(name, name))
    (folder / "shipped").mkdir(), (folder / "more").mkdir(), (folder / "frames").mkdir(), (folder / "photos").mkdir()
    for name in ("mine", "shinkai"):
        save(folder / f"{name}.safetensors", tiny)
    save(folder / "shipped/peppercarrot.safetensors", replace(tiny, style="peppercarrot"))
    sums = subprocess.check_output(["sha256sum", "peppercarrot.safetensors"], cwd=folder / "shipped")
    (folder / "shipped/SHA256SUMS").write_bytes(sums)
    for seed, name in enumerate(("photo.jpg", "a.jpg", "b.jpg", "photos/c.jpg", "photos/d.jpg", "more/e.png")):
        Image.fromarray(draw_photo(seed, 80)[:62]).save(folder / name)
    for number in range(3):
        Image.fromarray(videos.scene(number, 48, 64)).save(folder / f"frames/{number:05}.png")
    videos.write(folder / "clip.mp4", videos.scenes(0, 1, height=48, width=64))
    for seed, name in enumerate(("video.mp4", "holiday.mp4", "other.mkv")):
        videos.write(folder / name, videos.scenes(*range(3 * seed, 3 * seed + 3)), options={"crf": "12", "g": "6"})
    for data in ("data/custom", "data/large"):
        drawn(folder / data, photos=4, cartoons=2)
    drawn(folder, photos=0, cartoons=3, size=62)
    studies.write_study(folder / "study", photos=2)
    return folder
