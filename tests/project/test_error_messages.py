"""Errors of training runs: full disk, values that are not finite, closed pipe, a second run; and --dry-run."""

import resource
import signal
import subprocess
import time
from pathlib import Path

import pytest

from ppcartoon import InputError
from ppcartoon.training import checkpoints, run_folder
from tests.helpers import training_runs

pytestmark = pytest.mark.slow


def test_full_disk_stops_the_run_and_keeps_the_previous_checkpoint(copy):
    """A limit on file sizes simulates the full disk; writing fails in the same way."""
    path, run = copy
    before = {p.name: p.read_bytes() for p in checkpoints.newest_first(run / "checkpoints")}
    size = len(before["step_00000009.safetensors"])

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size - 1000, size - 1000))

    failed = training_runs.train("-c", path, "--resume", "-o", "enable_visualdl=false", preexec_fn=limit)
    assert failed.returncode == 1
    assert failed.stderr.splitlines()[-1].startswith(
        f"ppcartoon train: {checkpoints.path_of(run / 'checkpoints', 12)}: cannot be written"
    )
    assert "Traceback" not in failed.stderr
    assert {p.name: p.read_bytes() for p in (run / "checkpoints").iterdir()} == before


def test_loss_that_is_not_finite_stops_the_run_and_names_step_loss_and_checkpoint(tmp_path):
    path, run = training_runs.write_config(tmp_path), tmp_path / "output" / "tiny"
    failed = training_runs.train("-c", path, "-o", "model.tv_weight=1.0e+39")
    assert failed.returncode == 2
    last = failed.stderr.splitlines()[-1]
    assert last.startswith("ppcartoon train: step 4: g_loss is inf") or last.startswith(
        "ppcartoon train: step 4: g_tv is inf"
    )
    assert f"last good checkpoint: {run / 'checkpoints' / 'step_00000003.safetensors'}" in last
    assert checkpoints.newest_first(run / "checkpoints")[0].name == "step_00000003.safetensors"


def test_dry_run_prints_counts_and_writes_nothing(tmp_path):
    path = training_runs.write_config(tmp_path)
    done = training_runs.train("-c", path, "--dry-run", "--decay", "1", "--seed", "7")
    assert done.returncode == 0, done.stderr
    for part in (
        "6 photos, 6 cartoons, 32x32",
        "1 epochs, 3 steps",
        "3 epochs, to step 12",
        "from step 10 on",
        "GFLOP",
    ):
        assert part in done.stdout, part
    assert not (tmp_path / "output").exists()


def test_seed_changes_the_run(whole, tmp_path):
    path, run = training_runs.write_config(tmp_path), tmp_path / "output" / "tiny"
    assert training_runs.train("-c", path, "--seed", "1").returncode == 0
    assert training_runs.losses(run)[1] != training_runs.losses(whole[1])[1]


def test_moments_that_are_not_finite_stop_the_run_and_are_not_saved(tmp_path):
    path, run = training_runs.write_config(tmp_path), tmp_path / "output" / "tiny"
    failed = training_runs.train("-c", path, "-o", "model.color_weight=1.0e+25")
    assert failed.returncode == 2
    last = failed.stderr.splitlines()[-1]
    assert last.startswith("ppcartoon train: step 6: optimizer_G/") and "is not finite" in last
    assert f"last good checkpoint: {run / 'checkpoints' / 'step_00000003.safetensors'}" in last
    assert [p.name for p in checkpoints.newest_first(run / "checkpoints")] == ["step_00000003.safetensors"]


def test_run_continues_after_its_standard_error_is_closed(whole, tmp_path):
    path, run = training_runs.write_config(tmp_path), tmp_path / "output" / "tiny"
    process = subprocess.Popen(
        training_runs.command("-c", path),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env=training_runs.environment(),
    )
    process.stderr.readline()
    process.stderr.close()
    assert process.wait() == 0
    assert training_runs.losses(run) == training_runs.losses(whole[1])


def test_second_run_in_the_same_folder_is_refused(copy):
    path, run = copy
    before = (run / "metrics.jsonl").read_bytes()
    with run_folder.lock(run):
        refused = training_runs.train("-c", path, "--resume")
        with pytest.raises(InputError, match="another process is training there"):
            run_folder.lock(run)
    assert refused.returncode == 2 and refused.stderr.endswith(
        f"ppcartoon train: {run}: another process is training there\n"
    )
    assert (run / "metrics.jsonl").read_bytes() == before


def test_partial_file_of_a_killed_process_is_removed(copy):
    path, run = copy
    left = run / "checkpoints" / ".0123.safetensors"
    left.write_bytes(b"half")
    assert training_runs.train("-c", path, "--resume").returncode == 0
    assert not left.exists()


def test_changed_loss_weights_reset_the_best_checkpoint(copy):
    path, run = copy
    assert training_runs.train("-c", path, "--resume", "-o", "model.color_weight=1000").returncode == 0
    _, state = checkpoints.load(checkpoints.path_of(run / "checkpoints", 12))
    assert state["best"]["step"] == 12


@pytest.mark.parametrize("seconds", [0, 0.5, 1.2])
def test_ctrl_c_during_startup_ends_without_traceback(tmp_path, seconds):
    process = subprocess.Popen(
        training_runs.command("-c", training_runs.write_config(tmp_path)),
        stderr=subprocess.PIPE,
        text=True,
        env=training_runs.environment(),
    )
    while "paddle" not in Path(f"/proc/{process.pid}/maps").read_text():  # its import has begun
        time.sleep(0.01)
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    error = process.communicate()[1]
    assert process.returncode in (-signal.SIGINT, 130) and "Traceback" not in error


def test_resuming_with_fewer_epochs_than_done_is_refused(copy):
    refused = training_runs.train("-c", copy[0], "--resume", "-o", "epochs=2")
    assert refused.returncode == 2
    assert "the checkpoint has 9 steps, this run 6; raise epochs" in refused.stderr
