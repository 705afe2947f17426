"""The flags of `ppcartoon train` that PaddleGAN's tools/main.py has, and the length of a run in steps."""

import json

import pytest
import yaml

from ppcartoon.cli.train import main, parser
from ppcartoon.config import loading
from ppcartoon.training import checkpoints, run_folder
from tests.helpers import training_runs
from tests.helpers.folders import drawn

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def validated(copy, tmp_path):
    """The stopped run, with a config that has a section validate."""
    path, run = copy
    root = drawn(tmp_path / "data", photos=4, cartoons=5)
    metric = {"name": "CartoonKID", "features": "vgg19:conv1_2", "weights_file": "random"}
    folders = {key: str(root / key) for key in ("photos", "cartoons")}
    section = {"interval": 1, "batch_size": 3, "metrics": {"kid": metric}, **folders}
    path.write_text(path.read_text() + yaml.safe_dump({"validate": section}))
    return path, run


def content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_flags_of_paddlegan_are_those_of_ours():
    theirs = ["--load", "a.pdparams", "--no-cuda", "--profiler_options", "state=CPU"]
    ours = ["--from", "a.pdparams", "--device", "cpu", "-p", "state=CPU"]
    assert parser().parse_args(theirs) == parser().parse_args(ours)


def test_evaluate_only_prints_distances_of_the_newest_checkpoint_and_writes_nothing(validated, capsys):
    path, run = validated
    before = content(run)
    assert main(["-c", str(path), "--evaluate-only", "--no-cuda"]) == 0
    out = capsys.readouterr().out
    assert "step_00000009.safetensors: kid_cartoon " in out and "kid_content" in out
    assert main(["-c", str(path), "--evaluate-only", "--load", str(run / "weights.safetensors")]) == 0
    assert "weights.safetensors: kid_cartoon " in capsys.readouterr().out
    assert content(run) == before


def test_evaluate_only_without_networks_or_validate_gives_one_line(copy, validated, capfd, tmp_path):
    path, _ = validated
    assert main(["-c", str(path), "--evaluate-only", "-o", "validate=null"]) == 2
    assert "no section validate" in capfd.readouterr().err
    assert main(["-c", str(path), "--evaluate-only", "-o", f"output_dir={tmp_path / 'other'}"]) == 2
    assert "has no checkpoint" in capfd.readouterr().err


def test_val_interval_sets_its_key(validated, capsys):
    path, _ = validated
    assert main(["-c", str(path), "--val-interval", "3", "--print-config"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["validate"]["interval"] == 3


def test_printed_config_is_complete_and_can_be_read_again(copy, capsys):
    path, _ = copy
    assert main(["-c", str(path), "--dry-run", "--print-config", "-o", "model.adv_weight=7"]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert "_base_" not in printed and printed["model"]["adv_weight"] == 7
    assert printed["lr_scheduler"]["start_epoch"] == 2
    assert loading.check(printed, "a test").model_dump() == printed


def test_profiler_writes_a_trace_and_the_run_continues(tmp_path):
    path, run = training_runs.write_config(tmp_path), tmp_path / "output" / "tiny"
    options = "batch_range=[1,3];state=CPU"
    assert main(["-c", str(path), "-p", options, "-o", "total_iters=4", "model.init_epochs=0"]) == 0
    assert json.loads((run / "profile.json").read_text())["traceEvents"]
    assert checkpoints.path_of(run / "checkpoints", 4).exists()


@pytest.mark.parametrize("options", ["batch_range=[3,1]", "size=3", "state", "state=TPU"])
def test_invalid_profiler_options_are_refused(tmp_path, capfd, options):
    path = training_runs.write_config(tmp_path)
    assert main(["-c", str(path), "--profiler-options", options]) == 2
    assert "--profiler-options" in capfd.readouterr().err


def test_total_iters_ends_the_run_at_its_step_and_a_larger_number_continues_it(tmp_path):
    path, run = training_runs.write_config(tmp_path), tmp_path / "output" / "tiny"
    assert main(["-c", str(path), "-o", "total_iters=5"]) == 0
    assert [row["step"] for row in training_runs.metrics(run) if "g_loss" in row] == [1, 2, 3, 4, 5]
    start = run_folder.locate(path, ["total_iters=7"], "auto")
    assert [note for note in start.notes if "changed" in note] == ["config changed: total_iters 5 -> 7"]
    assert main(["-c", str(path), "-o", "total_iters=7", "--resume"]) == 0
    assert training_runs.metrics(run)[-1]["step"] == 7
    assert main(["-c", str(path), "-o", "total_iters=6", "--resume"]) == 2
