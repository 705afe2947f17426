"""Weights and runs for what compares methods."""

import dataclasses
from pathlib import Path

import yaml

from ppcartoon import weights
from ppcartoon.config import loading
from tests.helpers import training_runs


def of_epoch(tiny: weights.Weights, number: int) -> weights.Weights:
    """Weights whose images differ from those of any other number."""
    name = next(name for name in tiny.tensors if name.startswith("generator.out"))
    return dataclasses.replace(tiny, tensors={**tiny.tensors, name: tiny.tensors[name] * (1 + number / 4)})


def save_run(folder: Path, tiny: weights.Weights, init_epochs: int, epochs: int) -> Path:
    """What a training run leaves: its config, weights of each epoch, and newest ones that are unlike all of them."""
    folder.mkdir(parents=True)
    settings = loading.load(training_runs.write_config(folder), [f"model.init_epochs={init_epochs}"])
    (folder / "config.yaml").write_text(yaml.safe_dump(settings.model_dump()))
    (folder / "weights").mkdir()
    for number in range(1, epochs + 1):
        weights.save(folder / "weights" / f"epoch_{number:04d}.safetensors", of_epoch(tiny, number))
    weights.save(folder / "weights.safetensors", of_epoch(tiny, 9))
    return folder
