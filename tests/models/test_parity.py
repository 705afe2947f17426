"""One training step against an independent implementation in PyTorch: losses, and the gradients of D and G."""

import os
from pathlib import Path

import numpy as np
import paddle
import pytest

from tests.helpers import tiny
from tests.helpers.samples import FIXTURES
from tests.helpers.vgg_file import write

ORACLE = os.environ.get("PPCARTOON_ORACLE")
WEIGHTS = {"adv": 300.0, "content": 1.5, "gray": 2.5, "color": 100.0, "tv": 1.0}
# In float32 the gradient of golden.npz's total variation has one sign wrong: two neighboring values differ by 2e-8.
TOLERANCE = {("golden", "tv"): 2e-3}


@pytest.fixture(
    params=[FIXTURES / "step.npz"] + ([Path(ORACLE) / "golden.npz"] if ORACLE else []), ids=lambda p: p.stem
)
def oracle(request, tmp_path):
    """Arrays of one step by name, the model's options, and the archive's name."""
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
    assert tiny.relative(losses["d_loss"], table[f"{mode}.{objective}"]) < 1e-4
    assert float(losses["d_loss"]) == pytest.approx(sum(float(v) for k, v in losses.items() if k != "d_loss"), rel=1e-6)
    losses["d_loss"].backward()
    found = gradients(model.nets["netD"])
    wanted = {k: v for k, v in table.items() if k.startswith(f"{mode}.grad.{objective}.")}
    assert wanted or mode == "lsgan"
    for key, value in wanted.items():
        assert tiny.relative(found[key.removeprefix(f"{mode}.grad.{objective}.")], value) < 1e-4, key
    assert not gradients(model.nets["netG"])


@pytest.mark.parametrize("mode", ["vanilla", "lsgan"])
def test_generator_objective_terms_and_their_gradients(oracle, mode):
    table, _, name = oracle
    model = loaded(oracle, mode)
    for term, weight in {**WEIGHTS, "total": 1.0}.items():
        model.nets["netG"].clear_gradients()
        model.forward()
        losses = model.generator_losses()
        loss = losses["g_loss" if term == "total" else f"g_{term}"] / weight
        assert tiny.relative(loss, table[f"{mode}.{term}"]) < 1e-4, term
        loss.backward()
        found = gradients(model.nets["netG"])
        wanted = {k: v for k, v in table.items() if k.startswith(f"{mode}.grad.{term}.")}
        assert wanted or mode == "lsgan"
        for key, value in wanted.items():
            if np.any(value):
                error = tiny.relative(found[key.removeprefix(f"{mode}.grad.{term}.")], value)
                assert error < TOLERANCE.get((name, term), 1e-4), key
