"""The command line of tools/train.py: mistakes get one line, before the first step."""

import pytest
import runs_of

from ppcartoon import train_cli


@pytest.mark.parametrize(
    "options, message",
    [
        (["-c", "nowhere.yaml"], "nowhere.yaml: No such file or directory"),
        (["-o", "dataset.train.batch_size=7"], "dataset.train: 6 photos are fewer than the 7 of one step"),
        (["-o", "model.vgg_path=nowhere.npy"], "nowhere.npy: No such file or directory; model.vgg_path names"),
        (["-o", "samples.folder=nowhere"], "samples.folder: nowhere: no such folder"),
        (["-o", "dataset.train={name: UnpairedCartoonDataset}"], "dataset.train.batch_size: missing"),
        (["-o", "model.tv_wait=1"], "model.tv_wait: unknown key; did you mean tv_weight?"),
        (["--decay", "5"], "lr_scheduler.decay_epochs 5 is more than epochs 4"),
        (["--seed", "-1"], "seed: input should be greater than or equal to 0, got -1"),
        (["--device", "gpu"], "--device gpu: this build of Paddle has no CUDA"),
        (["--resume", "nowhere"], "--resume nowhere: neither a run's folder nor a checkpoint of one"),
    ],
)
def test_mistakes_are_named_in_a_line_and_nothing_is_written(tmp_path, capsys, options, message):
    options = options if "-c" in options else ["-c", str(runs_of.write_config(tmp_path)), *options]
    assert train_cli.main(options) == 1
    error = capsys.readouterr().err
    assert error.startswith("train: ") and error.count("\n") == 1 and message in error
    assert not (tmp_path / "output").exists()


def test_a_run_needs_a_config(capsys):
    assert train_cli.main([]) == 1
    assert capsys.readouterr().err == "train: -c: name a config, configs/cartoonloss_shinkai.yaml for one\n"
