"""Weights and run folders for comparisons of methods."""

import dataclasses
from pathlib import Path

import yaml

from ppcartoon import weights
from ppcartoon.config import loading
from tests.helpers import training_runs


def numbered_weights(tiny: weights.Weights, number: int) -> weights.Weights:
    """Weights that make other cartoons than those of any other number."""
    name = next(name for name in tiny.tensors if name.startswith("generator.out"))
    return dataclasses.replace(tiny, tensors={**tiny.tensors, name: tiny.tensors[name] * (1 + number / 4)})


def save_run(folder: Path, tiny: weights.Weights, init_epochs: int, epochs: int) -> Path:
    """Writes a run folder: the config, weights of each epoch, and newest weights that differ from all of them."""
    folder.mkdir(parents=True)
    settings = loading.load(training_runs.write_config(folder), [f"model.init_epochs={init_epochs}"])
    (folder / "config.yaml").write_text(yaml.safe_dump(settings.model_dump()))
    (folder / "weights").mkdir()
    for number in range(1, epochs + 1):
        weights.save(folder / "weights" / f"epoch_{number:04d}.safetensors", numbered_weights(tiny, number))
    weights.save(folder / "weights.safetensors", numbered_weights(tiny, 9))
    return folder
