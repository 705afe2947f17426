"""CartoonGAN: its networks, losses and steps; test_training.py has its training runs."""

import numpy as np
import paddle
import pytest

import ppcartoon.register  # noqa: F401
from ppcartoon.baselines import cartoongan
from ppcartoon.config import loading
from tests.helpers import tiny
from tests.helpers.training_runs import ROOT


def new_model(init_epochs=0, **options):
    """A model before its first step; an epoch has one step."""
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


def test_output_shapes_of_generator_and_discriminator():
    image = paddle.zeros([1, 3, 32, 40])
    assert cartoongan.Generator(2, 1)(image).shape == [1, 3, 32, 40]
    assert cartoongan.Discriminator(2)(image).shape == [1, 1, 8, 10]


def test_each_optimizer_step_changes_only_its_network(monkeypatch):
    model, seen, step = new_model(), [], cartoongan._optimizer_step

    def watch(*arguments):
        seen.append(states(model))
        step(*arguments)
        seen.append(states(model))

    monkeypatch.setattr(cartoongan, "_optimizer_step", watch)
    start = states(model)
    model.train_iter()
    before_d, after_d, before_g, after_g = seen
    assert changed(start, before_d) == set()
    assert changed(before_d, after_d) == {"netD"}
    assert changed(after_d, before_g) == set()
    assert changed(before_g, after_g) == {"netG"}
    assert all(p.grad is None for net in model.nets.values() for p in net.parameters())


@pytest.mark.parametrize("mode", ["vanilla", "lsgan"])
def test_discriminator_loss_is_equation_3(mode):
    model = new_model(gan_mode=mode)
    model.forward()
    terms = {name: float(loss) for name, loss in model.discriminator_losses().items()}
    for name, image, real in (("real", model.cartoon, 1), ("fake", model.fake, 0), ("smooth", model.smooth, 0)):
        logits = model.nets["netD"](image).numpy().astype(np.float64)
        probability = 1 / (1 + np.exp(-logits))
        vanilla = -np.log(probability if real else 1 - probability)
        wanted = vanilla if mode == "vanilla" else (logits - real) ** 2
        assert terms[f"d_{name}"] == pytest.approx(wanted.mean(), rel=1e-4)
    assert terms["d_loss"] == pytest.approx(terms["d_real"] + terms["d_fake"] + terms["d_smooth"], rel=1e-5)


def test_generator_loss_is_equation_2():
    terms = {}
    for weight in (10.0, 20.0):
        paddle.seed(0)
        model = new_model(content_weight=weight)
        model.forward()
        terms[weight] = {name: float(loss) for name, loss in model.generator_losses().items()}
        content = np.abs(model.vgg(model.fake).numpy() - model.vgg(model.photo).numpy()).mean()
        assert terms[weight]["g_content"] == pytest.approx(weight * content, rel=1e-4)
        assert terms[weight]["g_loss"] == pytest.approx(terms[weight]["g_content"] + terms[weight]["g_adv"], rel=1e-5)
    assert terms[10.0]["g_adv"] == pytest.approx(terms[20.0]["g_adv"], rel=1e-5)


@pytest.mark.parametrize("style", ["shinkai", "paprika"])
def test_configs_have_the_paper_s_numbers(style):
    settings = loading.load(ROOT / f"configs/baselines/cartoongan_{style}.yaml")
    model = settings.model
    assert (model.content_weight, model.init_epochs, model.vgg_layer) == (10, 10, "conv4_4")
    assert settings.lr_scheduler.learning_rate == 0.0002
    assert style in settings.dataset.train.cartoons.lower() and style in settings.dataset.train.smooth.lower()
