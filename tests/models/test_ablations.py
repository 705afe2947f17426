"""The ablations: each differs from its base only in its own keys, trains, and has the losses of its name."""

import contextlib
from pathlib import Path

import numpy as np
import paddle
import pytest
import yaml

from ppcartoon import weights
from ppcartoon.config import loading
from ppcartoon.inference import engines
from ppcartoon.models import networks
from ppcartoon.training import experiment, run_folder, trainer
from tests.helpers import tiny, training_runs
from tests.helpers.tiny import relative

pytestmark = pytest.mark.slow

CONFIGS = training_runs.ROOT / "configs"
ABLATIONS = sorted((CONFIGS / "ablations").glob("*.yaml"))
FULL = CONFIGS / "cartoonloss_shinkai.yaml"
PAPER_LOSSES = {"g_adv", "g_content", "g_gray", "g_color", "g_tv", "g_loss", "d_loss", "d_real", "d_fake", "d_smooth"}
LOSSES = {  # what is logged in stage "cartoon", where that changes
    "without_gray": PAPER_LOSSES - {"g_gray"},
    "without_color": PAPER_LOSSES - {"g_color"},
    "adv_ours": PAPER_LOSSES - {"g_gray", "g_color"},
    "adv_animegan": PAPER_LOSSES - {"g_gray", "g_color"} | {"d_gray"},
    "adv_style_animegan": PAPER_LOSSES - {"g_color"} | {"d_gray"},
    "adv_color_animegan": PAPER_LOSSES - {"g_gray"} | {"d_gray"},
    "total_animegan": PAPER_LOSSES | {"d_gray"},
}
# Images of a step in stage "cartoon", in each call, by batches: G decodes; D judges in its step, then in G's; VGG19
# takes its targets, then what gradients go through.
CALLS = {"netG": [2], "netD": [3, 1], "vgg": [2, 2]}
OTHER_CALLS = {
    "without_gray": {"vgg": [1, 1]},
    "without_color": {"netG": [1]},
    "adv_ours": {"netG": [1], "vgg": [1, 1]},
    "adv_animegan": {"netG": [1], "netD": [4, 1], "vgg": [1, 1]},
    "adv_style_animegan": {"netG": [1], "netD": [4, 1], "vgg": [2, 1]},
    "adv_color_animegan": {"netG": [1], "netD": [4, 1], "vgg": [1, 1]},
    "total_animegan": {"netG": [1], "netD": [4, 1], "vgg": [2, 1]},
}
BATCH = 2


@pytest.fixture(params=ABLATIONS, ids=lambda path: path.stem)
def ablation(request) -> Path:
    return request.param


def new_experiment(path: Path, folder: Path) -> experiment.Experiment:
    """The config on widths of a sixteenth, drawn images of 32 pixels and a few steps, ready for the first."""
    model = loading.load(path).model
    options = [
        f"model.generator.in_channels={model.generator.in_channels // 16}",
        f"model.generator.channels={model.generator.channels // 16}",
        f"model.discriminator.channels={model.discriminator.channels // 16}",
        "model.vgg_layer=conv1_2",
        "model.vgg_path=random",
        f"model.init_epochs={min(model.init_epochs, 1)}",
        "epochs=2",
        f"dataset.train={{name: DrawnCartoonDataset, count: {2 * BATCH}, size: 32, batch_size: {BATCH}}}",
        "dataset.train.flip=true",
        "dataset.train.num_workers=0",
        "lr_scheduler.learning_rate=0.002",
        "log_config.interval=1",
        "enable_visualdl=false",
        f"output_dir={folder}",
    ]
    return experiment.Experiment(run_folder.locate(path, options, None), "a test")


def parts(work: experiment.Experiment) -> dict[str, np.ndarray]:
    """All tensors of D and G, by the names they have where G reuses E."""
    states = {name: tiny.state(net) for name, net in work.model.nets.items()}
    return {
        f"{n}.{key.removeprefix('generator.')}": value for n, state in states.items() for key, value in state.items()
    }


@contextlib.contextmanager
def counted(model):
    """The number of images in each call of G, D and VGG19, in batches."""
    calls = {name: [] for name in CALLS}
    nets = {**model.nets, "vgg": model.vgg}
    hooks = [
        net.register_forward_pre_hook(lambda _, images, name=name: calls[name].append(images[0].shape[0] // BATCH))
        for name, net in nets.items()
    ]
    yield calls
    for hook in hooks:
        hook.remove()


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> experiment.Experiment:
    return new_experiment(FULL, tmp_path_factory.mktemp("full"))


def test_ablation_differs_from_its_base_only_in_its_own_keys(ablation):
    own = yaml.safe_load(ablation.read_text())
    assert (ablation.parent / own.pop("_base_")).resolve() == FULL
    before, now = (run_folder._leaves(loading._read(path, ())) for path in (FULL, ablation))
    assert now.keys() == before.keys()
    assert {key for key in now if now[key] != before[key]} == set(run_folder._leaves(own))


def test_ablations_differ_from_each_other():
    seen = [loading.load(path).model_dump_json() for path in [*ABLATIONS, FULL]]
    assert len(set(seen)) == len(seen)


def test_ablation_trains_with_the_losses_of_its_name(ablation, tmp_path):
    work = new_experiment(ablation, tmp_path)
    start = parts(work)
    work.folder.mkdir()
    trainer.Trainer(work, []).train()
    rows = training_runs.losses(work.folder)
    stages = [row["stage"] for row in training_runs.metrics(work.folder)]
    assert stages == (["cartoon"] * 4 if ablation.stem == "without_init" else ["init"] * 2 + ["cartoon"] * 2)
    assert set(rows[4]) == LOSSES.get(ablation.stem, PAPER_LOSSES)
    assert all(np.isfinite(value) for row in rows.values() for value in row.values())
    moved = {name for name in start if not np.array_equal(start[name], parts(work)[name])}
    assert {"netD.encoder.0.weight_orig", "netD.classifier.0.weight_orig", "netG.out.weight"} < moved
    assert ("netG.encoder.0.weight_orig" in moved) == (ablation.stem == "without_reuse")


def test_step_calls_the_networks_only_for_the_losses_that_are_on(ablation, tmp_path):
    model = new_experiment(ablation, tmp_path).model
    model.init_steps = 0
    model.setup_input(tiny.batch(count=BATCH))
    with counted(model) as calls:
        model.train_iter()
    assert calls == {**CALLS, **OTHER_CALLS.get(ablation.stem, {})}


def test_ablation_has_the_initial_weights_and_images_of_the_full_method(ablation, full, tmp_path):
    """As far as it has the same networks. D is initialized first, so another D changes the random numbers of G."""
    work = new_experiment(ablation, tmp_path)
    same = {"depthwise": "netD.", "half_channels": "netD.", "n_layer": ()}.get(ablation.stem, ("netD.", "netG."))
    own, wanted = parts(work), parts(full)
    assert [name for name in wanted if name.startswith(same) and not np.array_equal(own[name], wanted[name])] == []
    batches = list(zip(work.loader(), full.loader(), strict=True))
    assert len(batches) == 4
    for one, other in batches:
        assert all(bool((one[key] == other[key]).all()) for key in other)


def test_without_reuse_g_does_not_depend_on_d_s_encoder(full, tmp_path):
    work = new_experiment(CONFIGS / "ablations" / "without_reuse.yaml", tmp_path)
    photo = tiny.batch()["photo"]
    for model, same in ((work.model, True), (full.model, False)):
        before = model.cartoonize(photo)
        kernel = model.nets["netD"].encoder[0].weight_orig
        weight, trained = kernel.clone(), model.nets["netG"]
        kernel.set_value(paddle.randn(kernel.shape))
        assert bool(paddle.allclose(model.cartoonize(photo), before, atol=1e-7)) == same
        kernel.set_value(weight)
        assert any(name.startswith("encoder.") for name, _ in trained.named_parameters()) == same
    own = tiny.state(work.model.nets["netG"])
    decoder = {name.removeprefix("generator."): own[name] for name in own if name.startswith("generator.")}
    assert tiny.differing(weights.fold(own, decoder), work.model.export()) == []


@pytest.mark.parametrize("engine", ["onnx", "openvino", "paddle"])
def test_depthwise_weights_run_in_each_engine(engine, depthwise):
    loaded, photo, wanted = depthwise
    run = engines.create(loaded, engine, "cpu", threads=1, precision="fp32")
    assert wanted.std() > 0.05
    np.testing.assert_allclose(run(photo), wanted, atol=1e-4)


@pytest.fixture(scope="module")
def depthwise(tmp_path_factory):
    """Exported weights, photos, and the training model's cartoons of them."""
    folder = tmp_path_factory.mktemp("depthwise")
    work = new_experiment(CONFIGS / "ablations" / "depthwise.yaml", folder)
    for parameter in work.model.nets["netG"].parameters():  # as a file holds it, or float16 makes a difference
        parameter.set_value(paddle.randn(parameter.shape).astype("float16").astype("float32") * 0.25)
    work.export(folder / "a.safetensors")
    loaded = weights.load(folder / "a.safetensors")
    assert loaded.network == work.model.network
    photo = tiny.batch()["photo"]
    net = networks.Cartoonizer(**loaded.network)
    net.set_state_dict(loaded.tensors)
    wanted = net(photo).detach().numpy()
    assert relative(work.model.cartoonize(photo), wanted) < 1e-2  # E is rounded
    return loaded, photo.numpy(), wanted


@pytest.mark.parametrize("path", [FULL, CONFIGS / "ablations" / "depthwise.yaml"], ids=lambda path: path.stem)
def test_converter_finds_the_network_from_its_tensors(tmp_path, path):
    model = new_experiment(path, tmp_path).model
    states = {f"{net}.{name}": tensor for net in model.nets for name, tensor in tiny.state(model.nets[net]).items()}
    np.savez(tmp_path / "a.npz", **states)
    tensors, network = weights.from_npz(tmp_path / "a.npz")
    assert network == model.network
    assert not tiny.differing(tensors, model.export())


@pytest.mark.parametrize("name", ["depthwise", "half_channels"])
def test_g_has_less_than_a_third_of_its_parameters(name):
    full, own = (
        networks.Generator(**loading.load(path).model.generator.model_dump(exclude={"name"}))
        for path in (FULL, CONFIGS / "ablations" / f"{name}.yaml")
    )
    assert sum(p.size for p in own.parameters()) < sum(p.size for p in full.parameters()) / 3
