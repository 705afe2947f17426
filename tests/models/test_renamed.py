"""Old names of config keys and values: they load, warn once, and give the same model as the current names."""

import logging

import pytest
import yaml

from ppcartoon import InputError
from ppcartoon.config import loading
from ppcartoon.models import renamed
from ppcartoon.training import checkpoints, experiment, run_folder
from tests.helpers import tiny, training_runs

BASE = training_runs.ROOT / "configs/cartoonloss_base.yaml"
VALUES = [(key, old, new) for key, names in renamed.LOSSES.items() for old, new in names.items()]
OLD_DEFAULTS = {"adv_loss": "edge_promoting", "style_loss": "gray", "color_loss": "style"}


@pytest.fixture
def warnings():
    """Warnings of the logger "ppcartoon", which a training run in this process may have cut off from caplog."""
    messages, handler = [], logging.Handler(logging.WARNING)
    handler.emit = lambda record: messages.append(record.getMessage())
    logging.getLogger("ppcartoon").addHandler(handler)
    yield messages
    logging.getLogger("ppcartoon").removeHandler(handler)


def with_old_names(config):
    """A resolved config of the paper's losses as it was written before the renaming."""
    optimizers = {}
    for name, options in config["optimizer"].items():
        old = dict(options)
        old["rate"] = old.pop("lr_mult")
        optimizers[name] = old
    return {**config, "model": {**config["model"], **OLD_DEFAULTS}, "optimizer": optimizers}


@pytest.mark.parametrize("key, old, new", VALUES)
def test_old_value_loads_as_the_new_one_and_warns_once(warnings, key, old, new):
    config = loading.load(BASE, [f"model.{key}={old}"])
    assert config == loading.load(BASE, [f"model.{key}={new}"])
    assert warnings == [f"-o model.{key}={old}: old names: model.{key}: {old} is now {new}"]


@pytest.mark.parametrize("key, old, new", VALUES)
def test_model_built_with_an_old_value_equals_one_with_the_new_value_and_warns_once(warnings, key, old, new):
    losses = []
    for value in (old, new):
        tiny.paddle.seed(0)
        model = tiny.model(**{key: value})
        assert getattr(model, key) == new
        model.setup_input(tiny.batch())
        model.train_iter()
        losses.append({name: float(loss) for name, loss in model.losses.items()})
    assert losses[0] == losses[1]
    assert warnings == [f"CartoonLossGANModel: old names: model.{key}: {old} is now {new}"]


def test_optimizer_rate_is_read_as_lr_mult_and_warns_once(warnings):
    config = loading.load(BASE, ["optimizer.optimizer_D.rate=2"])
    assert (config.optimizer.optimizer_D.lr_mult, config.optimizer.optimizer_G.lr_mult) == (2, 1)
    assert warnings == ["-o optimizer.optimizer_D.rate=2: old names: optimizer.optimizer_D.rate is now lr_mult"]


def test_optimizer_rate_given_to_a_model_multiplies_its_learning_rate(warnings):
    model = tiny.model()
    old = {name: {**options, "rate": 3.0} for name, options in tiny.OPTIMIZERS.items()}
    model.setup_optimizers(model.lr_scheduler, old)
    assert {p.optimize_attr["learning_rate"] for p in model.nets["netD"].parameters()} == {3.0}
    assert len(warnings) == 1 and "optimizer.optimizer_G.rate is now lr_mult" in warnings[0]


def test_old_rate_overrides_the_lr_mult_of_a_base(tmp_path, warnings):
    (tmp_path / "base.yaml").write_text(f"_base_: {BASE}\noptimizer: {{optimizer_D: {{lr_mult: 2}}}}\n")
    own = tmp_path / "own.yaml"
    own.write_text("_base_: base.yaml\noptimizer: {optimizer_D: {rate: 5}}\n")
    assert loading.load(own).optimizer.optimizer_D.lr_mult == 5
    assert warnings == [f"{own}: old names: optimizer.optimizer_D.rate is now lr_mult"]


def test_file_with_all_old_names_gets_one_warning(tmp_path, warnings):
    wanted = loading.load(BASE).model_dump()
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(with_old_names(wanted)))
    assert loading.load(path).model_dump() == wanted
    (line,) = warnings
    assert line.startswith(f"{path}: old names: ") and "\n" not in line
    assert line.count(" is now cartoonloss") == 3 and line.count(".rate is now lr_mult") == 2


@pytest.mark.parametrize(
    "default, option, message",
    [
        ("use_shared_memory=true", "use_shared_memory=false", "use_shared_memory was removed, num_workers: 0"),
        ("gray=null", "gray=folder", "gray was removed, gray cartoons are computed"),
    ],
)
def test_removed_data_key_is_ignored_and_warns_if_it_was_set(warnings, default, option, message):
    wanted = loading.load(BASE)
    assert loading.load(BASE, [f"dataset.train.{default}"]) == wanted and warnings == []
    assert loading.load(BASE, [f"dataset.train.{option}"]) == wanted
    assert len(warnings) == 1 and f"dataset.train.{message}" in warnings[0]


def test_current_names_do_not_warn(warnings):
    loading.load(BASE, ["model.adv_loss=animegan", "optimizer.optimizer_D.lr_mult=2"])
    assert warnings == []


@pytest.mark.parametrize("key", renamed.LOSSES)
def test_bad_value_gets_the_current_values_only(key):
    with pytest.raises(InputError) as error:
        loading.load(BASE, [f"model.{key}=hinge"])
    assert str(error.value).endswith(f"model.{key}: input should be 'cartoonloss' or 'animegan', got 'hinge'")


def test_rate_beside_lr_mult_is_an_unknown_key():
    with pytest.raises(InputError, match=r"optimizer\.optimizer_D\.rate: unknown key"):
        loading.load(BASE, ["optimizer.optimizer_D={rate: 2, lr_mult: 2}"])


def test_resumed_run_of_an_old_config_is_not_reported_as_changed(copy):
    _, run = copy
    path = checkpoints.path_of(run / "checkpoints", 9)
    tensors, state = checkpoints.load(path)
    checkpoints.save(path, tensors, {**state, "config": with_old_names(state["config"])})
    saved = yaml.safe_load((run / "config.yaml").read_text())
    (run / "config.yaml").write_text(yaml.safe_dump(with_old_names(saved)))
    start = run_folder.locate(None, [], str(run))
    assert not [note for note in start.notes if "changed" in note]
    work = experiment.Experiment(start, "a test")
    assert work.best == state["best"]  # losses of an unchanged model and config can be compared
    changed = run_folder.locate(None, ["model.color_loss=animegan"], str(run)).notes
    assert [note for note in changed if "changed" in note] == [
        "config changed: model.color_loss 'cartoonloss' -> 'animegan'"
    ]
