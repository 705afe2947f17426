"""Command `ppcartoon train`: errors in one line before the first step, and the output on a terminal."""

import contextlib
import fcntl
import os
import pty
import struct
import subprocess
import termios

import pytest

from ppcartoon.cli import train
from ppcartoon.training import checkpoints
from tests.helpers import training_runs

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "options, message",
    [
        (["-c", "nowhere.yaml"], "nowhere.yaml: No such file or directory"),
        (["-o", "dataset.train.batch_size=7"], "dataset.train: 6 photos are fewer than the 7 of one step"),
        (["-o", "model.vgg_path=nowhere.npy"], "nowhere.npy: No such file or directory; set model.vgg_path to"),
        (["-o", "samples.folder=nowhere"], "samples.folder: nowhere: no such folder"),
        (["-o", "dataset.train={name: UnpairedCartoonDataset}"], "dataset.train.batch_size: missing"),
        (["-o", "model.tv_wait=1"], "model.tv_wait: unknown key; did you mean tv_weight?"),
        (["--decay", "5"], "lr_scheduler.decay_epochs 5 is more than epochs 4"),
        (["--seed", "4294967296"], "seed: input should be less than 4294967296"),
        (["-o", "optimizer.optimizer_D.net_names=[netG]"], "net_names must be [netD] for optimizer_D"),
        (["-o", "epochs=" + "[" * 3000], "the value is not YAML"),
        (["-o", "model.vgg_path=''"], "model.vgg_path: "),
        (["--seed", "-1"], "seed: input should be greater than or equal to 0, got -1"),
        (["--device", "gpu"], "--device gpu: Paddle finds no GPU"),
        (["--resume", "nowhere"], "--resume nowhere: neither a run's folder nor a checkpoint of one"),
    ],
)
def test_invalid_input_gives_one_line_and_nothing_is_written(tmp_path, capsys, options, message):
    options = options if "-c" in options else ["-c", str(training_runs.write_config(tmp_path)), *options]
    assert train.main(options) == 2
    error = capsys.readouterr().err
    assert error.startswith("ppcartoon train: ") and error.count("\n") == 1 and message in error
    assert not (tmp_path / "output").exists()


def test_train_without_a_config_is_refused(capsys):
    assert train.main([]) == 2
    assert (
        capsys.readouterr().err == "ppcartoon train: -c: name a config, for example configs/cartoonloss_shinkai.yaml\n"
    )


def test_amp_on_a_cpu_logs_that_it_has_no_effect_and_has_none(whole, tmp_path):
    """Mixed precision needs a GPU; here only its configuration and saved state can be tested."""
    path, run = training_runs.write_config(tmp_path), tmp_path / "output" / "tiny"
    done = training_runs.train("-c", path, "--amp")
    assert done.returncode == 0, done.stderr
    assert "mixed precision has no effect on a CPU" in done.stderr
    assert training_runs.losses(run) == training_runs.losses(whole[1])
    _, state = checkpoints.load(checkpoints.path_of(run / "checkpoints", 12))
    assert state["config"]["model"]["amp"] in ("float16", "bfloat16")
    assert set(state["scalers"]) == {"optimizer_D", "optimizer_G"}


def test_terminal_shows_a_progress_bar_instead_of_lines(tmp_path):
    path = training_runs.write_config(tmp_path)
    main, other = pty.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("4H", 40, 160, 0, 0))  # rows and columns
    process = subprocess.Popen(
        training_runs.command("-c", path, "-o", "epochs=2"), stderr=other, stdout=other, env=training_runs.environment()
    )
    os.close(other)
    seen = b""
    with contextlib.suppress(OSError):  # raised at the end of a terminal's output
        while data := os.read(main, 1 << 16):
            seen += data
    assert process.wait() == 0, seen
    assert b"6/6 [" in seen and b"images_per_second=" in seen and b"g_loss=" in seen
    assert b"epoch 1/2 step 1/6" not in seen and b"Warning" not in seen
    assert "epoch 1/2 step 1/6" in (tmp_path / "output/tiny/train.log").read_text()
