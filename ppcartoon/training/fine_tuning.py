"""Starts a run with the networks of a weights file, or of a checkpoint of another run or of ppgan's trainer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors import safe_open

from .. import weights
from ..errors import InputError
from ..models.base import unwrap
from ..models.cartoonlossgan import CartoonLossGANModel
from . import checkpoints


def start_from(path: Path, model: CartoonLossGANModel) -> None:
    """Sets E and G to those of a weights file, or D, G and their running averages to those of a checkpoint.

    A checkpoint is ours, or one of ppgan's trainer, which has no running averages.

    With a weights file, D's classifier keeps its random weights. Optimizers and the image pool start anew.

    Args:
        path: the file.
        model: the model, before its first step.

    Raises:
        InputError: the file cannot be read, is neither of the two, or has another network than the model.
    """
    extra: dict[str, np.ndarray] = {}
    if _is_checkpoint(path):
        tensors, state = checkpoints.load(path)
        keys = ("discriminator", "generator", "reuse_encoder", "own_encoder_norm")
        network = {key: state["config"]["model"].get(key) for key in keys}
        extra = checkpoints.with_prefix(checkpoints.EXTRA_STATE, tensors)
        extra.pop("pool", None)
    elif networks := weights.training_networks(path):
        network = weights.load(path).network
        tensors = {f"{name}/{key}": value for name, state in networks.items() for key, value in state.items()}
    else:
        loaded = weights.load(path)
        tensors, network = _training_tensors(loaded.tensors, model), loaded.network
    try:
        for name, net in model.nets.items():
            if name != "color_head" or checkpoints.with_prefix(name, tensors):
                checkpoints.set_layer(name, unwrap(net), tensors)
    except InputError as error:
        raise InputError(
            f"{path}: has another network than the config: {network}; set model.discriminator and model.generator alike"
        ) from error
    model.load_extra_state(extra)


def _is_checkpoint(path: Path) -> bool:
    """Whether a file says that it is a checkpoint; files that cannot be read do not."""
    try:
        with safe_open(path, "numpy") as file:
            return (file.metadata() or {}).get("format") == checkpoints.FORMAT
    except Exception:  # OSError, SafetensorError; reading the file as weights reports the error
        return False


def _training_tensors(tensors: dict[str, np.ndarray], model: CartoonLossGANModel) -> dict[str, np.ndarray]:
    """Tensors of a weights file by their names in checkpoints, with the classifier of the model's D."""
    found = checkpoints.layer_tensors("netD", model.nets["netD"])
    if model.reuse_encoder or model.own_encoder_norm:
        decoder = {name: tensor for name, tensor in tensors.items() if not name.startswith("encoder.")}
        tensors = decoder | {f"encoder.{name}": tensor for name, tensor in weights.unfold(tensors).items()}
    if not model.reuse_encoder:
        return found | {f"netG/{name}": tensor for name, tensor in tensors.items()}
    return found | {
        f"netD/{name}" if name.startswith("encoder.") else f"netG/{name.removeprefix('generator.')}": tensor
        for name, tensor in tensors.items()
    }
