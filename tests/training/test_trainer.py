"""Complete runs: both stages, killed, stopped and resumed, with damaged checkpoints or a changed config."""

import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import paddle
import pytest
import yaml

from ppcartoon import CartoonPredictor, weights
from ppcartoon.config import loading
from ppcartoon.training import checkpoints, run_folder
from ppcartoon.utils import machine
from tests.helpers import training_runs

pytestmark = pytest.mark.slow


def assert_same_end(run, other):
    """Parameters, optimizers and counters of the last checkpoints are equal bit for bit."""
    (tensors, state), (wanted, wanted_state) = [
        checkpoints.load(checkpoints.newest_first(folder / "checkpoints")[0]) for folder in (run, other)
    ]
    assert tensors.keys() == wanted.keys()
    assert [name for name in wanted if not np.array_equal(tensors[name], wanted[name])] == []
    assert {k: v for k, v in state.items() if k != "config"} == {k: v for k, v in wanted_state.items() if k != "config"}


def test_run_trains_both_stages_and_writes_weights_and_samples(whole):
    _, run = whole
    rows = training_runs.metrics(run)
    assert [row["step"] for row in rows] == list(range(1, 13))
    assert [row["stage"] for row in rows] == ["init"] * 3 + ["cartoon"] * 9
    assert [row["epoch"] for row in rows] == [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]
    assert [row["learning_rate"] for row in rows[:6]] == [0.002] * 6
    np.testing.assert_allclose([row["learning_rate"] for row in rows[6:]], 0.002 * np.arange(6, 0, -1) / 6)
    photo = np.zeros((20, 30, 3), np.uint8)
    assert CartoonPredictor(weights_file=run / "weights.safetensors")(photo).shape == photo.shape
    assert sorted(p.name for p in (run / "weights").iterdir()) == [f"epoch_000{i}.safetensors" for i in (1, 2, 3, 4)]
    assert sorted(p.name for p in (run / "samples").iterdir()) == [f"step_{i:08d}.png" for i in (0, 3, 5, 6, 9, 10, 12)]


def test_log_begins_with_the_device(whole):
    first = (whole[1] / "train.log").read_text().splitlines()[0]
    assert f" device      CPU, {machine.cpu_name()}, Paddle {paddle.__version__}, float32" in first


def test_resolved_config_is_in_the_run_folder_and_in_the_weights(whole):
    path, run = whole
    saved = yaml.safe_load((run / "config.yaml").read_text())
    assert loading.check(saved, "saved").model_dump() == saved
    assert saved["model"]["adv_weight"] == 300 and saved["lr_scheduler"]["start_epoch"] == 2
    loaded = weights.load(run / "weights.safetensors")
    assert yaml.safe_load(loaded.config) == saved
    assert loaded.style == "tiny" and str(path) in loaded.command


def test_newest_checkpoints_and_the_best_are_kept(whole):
    _, run = whole
    steps = {checkpoints.step_of(path) for path in checkpoints.newest_first(run / "checkpoints")}
    means = {
        epoch: np.mean([row["g_loss"] for row in training_runs.metrics(run) if row["epoch"] == epoch])
        for epoch in (2, 3, 4)
    }
    best = min(means, key=means.get)
    _, state = checkpoints.load(checkpoints.path_of(run / "checkpoints", 12))
    assert state["best"]["step"] == 3 * best
    assert state["best"]["value"] == pytest.approx(means[best], rel=1e-9)
    assert steps == {6, 9, 12} | {3 * best}


def test_new_run_does_not_overwrite_an_old_one(whole):
    path, run = whole
    before = (run / "metrics.jsonl").read_bytes()
    refused = training_runs.train("-c", path)
    assert refused.returncode == 2
    assert (
        refused.stderr
        == f"ppcartoon train: {run}: contains a run; --resume auto continues it, -o output_dir=... starts another\n"
    )
    assert (run / "metrics.jsonl").read_bytes() == before


def started(path, *arguments):
    return subprocess.Popen(
        training_runs.command("-c", path, *arguments),
        stderr=subprocess.PIPE, text=True, env=training_runs.environment(), start_new_session=True,
    )  # fmt: skip


def alive(process):
    """Whether a process exists and is not a zombie."""
    status = Path(f"/proc/{process}/stat")
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_killed_and_resumed_run_equals_an_uninterrupted_one(whole, tmp_path):
    """The killed run has more workers and samples, which do not change the training."""
    path, run = training_runs.write_config(tmp_path), tmp_path / "output" / "tiny"
    process = started(path, "-o", "dataset.train.num_workers=2", "log_config.visiual_interval=1")
    training_runs.wait_for(
        lambda: (run / "metrics.jsonl").exists() and len((run / "metrics.jsonl").read_bytes().splitlines()) > 7, process
    )
    workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.kill()
    process.wait()
    time.sleep(1)
    assert len(workers) >= 2 and not any(alive(worker) for worker in workers)
    kept = checkpoints.step_of(checkpoints.newest_first(run / "checkpoints")[0])
    assert kept in (6, 9)
    resumed = training_runs.train("-c", path, "--resume", "auto")
    assert resumed.returncode == 0, resumed.stderr
    assert f"after step {kept}" in resumed.stderr
    assert "config changed: dataset.train.num_workers 2 -> 0" in resumed.stderr
    assert training_runs.losses(run) == training_runs.losses(whole[1])
    assert training_runs.curve(run, "d_loss") == training_runs.curve(whole[1], "d_loss")
    assert sorted(p.name for p in (run / "weights").iterdir()) == sorted(
        p.name for p in (whole[1] / "weights").iterdir()
    )
    assert_same_end(run, whole[1])


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_run_stopped_within_an_epoch_and_resumed_equals_an_uninterrupted_one(whole, tmp_path, number, code, workers):
    """The signal goes to the process group, as from a terminal or a scheduler."""
    path, run = training_runs.write_config(tmp_path), tmp_path / "output" / "tiny"
    process = started(path, "-o", f"dataset.train.num_workers={workers}")
    training_runs.wait_for(
        lambda: (run / "metrics.jsonl").exists() and len((run / "metrics.jsonl").read_bytes().splitlines()) > 3, process
    )
    os.killpg(process.pid, number)
    error = process.communicate()[1]
    assert process.returncode == code, error
    step = checkpoints.step_of(checkpoints.newest_first(run / "checkpoints")[0])
    assert f"stopped after step {step}; --resume auto continues from" in error and "Traceback" not in error
    assert (run / "weights.safetensors").exists()
    resumed = training_runs.train("--resume", run)  # the run's own config
    assert resumed.returncode == 0, resumed.stderr
    assert training_runs.losses(run) == training_runs.losses(whole[1])
    assert_same_end(run, whole[1])


def test_damaged_newest_checkpoint_is_replaced_by_the_previous_one(whole, copy):
    path, run = copy
    damaged = checkpoints.path_of(run / "checkpoints", 9)
    data = bytearray(damaged.read_bytes())
    data[-1] ^= 1
    damaged.write_bytes(data)
    resumed = training_runs.train("-c", path, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert f"{damaged}: damaged or modified, its checksum differs; using the previous one" in resumed.stderr
    assert (
        "after step 6" in resumed.stderr
        and f"later checkpoint renamed to {damaged.with_suffix('.aside')}" in resumed.stderr
    )
    assert training_runs.losses(run) == training_runs.losses(whole[1])
    assert_same_end(run, whole[1])


def test_run_resumes_from_a_named_checkpoint_and_renames_later_ones(whole, copy):
    path, run = copy
    resumed = training_runs.train("-c", path, "--resume", checkpoints.path_of(run / "checkpoints", 6))
    assert resumed.returncode == 0, resumed.stderr
    assert (run / "checkpoints" / "step_00000009.aside").exists()
    assert training_runs.losses(run) == training_runs.losses(whole[1])


def test_changed_output_folder_makes_a_new_run_and_leaves_the_other_as_it_is(whole, tmp_path):
    old, run = whole[1], tmp_path / "new" / "tiny"
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in old.rglob("*") if path.is_file()}
    arguments = ["--resume", checkpoints.path_of(old / "checkpoints", 9), "-o", f"output_dir={tmp_path / 'new'}"]
    done = training_runs.train(*arguments)
    assert done.returncode == 0, done.stderr
    assert f"a new run in {run}; {old} stays as it is" in done.stderr
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in old.rglob("*") if path.is_file()} == before
    wanted = training_runs.losses(old)
    assert training_runs.losses(run) == {step: wanted[step] for step in (10, 11, 12)}
    assert {checkpoints.step_of(path) for path in checkpoints.newest_first(run / "checkpoints")} == {9, 12}
    refused = training_runs.train(*arguments)
    assert refused.returncode == 2
    assert refused.stderr == f"ppcartoon train: {run}: contains a run; --resume {run} continues it\n"
    checkpoints.path_of(run / "checkpoints", 12).unlink()  # as if it had been killed before its first own checkpoint
    resumed = training_runs.train("--resume", run)
    assert resumed.returncode == 0, resumed.stderr
    assert training_runs.losses(run) == {step: wanted[step] for step in (10, 11, 12)}


def test_moved_run_continues_where_it_is_unless_an_option_names_an_output_folder(copy, tmp_path):
    path, run = copy
    moved = run.parent.rename(tmp_path / "moved") / run.name
    assert run_folder.locate(None, [], str(moved)).folder == moved
    (tmp_path / "link").symlink_to(moved.parent)
    for option in (f"output_dir={moved.parent}/", f"output_dir={tmp_path / 'link'}"):
        assert run_folder.locate(path, [option], str(moved)).folder == moved
    options = [f"output_dir={run.parent}"]
    (moved / "config.yaml").write_text(yaml.safe_dump(loading.load(path, options).model_dump()))  # has it already
    assert run_folder.locate(path, options, str(moved)).folder == run


def test_run_with_only_damaged_checkpoints_is_refused(copy):
    path, run = copy
    for file in checkpoints.newest_first(run / "checkpoints"):
        file.write_bytes(file.read_bytes()[:1000])
    refused = training_runs.train("-c", path, "--resume")
    assert refused.returncode == 2
    assert (
        f"ppcartoon train: {run}: no intact checkpoint to resume from; " in refused.stderr
        and "Traceback" not in refused.stderr
    )


def test_resuming_with_another_batch_size_or_network_is_refused(copy):
    path, _ = copy
    other = training_runs.train("-c", path, "--resume", "-o", "dataset.train.batch_size=3")
    assert other.returncode == 2 and "has 3 steps per epoch, this run 2" in other.stderr
    other = training_runs.train("-c", path, "--resume", "-o", "model.generator.channels=4")
    assert other.returncode == 2 and "netG of the checkpoint differs from the config" in other.stderr
