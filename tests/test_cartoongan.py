"""CartoonGAN: its networks, what each of its steps changes, and a run of both stages."""

import numpy as np
import paddle
import pytest
import runs_of
import tiny
from runs_of import ROOT

import ppcartoon.register  # noqa: F401
from ppcartoon import checkpoints, config, weights
from ppcartoon.baselines import cartoongan
from ppcartoon.baselines.predictor import open_weights

TINY = """
_base_: {base}
epochs: 3
model:
  generator: {{channels: 2, blocks: 1}}
  discriminator: {{channels: 2}}
  init_epochs: 1
  vgg_layer: conv1_1
  vgg_path: random
dataset:
  train: {{name: DrawnCartoonDataset, count: 4, size: 32, flip: true, batch_size: 2, num_workers: 0}}
output_dir: {output}
lr_scheduler: {{decay_epochs: 1}}
log_config: {{interval: 1, visiual_interval: 3}}
samples: {{count: 1}}
"""


def made(init_epochs=0, **options):
    """Ready for its first step; an epoch has one step."""
    networks = {"name": "CartoonGANGenerator", "channels": 2, "blocks": 1}, {"name": "CartoonGANDiscriminator"}
    options = {"vgg_layer": "conv1_2", "vgg_path": "random", "init_epochs": init_epochs, **options}
    model = cartoongan.CartoonGANModel(networks[0], {**networks[1], "channels": 2}, **options)
    rates = model.setup_lr_schedulers({**tiny.SCHEDULE, "learning_rate": 0.01, "iters_per_epoch": 1})
    model.setup_optimizers(rates, tiny.OPTIMIZERS)
    model.setup_input(tiny.batch())
    return model


def states(model):
    return {name: tiny.state(net) for name, net in [*model.nets.items(), ("vgg", model.vgg)]}


def changed(before, after):
    return {name for name in before if tiny.differing(before[name], after[name])}


def test_shapes():
    image = paddle.zeros([1, 3, 32, 40])
    assert cartoongan.Generator(2, 1)(image).shape == [1, 3, 32, 40]
    assert cartoongan.Discriminator(2)(image).shape == [1, 1, 8, 10]


def test_stage_init_trains_the_generator_alone_by_the_content_loss():
    model = made(init_epochs=1)
    before = states(model)
    model.train_iter()
    assert changed(before, states(model)) == {"netG"}
    assert set(model.losses) == {"g_loss", "g_content"}
    assert model.stage == "cartoon"


def test_each_step_changes_its_own_network_alone(monkeypatch):
    model, seen, descend = made(), [], cartoongan._descend

    def watch(*arguments):
        seen.append(states(model))
        descend(*arguments)
        seen.append(states(model))

    monkeypatch.setattr(cartoongan, "_descend", watch)
    start = states(model)
    model.train_iter()
    before_d, after_d, before_g, after_g = seen
    assert changed(start, before_d) == set()
    assert changed(before_d, after_d) == {"netD"}
    assert changed(after_d, before_g) == set()
    assert changed(before_g, after_g) == {"netG"}
    assert all(p.grad is None for net in model.nets.values() for p in net.parameters())


@pytest.mark.parametrize("mode", ["vanilla", "lsgan"])
def test_the_discriminator_minimises_equation_3(mode):
    model = made(gan_mode=mode)
    model.forward()
    terms = {name: float(loss) for name, loss in model.discriminator_losses().items()}
    for name, image, real in (("real", model.cartoon, 1), ("fake", model.fake, 0), ("smooth", model.smooth, 0)):
        logits = model.nets["netD"](image).numpy().astype(np.float64)
        probability = 1 / (1 + np.exp(-logits))
        vanilla = -np.log(probability if real else 1 - probability)
        wanted = vanilla if mode == "vanilla" else (logits - real) ** 2
        assert terms[f"d_{name}"] == pytest.approx(wanted.mean(), rel=1e-4)
    assert terms["d_loss"] == pytest.approx(terms["d_real"] + terms["d_fake"] + terms["d_smooth"], rel=1e-5)


def test_the_generator_minimises_equation_2():
    terms = {}
    for weight in (10.0, 20.0):
        paddle.seed(0)
        model = made(content_weight=weight)
        model.forward()
        terms[weight] = {name: float(loss) for name, loss in model.generator_losses().items()}
        content = np.abs(model.vgg(model.fake).numpy() - model.vgg(model.photo).numpy()).mean()
        assert terms[weight]["g_content"] == pytest.approx(weight * content, rel=1e-4)
        assert terms[weight]["g_loss"] == pytest.approx(terms[weight]["g_content"] + terms[weight]["g_adv"], rel=1e-5)
    assert terms[10.0]["g_adv"] == pytest.approx(terms[20.0]["g_adv"], rel=1e-5)


@pytest.mark.parametrize("style", ["shinkai", "paprika"])
def test_the_configs_have_the_numbers_of_the_paper(style):
    settings = config.load(ROOT / f"configs/baselines/cartoongan_{style}.yaml")
    model = settings.model
    assert (model.content_weight, model.init_epochs, model.vgg_layer) == (10, 10, "conv4_4")
    assert settings.lr_scheduler.learning_rate == 0.0002
    assert style in settings.dataset.train.cartoons.lower() and style in settings.dataset.train.smooth.lower()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of both stages from start to end: its config and its folder."""
    folder = tmp_path_factory.mktemp("cartoongan")
    path = folder / "tiny.yaml"
    path.write_text(TINY.format(base=ROOT / "configs/baselines/cartoongan.yaml", output=folder / "output"))
    done = runs_of.train("-c", path)
    assert done.returncode == 0, done.stderr
    return path, folder / "output/tiny"


def test_a_run_has_both_stages(run):
    stages = {row["step"]: row["stage"] for row in runs_of.metrics(run[1])}
    assert stages == {1: "init", 2: "init", 3: "cartoon", 4: "cartoon", 5: "cartoon", 6: "cartoon"}
    named = {step: set(losses) for step, losses in runs_of.losses(run[1]).items()}
    assert named[2] == {"g_loss", "g_content"}
    assert named[3] == named[2] | {"g_adv", "d_loss", "d_real", "d_fake", "d_smooth"}


def test_what_is_exported_is_what_was_trained(run):
    loaded = weights.load(run[1] / "weights.safetensors")
    assert loaded.network == {"generator": {"name": "CartoonGANGenerator", "channels": 2, "blocks": 1}}
    tensors, _ = checkpoints.load(checkpoints.newest_first(run[1] / "checkpoints")[0])
    for name, tensor in loaded.tensors.items():
        np.testing.assert_allclose(tensor, tensors[f"netG/{name}"], rtol=1e-3, atol=1e-6)
    photo = np.random.default_rng(0).integers(0, 256, (30, 41, 3), np.uint8)
    assert open_weights(run[1] / "weights.safetensors")(photo).shape == photo.shape


def test_resumed_it_ends_as_straight_through(run):
    path, folder = run
    before, _ = checkpoints.load(checkpoints.path_of(folder / "checkpoints", 6))
    losses = runs_of.losses(folder)
    checkpoints.path_of(folder / "checkpoints", 6).unlink()
    checkpoints.path_of(folder / "checkpoints", 4).unlink()  # stage init ends with step 2
    resumed = runs_of.train("-c", path, "--resume")
    assert resumed.returncode == 0 and "after step 2" in resumed.stderr, resumed.stderr
    after, _ = checkpoints.load(checkpoints.path_of(folder / "checkpoints", 6))
    assert not tiny.differing(before, after)
    assert runs_of.losses(folder) == losses
