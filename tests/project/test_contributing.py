"""The instructions of CONTRIBUTING.md, followed in a copy of the repository: a new loss, a network and a style."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import paddle
import pytest
from PIL import Image

from ppcartoon import InputError, weights
from ppcartoon.baselines.generators import load_generator
from ppcartoon.config import loading
from ppcartoon.data.samples import draw_cartoon, draw_photo
from ppcartoon.models import losses, networks
from tests.helpers import tiny, training_runs
from tests.helpers.samples import photo

pytestmark = pytest.mark.slow

DOCUMENT = (training_runs.ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SHORT_RUN = ["epochs=2", "model.init_epochs=1", "lr_scheduler.decay_epochs=0", "enable_visualdl=false"]
FEW_DRAWN_IMAGES = [*SHORT_RUN, "dataset.train.count=4"]
TINY_NETWORKS = [
    *SHORT_RUN,
    "model.generator={name: CartoonLossGenerator, in_channels: 8, channels: 2}",
    "model.discriminator.channels=2",
    "model.vgg_layer=conv1_1",
    "model.vgg_path=random",
    "dataset.train.size=32",
    "dataset.train.batch_size=2",
    "dataset.train.num_workers=0",
    "model.init_steps=1",
]


class Clone:
    """A copy of the repository, in which sections of the document are followed.

    Args:
        folder: of the copy.

    Attributes:
        commands: number of commands that were run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.commands = folder, 0
        for name in ("ppcartoon", "tools", "configs", "weights"):
            shutil.copytree(training_runs.ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(training_runs.ROOT / "pyproject.toml", folder)
        Image.fromarray(photo(48, 64)).save(folder / "photo.jpg")

    def follow(self, heading: str, options: list[str]) -> None:
        """Adds a section's code to the files that it names, and runs its commands; `options` shorten trainings."""
        section = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", DOCUMENT, re.M | re.S)[1]
        for path, code in re.findall(r"^```\w+\n# (\S+)\n(.*?)^```", section, re.M | re.S):
            existing = (self.folder / path).read_text() + "\n\n" if path.endswith(".py") else ""
            (self.folder / path).write_text(existing + code)
        for command in re.findall(r"^    (python .*|c[pd] .*)", re.sub(r"```.*?```", "", section, flags=re.S), re.M):
            command = f"{command} -o {' '.join(map(repr, options))}" if "train.py" in command else command
            self._run(command.replace("python ", f"{sys.executable} ", 1))
            self.commands += 1

    def check_code_style(self) -> None:
        self._run(f"{sys.executable} -m ruff check ppcartoon")
        self._run(f"{sys.executable} -m ruff format --check --diff ppcartoon")

    def _run(self, command: str) -> None:
        environment = training_runs.environment()
        done = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=self.folder, env=environment)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"


@pytest.fixture
def clone(tmp_path):
    return Clone(tmp_path)


def test_section_on_a_loss_adds_it_to_training_and_logs(clone):
    clone.follow("A loss", FEW_DRAWN_IMAGES)
    rows = training_runs.metrics(clone.folder / "edges/demo")
    edges = {stage: [row.get("g_edges") for row in rows if row["stage"] == stage] for stage in ("init", "cartoon")}
    assert set(edges["init"]) == {None} and all(0 < value < 100 for value in edges["cartoon"])
    for row in rows:
        terms = [value for name, value in row.items() if name.startswith("g_") and name != "g_loss"]
        assert row["g_loss"] == pytest.approx(sum(terms), rel=1e-4)
    assert clone.commands == 1
    clone.check_code_style()


def test_section_on_a_network_trains_a_generator_that_only_this_clone_has(clone):
    clone.follow("A network", FEW_DRAWN_IMAGES)
    run, cartoon = clone.folder / "small/demo", Image.open(clone.folder / "cartoons/photo.png")
    assert cartoon.size == (64, 48) and np.asarray(cartoon).std() > 0
    loaded = weights.load(run / "weights.safetensors")
    assert loaded.generator_name == "SmallGenerator" and loaded.network["generator"]["channels"] == 16
    assert {name for name in loaded.tensors if name.startswith("generator.body.5")} == {"generator.body.5.weight"}
    assert clone.commands == 2
    clone.check_code_style()
    with pytest.raises(InputError, match=r"does not have the generator SmallGenerator\(in_channels=32, channels=16\)"):
        load_generator(loaded)
    with pytest.raises(InputError, match="of another network"):
        weights.require_cartoonizer(loaded)
    with pytest.raises(
        InputError, match=r"model\.generator: SmallGenerator: unknown; ppcartoon/models/networks.py has"
    ):
        loading.load(run / "config.yaml")


def test_section_on_a_style_trains_and_installs_its_weights(clone):
    for name, draw in (("photos", draw_photo), ("cartoons", draw_cartoon)):
        (clone.folder / "data/ink" / name).mkdir(parents=True)
        for i in range(4):
            Image.fromarray(draw(i, 32)).save(clone.folder / f"data/ink/{name}/{i}.png")
    clone.follow("A style", TINY_NETWORKS)
    assert Image.open(clone.folder / "ink.jpg").size == (64, 48)
    loaded = weights.load(clone.folder / "weights/ink.safetensors")
    assert (loaded.style, loaded.licence) == ("ink", "CC BY 4.0")
    assert clone.commands == 5


@pytest.fixture
def doubled(monkeypatch):
    """An additional loss: twice the mean of G's cartoons."""
    monkeypatch.setattr(losses, "ADDITIONAL", {})

    @losses.additional
    def doubled(fake):
        return 2 * fake.mean()


@pytest.fixture
def plain(monkeypatch):
    """A registered generator."""
    monkeypatch.setattr(networks, "GENERATORS", dict(networks.GENERATORS))

    @networks.generator
    class Plain(paddle.nn.Layer):
        def __init__(self, in_channels: int, even: bool = False):
            super().__init__()


def test_additional_loss_has_its_weight_and_a_gradient(doubled):
    other_losses = dict.fromkeys(["adv_weight", "content_weight", "gray_weight", "color_weight", "tv_weight"], 0.0)
    model = tiny.model(**other_losses, additional_losses={"doubled": 3.0})
    model.setup_input(tiny.batch())
    model.forward()
    terms = model.generator_losses()
    assert float(terms["g_loss"]) == pytest.approx(6 * float(model.fake.mean()), rel=1e-4)
    model.fake.retain_grads()
    terms["g_loss"].backward()
    assert np.allclose(model.fake.grad.numpy(), 6 / model.fake.size, rtol=1e-4)


@pytest.mark.parametrize(
    "keys, message",
    [
        (
            {"additional_losses": {"dubled": 1}},
            "model.additional_losses: dubled: unknown; ppcartoon/models/losses.py has doubled",
        ),
        (
            {"additional_losses": {"doubled": -1}},
            "model.additional_losses.doubled: input should be greater than or equal to 0",
        ),
        ({"generator": {"name": "Plan", "in_channels": 8}}, "model.generator: Plan: unknown; .* has .*Plain"),
        ({"generator": {"name": ["Plain"]}}, "model.generator.name: input should be 'CartoonLossGenerator'"),
        ({"generator": {"name": "Plain"}}, "model.generator.in_channels: missing"),
        ({"generator": {"name": "Plain", "in_channels": 8, "odd": True}}, "model.generator.odd: unknown key"),
        (
            {"generator": {"name": "Plain", "in_channels": 8, "even": 1}},
            "model.generator.even: input should be a valid boolean",
        ),
        ({"generator": {"name": "Plain", "in_channels": 9}}, "model: generator.in_channels must be 8"),
    ],
)
def test_invalid_keys_of_additional_losses_and_generators_are_refused(keys, message, doubled, plain, tmp_path):
    path = training_runs.write_config(tmp_path)
    options = [f"model.{key}={value}" for key, value in keys.items()]
    with pytest.raises(InputError, match=message):
        loading.load(path, options)


def test_loaded_config_has_the_default_arguments_of_a_registered_generator(plain, tmp_path):
    loaded = loading.load(training_runs.write_config(tmp_path), ["model.generator={name: Plain, in_channels: 8}"])
    assert loaded.model_dump()["model"]["generator"] == {"name": "Plain", "in_channels": 8, "even": False}


def test_functions_and_classes_that_do_not_fit_are_refused_when_they_are_registered():
    def content(fake):
        return fake.mean()

    with pytest.raises(TypeError, match="takes no other parameters than fake, photo, cartoon, smooth"):
        losses.additional(lambda fake, features: fake)
    with pytest.raises(TypeError, match="g_content is another loss"):
        losses.additional(content)
    with pytest.raises(TypeError, match="takes in_channels"):
        networks.generator(paddle.nn.ReLU)


@pytest.mark.parametrize("channels", [True, 0])
def test_weights_with_invalid_generator_arguments_are_refused(channels):
    generator = {"name": "CartoonLossGenerator", "in_channels": 8, "channels": channels}
    network = {"encoder": {"name": "CartoonLossDiscriminator", "channels": 2}, "generator": generator}
    with pytest.raises(InputError, match=r"not have the generator CartoonLossGenerator|is not in both the file"):
        load_generator(weights.Weights({}, network, "x", "x", "x", "x"))
