"""AnimeGAN and CycleGAN: trained by our trainer, resumed, exported, and run beside our own weights."""

import json

import numpy as np
import paddle
import pytest
import runs_of
import safetensors.numpy
import tiny
import yaml
from conftest import photo

import ppcartoon.register  # noqa: F401
from ppcartoon import CartoonPredictor, InputError, checkpoints, cli, config, evaluate_cli, images, runs, weights
from ppcartoon.baselines.animegan import AnimeGANBaseline
from ppcartoon.baselines.cyclegan import CycleGANBaseline
from ppcartoon.baselines.generators import GENERATORS, generator
from ppcartoon.baselines.predictor import open_weights
from ppcartoon.experiment import Experiment
from ppcartoon.schedules import FinalLinearDecay
from ppcartoon.train_cli import main as train

NAMES = ("animegan", "cyclegan")
SMALL = {
    "animegan": {
        "discriminator": {"channel": 4, "nblocks": 2},
        "init_epochs": 1,
        "vgg_layer": "conv1_1",
        "vgg_path": "random",
    },
    "cyclegan": {"generator": {"ngf": 2, "n_blocks": 1}, "discriminator": {"ndf": 2, "n_layers": 2}, "pool_size": 3},
}
TERMS = {
    "animegan": {f"d_{x}" for x in ("loss", "real", "gray", "fake", "smooth")}
    | {f"g_{x}" for x in ("loss", "adv", "content", "gray", "color", "tv")},
    "cyclegan": {"d_loss", "g_loss"}
    | {f"{x}_{y}" for x in ("d", "g_adv", "g_cycle", "g_identity") for y in ("photo", "cartoon")},
}


def write_config(folder, name):
    """A config of 3 epochs of 2 steps of 2, whose run goes to folder/output/NAME."""
    data = {"name": "DrawnCartoonDataset", "count": 4, "size": 32, "flip": True, "batch_size": 2, "num_workers": 0}
    tree = {
        "_base_": str(runs_of.ROOT / f"configs/baselines/{name}.yaml"),
        "epochs": 3,
        "model": SMALL[name],
        "dataset": {"train": data},
        "output_dir": str(folder / "output"),
        "lr_scheduler": {"learning_rate": 0.001, "decay_epochs": 0},
        "log_config": {"interval": 1, "visiual_interval": 100},
        "samples": {"count": 1},
        "export": {"style": f"small-{name}"},
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


@pytest.fixture(scope="module", params=NAMES)
def finished(request, tmp_path_factory):
    """The name of a baseline, and the folder of a run of 6 steps."""
    folder = tmp_path_factory.mktemp(request.param)
    assert train(["-c", str(write_config(folder, request.param)), "--device", "cpu"]) == 0
    return request.param, folder / "output" / request.param


@pytest.fixture(params=NAMES)
def started(request, tmp_path):
    """A baseline's experiment before its first step."""
    return Experiment(runs.locate(write_config(tmp_path, request.param), [], None), "")


def one_step(model, seed=0):
    model.setup_input(tiny.batch(seed=seed))
    model.train_iter()


def test_a_baseline_trains_and_is_watched_like_ours(finished):
    name, run = finished
    losses = runs_of.losses(run)
    init = 2 if name == "animegan" else 0
    assert [row["stage"] for row in runs_of.metrics(run)] == ["init"] * init + ["cartoon"] * (6 - init)
    assert all(set(losses[step]) == {"g_loss", "g_content"} for step in range(1, init + 1))
    assert all(set(losses[step]) == TERMS[name] for step in range(init + 1, 7))
    assert runs_of.curve(run, "g_loss") == [(step, pytest.approx(losses[step]["g_loss"])) for step in range(1, 7)]
    assert len(list((run / "weights").iterdir())) == 3
    assert sorted(p.name for p in (run / "samples").iterdir()) == ["step_00000000.png", "step_00000006.png"]
    _, state = checkpoints.load(checkpoints.path_of(run / "checkpoints", 6))
    assert state["best"]["value"] == pytest.approx(
        min(
            np.mean([losses[step]["g_loss"] for step in steps]) for steps in ((1, 2), (3, 4), (5, 6)) if steps[0] > init
        )
    )


def test_the_terms_add_up(finished):
    name, run = finished
    for row in list(runs_of.losses(run).values())[2:]:
        for net in "dg":
            terms = [value for key, value in row.items() if key[0] == net and key != f"{net}_loss"]
            assert sum(terms) == pytest.approx(row[f"{net}_loss"], rel=1e-4)


def test_resumed_equals_straight_through(finished, tmp_path):
    name, run = finished
    path = str(write_config(tmp_path, name))
    assert train(["-c", path, "--device", "cpu", "-o", "epochs=2"]) == 0
    assert train(["-c", path, "--device", "cpu", "--resume"]) == 0
    other = tmp_path / "output" / name
    (tensors, state), (wanted, wanted_state) = (
        checkpoints.load(checkpoints.path_of(folder / "checkpoints", 6)) for folder in (other, run)
    )
    assert runs_of.losses(other) == runs_of.losses(run)
    assert not tiny.differing(tensors, wanted)
    assert {**state, "config": 0} == {**wanted_state, "config": 0}
    moments = {key.split("/")[1].split(".")[0] for key in tensors if key.endswith("moment1_0")}
    pools = {key: tensor.shape for key, tensor in tensors.items() if key.startswith("memory/")}
    if name == "cyclegan":
        assert moments == {"netG_A", "netG_B", "netD_A", "netD_B"}
        assert pools == {"memory/cartoons": (3, 3, 32, 32), "memory/photos": (3, 3, 32, 32)}
    else:
        assert not pools


def test_what_a_step_draws_comes_from_the_pools(tmp_path):
    """Two models that differ in their pools alone go different ways."""
    ends = []
    for shade in (-1.0, 1.0):
        work = Experiment(runs.locate(write_config(tmp_path, "cyclegan"), [], None), "")
        pool = np.full((3, 3, 32, 32), shade, np.float32)
        work.model.set_memory({"cartoons": pool, "photos": pool})
        for seed in range(3):
            one_step(work.model, seed)
        ends.append(tiny.state(work.model.nets["netD_A"]))
    assert tiny.differing(*ends)


def test_pools_of_another_size_are_left_behind(tmp_path):
    work = Experiment(runs.locate(write_config(tmp_path, "cyclegan"), [], None), "")
    work.model.set_memory({"cartoons": np.zeros((3, 3, 64, 64), np.float32)})
    one_step(work.model)
    assert work.model.memory()["cartoons"].shape == (2, 3, 32, 32)


def test_each_optimizer_changes_its_own_networks_alone(started, monkeypatch):
    model, changed = started.model, {}
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
    fixed = [key for net, layer in model.nets.items() for key in tiny.state(layer) if key.endswith(".scale")]
    unchanged = [
        key
        for net, layer in model.nets.items()
        for key in tiny.state(layer)
        if key.endswith(".scale") and np.array_equal(start[net][key], tiny.state(layer)[key])
    ]
    assert unchanged == fixed  # instance normalisation has no parameters of its own


def test_stage_init_leaves_d_as_it_is_and_takes_no_cartoons(tmp_path):
    ends = []
    for seed in (1, 2):
        work = Experiment(runs.locate(write_config(tmp_path, "animegan"), [], None), "")
        before = tiny.state(work.model.nets["netD"])
        work.model.setup_input({**tiny.batch(seed=seed), "photo": tiny.batch()["photo"]})
        work.model.train_iter()
        assert not tiny.differing(before, tiny.state(work.model.nets["netD"]))
        ends.append(tiny.state(work.model.nets["netG"]))
    assert not tiny.differing(*ends)


def test_the_rates_of_stages_and_optimizers(tmp_path):
    """Adam's first step is as long as the learning rate."""
    options = ["lr_scheduler.init_learning_rate=0.004", "lr_scheduler.learning_rate=0.001"]
    work = Experiment(runs.locate(write_config(tmp_path, "animegan"), options, None), "")
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


@pytest.mark.parametrize("size", [(32, 32), (37, 50)])
def test_exported_weights_give_the_image_of_the_model_in_training(started, tmp_path, size):
    model, rgb = started.model, photo(*size)
    one_step(model)
    started.export(tmp_path / "own.safetensors")
    predictor = open_weights(tmp_path / "own.safetensors")
    padded = paddle.to_tensor(images.to_network(images.pad(rgb)[None]))
    wanted = images.from_network(model.cartoonize(padded).numpy())[0, : size[0], : size[1]]
    made = predictor(rgb)
    assert made.shape == rgb.shape and made.dtype == np.uint8
    assert np.abs(made.astype(int) - wanted).max() <= 2  # float16 in the file


def test_every_known_generator_can_be_built():
    assert GENERATORS.keys() == weights.BASELINES.keys()


def test_any_weights_run_over_photos(finished, tiny_file, tmp_path, capsys):
    _, run = finished
    for name, rgb in {"a": photo(30, 41), "b": photo(24, 24), "speck": photo(3, 40)}.items():
        images.write(tmp_path / "photos" / f"{name}.png", images.Picture(rgb))
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"nothing")
    made = {}
    for kind, file in (("baseline", run / "weights.safetensors"), ("ours", tiny_file)):
        arguments = ["run", "--weights", str(file), "-i", str(tmp_path / "photos"), "-o", str(tmp_path / kind)]
        assert evaluate_cli.main(arguments) == 1
        said = capsys.readouterr()
        assert "broken.jpg: " in said.err and "2 failed" in said.out or kind == "ours" and "1 failed" in said.out
        made[kind] = images.read(tmp_path / kind / "a.png").rgb
        assert made[kind].shape == (30, 41, 3)
        (tmp_path / kind / "a.png").unlink()
        evaluate_cli.main([*arguments, "--skip-existing"])
        assert "skipped, there already" in capsys.readouterr().out
        np.testing.assert_array_equal(images.read(tmp_path / kind / "a.png").rgb, made[kind])
    assert not np.array_equal(made["baseline"], made["ours"])
    np.testing.assert_array_equal(made["ours"], CartoonPredictor(weights_file=tiny_file)(photo(30, 41)))


def test_what_runs_on_onnx_says_what_runs_a_baseline(finished, tmp_path, capsys):
    _, run = finished
    images.write(tmp_path / "a.png", images.Picture(photo(16, 16)))
    file = str(run / "weights.safetensors")
    assert cli.main(["-i", str(tmp_path / "a.png"), "-w", file, "-o", str(tmp_path / "made")]) == 2
    error = capsys.readouterr().err
    assert "weights of a baseline" in error and "tools/evaluate.py run" in error and error.count("\n") == 1


def test_an_image_that_is_too_large_for_memory_is_refused(finished):
    predictor = open_weights(finished[1] / "weights.safetensors")
    assert predictor.tile_of(300, 400) == 0
    with pytest.raises(InputError, match="400000x300000 needs more than the .* GB of memory here: use a smaller"):
        predictor.tile_of(300000, 400000)


@pytest.mark.parametrize(
    "arguments",
    [
        {"name": "ResnetGenerator", "input_nc": 3, "output_nc": 3, "ngf": 10**6, "n_blocks": 9},
        {"name": "ResnetGenerator", "input_nc": 3, "output_nc": 3, "ngf": 64, "n_blocks": True},
        {"name": "ResnetGenerator", "ngf": 64},
        {"name": "AnimeGenerator", "path": "/etc/passwd"},
        {"name": ["AnimeGenerator"]},
        {"name": "os.system"},
        3,
    ],
)
def test_a_file_cannot_ask_for_another_network(tmp_path, arguments):
    metadata = {"format": "ppcartoon", "network": json.dumps({"generator": arguments})}
    path = tmp_path / "odd.safetensors"
    path.write_bytes(safetensors.numpy.save({"a": np.zeros(1, np.float16)}, metadata))
    with pytest.raises(InputError, match="metadata key network"):
        weights.load(path)


@pytest.mark.parametrize("change", ["missing", "left over", "shape"])
def test_tensors_must_be_the_network_s(started, change):
    model = started.model
    tensors = model.export()
    first = sorted(tensors)[0]
    if change == "missing":
        del tensors[first]
    else:
        tensors[first if change == "shape" else "more"] = np.zeros((1, 2, 3), np.float32)
    with pytest.raises(InputError, match="is not in both the file and"):
        generator(weights.Weights(tensors, model.network, "x", "x", "x", "x"))


@pytest.mark.parametrize(
    "name, option, message",
    [
        ("animegan", "model.gray_weight=1", "model.gray_weight: unknown key"),
        ("animegan", "model.amp=auto", "model.amp: unknown key"),
        ("animegan", "model.generator.channels=3", "model.generator.channels: unknown key"),
        ("animegan", "snapshot_config.best=g_style", "snapshot_config.best: g_style is not among the losses: d_loss, "),
        ("animegan", "model.init_epochs=200", "model.init_epochs 200 is more than epochs 101"),
        ("animegan", "optimizer.optimizer_D.rate=0", "optimizer.optimizer_D.rate: input should be greater than 0"),
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
def test_keys_are_those_of_the_model(name, option, message):
    with pytest.raises(InputError) as error:
        config.load(runs_of.ROOT / f"configs/baselines/{name}.yaml", [option])
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("style", ["shinkai", "paprika"])
def test_a_style_of_a_baseline_has_the_folders_of_ours(name, style):
    own = config.load(runs_of.ROOT / f"configs/baselines/{name}_{style}.yaml")
    ours = config.load(runs_of.ROOT / f"configs/cartoonloss_{style}.yaml")
    keys = ("dataroot", "photos", "cartoons", "smooth", "size")
    assert [getattr(own.dataset.train, key) for key in keys] == [getattr(ours.dataset.train, key) for key in keys]
    assert own.export.style == f"{name}_{style}" and own.export.attribution == ours.export.attribution


def test_cyclegan_is_not_trained_by_several_processes(tmp_path, monkeypatch):
    monkeypatch.setenv("PADDLE_TRAINERS_NUM", "2")
    with pytest.raises(InputError, match="CycleGANBaseline: trains in one process"):
        Experiment(runs.locate(write_config(tmp_path, "cyclegan"), ["dataset.train.batch_size=1"], None), "")


def test_a_dry_run_counts_networks_and_rates(tmp_path, capsys):
    assert train(["-c", str(write_config(tmp_path, "cyclegan")), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert all(f"{net} " in said for net in ("G_A", "G_B", "D_A", "D_B")) and "GFLOP" not in said
    assert train(["-c", str(write_config(tmp_path, "animegan")), "--dry-run"]) == 0
    assert "0.001, 0.0002 in stage init" in capsys.readouterr().out


def test_the_models_are_subclasses_of_ppgan_s():
    """So that a fault mended there is mended here."""
    assert AnimeGANBaseline.backward_D.__module__ == "ppgan.models.animeganv2_model"
    assert CycleGANBaseline.backward_G.__module__ == "ppgan.models.cycle_gan_model"
