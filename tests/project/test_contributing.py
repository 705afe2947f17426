"""CONTRIBUTING.md, done as it says in a copy of the repository: a loss, a network and a style, each in one place."""

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
SMALLER = ["epochs=2", "model.init_epochs=1", "lr_scheduler.decay_epochs=0", "enable_visualdl=false"]
DRAWN = [*SMALLER, "dataset.train.count=4"]
PHOTOGRAPHED = [
    *SMALLER,
    "model.generator={name: CartoonLossGenerator, in_channels: 8, channels: 2}",
    "model.discriminator.channels=2",
    "model.vgg_layer=conv1_1",
    "model.vgg_path=random",
    "dataset.train.size=32",
    "dataset.train.batch_size=2",
    "dataset.train.num_workers=0",
]


class Clone:
    """A copy of the repository, and what a section of the document does to it.

    Args:
        folder: of the copy.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("ppcartoon", "tools", "configs", "weights"):
            shutil.copytree(training_runs.ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(training_runs.ROOT / "pyproject.toml", folder)
        Image.fromarray(photo(48, 64)).save(folder / "photo.jpg")

    def follow(self, heading: str, options: list[str]) -> None:
        """Puts the section's code where it says, and runs its commands, training with these options besides."""
        section = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", DOCUMENT, re.M | re.S)[1]
        for path, code in re.findall(r"^```\w+\n# (\S+)\n(.*?)^```", section, re.M | re.S):
            known = (self.folder / path).read_text() + "\n\n" if path.endswith(".py") else ""
            (self.folder / path).write_text(known + code)
        commands = re.findall(r"^    (python .*|c[pd] .*)", re.sub(r"```.*?```", "", section, flags=re.S), re.M)
        for command in commands:
            words = f"{command} -o {' '.join(map(repr, options))}" if "train.py" in command else command
            words = words.replace("python ", f"{sys.executable} ", 1)
            done = subprocess.run(
                words, shell=True, capture_output=True, text=True, cwd=self.folder, env=training_runs.environment()
            )
            assert done.returncode == 0, (command, done.stderr)
        self.commands = len(commands)

    def looks_well(self) -> bool:
        ruff = [sys.executable, "-m", "ruff"]
        return all(
            subprocess.run([*ruff, *verb, "ppcartoon"], cwd=self.folder, capture_output=True).returncode == 0
            for verb in (["check"], ["format", "--check"])
        )


@pytest.fixture
def clone(tmp_path):
    return Clone(tmp_path)


def test_a_loss(clone):
    clone.follow("A loss", DRAWN)
    rows = training_runs.metrics(clone.folder / "edges/demo")
    edges = {stage: [row.get("g_edges") for row in rows if row["stage"] == stage] for stage in ("init", "cartoon")}
    assert set(edges["init"]) == {None} and all(0 < value < 100 for value in edges["cartoon"])
    for row in rows:
        terms = [value for name, value in row.items() if name.startswith("g_") and name != "g_loss"]
        assert row["g_loss"] == pytest.approx(sum(terms), rel=1e-4)
    assert clone.commands == 1 and clone.looks_well()


def test_a_network(clone):
    clone.follow("A network", DRAWN)
    run, cartoon = clone.folder / "small/demo", Image.open(clone.folder / "cartoons/photo.png")
    assert cartoon.size == (64, 48) and np.asarray(cartoon).std() > 0
    loaded = weights.load(run / "weights.safetensors")
    assert loaded.generator_name == "SmallGenerator" and loaded.network["generator"]["channels"] == 16
    assert {name for name in loaded.tensors if name.startswith("generator.body.5")} == {"generator.body.5.weight"}
    assert clone.commands == 2 and clone.looks_well()
    # and here, where nobody has added it
    with pytest.raises(InputError, match=r"does not have the generator SmallGenerator\(in_channels=32, channels=16\)"):
        load_generator(loaded)
    with pytest.raises(InputError, match="of another network"):
        weights.require_cartoonizer(loaded)
    with pytest.raises(
        InputError, match=r"model\.generator: SmallGenerator: unknown; ppcartoon/models/networks.py has"
    ):
        loading.load(run / "config.yaml")


def test_a_style(clone):
    for name, draw in (("photos", draw_photo), ("cartoons", draw_cartoon)):
        (clone.folder / "data/ink" / name).mkdir(parents=True)
        for i in range(4):
            Image.fromarray(draw(i, 32)).save(clone.folder / f"data/ink/{name}/{i}.png")
    clone.follow("A style", PHOTOGRAPHED)
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
    """Another generator."""
    monkeypatch.setattr(networks, "GENERATORS", dict(networks.GENERATORS))

    @networks.generator
    class Plain(paddle.nn.Layer):
        def __init__(self, in_channels: int, even: bool = False):
            super().__init__()


def test_an_additional_loss_has_its_weight_and_a_gradient(doubled):
    only = dict.fromkeys(["adv_weight", "content_weight", "gray_weight", "color_weight", "tv_weight"], 0.0)
    model = tiny.model(**only, additional_losses={"doubled": 3.0})
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
def test_configs_are_as_strict_with_them(keys, message, doubled, plain, tmp_path):
    path = training_runs.write_config(tmp_path)
    options = [f"model.{key}={value}" for key, value in keys.items()]
    with pytest.raises(InputError, match=message):
        loading.load(path, options)


def test_a_config_tells_all_arguments_of_another_generator(plain, tmp_path):
    loaded = loading.load(training_runs.write_config(tmp_path), ["model.generator={name: Plain, in_channels: 8}"])
    assert loaded.model_dump()["model"]["generator"] == {"name": "Plain", "in_channels": 8, "even": False}


def test_what_cannot_be_one_is_refused_when_it_is_marked():
    def content(fake):
        return fake.mean()

    with pytest.raises(TypeError, match="takes no other parameters than fake, photo, cartoon, smooth"):
        losses.additional(lambda fake, features: fake)
    with pytest.raises(TypeError, match="g_content is another loss"):
        losses.additional(content)
    with pytest.raises(TypeError, match="takes in_channels"):
        networks.generator(paddle.nn.ReLU)


@pytest.mark.parametrize("channels", [True, 0])
def test_a_stranger_s_file_cannot_name_arguments_that_no_generator_takes(channels):
    named = {"name": "CartoonLossGenerator", "in_channels": 8, "channels": channels}
    network = {"encoder": {"name": "CartoonLossDiscriminator", "channels": 2}, "generator": named}
    with pytest.raises(InputError, match=r"not have the generator CartoonLossGenerator|is not in both the file"):
        load_generator(weights.Weights({}, network, "x", "x", "x", "x"))
