"""Paddle's .pdparams files as weights: those of our networks, of ppgan's trainer, and files that are refused."""

import dataclasses
import pickle
import subprocess
import sys

import numpy as np
import paddle
import pytest

from ppcartoon import CartoonPredictor, InputError, weights
from ppcartoon.cli.export import main as export
from ppcartoon.models.networks import Cartoonizer
from ppcartoon.training import fine_tuning
from tests.helpers import tiny
from tests.helpers.documents import ROOT

# isort: split
from ppgan.utils.filesystem import save


@pytest.fixture(scope="module", params=["CartoonLossDiscriminator", "CartoonLossNLayerDiscriminator", "own_encoder"])
def model(request):
    options = {"CartoonLossDiscriminator": {}, "own_encoder": {"reuse_encoder": False}}.get(
        request.param, {"discriminator": request.param, "in_channels": 4}
    )
    made = tiny.model(**options)
    made.setup_input(tiny.batch())
    made.train_iter()
    return made


def networks(model):
    return {name: net.state_dict() for name, net in model.nets.items()}


def ppgan_checkpoint(path, model):
    optimizers = {name: optimizer.state_dict() for name, optimizer in model.optimizers.items()}
    save({**networks(model), "epoch": 3, **optimizers}, path)


def paddle_save_networks(path, model):
    paddle.save(networks(model), str(path))


def state_dict(path, model):
    net = Cartoonizer(**model.network)
    net.set_state_dict(model.export())
    paddle.save(net.state_dict(), str(path))


@pytest.mark.parametrize("write", [ppgan_checkpoint, paddle_save_networks, state_dict])
@pytest.mark.parametrize("name", ["a.pdparams", "a.pkl"])
def test_weights_of_paddle_are_read_with_their_network(tmp_path, model, write, name):
    write(tmp_path / name, model)
    loaded = weights.load(tmp_path / name)
    assert loaded.style == "a" and loaded.licence == "unknown"
    assert loaded.network["encoder"] == model.network["encoder"]
    assert loaded.network["generator"] == {"depthwise": False, **model.network["generator"]}
    wanted = model.export()
    assert loaded.tensors.keys() == wanted.keys()
    for key, tensor in wanted.items():
        np.testing.assert_allclose(loaded.tensors[key], tensor, rtol=1e-5, atol=1e-6)


def test_exported_pdparams_loads_in_paddle_and_makes_the_same_cartoons(tmp_path, tiny_weights):
    source = tmp_path / "tiny.safetensors"
    weights.save(source, dataclasses.replace(tiny_weights, edge_target=0.2, levels=[3, 250]))
    assert export(["-w", str(source), "-o", str(tmp_path), "--format", "pdparams"]) == 0
    file = tmp_path / "pdparams" / "tiny.pdparams"
    net = Cartoonizer(**tiny_weights.network)
    missing, _ = net.set_state_dict(paddle.load(str(file)))
    assert missing == []
    loaded = weights.load(file)
    original = weights.load(source)
    assert dataclasses.replace(loaded, tensors={}) == dataclasses.replace(original, tensors={})
    photo = np.random.default_rng(0).integers(0, 256, (32, 40, 3), np.uint8)
    cartoons = [CartoonPredictor(weights_file=path)(photo) for path in (source, file)]
    np.testing.assert_array_equal(*cartoons)
    for key, tensor in net.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), original.tensors[key])


def test_convert_weights_keeps_what_a_pdparams_file_says_about_its_style(tmp_path, tiny_weights):
    weights.save_pdparams(tmp_path / "a.pdparams", dataclasses.replace(tiny_weights, edge_target=0.2, levels=[3, 250]))
    texts = ["--command", "x", "--attribution", "y", "--licence", "z"]
    command = [sys.executable, ROOT / "tools/convert_weights.py", tmp_path / "a.pdparams", tmp_path / "b.safetensors"]
    subprocess.run([*command, *texts], check=True, capture_output=True)
    loaded = weights.load(tmp_path / "b.safetensors")
    assert (loaded.edge_target, loaded.levels, loaded.licence) == (0.2, [3, 250], "z")


def test_exported_pdparams_names_no_module_that_numpy_1_lacks(tmp_path, tiny_weights):
    weights.save_pdparams(tmp_path / "a.pdparams", tiny_weights)
    assert b"numpy._core" not in (tmp_path / "a.pdparams").read_bytes()


def test_run_starts_from_a_checkpoint_of_ppgan_s_trainer_with_its_discriminator(tmp_path, model):
    ppgan_checkpoint(tmp_path / "a.pdparams", model)
    options = {"reuse_encoder": model.reuse_encoder}
    if model.network["encoder"]["name"] != "CartoonLossDiscriminator":
        options |= {"discriminator": model.network["encoder"]["name"], "in_channels": 4}
    new = tiny.model(ema_decay=0.9 if model.reuse_encoder else 0.0, **options)
    fine_tuning.start_from(tmp_path / "a.pdparams", new)
    for name, net in model.nets.items():
        assert not tiny.differing(tiny.state(net), tiny.state(new.nets[name]))
    for key, tensor in model.export().items():
        np.testing.assert_allclose(new.export()[key], tensor, rtol=1e-5, atol=1e-6)


def test_run_starts_from_half_precision_networks(tmp_path):
    halves = {
        name: {key: tensor.astype("float16") for key, tensor in state.items()}
        for name, state in networks(tiny.model()).items()
    }
    paddle.save(halves, str(tmp_path / "a.pdparams"))
    new = tiny.model()
    fine_tuning.start_from(tmp_path / "a.pdparams", new)
    for name, state in halves.items():
        for key, tensor in new.nets[name].state_dict().items():
            np.testing.assert_array_equal(tensor.numpy(), state[key].numpy().astype(np.float32))


class Evil:
    def __reduce__(self):
        return print, ("ran",)


@pytest.mark.parametrize(
    "content, reason",
    [
        ({"netG": Evil()}, "it asks for builtins.print"),
        ({"netG": {"conv.weight": np.zeros(3, np.float32)}}, "it has no netD"),
        ({"epoch": 3}, "encoder.0.weight"),
        ([1], "no dictionary"),
        ({"encoder.0.weight": np.array([object()])}, "encoder.* and generator.*"),
    ],
)
def test_other_pickles_are_refused_without_being_run(tmp_path, capsys, content, reason):
    path = tmp_path / "other.pdparams"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(InputError, match=f"other.pdparams: .*{reason}"):
        weights.load(path)
    assert capsys.readouterr().out == ""


@pytest.mark.filterwarnings("error")
def test_zeroed_spectral_norm_is_refused(tmp_path):
    nets = {name: dict(net) for name, net in networks(tiny.model()).items()}
    nets["netD"] |= {name: 0 * tensor for name, tensor in nets["netD"].items() if name.endswith("_u")}
    paddle.save(nets, str(tmp_path / "a.pdparams"))
    with pytest.raises(InputError, match=r"a.pdparams: .*finite"):
        weights.load(tmp_path / "a.pdparams")


def test_truncated_file_is_refused(tmp_path, tiny_weights):
    path = tmp_path / "cut.pdparams"
    weights.save_pdparams(path, tiny_weights)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(InputError, match=r"cut\.pdparams: not Paddle's weights"):
        weights.load(path)
