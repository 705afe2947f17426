"""The notebook runs from its first cell to its last; what is stored in it is its own; and it leaves Paddle alone."""

import importlib.metadata
import io
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

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
SETUP = dict(zip(("settings", "repository", "install", "device"), re.split(r"\n# \d\. .*\n", CELLS["setup"].source)))
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
        found += [(output.name, line) for line in dict.fromkeys(lines)]
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
    assert headings == 11


class Machine:
    """One with some packages, and a pip that may replace them."""

    def __init__(self, monkeypatch, tmp_path, found, after, wanted=()):
        self.found, self.after, self.wanted, self.asked = found, after, wanted, []
        monkeypatch.setattr(importlib.metadata, "distributions", lambda: [SimpleNamespace(**x) for x in self.found])
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        monkeypatch.chdir(tmp_path)
        Path("output/notebook").mkdir(parents=True)

    def install(self, replace=False):
        exec(SETUP["install"], {"run": self.run, "REPLACE": replace, "Path": Path, "json": json})

    def run(self, *command):
        self.asked.append(" ".join(command).split(" install ")[1])
        if "--dry-run" in self.asked[-1]:
            report = {"install": [{"metadata": each} for each in self.wanted]}
            Path("output/notebook/pip.json").write_text(json.dumps(report))
        else:
            self.found = self.after


def package(name, version):
    return {"name": name, "version": version}


GPU = [package("paddlepaddle-gpu", "2.6.2")]
EXTRAS = "'.[demo,openvino,video,train]'"


def test_paddle_is_looked_for_and_never_installed(monkeypatch, tmp_path, capsys, ran):
    machine = Machine(monkeypatch, tmp_path, GPU, [*GPU, package("av", "17")], [package("av", "17")])
    machine.install()
    assert "{'paddlepaddle-gpu': '2.6.2'}" in capsys.readouterr().out
    assert machine.asked == [
        f"--quiet --dry-run --report output/notebook/pip.json {EXTRAS}",
        f"--quiet {EXTRAS}",
        "--quiet --no-deps ppgan==2.1.0",
    ]
    assert "pip" not in text(ran[1].cells[[*CELLS].index("setup")])  # all was there


@pytest.mark.parametrize("after", [[], [package("paddlepaddle-gpu", "3.0")], [*GPU, package("paddlepaddle", "3")]])
def test_a_pip_that_touches_paddle_stops_the_notebook(monkeypatch, tmp_path, after):
    with pytest.raises(AssertionError, match="pip has touched Paddle"):
        Machine(monkeypatch, tmp_path, GPU, after).install()


def test_without_paddle_it_says_what_to_install(monkeypatch, tmp_path):
    machine = Machine(monkeypatch, tmp_path, [], GPU)
    with pytest.raises(RuntimeError, match=r"www\.paddlepaddle\.org\.cn/install/quick.*paddlepaddle==3\.2\.2"):
        machine.install()
    assert not machine.asked


OWN = [*GPU, package("numpy", "1.26.4"), package("opencv-python", "4.5.5")]


@pytest.mark.parametrize(
    "wanted, said",
    [
        (package("numpy", "2.2.6"), "pip would replace: numpy 1.26.4 -> numpy 2.2.6."),
        (package("numpy", "1.26.5"), ""),
        (package("opencv-python-headless", "4.12"), "replace: opencv-python 4.5.5 -> opencv-python-headless 4.12."),
    ],
)
def test_the_image_s_own_numpy_and_opencv_are_not_replaced_without_consent(monkeypatch, tmp_path, wanted, said):
    machine = Machine(monkeypatch, tmp_path, OWN, OWN, [wanted, package("av", "17")])
    if said:
        with pytest.raises(RuntimeError, match=re.escape(said)):
            machine.install()
        assert len(machine.asked) == 1 and "--dry-run" in machine.asked[0]
    else:
        machine.install()
    machine.install(replace=True)
    assert f"--quiet {EXTRAS}" in machine.asked


def test_the_kernel_must_be_restarted_when_pip_has_changed_a_package(monkeypatch, tmp_path):
    machine = Machine(monkeypatch, tmp_path, OWN, [*GPU, package("numpy", "2.2.6"), OWN[2], package("av", "17")])
    with pytest.raises(RuntimeError, match=r"pip has changed numpy: .*restart the kernel"):
        machine.install(replace=True)


@pytest.mark.parametrize("version", [7, 8])
def test_an_uploaded_photo_becomes_a_cartoon_and_is_the_photo_of_later_cells(monkeypatch, tmp_path, version):
    widgets = MagicMock()
    monkeypatch.setitem(sys.modules, "ipywidgets", widgets)
    monkeypatch.chdir(tmp_path)
    Path("output/notebook").mkdir(parents=True)
    photo = io.BytesIO()
    Image.new("RGB", (20, 30)).save(photo, "png")

    def run(*command):
        shutil.copy(command[1], "output/notebook/cartoon.jpg")

    cell = {"PHOTO": "", "SMALL": True, "Path": Path, "run": run}
    exec(CELLS["photo"].source, cell)
    assert cell["PHOTO"] == "output/notebook/photo.jpg"  # the sample
    (uploaded, _), _ = cell["upload"].observe.call_args
    file = {"content": photo.getvalue()}
    cell["upload"].value = {"me.png": file} if version == 7 else (file,)
    uploaded(None)
    assert Path(cell["PHOTO"]).read_bytes() == Path("output/notebook/cartoon.jpg").read_bytes() == photo.getvalue()


def test_a_mounted_data_set_is_unpacked(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    asked = []
    cell = {"Path": Path, "run": lambda *command: asked.append(command)}
    exec(CELLS["mounted"].source, cell)
    assert not asked and "There is no dataset.zip" in capsys.readouterr().out
    archive = tmp_path / "data/data123/dataset.zip"
    archive.parent.mkdir(parents=True)
    archive.touch()
    exec(CELLS["mounted"].source, cell)
    assert asked == [("python tools/prepare_data.py download --url", archive)]


def alone(folder, repository):
    """What the second cell does where the notebook was opened in a folder without the repository."""
    script = f"REPOSITORY = {str(repository)!r}\n{SETUP['repository']}\nprint(os.getcwd())"
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


@pytest.mark.parametrize("home, kept", [("aistudio", True), ("someone", False)])
def test_on_ai_studio_runs_are_kept_in_the_work_folder(tmp_path, home, kept):
    repository = tmp_path / home / "repository"
    (repository / "ppcartoon").mkdir(parents=True)
    (repository / "ppcartoon/__init__.py").write_text("__version__ = '9'")
    script = f"REPOSITORY = ''\n{SETUP['repository']}"
    environment = {**os.environ, "HOME": str(tmp_path / home)}
    for _ in range(2):
        subprocess.run([sys.executable, "-c", script], cwd=repository, env=environment, check=True)
        assert (repository / "output/notebook").is_dir()
    assert (tmp_path / home / "work/ppcartoon_output/notebook").is_dir() == kept
