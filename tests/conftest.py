"""Fixtures that several tests use."""

import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ppcartoon import weights
from ppcartoon.inference.predictor import CartoonPredictor
from tests.helpers import baseline_runs, training_runs
from tests.helpers.animegan_dataset import become_origin
from tests.helpers.download_server import serving
from tests.helpers.samples import FIXTURES

for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    signal.signal(number, handler)  # shells and nohup may have them ignored, by those that the tests start as well


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Random weights are the same in whatever order tests run."""
    if "paddle" in sys.modules:
        sys.modules["paddle"].seed(0)


@pytest.fixture
def no_threads_left() -> Iterator[None]:
    """Asserts that all threads which the test started have ended, apart from that of tqdm."""
    before = set(threading.enumerate())
    yield
    left = set(threading.enumerate()) - before
    assert {thread.name for thread in left} <= {"tqdm_monitor"}


@pytest.fixture(scope="session")
def tiny_weights() -> weights.Weights:
    """Weights of a network with a few thousand parameters."""
    tensors, network = weights.from_npz(FIXTURES / "networks.npz")
    return weights.Weights(tensors, network, "tiny", "none", "nobody", "CC0")


@pytest.fixture(scope="session")
def tiny_file(tiny_weights, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    weights.save(path, tiny_weights)
    return path


@pytest.fixture(scope="session")
def predictor(tiny_file) -> CartoonPredictor:
    return CartoonPredictor(weights_file=tiny_file)


@pytest.fixture(scope="session")
def whole(tmp_path_factory) -> tuple[Path, Path]:
    """A training run of 12 steps from start to end: its config and its folder."""
    folder = tmp_path_factory.mktemp("whole")
    path = training_runs.write_config(folder)
    done = training_runs.train("-c", path)
    assert done.returncode == 0, done.stderr
    return path, folder / "output" / "tiny"


@pytest.fixture
def copy(whole, tmp_path) -> tuple[Path, Path]:
    """The finished run again, as if it had stopped after step 9, and its config."""
    from ppcartoon.training import checkpoints

    path, run = training_runs.write_config(tmp_path), tmp_path / "output" / "tiny"
    shutil.copytree(whole[1], run)
    checkpoints.path_of(run / "checkpoints", 12).unlink()
    return path, run


@pytest.fixture
def web(monkeypatch):
    """A web server on this machine."""
    with serving(monkeypatch) as web:
        yield web


@pytest.fixture
def origin(web, tmp_path, monkeypatch):
    """Makes it the origin of all that can be downloaded."""
    return become_origin(web, tmp_path / "home", monkeypatch)


@pytest.fixture(scope="session", params=baseline_runs.NAMES)
def baseline_run(request, tmp_path_factory) -> tuple[str, Path]:
    """The name of a baseline, and the folder of a run of 6 steps."""
    folder = tmp_path_factory.mktemp(request.param)
    from ppcartoon.cli.train import main as train

    assert train(["-c", str(baseline_runs.write_config(folder, request.param)), "--device", "cpu"]) == 0
    return request.param, folder / "output" / request.param


@pytest.fixture(params=baseline_runs.NAMES)
def baseline(request, tmp_path):
    """A baseline's experiment before its first step."""
    return baseline_runs.experiment(tmp_path, request.param)
