"""Command `ppcartoon train`: errors in one line before the first step, and the output on a terminal."""

import contextlib
import fcntl
import os
import pty
import struct
import subprocess
import termios

import paddle
import pytest
import yaml

from ppcartoon.cli import train
from ppcartoon.data import download
from ppcartoon.training import checkpoints, device
from ppcartoon.utils import machine
from tests.helpers import training_runs
from tests.helpers.folders import drawn

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


def test_dry_run_names_device_and_missing_vgg19_and_counts_all_else(tmp_path, capsys):
    path, missing = training_runs.write_config(tmp_path), tmp_path / "nowhere.npy"
    lines = []
    for vgg in ("random", missing):
        assert train.main(["-c", str(path), "-o", f"model.vgg_path={vgg}", "--dry-run", "--device", "cpu"]) == 0
        lines.append(capsys.readouterr().out.splitlines())
    whole, without = lines
    assert whole[0] == f"device      CPU, {machine.cpu_name()}, Paddle {paddle.__version__}, float32"
    assert [line for line in without if line not in whole] == [
        f"missing     {missing}, which training needs; all numbers are as if it were there"
    ]
    assert set(whole) < set(without) and any(line.startswith("cost ") for line in without)


def test_dry_run_names_the_weights_files_that_training_would_download_and_downloads_none(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    path, root = training_runs.write_config(tmp_path), drawn(tmp_path / "data", photos=3, cartoons=3)
    section = {"interval": 1, "batch_size": 3, "photos": str(root / "photos"), "cartoons": str(root / "cartoons")}
    section["metrics"] = {"kid": {"name": "CartoonKID"}, "fid": {"name": "CartoonFID"}}
    path.write_text(path.read_text() + yaml.safe_dump({"validate": section}))
    assert train.main(["-c", str(path), "-o", "model.vgg_path=null", "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    folder = tmp_path / "home/.cache/ppgan"
    assert [line for line in lines if line.startswith("missing ")] == [
        f"missing     {folder / download.SOURCES[name].name}, which training downloads; all numbers are as if it were "
        "there"
        for name in ("inception", "vgg19")
    ]
    assert not folder.exists()


@pytest.mark.parametrize(
    "amp, gpus, line",
    [
        (None, 1, "GPU, Tesla V100, Paddle 9.9, float32"),
        ("float16", 1, "GPU, Tesla V100, Paddle 9.9, float32 and float16"),
        ("float16", 0, "CPU, Zen, Paddle 9.9, float32; THIS GPU BUILD OF PADDLE FINDS NO GPU AND TRAINS ON THE CPU"),
    ],
)
def test_gpu_build_names_its_gpu_or_says_that_it_trains_on_the_cpu(monkeypatch, amp, gpus, line):
    monkeypatch.setattr(paddle, "__version__", "9.9")
    monkeypatch.setattr(paddle, "is_compiled_with_cuda", lambda: True)
    monkeypatch.setattr(paddle, "get_device", lambda: "gpu:0" if gpus else "cpu")
    monkeypatch.setattr(paddle.device.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(paddle.device.cuda, "get_device_name", lambda: "Tesla V100")
    monkeypatch.setattr(device, "cpu_name", lambda: "Zen")
    assert device.describe(amp) == line


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
