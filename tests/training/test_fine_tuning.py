"""Runs that start with the networks of a weights file or a checkpoint, and configs from before the additions."""

import numpy as np
import pytest
import yaml

from ppcartoon import weights
from ppcartoon.cli.train import main
from ppcartoon.errors import InputError
from ppcartoon.training import checkpoints, experiment, fine_tuning, run_folder
from tests.helpers import baseline_runs, tiny, training_runs

pytestmark = pytest.mark.slow


OWN = {"reuse_encoder": False}
OWN_PLAIN = {**OWN, "own_encoder_norm": False}


def trained(**options):
    model = tiny.model(**options)
    for seed in range(3):
        model.setup_input(tiny.batch(seed=seed))
        model.train_iter()
    return model


def write_weights(path, model):
    weights.save(path, weights.Weights(model.export(), model.network, "tiny", "none", "nobody", "CC0"))
    return path


def write_checkpoint(path, model):
    section = {"discriminator": model.network["encoder"], "generator": model.network["generator"]}
    checkpoints.save(path, checkpoints.state_dict(model), {"config": {"model": section}, "step": 3})
    return path


@pytest.mark.parametrize(
    "discriminator, in_channels", [("CartoonLossDiscriminator", 8), ("CartoonLossNLayerDiscriminator", 4)]
)
def test_unfolded_encoder_folds_to_the_same_tensors(discriminator, in_channels):
    tensors = trained(discriminator=discriminator, in_channels=in_channels).export()
    tensors["encoder.0.weight"] = tensors["encoder.0.weight"] * 3  # as if sigma was not exact
    state = {f"encoder.{name}": tensor for name, tensor in weights.unfold(tensors).items()}
    generator = {k.removeprefix("generator."): v for k, v in tensors.items() if k.startswith("generator.")}
    again = weights.fold(state, generator)
    assert again.keys() == tensors.keys()
    for name, tensor in tensors.items():
        np.testing.assert_allclose(again[name], tensor, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"ema_decay": 0.9, "encoder_ema_decay": 0.9}, OWN, OWN_PLAIN])
def test_model_started_from_weights_makes_their_cartoons(tmp_path, options):
    file = write_weights(tmp_path / "a.safetensors", trained(ema_decay=0.5))
    model = tiny.model(**options)
    classifier = tiny.state(model.nets["netD"].classifier)
    fine_tuning.start_from(file, model)
    found, wanted = model.export(), weights.load(file).tensors
    for name, tensor in wanted.items():
        np.testing.assert_allclose(found[name], tensor, rtol=1e-5, atol=1e-6)
    assert not tiny.differing(classifier, tiny.state(model.nets["netD"].classifier))


def test_spectral_norm_is_warmed_up_for_the_loaded_encoder(tmp_path):
    """E of a run without averages has an exact sigma, so that D's next step does not change E by normalizing v."""
    source = trained()
    for _ in range(200):
        source.nets["netD"](tiny.batch()["photo"])
    source.nets["netD"].train()
    for _ in range(200):
        source.nets["netD"](tiny.batch()["photo"])
    model = tiny.model()
    fine_tuning.start_from(write_weights(tmp_path / "a.safetensors", source), model)
    before = model.export()
    model.nets["netD"].train()
    model.nets["netD"](tiny.batch()["photo"])
    for name, tensor in model.export().items():
        np.testing.assert_allclose(tensor, before[name], rtol=2e-3, atol=1e-5)


def test_model_started_from_a_checkpoint_has_its_networks_and_averages_but_not_its_pool(tmp_path):
    source = trained(ema_decay=0.9, encoder_ema_decay=0.9, pool_size=4)
    model = tiny.model(ema_decay=0.9, encoder_ema_decay=0.9, pool_size=4)
    fine_tuning.start_from(write_checkpoint(tmp_path / "a.safetensors", source), model)
    for name in ("netD", "netG"):
        assert not tiny.differing(tiny.state(source.nets[name]), tiny.state(model.nets[name]))
    assert not tiny.differing(source.export(), model.export())
    assert not model.pool.images and model.steps == 0


def test_checkpoint_without_color_head_or_averages_can_start_a_run_with_them(tmp_path):
    source = trained()
    model = tiny.model(color_head=1.0, ema_decay=0.9)
    fine_tuning.start_from(write_checkpoint(tmp_path / "a.safetensors", source), model)
    assert not tiny.differing(source.export(), model.export())


@pytest.mark.parametrize("write", [write_weights, write_checkpoint])
def test_other_network_is_refused_with_its_widths(tmp_path, write):
    file = write(tmp_path / "a.safetensors", tiny.model(channels=4))
    with pytest.raises(InputError, match=r"a\.safetensors: has another network than the config: .*'channels': 4"):
        fine_tuning.start_from(file, tiny.model())


def test_file_that_is_neither_weights_nor_a_checkpoint_is_refused(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"a\.safetensors: not a complete \.safetensors file"):
        fine_tuning.start_from(tmp_path / "a.safetensors", tiny.model())
    with pytest.raises(InputError, match="No such file"):
        fine_tuning.start_from(tmp_path / "b.safetensors", tiny.model())


def started(tmp_path, *options, source="a.safetensors", **more):
    path = training_runs.write_config(tmp_path)
    return run_folder.locate(path, ["enable_visualdl=false", *options], None, tmp_path / source, **more)


@pytest.mark.parametrize(
    "options, init_steps",
    [([], 0), (["model.init_epochs=2"], 6), (["model.init_steps=4"], 4)],  # 3 steps an epoch
)
def test_run_from_a_file_has_no_stage_init_unless_an_option_sets_it(tmp_path, options, init_steps):
    write_weights(tmp_path / "a.safetensors", tiny.model())
    run = experiment.Experiment(started(tmp_path, *options), "a test")
    assert run.model.init_steps == run.schedule.init_steps == init_steps


def test_resumed_run_from_a_file_still_has_no_stage_init_and_equals_an_uninterrupted_one(tmp_path):
    ends = []
    for name, epochs in (("one", ["4"]), ("two", ["2", "4"])):
        folder = tmp_path / name
        folder.mkdir()
        file = write_weights(folder / "a.safetensors", tiny.model())
        path, start = str(training_runs.write_config(folder)), ["--from", str(file)]
        for count in epochs:
            options = ["enable_visualdl=false", "model.ema_decay=0.9", f"epochs={count}", "lr_scheduler.decay_epochs=0"]
            assert main(["-c", path, "--device", "cpu", *start, "-o", *options]) == 0
            start = ["--resume"]
        run = folder / "output/tiny"
        assert {row["stage"] for row in training_runs.metrics(run)} == {"cartoon"}
        assert yaml.safe_load((run / "config.yaml").read_text())["model"]["init_steps"] == 0
        ends.append(checkpoints.load(checkpoints.path_of(run / "checkpoints", 12))[0])
        tiny.paddle.seed(0)
    assert not tiny.differing(*ends)


def test_baseline_cannot_start_from_a_file(tmp_path):
    with pytest.raises(InputError, match="--from: CycleGANBaseline cannot start from a file"):
        run_folder.locate(baseline_runs.write_config(tmp_path, "cyclegan"), [], None, tmp_path / "a.safetensors")


def test_from_and_resume_exclude_each_other(tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        main(["-c", "a.yaml", "--from", "a.safetensors", "--resume"])
    assert end.value.code == 2 and "not allowed with argument --from" in capsys.readouterr().err


def test_checkpoint_and_config_from_before_the_additions_resume_unchanged(copy):
    _, run = copy
    new = {"init_steps", "huber_slope", "chroma_weight", "luma_weight", "match_tint", "diffaugment", "color_head"}
    new |= {"photo_negatives", "pool_size", "d_steps", "encoder_ema_decay", "ema_decay"}

    def older(config):
        model = {key: value for key, value in config["model"].items() if key not in new}
        schedule = {key: value for key, value in config["lr_scheduler"].items() if key != "init_steps"}
        train = {key: value for key, value in config["dataset"]["train"].items() if key != "other_cartoons"}
        return {**config, "model": model, "lr_scheduler": schedule, "dataset": {"train": train}}

    path = checkpoints.path_of(run / "checkpoints", 9)
    tensors, state = checkpoints.load(path)
    del state["source"]
    checkpoints.save(path, tensors, {**state, "config": older(state["config"])})
    saved = yaml.safe_load((run / "config.yaml").read_text())
    assert older(saved) != saved
    (run / "config.yaml").write_text(yaml.safe_dump(older(saved)))
    start = run_folder.locate(None, [], str(run))
    assert not [note for note in start.notes if "changed" in note]
    work = experiment.Experiment(start, "a test")
    assert work.best == state["best"] and work.losses.sums == state["sums"]
    for name in ("netD", "netG"):
        assert not tiny.differing(checkpoints.with_prefix(name, tensors), tiny.state(work.model.nets[name]))
    assert work.model.steps == 9


def test_stage_init_longer_than_the_run_is_refused(tmp_path):
    path = training_runs.write_config(tmp_path)
    with pytest.raises(InputError, match=r"model\.init_steps 13 is more than the run's 12 steps; raise epochs"):
        experiment.Experiment(run_folder.locate(path, ["model.init_steps=13"], None), "a test")


def test_dry_run_shows_the_length_of_both_stages_and_warns_of_a_short_init(tmp_path):
    path = training_runs.write_config(tmp_path)
    for options, stages, warns in (
        ([], ("1 epochs, 3", "3"), True),
        (["model.init_steps=0"], ("0 epochs, 0", "4"), False),
    ):
        lines = experiment.Experiment(run_folder.locate(path, options, None), "a test").summary()
        assert f"stage 1     init, {stages[0]} steps" in lines
        assert f"stage 2     cartoon, {stages[1]} epochs, to step 12" in lines
        assert any(line.startswith("warning     stage init has 3 steps") for line in lines) == warns
