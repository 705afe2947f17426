"""Checkpoints of a training run: .safetensors files with a checksum and without pickle, written atomically."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import paddle
import safetensors.numpy
from paddle import Tensor, nn

from ..errors import InputError
from ..models.base import TrainableModel, unwrap
from ..utils import files
from ..utils.files import atomic

MAX_BYTES = 1 << 33  # fifty times that of the paper's networks
FORMAT = "ppcartoon checkpoint 1"
EXTRA_STATE = "memory"  # prefix of the arrays of `TrainableModel.extra_state`


def path_of(folder: Path, step: int) -> Path:
    """Path of the checkpoint after a number of steps."""
    return folder / f"step_{step:08d}.safetensors"


def step_of(path: Path) -> int:
    """Number of steps in the name of a checkpoint; -1 for any other file name."""
    match = re.fullmatch(r"step_(\d+)\.safetensors", path.name)
    return int(match[1]) if match else -1


def newest_first(folder: Path) -> list[Path]:
    """The checkpoints of a folder, latest step first."""
    return sorted((p for p in folder.glob("*.safetensors") if step_of(p) >= 0), key=step_of, reverse=True)


def save(path: Path, tensors: dict[str, np.ndarray], state: dict) -> None:
    """Writes a checkpoint.

    Args:
        path: the file.
        tensors: arrays by name.
        state: all other state, as JSON values.

    Raises:
        OutputError: the file cannot be written; a previous file is unchanged.
    """
    text = json.dumps(state)
    metadata = {"format": FORMAT, "state": text, "sha256": _digest(tensors, text)}
    with atomic(path) as temporary:
        temporary.write_bytes(safetensors.numpy.save(tensors, metadata))


def load(path: Path) -> tuple[dict[str, np.ndarray], dict]:
    """Tensors and state of a checkpoint.

    Raises:
        InputError: the file cannot be read, is damaged, or is not a checkpoint.
    """
    try:
        data = files.read_bytes(path, MAX_BYTES)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    try:
        tensors = safetensors.numpy.load(data)
        metadata = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        file_format, text, sha256 = metadata["format"], metadata["state"], metadata["sha256"]
    except Exception as error:  # SafetensorError, KeyError, ...
        raise InputError(f"{path}: not a complete checkpoint ({error})") from error
    if file_format != FORMAT or sha256 != _digest(tensors, text):
        raise InputError(f"{path}: damaged or modified, its checksum differs")
    return tensors, json.loads(text)


def _digest(tensors: dict[str, np.ndarray], text: str) -> str:
    """SHA-256 of the state and of each tensor's name, type, shape and values."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = np.ascontiguousarray(tensors[name])
        digest.update(f"{name} {tensor.dtype} {tensor.shape}".encode())
        digest.update(tensor.data)
    return digest.hexdigest()


def newest_intact(folder: Path, damaged: list[str]) -> tuple[Path, dict[str, np.ndarray], dict] | None:
    """Path, tensors and state of the newest intact checkpoint; errors of damaged ones are appended to `damaged`."""
    for path in newest_first(folder):
        try:
            return path, *load(path)
        except InputError as error:
            damaged.append(str(error))
    return None


def prune(folder: Path, keep: int, best: int | None) -> None:
    """Removes all checkpoints except the newest `keep` and the one of step `best`."""
    for path in newest_first(folder)[keep:]:
        if step_of(path) != best:
            path.unlink()


def state_dict(model: TrainableModel) -> dict[str, np.ndarray]:
    """Arrays of a model and its optimizers, by names that do not depend on the order of construction."""
    tensors = {f"{EXTRA_STATE}/{key}": value for key, value in model.extra_state().items()}
    for name, net in model.nets.items():
        tensors |= layer_tensors(name, unwrap(net))
    for name, optimizer in model.optimizers.items():
        tensors |= optimizer_tensors(name, optimizer, _parameters(model, name))
    return tensors


def load_state_dict(model: TrainableModel, tensors: dict[str, np.ndarray]) -> None:
    """Restores what `state_dict` returned.

    Raises:
        InputError: the checkpoint has different networks.
    """
    for name, net in model.nets.items():
        set_layer(name, unwrap(net), tensors)
    for name, optimizer in model.optimizers.items():
        set_optimizer(name, optimizer, _parameters(model, name), tensors)
    model.load_extra_state(with_prefix(EXTRA_STATE, tensors))


def _parameters(model: TrainableModel, optimizer: str) -> dict[str, Tensor]:
    """Parameters that an optimizer updates, by name; of several networks, with the network's name before it."""
    networks = model.optimized[optimizer]
    return {
        key if len(networks) == 1 else f"{network}.{key}": parameter
        for network in networks
        for key, parameter in unwrap(model.nets[network]).named_parameters()
    }


def layer_tensors(name: str, net: nn.Layer) -> dict[str, np.ndarray]:
    """Parameters and buffers of a network by "name/key"."""
    return {f"{name}/{key}": value.numpy() for key, value in net.state_dict().items()}


def set_layer(name: str, net: nn.Layer, tensors: dict[str, np.ndarray]) -> None:
    """Restores what `layer_tensors` returned.

    Raises:
        InputError: the checkpoint has a different network.
    """
    state = with_prefix(name, tensors)
    shapes = {key: tuple(value.shape) for key, value in net.state_dict().items()}
    if shapes != {key: value.shape for key, value in state.items()}:
        raise InputError(f"{name} of the checkpoint differs from the config; resume with the same model section")
    net.set_state_dict({key: paddle.to_tensor(value) for key, value in state.items()})


def optimizer_tensors(
    name: str, optimizer: paddle.optimizer.Optimizer, parameters: dict[str, Tensor]
) -> dict[str, np.ndarray]:
    """Adam's moments and powers by "name/key/moment1_0", with the keys of `parameters`.

    Paddle's own names depend on what was constructed before.
    """
    state = optimizer.state_dict()
    return {
        f"{name}/{key}/{paddle_name.removeprefix(f'{parameter.name}_')}": value.numpy()
        for key, parameter in parameters.items()
        for paddle_name, value in state.items()
        if paddle_name.startswith(f"{parameter.name}_")
    }


def set_optimizer(
    name: str, optimizer: paddle.optimizer.Optimizer, parameters: dict[str, Tensor], tensors: dict[str, np.ndarray]
) -> None:
    """Restores what `optimizer_tensors` returned."""
    state = {"LR_Scheduler": optimizer.state_dict()["LR_Scheduler"]}  # unchanged; the trainer sets its step
    for path, value in with_prefix(name, tensors).items():
        key, kind = path.rsplit("/", 1)
        state[f"{parameters[key].name}_{kind}"] = paddle.to_tensor(value)
    optimizer.set_state_dict(state)


def with_prefix(name: str, tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The tensors named "name/...", without that prefix."""
    return {key.removeprefix(f"{name}/"): value for key, value in tensors.items() if key.startswith(f"{name}/")}
