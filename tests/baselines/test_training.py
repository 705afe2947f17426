"""AnimeGAN, CycleGAN and CartoonGAN in our trainer: stages, losses, resuming, optimizer steps, config keys."""

import numpy as np
import paddle
import pytest

from ppcartoon import InputError
from ppcartoon.baselines.animegan import AnimeGANBaseline
from ppcartoon.baselines.cartoongan import CartoonGANModel
from ppcartoon.baselines.cyclegan import CycleGANBaseline
from ppcartoon.cli.train import main as train
from ppcartoon.config import loading
from ppcartoon.inference.engines import paddle_engines
from ppcartoon.models.lr_scheduler import FinalLinearDecay
from ppcartoon.training import checkpoints
from ppcartoon.training.trainer import seed_generators
from tests.helpers import baseline_runs, tiny, training_runs

pytestmark = pytest.mark.slow

TERMS = {
    "animegan": {f"d_{x}" for x in ("loss", "real", "gray", "fake", "smooth")}
    | {f"g_{x}" for x in ("loss", "adv", "content", "gray", "color", "tv")},
    "cyclegan": {"d_loss", "g_loss"}
    | {f"{x}_{y}" for x in ("d", "g_adv", "g_cycle", "g_identity") for y in ("photo", "cartoon")},
    "cartoongan": {f"d_{x}" for x in ("loss", "real", "fake", "smooth")} | {"g_loss", "g_adv", "g_content"},
}


def one_step(model, seed=0):
    seed_generators(0, 0, seed)
    model.setup_input(tiny.batch(seed=seed))
    model.train_iter()


def test_baseline_run_writes_losses_curves_samples_and_checkpoints(baseline_run):
    name, run = baseline_run
    losses = training_runs.losses(run)
    init = 0 if name == "cyclegan" else 2
    assert [row["stage"] for row in training_runs.metrics(run)] == ["init"] * init + ["cartoon"] * (6 - init)
    assert all(set(losses[step]) == {"g_loss", "g_content"} for step in range(1, init + 1))
    assert all(set(losses[step]) == TERMS[name] for step in range(init + 1, 7))
    assert training_runs.curve(run, "g_loss") == [(step, pytest.approx(losses[step]["g_loss"])) for step in range(1, 7)]
    assert len(list((run / "weights").iterdir())) == 3
    assert sorted(p.name for p in (run / "samples").iterdir()) == [f"step_0000000{i}.png" for i in (0, 2, 4, 6)]
    _, state = checkpoints.load(checkpoints.path_of(run / "checkpoints", 6))
    assert state["best"]["value"] == pytest.approx(
        min(
            np.mean([losses[step]["g_loss"] for step in steps]) for steps in ((1, 2), (3, 4), (5, 6)) if steps[0] > init
        )
    )


def test_loss_terms_add_up(baseline_run):
    _, run = baseline_run
    for row in list(training_runs.losses(run).values())[2:]:
        for net in "dg":
            terms = [value for key, value in row.items() if key[0] == net and key != f"{net}_loss"]
            assert sum(terms) == pytest.approx(row[f"{net}_loss"], rel=1e-4)


def test_resumed_run_equals_an_uninterrupted_run(baseline_run, tmp_path):
    name, run = baseline_run
    path = str(baseline_runs.write_config(tmp_path, name))
    assert train(["-c", path, "--device", "cpu", "-o", "epochs=2"]) == 0
    assert train(["-c", path, "--device", "cpu", "--resume"]) == 0
    other = tmp_path / "output" / name
    (tensors, state), (wanted, wanted_state) = (
        checkpoints.load(checkpoints.path_of(folder / "checkpoints", 6)) for folder in (other, run)
    )
    assert training_runs.losses(other) == training_runs.losses(run)
    assert not tiny.differing(tensors, wanted)
    assert {**state, "config": 0} == {**wanted_state, "config": 0}
    moments = {key.split("/")[1].split(".")[0] for key in tensors if key.endswith("moment1_0")}
    pools = {key: tensor.shape for key, tensor in tensors.items() if key.startswith("memory/")}
    if name == "cyclegan":
        assert moments == {"netG_A", "netG_B", "netD_A", "netD_B"}
        assert pools == {"memory/cartoons": (3, 3, 32, 32), "memory/photos": (3, 3, 32, 32)}
    else:
        assert not pools


def test_training_steps_do_not_depend_on_paddle_inference_in_the_same_process(tmp_path):
    """Creating and running a predictor sets the number of math threads of the whole process."""
    states, network = [], paddle.nn.Conv2D(3, 4, 3)
    path = paddle_engines.save(network, tmp_path / "network", **paddle_engines.IMAGE)
    for _ in range(3):
        work = baseline_runs.experiment(tmp_path, "cartoongan")
        for seed in range(3):
            one_step(work.model, seed)
        states.append(tiny.state(work.model.nets["netG"]))
        program = paddle_engines.Program(path, "cpu", 3)
        if len(states) == 2:
            program(np.zeros((1, 3, 32, 32), np.float32))
    assert not tiny.differing(states[0], states[1])
    assert not tiny.differing(states[0], states[2])


def test_discriminator_step_draws_from_the_image_pools(tmp_path):
    """Two models that differ only in their pools diverge."""
    ends = []
    for shade in (-1.0, 1.0):
        work = baseline_runs.experiment(tmp_path, "cyclegan")
        pool = np.full((3, 3, 32, 32), shade, np.float32)
        work.model.load_extra_state({"cartoons": pool, "photos": pool})
        for seed in range(3):
            one_step(work.model, seed)
        ends.append(tiny.state(work.model.nets["netD_A"]))
    assert tiny.differing(*ends)


def test_pools_of_another_image_size_are_dropped(tmp_path):
    work = baseline_runs.experiment(tmp_path, "cyclegan")
    work.model.load_extra_state({"cartoons": np.zeros((3, 3, 64, 64), np.float32)})
    one_step(work.model)
    assert work.model.extra_state()["cartoons"].shape == (2, 3, 32, 32)


def test_each_optimizer_changes_only_its_networks(baseline, monkeypatch):
    model, changed = baseline.model, {}
    model.init_steps = 0
    for name, optimizer in model.optimizers.items():

        def step(name=name, real=optimizer.step):
            before = {net: tiny.state(layer) for net, layer in model.nets.items()}
            real()
            changed[name] = {net for net, layer in model.nets.items() if tiny.differing(before[net], tiny.state(layer))}

        monkeypatch.setattr(optimizer, "step", step)
    start = {net: tiny.state(layer) for net, layer in model.nets.items()}
    one_step(model)
    assert changed == {name: set(nets) for name, nets in model.optimized.items()}
    ppgan_nets = {} if isinstance(model, CartoonGANModel) else model.nets
    for net, layer in ppgan_nets.items():  # ppgan trains no scale of instance normalization
        assert not [key for key in tiny.differing(start[net], tiny.state(layer)) if key.endswith(".scale")]


@pytest.mark.parametrize("name", ["animegan", "cartoongan"])
def test_stage_init_ignores_cartoons_and_does_not_change_d(tmp_path, name):
    ends = []
    for seed in (1, 2):
        work = baseline_runs.experiment(tmp_path, name)
        before = tiny.state(work.model.nets["netD"])
        work.model.setup_input({**tiny.batch(seed=seed), "photo": tiny.batch()["photo"]})
        work.model.train_iter()
        assert not tiny.differing(before, tiny.state(work.model.nets["netD"]))
        ends.append(tiny.state(work.model.nets["netG"]))
    assert not tiny.differing(*ends)


def test_learning_rates_of_stages_and_optimizers(tmp_path):
    """The length of Adam's first step is the learning rate."""
    options = ["lr_scheduler.init_learning_rate=0.004", "lr_scheduler.learning_rate=0.001"]
    work = baseline_runs.experiment(tmp_path, "animegan", *options)
    lengths = []
    for _ in range(3):
        before = {net: dict(layer.named_parameters()) for net, layer in work.model.nets.items()}
        before = {net: {key: p.numpy() for key, p in table.items()} for net, table in before.items()}
        one_step(work.model)
        work.schedule.step()
        lengths.append(
            {
                net: max(float(np.abs(p.numpy() - before[net][key]).max()) for key, p in layer.named_parameters())
                for net, layer in work.model.nets.items()
            }
        )
    assert lengths[0] == {"netG": pytest.approx(0.004, rel=0.01), "netD": 0}
    assert lengths[2]["netD"] == pytest.approx(0.002, rel=0.01) and lengths[2]["netG"] < 0.004
    rates = FinalLinearDecay(1.0, 2, 2, 3, init_learning_rate=5.0, init_epochs=1)
    seen = []
    for _ in range(12):
        seen.append(rates.last_lr)
        rates.step()
    np.testing.assert_allclose(seen, [5, 5, 5, 1, 1, 1, *np.arange(6, 0, -1) / 6])


@pytest.mark.parametrize(
    "name, option, message",
    [
        ("animegan", "model.gray_weight=1", "model.gray_weight: unknown key"),
        ("animegan", "model.amp=auto", "model.amp: unknown key"),
        ("animegan", "model.generator.channels=3", "model.generator.channels: unknown key"),
        ("animegan", "snapshot_config.best=g_style", "snapshot_config.best: g_style is not among the losses: d_loss, "),
        ("animegan", "model.init_epochs=200", "model.init_epochs 200 is more than epochs 101"),
        (
            "animegan",
            "optimizer.optimizer_D.lr_mult=0",
            "optimizer.optimizer_D.lr_mult: input should be greater than 0",
        ),
        ("cartoongan", "model.content_weight=0", "model.content_weight: input should be greater than 0"),
        ("cartoongan", "model.generator.channels=1000", "model.generator.channels: input should be less than or equal"),
        ("cartoongan", "model.edge_weight=1", "model.edge_weight: unknown key"),
        ("cyclegan", "model.generator.ngf=1000", "model.generator.ngf: input should be less than or equal to 128"),
        ("cyclegan", "model.generator.name=UnetGenerator", "model.generator.name: "),
        ("cyclegan", "model.vgg_path=random", "model.vgg_path: unknown key"),
        ("cyclegan", "snapshot_config.best=g_content", "snapshot_config.best: g_content is not among the losses"),
        (
            "cyclegan",
            "optimizer.optimizer_G.net_names=[netG]",
            "optimizer: net_names must be [netG_A, netG_B] for optimizer_G",
        ),
        ("cyclegan", "model.name=CycleGANModel", "model: "),
    ],
)
def test_config_keys_are_checked_against_the_model(name, option, message):
    with pytest.raises(InputError) as error:
        loading.load(training_runs.ROOT / f"configs/baselines/{name}.yaml", [option])
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("name", baseline_runs.NAMES)
@pytest.mark.parametrize("style", ["shinkai", "paprika"])
def test_baseline_configs_use_the_dataset_folders_of_our_configs(name, style):
    own = loading.load(training_runs.ROOT / f"configs/baselines/{name}_{style}.yaml")
    ours = loading.load(training_runs.ROOT / f"configs/cartoonloss_{style}.yaml")
    keys = ("dataroot", "photos", "cartoons", "smooth", "size")
    assert [getattr(own.dataset.train, key) for key in keys] == [getattr(ours.dataset.train, key) for key in keys]
    assert own.export.style == f"{name}_{style}" and own.export.attribution == ours.export.attribution


def test_cyclegan_refuses_several_processes(tmp_path, monkeypatch):
    monkeypatch.setenv("PADDLE_TRAINERS_NUM", "2")
    with pytest.raises(InputError, match="CycleGANBaseline: trains in one process"):
        baseline_runs.experiment(tmp_path, "cyclegan", "dataset.train.batch_size=1")


def test_dry_run_lists_networks_and_learning_rates(tmp_path, capsys):
    assert train(["-c", str(baseline_runs.write_config(tmp_path, "cyclegan")), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert all(f"{net} " in said for net in ("G_A", "G_B", "D_A", "D_B")) and "GFLOP" not in said
    assert train(["-c", str(baseline_runs.write_config(tmp_path, "animegan")), "--dry-run"]) == 0
    assert "0.001, 0.0002 in stage init" in capsys.readouterr().out


def test_models_inherit_ppgan_s_backward_passes():
    """So that fixes in ppgan apply here."""
    assert AnimeGANBaseline.backward_D.__module__ == "ppgan.models.animeganv2_model"
    assert CycleGANBaseline.backward_G.__module__ == "ppgan.models.cycle_gan_model"
