"""Config keys and values that were renamed. The old ones are still read, with a warning."""

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
    """A copy of a config, whole or in part, with old keys and values replaced.

    Args:
        config: as YAML has it; values of wrong types are left as they are.
        source: file or option that the warning names; None for no warning.
    """
    config = copy.deepcopy(config)
    renamed = _rename_losses(config.get("model"))
    optimizers = config.get("optimizer")
    for name, options in optimizers.items() if isinstance(optimizers, dict) else []:
        if isinstance(options, dict) and "rate" in options and "lr_mult" not in options:
            options["lr_mult"] = options.pop("rate")
            renamed.append(f"optimizer.{name}.rate is now lr_mult")
    if renamed and source is not None:
        log.warning(f"{source}: old names: {', '.join(renamed)}")
    return config


def current_loss(key: str, value: str) -> str:
    """The current name of a loss that a constructor gets; warns of an old one.

    Args:
        key: "adv_loss", "style_loss" or "color_loss".
        value: its value.
    """
    return current_names({"model": {key: value}}, "CartoonLossGANModel")["model"][key]


def _rename_losses(model: Any) -> list[str]:
    """Replaces old values in section `model`; returns what was replaced, in words."""
    renamed = []
    if isinstance(model, dict):
        for key, names in LOSSES.items():
            old = model.get(key)
            if isinstance(old, str) and old in names:
                model[key] = names[old]
                renamed.append(f"model.{key}: {old} is now {names[old]}")
    return renamed
