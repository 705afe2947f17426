"""The notebook runs from its first cell to its last; what is stored in it is its own; and it leaves Paddle alone."""

import importlib.metadata
import importlib.util
import io
import json
import os
import re
import runpy
import socket
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
from ppcartoon.data.samples import sample_photos
from tests.helpers import training_runs

pytestmark = pytest.mark.slow

TOOL = runpy.run_path(str(training_runs.ROOT / "tools/notebook.py"))
STORED = nbformat.read(TOOL["NOTEBOOK"], as_version=4)
CELLS = {cell.id: cell for cell in STORED.cells}
PHOTO = sample_photos()[0]


@pytest.fixture
def quickstart():
    """The helpers of the notebook, as a new module."""
    spec = importlib.util.spec_from_file_location("quickstart", TOOL["HELPERS"])
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The folder in which it ran with small sizes, and the notebook with the outputs of that."""
    folder = tmp_path_factory.mktemp("notebook")
    return folder, TOOL["execute"](folder, PPCARTOON_SMALL="1", CUDA_VISIBLE_DEVICES="")


def code(book):
    return [cell for cell in book.cells if cell.cell_type == "code"]


def text(cell):
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


def output_of(book, name):
    """What a cell has printed."""
    return text(book.cells[[*CELLS].index(name)])


def kinds(cell):
    """What its outputs look like: lines without numbers, of like ones the first, and the types of all else."""
    found = []
    for output in cell.outputs:
        if output.output_type != "stream":
            found.append((output.output_type, sorted(output.data)))
            continue
        shown = re.sub(r"(OpenVINO|ONNX Runtime).* on \d+ CPU threads?", "ENGINE", output.text)
        shown = re.sub(r"CPU, .*, Paddle", "CPU, Paddle", shown)
        lines = re.sub(r"-?\d[\d.,e+-]*", "#", shown).splitlines()
        found += [(output.name, line) for line in dict.fromkeys(lines)]
    return found


def test_every_cell_runs_and_makes_what_it_tells_of(ran):
    made = ran[0] / "output/notebook"
    cartoon, photo = np.asarray(Image.open(made / "cartoon.jpg")), np.asarray(Image.open(PHOTO))
    assert np.abs(np.subtract(photo, cartoon, dtype=float)).mean() > 5
    original, frames = (
        [frame.to_ndarray(format="rgb24") for frame in av.open(made / name).decode(video=0)]
        for name in ("camera.mp4", "video.mp4")
    )
    assert len(original) == len(frames) and frames[0].shape[0] == original[0].shape[0]
    halves = np.array_split(frames, 2, axis=2)  # the video and its cartoon, side by side
    assert np.abs(np.subtract(*halves, dtype=float)).mean() > 5
    folders = [sorted(path.name for path in (made / "style" / name).glob("*.png")) for name in ("cartoons", "smooth")]
    assert folders[0] == folders[1] and len(folders[0]) == 4
    rows = training_runs.metrics(made / "demo_custom")
    assert [row["epoch"] for row in rows] == [*range(1, 17)]
    assert {row["stage"] for row in rows if row["epoch"] > 7} == {"cartoon"}
    assert weights.load(made / "demo_custom/weights.safetensors").style == "mine"
    onnx.checker.check_model(onnx.load(made / "exported/onnx/mine.onnx"))
    assert "'output/notebook/demo_custom'" in output_of(ran[1], "visualdl")


def test_servers_run_until_the_kernel_stops(ran):
    for name in ("page", "visualdl"):
        (port,) = re.findall(r"http://127\.0\.0\.1:(\d+)/", output_of(ran[1], name))
        with socket.socket() as sock:
            assert sock.connect_ex(("127.0.0.1", int(port)))


def test_what_is_stored_is_of_these_cells_run_in_this_order(ran):
    nbformat.validate(STORED)
    assert STORED.metadata.outputs_of == TOOL["digest"](STORED), "code was changed since: make notebook"
    assert [cell.execution_count for cell in code(STORED)] == [*range(1, len(code(STORED)) + 1)]
    for stored, fresh in zip(code(STORED), code(ran[1])):
        assert kinds(stored) == kinds(fresh), stored.id


def test_the_first_picture_is_in_the_second_cell_and_outputs_are_small():
    assert [output.output_type for output in code(STORED)[1].outputs] == ["display_data"]
    assert TOOL["NOTEBOOK"].stat().st_size < 400_000
    assert max(len(text(cell).splitlines()) for cell in code(STORED)) <= 15


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
    assert headings == 12


class Machine:
    """One with some packages, and a pip that may replace them."""

    def __init__(self, quickstart, monkeypatch, tmp_path, found, after, wanted=()):
        self.found, self.after, self.wanted, self.asked = found, after, wanted, []
        monkeypatch.setattr(importlib.metadata, "distributions", lambda: [SimpleNamespace(**x) for x in self.found])
        monkeypatch.setattr(quickstart, "find_spec", lambda name: None)
        monkeypatch.setattr(quickstart, "run", self.run)
        monkeypatch.chdir(tmp_path)
        quickstart.OUT.mkdir(parents=True)

    def run(self, *command):
        self.asked.append(" ".join(map(str, command)).split(" install ")[1])
        if "--dry-run" in self.asked[-1]:
            report = {"install": [{"metadata": each} for each in self.wanted]}
            Path("output/notebook/pip.json").write_text(json.dumps(report))
        else:
            self.found = self.after


@pytest.fixture
def machine(quickstart, monkeypatch, tmp_path):
    return lambda *packages: Machine(quickstart, monkeypatch, tmp_path, *packages)


def package(name, version):
    return {"name": name, "version": version}


GPU = [package("paddlepaddle-gpu", "2.6.2")]
DRY_RUN = "--quiet --dry-run --report output/notebook/pip.json"


def test_the_first_cell_installs_what_photos_need_and_a_later_one_what_training_needs(quickstart, machine, capsys, ran):
    found = machine(GPU, [*GPU, package("av", "17")], [package("av", "17")])
    quickstart.install("demo", "openvino")
    assert found.asked == [f"{DRY_RUN} '.[demo,openvino]'", "--quiet '.[demo,openvino]'"]
    found.asked.clear()
    quickstart.install_training()
    assert found.asked == [f"{DRY_RUN} '.[train]'", "--quiet '.[train]'", "--quiet --no-deps ppgan==2.1.0"]
    assert capsys.readouterr().out == "Paddle: paddlepaddle-gpu 2.6.2\n"
    assert "pip" not in output_of(ran[1], "setup") + output_of(ran[1], "frames")  # all was there


@pytest.mark.parametrize("after", [[], [package("paddlepaddle-gpu", "3.0")], [*GPU, package("paddlepaddle", "3")]])
def test_a_pip_that_touches_paddle_stops_the_notebook(quickstart, machine, after):
    machine(GPU, after)
    with pytest.raises(RuntimeError, match="pip has touched Paddle"):
        quickstart.install("train")


def test_without_paddle_it_says_what_to_install(quickstart, machine):
    found = machine([], GPU)
    with pytest.raises(RuntimeError, match=r"www\.paddlepaddle\.org\.cn/install/quick.*paddlepaddle==3\.2\.2"):
        quickstart.install_training()
    assert not found.asked


@pytest.mark.parametrize("gpu, build", [(True, "paddlepaddle-gpu==3.2.2 --index-url "), (False, "paddlepaddle==3.2.2")])
@pytest.mark.parametrize("paddle", [[], GPU, [package("paddlepaddle", "3.1")]])
def test_on_colab_paddle_is_installed_for_training_only_if_there_is_none(
    quickstart, machine, monkeypatch, gpu, build, paddle
):
    monkeypatch.setitem(sys.modules, "google.colab", MagicMock())
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/nvidia-smi" if gpu else None)
    found = machine(paddle, paddle or GPU)
    quickstart.install_training()
    assert [command.startswith(f"--quiet {build}") for command in found.asked].count(True) == (not paddle)
    assert ["paddlepaddle" in command for command in found.asked].count(True) == (not paddle)


OWN = [*GPU, package("numpy", "1.26.4"), package("opencv-python", "4.5.5")]


@pytest.mark.parametrize(
    "wanted, said",
    [
        (package("numpy", "2.2.6"), "pip would replace: numpy 1.26.4 -> numpy 2.2.6."),
        (package("numpy", "1.26.5"), ""),
        (package("opencv-python-headless", "4.12"), "replace: opencv-python 4.5.5 -> opencv-python-headless 4.12."),
    ],
)
def test_the_image_s_own_numpy_and_opencv_are_not_replaced_without_consent(quickstart, machine, wanted, said):
    found = machine(OWN, OWN, [wanted, package("av", "17")])
    if said:
        with pytest.raises(RuntimeError, match=re.escape(said)):
            quickstart.install("video")
        assert len(found.asked) == 1 and "--dry-run" in found.asked[0]
    else:
        quickstart.install("video")
    quickstart.install("video", replace=True)
    assert "--quiet '.[video]'" in found.asked


def test_the_kernel_must_be_restarted_when_pip_has_changed_a_package(quickstart, machine):
    machine(OWN, [*GPU, package("numpy", "2.2.6"), OWN[2], package("av", "17")])
    with pytest.raises(RuntimeError, match=r"pip has changed numpy: .*restart the kernel"):
        quickstart.install("video", replace=True)


def test_platforms_are_told_apart(quickstart, monkeypatch):
    monkeypatch.delenv("KAGGLE_KERNEL_RUN_TYPE", raising=False)
    for home, name in (("/root", "Jupyter"), ("/home/aistudio", "AI Studio")):
        monkeypatch.setattr(Path, "home", lambda home=home: Path(home))
        assert quickstart.platform() == name
    colab = MagicMock()
    colab.output.eval_js = lambda script: f"https://colab/{script}"
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    assert quickstart.platform() == "Colab"
    assert quickstart._browser_url(7860) == "https://colab/google.colab.kernel.proxyPort(7860)"
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Interactive")
    assert quickstart.platform() == "Kaggle"


@pytest.mark.parametrize("quiet", [False, True])
def test_a_command_that_fails_stops_the_notebook_and_its_messages_are_shown(quickstart, capsys, quiet):
    with pytest.raises(RuntimeError, match="exit code 3") as raised:
        quickstart.run('python -c \'print("first"); print("reason"); exit(3)\'', quiet=quiet)
    shown = str(raised.value) if quiet else capsys.readouterr().out
    assert "first\nreason\n" in shown


@pytest.mark.parametrize("version", [7, 8])
def test_an_uploaded_photo_becomes_a_cartoon_and_is_the_photo_of_later_cells(
    quickstart, monkeypatch, tmp_path, version
):
    widgets = MagicMock()
    monkeypatch.setitem(sys.modules, "ipywidgets", widgets)
    monkeypatch.setattr(quickstart, "display", print)
    monkeypatch.chdir(tmp_path)
    quickstart.OUT.mkdir(parents=True)
    photo = io.BytesIO()
    Image.new("RGB", (20, 30)).save(photo, "png")
    cell = {"OUT": quickstart.OUT, "show": quickstart.show, "quickstart": quickstart}
    exec(CELLS["first"].source, cell)
    assert cell["PHOTO"] == PHOTO
    exec(CELLS["own"].source, cell)
    (uploaded, _), _ = widgets.FileUpload.return_value.observe.call_args
    file = {"content": photo.getvalue()}
    widgets.FileUpload.return_value.value = {"me.png": file} if version == 7 else (file,)
    uploaded(None)
    assert cell["PHOTO"].read_bytes() == photo.getvalue()
    assert Image.open("output/notebook/cartoon.jpg").size == (20, 30)


def test_a_mounted_data_set_is_unpacked(monkeypatch, tmp_path):
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    asked = []
    cell = {"Path": Path, "STYLE": "style", "run": lambda *command: asked.append(command)}
    exec(CELLS["real"].source, cell)
    assert len(asked) == 1 and "--dry-run" in asked[0]
    archive = tmp_path / "data/data123/dataset.zip"
    archive.parent.mkdir(parents=True)
    archive.touch()
    exec(CELLS["real"].source, cell)
    assert asked[1] == ("python tools/prepare_data.py download --url", archive)


def alone(folder, repository):
    """What the first cell does where the notebook was opened in a folder without the repository."""
    source = CELLS["setup"].source.replace('REPOSITORY = ""', f"REPOSITORY = {str(repository)!r}")
    script = f"{source}\nprint(os.getcwd())"
    environment = {**os.environ, "HOME": str(folder)}
    return subprocess.run([sys.executable, "-c", script], cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("home, clone", [("aistudio", "work/ppcartoon"), ("someone", "ppcartoon")])
def test_opened_alone_it_clones_the_repository_or_asks_for_its_address(tmp_path, home, clone):
    folder, origin = tmp_path / home, tmp_path / "origin"
    folder.mkdir()
    assert "REPOSITORY" in alone(folder, "").stderr.splitlines()[-1]
    (origin / "notebooks").mkdir(parents=True)
    (origin / "notebooks/quickstart.py").write_text(
        "from pathlib import Path\nOUT = run = show = None\nbegin = lambda: print(9)\ninstall = lambda *_, **__: None"
    )
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(origin)]
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "all"]):
        subprocess.run([*git, *command], check=True)
    done = alone(folder, origin.as_uri())
    assert done.stdout.splitlines() == ["9", str(folder / clone)], done.stderr


@pytest.mark.parametrize("home, kept", [("aistudio", True), ("someone", False)])
def test_on_ai_studio_runs_are_kept_in_the_work_folder(quickstart, monkeypatch, tmp_path, home, kept):
    repository = tmp_path / home / "repository"
    repository.mkdir(parents=True)
    monkeypatch.chdir(repository)
    monkeypatch.setattr(Path, "home", lambda: tmp_path / home)
    for _ in range(2):
        quickstart.begin()
        assert (repository / "output/notebook").is_dir()
    assert (tmp_path / home / "work/ppcartoon_output/notebook").is_dir() == kept
