"""The algorithm: separate steps of D and G, the stages, and the options."""

from pathlib import Path

import numpy as np
import paddle
import pytest

from ppcartoon.config import loading
from ppcartoon.models import cartoonlossgan, losses
from ppcartoon.models.networks import Cartoonizer, NLayerDiscriminator
from tests.helpers import tiny

BASE = Path(__file__).parents[2] / "configs" / "cartoonloss_base.yaml"

WEIGHTS = {"adv": 300.0, "content": 1.5, "gray": 2.5, "color": 100.0, "tv": 1.0}


def watched(model, monkeypatch):
    """The states of D and G at the start of a step, and before and after each of its two descents."""
    seen = [{name: tiny.state(net) for name, net in model.nets.items()}]
    descend = model._descend

    def watch(*arguments):
        seen.append({name: tiny.state(net) for name, net in model.nets.items()})
        descend(*arguments)
        seen.append({name: tiny.state(net) for name, net in model.nets.items()})

    monkeypatch.setattr(model, "_descend", watch)
    model.setup_input(tiny.batch())
    model.train_iter()
    return seen


@pytest.mark.parametrize("init_epochs", [0, 1])
def test_each_step_changes_only_its_own_network(monkeypatch, init_epochs):
    model = tiny.model(init_epochs=init_epochs)
    start, _, after_d, before_g, after_g = watched(model, monkeypatch)
    changed = tiny.differing(start["netD"], after_d["netD"])
    assert "encoder.0.weight_orig" in changed and "classifier.0.weight_orig" in changed
    assert any(name.endswith(("_u", "_v")) for name in changed)  # the power iteration ran
    assert not tiny.differing(start["netG"], after_d["netG"])
    assert not tiny.differing(after_d["netD"], after_g["netD"])  # bit for bit, u and v included
    assert not tiny.differing(after_d["netG"], before_g["netG"])
    assert set(tiny.differing(before_g["netG"], after_g["netG"])) > {"out.weight", "body.0.body.0.0.weight"}


def test_g_s_step_does_not_change_the_discriminator():
    model = tiny.model()
    model.setup_input(tiny.batch())
    model.train_iter()
    before = tiny.state(model.nets["netD"])
    model.forward()
    model.generator_losses()["g_loss"].backward()
    assert not tiny.differing(before, tiny.state(model.nets["netD"]))
    assert all(p.grad is None for p in model.nets["netD"].parameters())


def test_features_of_photos_and_cartoons_are_constants():
    model = tiny.model()
    images = tiny.batch()
    z = model.encode(paddle.concat([images["photo"], images["cartoon"]]))
    assert z.stop_gradient and z.shape == [4, 8, 8, 8]


def test_vgg_is_not_trained():
    model = tiny.model()
    before = tiny.state(model.vgg)
    model.setup_input(tiny.batch())
    model.train_iter()
    assert not tiny.differing(before, tiny.state(model.vgg))
    assert all(p.grad is None for p in model.vgg.parameters())


def test_stage_init_has_only_the_content_loss_and_ends_on_time():
    model = tiny.model(init_epochs=2)
    seen = []
    for step in range(3):
        model.setup_input(tiny.batch(seed=step))
        seen.append(model.stage)
        model.train_iter()
        if model.steps <= 2:
            assert set(model.losses) == {"d_loss", "d_real", "d_fake", "g_loss", "g_content"}
            assert float(model.losses["g_loss"]) == float(model.losses["g_content"])
    assert seen == ["init", "init", "cartoon"]
    assert set(model.losses) == {f"d_{x}" for x in ("loss", "real", "fake", "smooth")} | {
        f"g_{x}" for x in ("loss", *WEIGHTS)
    }


def test_stage_init_does_not_use_the_cartoons(monkeypatch):
    results = []
    for seed in (1, 2):
        paddle.seed(0)
        model = tiny.model(init_epochs=1)
        model.setup_input({**tiny.batch(seed=seed), "photo": tiny.batch()["photo"]})
        model.train_iter()
        results.append(
            tiny.state(model.nets["netD"]) | {f"G.{k}": v for k, v in tiny.state(model.nets["netG"]).items()}
        )
    assert not tiny.differing(*results)


@pytest.mark.parametrize("term", WEIGHTS)
def test_weight_of_zero_switches_a_loss_off(term):
    model = tiny.model(**{f"{term}_weight": 0})
    model.setup_input(tiny.batch())
    model.train_iter()
    assert f"g_{term}" not in model.losses
    assert {f"g_{t}" for t in WEIGHTS if t != term} < set(model.losses)


def test_omega_of_zero_omits_the_smoothed_cartoons():
    model = tiny.model(edge_weight=0)
    model.setup_input(tiny.batch())
    model.train_iter()
    assert "d_smooth" not in model.losses


def g_losses(options, shift=0.0, **images):
    """G's terms for one batch with other `images` in it, where what comes from G is shifted before it is compared."""
    paddle.seed(0)
    model = tiny.model(**options)
    model.setup_input({**tiny.batch(), **images})
    model.forward()
    model.fake = model.fake + shift
    return {name: float(value) for name, value in model.generator_losses().items()}


@pytest.mark.parametrize("style, seen", [("cartoonloss", False), ("animegan", True)])
def test_animegan_style_loss_sees_colors_and_gray_style_loss_does_not(style, seen):
    """The shift has no luma, so that gray images stay as they are."""
    shift = paddle.to_tensor([0.587, -0.299, 0.0]).reshape([1, 3, 1, 1])
    before, after = g_losses({"style_loss": style}), g_losses({"style_loss": style}, shift)
    assert before["g_content"] != pytest.approx(after["g_content"], rel=1e-3)
    assert (before["g_gray"] != pytest.approx(after["g_gray"], rel=1e-3)) == seen


@pytest.mark.parametrize("color, shown", [("cartoonloss", "cartoon"), ("animegan", "photo")])
def test_color_loss_compares_with_cartoons_or_with_photos(color, shown):
    before = g_losses({"color_loss": color})["g_color"]
    for name in ("photo", "cartoon"):
        white = g_losses({"color_loss": color}, **{name: paddle.ones([2, 3, 32, 32])})["g_color"]
        assert (white != pytest.approx(before, rel=1e-6)) == (name == shown)


@pytest.mark.parametrize("edge_weight", [0.1, 0])
def test_animegan_adversarial_loss_shows_d_gray_cartoons_and_gray_smoothed_ones(edge_weight):
    model, images, seen = tiny.model(adv_loss="animegan", edge_weight=edge_weight), tiny.batch(), []
    model.setup_input(images)
    model.forward()
    model.nets["netD"].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model.discriminator_losses()
    wanted = [images["cartoon"], model.fake, losses.gray(images["cartoon"]), losses.gray(images["smooth"])]
    (shown,) = seen
    assert bool((shown == paddle.concat(wanted if edge_weight else wanted[:3])).all())


def from_yaml(*options):
    tiny_options = [
        "model.discriminator.channels=2",
        "model.generator={name: CartoonLossGenerator, in_channels: 8, channels: 2}",
    ]
    tiny_options += ["model.vgg_path=random", "model.vgg_layer=conv1_2"]
    settings = loading.load(BASE, [*tiny_options, *options])
    model = cartoonlossgan.CartoonLossGANModel(**settings.model.model_dump(exclude={"name"}))
    schedule = model.setup_lr_schedulers(settings.lr_scheduler.model_dump())
    model.setup_optimizers(schedule, settings.optimizer.model_dump())
    model.init_steps = 0
    return model


def test_n_layer_discriminator_can_be_chosen_in_yaml():
    model = from_yaml(
        "model.discriminator={name: CartoonLossNLayerDiscriminator, channels: 4}", "model.generator.in_channels=8"
    )
    assert isinstance(model.nets["netD"], NLayerDiscriminator)
    model.setup_input(tiny.batch())
    model.train_iter()
    assert model.nets["netG"](model.encode(tiny.batch()["photo"])).shape == [2, 3, 32, 32]


def test_without_reuse_g_trains_its_own_encoder(monkeypatch):
    model = from_yaml("model.reuse_encoder=false")
    assert isinstance(model.nets["netG"], Cartoonizer)
    start, before_d, after_d, _, after_g = watched(model, monkeypatch)
    assert "encoder.0.weight_orig" in tiny.differing(start["netG"], after_g["netG"])
    iterated = tiny.differing(start["netG"], before_d["netG"])  # by spectral normalization, when G made its cartoons
    assert iterated and all(name.endswith(("_u", "_v")) for name in iterated)
    assert not tiny.differing(before_d["netG"], after_d["netG"])


def test_samples_do_not_change_g_s_own_encoder():
    model, photo = tiny.model(reuse_encoder=False), tiny.batch()["photo"]
    model.setup_input(tiny.batch())
    model.train_iter()
    before, cartoon = tiny.state(model.nets["netG"]), model.cartoonize(photo).numpy()
    assert np.array_equal(model.cartoonize(photo).numpy(), cartoon)
    assert not tiny.differing(before, tiny.state(model.nets["netG"]))


def test_g_s_own_encoder_has_the_norm_of_d_s_also_in_configs_but_not_in_those_of_older_runs():
    spectral = {name for name in tiny.state(tiny.model().nets["netD"].encoder) if "weight" in name}
    own = from_yaml("model.reuse_encoder=false").nets["netG"].encoder
    assert {name for name in tiny.state(own) if "weight" in name} == spectral
    older = loading.load(BASE, ["model.reuse_encoder=false"]).model_dump()
    del older["model"]["own_encoder_norm"]
    assert not loading.check(older, "a saved config").model.own_encoder_norm


@pytest.mark.parametrize("options", [{}, {"reuse_encoder": False}, {"reuse_encoder": False, "own_encoder_norm": False}])
def test_exported_weights_equal_the_trained_networks(options):
    model = tiny.model(**options)
    model.setup_input(tiny.batch())
    model.train_iter()
    net = Cartoonizer(**model.network)
    missing, unexpected = net.set_state_dict(model.export())
    assert not missing and not unexpected
    photo = tiny.batch(seed=3)["photo"]
    assert tiny.relative(net(photo), model.cartoonize(photo).numpy()) < 1e-5


def test_state_of_loss_scaling_is_restored():
    """Loss scaling has no effect on a CPU, so only its state is tested."""
    model = tiny.model(amp="float16")
    scaler = model.scalers["optimizer_G"]
    scaler._enable = True
    saved = {"scale": [1024.0], "incr_ratio": 2.0, "decr_ratio": 0.5, "incr_every_n_steps": 1000}
    saved |= {"decr_every_n_nan_or_inf": 2, "incr_count": 7, "decr_count": 1, "use_dynamic_loss_scaling": True}
    model.set_scaler_states({"optimizer_D": {}, "optimizer_G": saved})
    assert model.scaler_states() == {"optimizer_D": {}, "optimizer_G": saved}
