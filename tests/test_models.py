"""The algorithm: figures of an independent implementation, and the decoupling that the paper asks for."""

import os
from pathlib import Path

import numpy as np
import paddle
import pytest
import tiny
from conftest import FIXTURES
from vgg_file import write

from ppcartoon import config, models
from ppcartoon.networks import Cartoonizer, NLayerDiscriminator

ORACLE = os.environ.get("PPCARTOON_ORACLE")
WEIGHTS = {"adv": 300.0, "content": 1.5, "gray": 2.5, "color": 100.0, "tv": 1.0}
# In float32 the gradient of golden.npz's total variation has one sign wrong: two neighbouring values differ by 2e-8.
TOLERANCE = {("golden", "tv"): 2e-3}


def relative(a, b):
    return np.linalg.norm(np.asarray(a) - b) / max(np.linalg.norm(b), 1e-12)


@pytest.fixture(
    params=[FIXTURES / "step.npz"] + ([Path(ORACLE) / "golden.npz"] if ORACLE else []), ids=lambda p: p.stem
)
def oracle(request, tmp_path):
    """Figures of one step by name, the model's widths, its VGG, and a name for the whole."""
    table = dict(np.load(request.param))
    widths = {
        "width": table["netD.encoder.0.weight_orig"].shape[0],
        "in_channels": table["netD.encoder.7.weight_orig"].shape[0],
        "channels": 2 * table["netG.out.weight"].shape[1],
    }
    if request.param.stem == "step":
        names = {key.split(".")[1] for key in table if key.startswith("vgg.")}
        vgg = {name: [table[f"vgg.{name}.{i}"] for i in (0, 1)] for name in names}
        options = {"vgg_layer": "conv2_1", "vgg_path": str(write(tmp_path / "vgg.npy", vgg))}
    else:
        file = Path(ORACLE).parent / "data" / "vgg19_conv1_1_to_conv3_4.npy"
        options = {"vgg_layer": "conv3_4", "vgg_path": str(file)}
        for key in [k for k in table if k.startswith("grad.")]:
            table[f"vanilla.{key}"] = table.pop(key)
    return table, {**widths, **options}, request.param.stem


def loaded(oracle, mode):
    """The model with the oracle's parameters on its batch, in float64, in which no absolute value is near its kink."""
    table, options, _ = oracle
    model = tiny.model(gan_mode=mode, **options)
    for name, net in model.nets.items():
        state = {key.removeprefix(f"{name}."): table[key] for key in table if key.startswith(f"{name}.")}
        missing, unexpected = net.set_state_dict(state)
        assert not missing and not unexpected
    for net in (*model.nets.values(), model.vgg):
        net.to(dtype="float64")
    model.vgg.mean = model.vgg.mean.astype("float64")
    model.setup_input({key: paddle.to_tensor(table[key], "float64") for key in ("photo", "cartoon", "smooth")})
    return model


def gradients(net):
    return {name: p.grad.numpy() for name, p in net.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("mode", ["vanilla", "lsgan"])
@pytest.mark.parametrize("objective, init_epochs", [("d_loss", 0), ("d_init_loss", 1)])
def test_discriminator_objectives_and_their_gradients(oracle, mode, objective, init_epochs):
    table, model = oracle[0], loaded(oracle, mode)
    model.init_steps = init_epochs
    model.forward()
    losses = model.discriminator_losses()
    assert relative(losses["d_loss"], table[f"{mode}.{objective}"]) < 1e-4
    assert float(losses["d_loss"]) == pytest.approx(sum(float(v) for k, v in losses.items() if k != "d_loss"), rel=1e-6)
    losses["d_loss"].backward()
    found = gradients(model.nets["netD"])
    wanted = {k: v for k, v in table.items() if k.startswith(f"{mode}.grad.{objective}.")}
    assert wanted or mode == "lsgan"
    for key, value in wanted.items():
        assert relative(found[key.removeprefix(f"{mode}.grad.{objective}.")], value) < 1e-4, key
    assert not gradients(model.nets["netG"])


@pytest.mark.parametrize("mode", ["vanilla", "lsgan"])
def test_generator_s_objective_its_terms_and_their_gradients(oracle, mode):
    table, _, name = oracle
    model = loaded(oracle, mode)
    for term, weight in {**WEIGHTS, "total": 1.0}.items():
        model.nets["netG"].clear_gradients()
        model.forward()
        losses = model.generator_losses()
        loss = losses["g_loss" if term == "total" else f"g_{term}"] / weight
        assert relative(loss, table[f"{mode}.{term}"]) < 1e-4, term
        loss.backward()
        found = gradients(model.nets["netG"])
        wanted = {k: v for k, v in table.items() if k.startswith(f"{mode}.grad.{term}.")}
        assert wanted or mode == "lsgan"
        for key, value in wanted.items():
            if np.any(value):
                error = relative(found[key.removeprefix(f"{mode}.grad.{term}.")], value)
                assert error < TOLERANCE.get((name, term), 1e-4), key


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
def test_each_step_changes_its_own_network_alone(monkeypatch, init_epochs):
    model = tiny.model(init_epochs=init_epochs)
    start, _, after_d, before_g, after_g = watched(model, monkeypatch)
    changed = tiny.differing(start["netD"], after_d["netD"])
    assert "encoder.0.weight_orig" in changed and "classifier.0.weight_orig" in changed
    assert "encoder.0.weight_u" in changed or "encoder.2.weight_u" in changed  # the power iteration ran
    assert not tiny.differing(start["netG"], after_d["netG"])
    assert not tiny.differing(after_d["netD"], after_g["netD"])  # bit for bit, u and v included
    assert not tiny.differing(after_d["netG"], before_g["netG"])
    assert set(tiny.differing(before_g["netG"], after_g["netG"])) > {"out.weight", "body.0.body.0.0.weight"}


def test_generating_leaves_the_discriminator_as_it_was():
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


def test_vgg_takes_part_but_does_not_learn():
    model = tiny.model()
    before = tiny.state(model.vgg)
    model.setup_input(tiny.batch())
    model.train_iter()
    assert not tiny.differing(before, tiny.state(model.vgg))
    assert all(p.grad is None for p in model.vgg.parameters())


def test_stage_init_has_the_content_loss_alone_and_ends_on_time():
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


def test_in_stage_init_the_cartoons_do_not_matter(monkeypatch):
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
def test_a_weight_of_zero_switches_a_loss_off(term):
    model = tiny.model(**{f"{term}_weight": 0})
    model.setup_input(tiny.batch())
    model.train_iter()
    assert f"g_{term}" not in model.losses
    assert {f"g_{t}" for t in WEIGHTS if t != term} < set(model.losses)


def test_omega_of_zero_leaves_the_smoothed_cartoons_out():
    model = tiny.model(edge_weight=0)
    model.setup_input(tiny.batch())
    model.train_iter()
    assert "d_smooth" not in model.losses


def test_a_gray_cartoon_made_ahead_is_taken():
    given, made = tiny.model(), tiny.model()
    images = tiny.batch()
    given.setup_input({**images, "gray": paddle.zeros_like(images["photo"])})
    made.setup_input(images)
    assert float(given.gray_cartoon.abs().max()) == 0 and float(made.gray_cartoon.abs().max()) > 0


def from_yaml(*options):
    tiny_options = [
        "model.discriminator.channels=2",
        "model.generator={name: CartoonLossGenerator, in_channels: 8, channels: 2}",
    ]
    tiny_options += ["model.vgg_path=random", "model.vgg_layer=conv1_2"]
    path = Path(__file__).parents[1] / "configs" / "cartoonloss_base.yaml"
    settings = config.load(path, [*tiny_options, *options])
    model = models.CartoonLossGANModel(**settings.model.model_dump(exclude={"name"}))
    rates = model.setup_lr_schedulers(settings.lr_scheduler.model_dump())
    model.setup_optimizers(rates, settings.optimizer.model_dump())
    model.init_steps = 0
    return model


def test_the_second_discriminator_is_reachable_from_yaml():
    model = from_yaml(
        "model.discriminator={name: CartoonLossNLayerDiscriminator, channels: 4}", "model.generator.in_channels=8"
    )
    assert isinstance(model.nets["netD"], NLayerDiscriminator)
    model.setup_input(tiny.batch())
    model.train_iter()
    assert model.nets["netG"](model.encode(tiny.batch()["photo"])).shape == [2, 3, 32, 32]


def test_without_reuse_g_trains_an_encoder_of_its_own(monkeypatch):
    model = from_yaml("model.reuse_encoder=false")
    assert isinstance(model.nets["netG"], Cartoonizer)
    start, _, after_d, _, after_g = watched(model, monkeypatch)
    assert "encoder.0.weight" in tiny.differing(start["netG"], after_g["netG"])
    assert not tiny.differing(start["netG"], after_d["netG"])


@pytest.mark.parametrize("reuse", [True, False])
def test_what_is_exported_is_what_was_trained(reuse):
    model = tiny.model(reuse_encoder=reuse)
    model.setup_input(tiny.batch())
    model.train_iter()
    net = Cartoonizer(**model.network)
    missing, unexpected = net.set_state_dict(model.export())
    assert not missing and not unexpected
    photo = tiny.batch(seed=3)["photo"]
    assert relative(net(photo), model.cartoonize(photo).numpy()) < 1e-5


def test_the_state_of_loss_scaling_comes_back():
    """Loss scaling does nothing on a CPU, so that its state is all that can be tested without a GPU."""
    model = tiny.model(amp="float16")
    scaler = model.scalers["optimizer_G"]
    scaler._enable = True
    saved = {"scale": [1024.0], "incr_ratio": 2.0, "decr_ratio": 0.5, "incr_every_n_steps": 1000}
    saved |= {"decr_every_n_nan_or_inf": 2, "incr_count": 7, "decr_count": 1, "use_dynamic_loss_scaling": True}
    model.set_scaler_states({"optimizer_D": {}, "optimizer_G": saved})
    assert model.scaler_states() == {"optimizer_D": {}, "optimizer_G": saved}
