"""Two processes on the CPU, started by Paddle's launcher, train as one process does on the combined batch."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from ppcartoon.training import checkpoints
from tests.helpers import baseline_runs, training_runs

pytestmark = pytest.mark.slow

LAUNCH = [sys.executable, "-m", "paddle.distributed.launch", "--nproc_per_node", "2", "--backend", "gloo"]
ONE_STEP = ["epochs=1", "lr_scheduler.decay_epochs=0", "dataset.train.count=3"]
PHOTOS = """
import sys
from ppcartoon.training import run_folder
from ppcartoon.training.experiment import Experiment

work = Experiment(run_folder.locate(run_folder.Path(sys.argv[1]), ["dataset.train.count=9"], None), "")
print(work.rank, work.ranks, [photo for batch in work.sampler for _, photo in batch])
"""


def launch(folder, *arguments):
    """Runs a script in two processes; returns their outputs."""
    done = subprocess.run(
        [*LAUNCH, "--log_dir", str(folder / "log"), *map(str, arguments)],
        capture_output=True, text=True, cwd=folder, timeout=300,
        env={**training_runs.environment(), "PYTHONPATH": str(training_runs.ROOT)},
    )  # fmt: skip
    logs = [file.read_text() for file in sorted((folder / "log").glob("workerlog.*"))]
    assert done.returncode == 0, "\n".join([done.stdout, done.stderr, *logs])
    return logs


@pytest.mark.parametrize("name, init_epochs", [("tiny", 0), ("tiny", 1), ("animegan", 0)])
def test_gradients_equal_those_of_one_process_on_the_combined_batch(tmp_path, name, init_epochs):
    """After a single step Adam's first moments are the gradients, times 1 - beta1."""
    folders = []
    for processes, batch_size in ((2, 1), (1, 2)):
        folder = tmp_path / str(processes)
        folder.mkdir()
        path = training_runs.write_config(folder) if name == "tiny" else baseline_runs.write_config(folder, name)
        options = ["-c", path, "-o", *ONE_STEP, f"model.init_epochs={init_epochs}"]
        options.append(f"dataset.train.batch_size={batch_size}")
        if processes == 2:
            launch(folder, *training_runs.command(*options)[1:])
        else:
            assert training_runs.train(*options).returncode == 0
        folders.append(folder / "output" / name)
        assert [row["step"] for row in training_runs.metrics(folders[-1])] == [1]
        assert len(list(folders[-1].glob("vdlrecords*"))) == 1  # only the first process writes
    found, wanted = (checkpoints.load(checkpoints.path_of(folder / "checkpoints", 1))[0] for folder in folders)
    gradients = [name for name in wanted if name.endswith("/moment1_0")]
    assert found.keys() == wanted.keys() and len(gradients) > 50
    errors = {name: np.linalg.norm(found[name] - wanted[name]) / np.linalg.norm(wanted[name]) for name in gradients}
    assert max(errors.values()) < 1e-4


def test_every_photo_is_used_once_per_epoch_by_one_process(tmp_path):
    script = tmp_path / "photos.py"
    script.write_text(PHOTOS)
    logs = launch(tmp_path, script, training_runs.write_config(tmp_path))
    seen = [line.split(" ", 2) for log in logs for line in log.splitlines() if line[:3] in ("0 2", "1 2")]
    assert [(rank, ranks) for rank, ranks, _ in seen] == [("0", "2"), ("1", "2")]
    first, second = (np.array(json.loads(photos)).reshape(4, 4) for *_, photos in seen)  # epochs of 2 steps of 2
    epochs = np.concatenate([first, second], axis=1)
    assert all(len(set(epoch)) == 8 for epoch in epochs.tolist())
    left_out = [set(range(9)) - set(epoch) for epoch in epochs.tolist()]
    assert len(set.union(*left_out)) == 4  # a different one in each epoch


def test_stopping_the_launcher_stops_its_processes_and_the_run_resumes(tmp_path):
    path, run = training_runs.write_config(tmp_path), tmp_path / "output" / "tiny"
    options = ["-c", path, "-o", "dataset.train.batch_size=1", "dataset.train.count=7", "epochs=40"]
    launcher = subprocess.Popen(
        [*LAUNCH, "--log_dir", str(tmp_path / "log"), *training_runs.command(*options)[1:]],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=tmp_path, env=training_runs.environment(),
    )  # fmt: skip
    metrics = run / "metrics.jsonl"
    training_runs.wait_for(lambda: metrics.exists() and len(metrics.read_bytes().splitlines()) > 4, launcher)
    launcher.send_signal(signal.SIGTERM)
    launcher.wait()

    def stopped():
        return "stopped after step" in (run / "train.log").read_text()

    training_runs.wait_for(stopped)
    step = checkpoints.step_of(checkpoints.newest_first(run / "checkpoints")[0])
    assert 4 < step < 120
    time.sleep(2)  # for the processes to end
    options[-1] = f"epochs={step // 3 + 2}"
    launch(tmp_path, *training_runs.command(*options, "--resume")[1:])
    assert [row["step"] for row in training_runs.metrics(run)] == list(range(1, 3 * (step // 3 + 2) + 1))
