"""Config keys and values that were renamed or removed. Old configs still load, with a warning."""

from __future__ import annotations

import copy
import logging
from typing import Any

LOSSES = {  # values of `model.*`: old -> current
    "adv_loss": {"edge_promoting": "cartoonloss", "grayscale": "animegan"},
    "style_loss": {"gray": "cartoonloss", "grayscale": "animegan"},
    "color_loss": {"style": "cartoonloss", "reconstruction": "animegan"},
}
log = logging.getLogger("ppcartoon")


def current_names(config: dict[str, Any], source: str | None = None) -> dict[str, Any]:
    """A copy of a config, complete or partial, with old keys and values replaced.

    Args:
        config: as read from YAML; values of wrong types are left unchanged.
        source: file or option to name in the warning; None for no warning.
    """
    config = copy.deepcopy(config)
    changes = [
        *_rename_losses(_section(config, "model")),
        *_rename_rates(_section(config, "optimizer")),
        *_remove_data_keys(_section(_section(config, "dataset"), "train")),
    ]
    if changes and source is not None:
        log.warning(f"{source}: old names: {', '.join(changes)}")
    return config


def current_loss(key: str, value: str) -> str:
    """The current name of a loss that was passed to a constructor; warns of an old one.

    Args:
        key: "adv_loss", "style_loss" or "color_loss".
        value: its value.
    """
    return current_names({"model": {key: value}}, "CartoonLossGANModel")["model"][key]


def _section(config: dict[str, Any], name: str) -> dict[str, Any]:
    """A section of a config; empty if missing or not a mapping."""
    section = config.get(name)
    return section if isinstance(section, dict) else {}


def _rename_losses(model: dict[str, Any]) -> list[str]:
    """Replaces old values in section `model`; returns a description of each change, as do the following."""
    changes = []
    for key, names in LOSSES.items():
        old = model.get(key)
        if isinstance(old, str) and old in names:
            model[key] = names[old]
            changes.append(f"model.{key}: {old} is now {names[old]}")
    return changes


def _rename_rates(optimizers: dict[str, Any]) -> list[str]:
    changes = []
    for name, options in optimizers.items():
        if isinstance(options, dict) and "rate" in options and "lr_mult" not in options:
            options["lr_mult"] = options.pop("rate")
            changes.append(f"optimizer.{name}.rate is now lr_mult")
    return changes


def _remove_data_keys(train: dict[str, Any]) -> list[str]:
    """Saved configs contain the former defaults of removed keys, which need no warning."""
    changes = []
    if train.pop("use_shared_memory", True) is not True:
        changes.append("dataset.train.use_shared_memory was removed, num_workers: 0 needs no shared memory")
    if train.pop("gray", None) is not None:
        changes.append("dataset.train.gray was removed, gray cartoons are computed")
    return changes
