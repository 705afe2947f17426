"""The notebook runs from its first cell to its last; what is stored in it is its own; and it leaves Paddle alone."""

import importlib.metadata
import os
import re
import runpy
import subprocess
import sys
from types import SimpleNamespace

import av
import nbformat
import numpy as np
import onnx
import pytest
from PIL import Image

from ppcartoon import weights
from tests.helpers import training_runs

pytestmark = pytest.mark.slow

TOOL = runpy.run_path(str(training_runs.ROOT / "tools/notebook.py"))
STORED = nbformat.read(TOOL["NOTEBOOK"], as_version=4)
CELLS = {cell.id: cell for cell in STORED.cells}
VIDEOS = ("video.mp4", "video_cartoon.mp4")


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The folder in which it ran with small sizes, and the notebook with the outputs of that."""
    folder = tmp_path_factory.mktemp("notebook")
    return folder, TOOL["execute"](folder, PPCARTOON_SMALL="1", CUDA_VISIBLE_DEVICES="")


def code(book):
    return [cell for cell in book.cells if cell.cell_type == "code"]


def text(cell):
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


def kinds(cell):
    """What its outputs look like: lines without numbers, of like ones the first, and the types of all else."""
    found = []
    for output in cell.outputs:
        if output.output_type != "stream":
            found.append((output.output_type, sorted(output.data)))
            continue
        shown = re.sub(r"(OpenVINO|ONNX Runtime).* on \d+ CPU threads?", "ENGINE", output.text)
        lines = re.sub(r"-?\d[\d.e+-]*", "#", shown).splitlines()
        found += [(output.name, line) for line, before in zip(lines, [None, *lines]) if line != before]
    return found


def test_every_cell_runs_and_makes_what_it_tells_of(ran):
    made = ran[0] / "output/notebook"
    photo, cartoon = (np.asarray(Image.open(made / name).resize((96, 96))) for name in ("photo.jpg", "cartoon.jpg"))
    assert Image.open(made / "cartoon.jpg").size == (96, 96)
    assert np.abs(np.subtract(photo, cartoon, dtype=float)).mean() > 5
    videos = [[f.to_ndarray(format="rgb24") for f in av.open(made / name).decode(video=0)] for name in VIDEOS]
    assert np.shape(videos[0]) == np.shape(videos[1]) and np.abs(np.subtract(*videos, dtype=float)).mean() > 5
    folders = [sorted(path.name for path in (made / "style" / name).glob("*.png")) for name in ("cartoons", "smooth")]
    assert folders[0] == folders[1] and len(folders[0]) == 4
    rows = training_runs.metrics(made / "demo")
    assert [row["epoch"] for row in rows] == [*range(1, 17)]
    assert {row["stage"] for row in rows if row["epoch"] > 7} == {"cartoon"}
    assert weights.load(made / "demo/weights.safetensors").style == "demo"
    onnx.checker.check_model(onnx.load(made / "exported/onnx/demo.onnx"))
    assert len(list((made / "outputs").iterdir())) == 4
    assert "'output/notebook/demo'" in text(ran[1].cells[[*CELLS].index("visualdl")])


def test_what_is_stored_is_of_these_cells_run_in_this_order(ran):
    nbformat.validate(STORED)
    assert STORED.metadata.outputs_of == TOOL["digest"](STORED), "code was changed since: make notebook"
    assert [cell.execution_count for cell in code(STORED)] == [*range(1, len(code(STORED)) + 1)]
    for stored, fresh in zip(code(STORED), code(ran[1])):
        assert kinds(stored) == kinds(fresh), stored.id
    assert TOOL["NOTEBOOK"].stat().st_size < 1_000_000


def test_nothing_of_the_machine_is_stored():
    assert not re.findall(r"/(?:home|root|tmp|work|Users)/\S*", "".join(map(text, code(STORED))))
    assert not any(cell.metadata for cell in STORED.cells)


def test_headings_and_texts_are_in_chinese_and_english():
    headings = 0
    for cell in STORED.cells:
        if cell.cell_type == "markdown":
            assert re.search("[\u4e00-\u9fff]{4}", cell.source) and re.search("[a-z]{3} [a-z]{2}", cell.source), cell.id
            for heading in re.findall("^#+ .*", cell.source, re.MULTILINE):
                assert re.fullmatch("#+ .*[\u4e00-\u9fff]{2}.* · [A-Z][ -~]+", heading)
                headings += 1
    assert headings == 13


class Machine:
    """One with some Paddle, and a pip that may replace it."""

    def __init__(self, monkeypatch, found, after):
        self.found, self.after, self.asked = found, after, []
        monkeypatch.setattr(importlib.metadata, "distributions", lambda: [SimpleNamespace(**x) for x in self.found])
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    def install(self):
        exec(CELLS["install"].source, {"run": self.run})

    def run(self, command):
        self.asked.append(command)
        self.found = self.after


GPU = [{"name": "paddlepaddle-gpu", "version": "2.6.2"}]


def test_paddle_is_looked_for_and_never_installed(monkeypatch, capsys, ran):
    machine = Machine(monkeypatch, GPU, GPU)
    machine.install()
    assert "{'paddlepaddle-gpu': '2.6.2'}" in capsys.readouterr().out
    assert [command.split(" install ")[1] for command in machine.asked] == [
        "--quiet '.[demo,openvino,video,train]'",
        "--quiet --no-deps ppgan==2.1.0",
    ]
    assert "pip" not in text(ran[1].cells[[*CELLS].index("install")])  # all was there


@pytest.mark.parametrize(
    "after", [[], [{**GPU[0], "version": "3.0"}], [*GPU, {"name": "paddlepaddle", "version": "3"}]]
)
def test_a_pip_that_touches_paddle_stops_the_notebook(monkeypatch, after):
    with pytest.raises(AssertionError, match="pip has touched Paddle"):
        Machine(monkeypatch, GPU, after).install()


def test_without_paddle_it_says_what_to_install(monkeypatch):
    machine = Machine(monkeypatch, [], GPU)
    with pytest.raises(RuntimeError, match=r"www\.paddlepaddle\.org\.cn/install/quick.*paddlepaddle==3\.2\.2"):
        machine.install()
    assert not machine.asked


def alone(folder, repository):
    """What the second cell does where the notebook was opened in a folder without the repository."""
    script = f"REPOSITORY = {str(repository)!r}\n{CELLS['repository'].source}\nprint(os.getcwd())"
    environment = {**os.environ, "HOME": str(folder)}
    return subprocess.run([sys.executable, "-c", script], cwd=folder, env=environment, capture_output=True, text=True)


def test_opened_alone_it_clones_the_repository_or_asks_for_its_address(tmp_path):
    assert "REPOSITORY" in alone(tmp_path, "").stderr.splitlines()[-1]
    origin = tmp_path / "origin"
    (origin / "ppcartoon").mkdir(parents=True)
    (origin / "ppcartoon/__init__.py").write_text("__version__ = '9'")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(origin)]
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "all"]):
        subprocess.run([*git, *command], check=True)
    done = alone(tmp_path, origin.as_uri())
    assert done.stdout.splitlines() == ["ppcartoon 9", str(tmp_path / "work/ppcartoon")], done.stderr
