"""Checkpoints of a training run: .safetensors files, written whole or not at all, with a checksum and no pickle."""

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
from ..utils.files import atomic

FORMAT = "ppcartoon checkpoint 1"
MEMORY = "memory"  # before the names of what `TrainableModel.extra_state` gives


def path_of(folder: Path, step: int) -> Path:
    return folder / f"step_{step:08d}.safetensors"


def step_of(path: Path) -> int:
    """Steps done when a checkpoint was written, from its name; -1 for another name."""
    match = re.fullmatch(r"step_(\d+)\.safetensors", path.name)
    return int(match[1]) if match else -1


def newest_first(folder: Path) -> list[Path]:
    """The checkpoints of a folder."""
    return sorted((p for p in folder.glob("*.safetensors") if step_of(p) >= 0), key=step_of, reverse=True)


def save(path: Path, tensors: dict[str, np.ndarray], state: dict) -> None:
    """Writes a checkpoint.

    Args:
        path: the file.
        tensors: arrays by name.
        state: whatever else there is, as JSON has it.

    Raises:
        OutputError: the file cannot be written; what lay there before is whole.
    """
    text = json.dumps(state)
    metadata = {"format": FORMAT, "state": text, "sha256": _digest(tensors, text)}
    with atomic(path) as temporary:
        temporary.write_bytes(safetensors.numpy.save(tensors, metadata))


def load(path: Path) -> tuple[dict[str, np.ndarray], dict]:
    """Tensors and state of a checkpoint.

    Raises:
        InputError: the file cannot be read, is damaged, or is no checkpoint.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    try:
        tensors = safetensors.numpy.load(data)
        metadata = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        form, text, sha256 = metadata["format"], metadata["state"], metadata["sha256"]
    except Exception as error:  # SafetensorError, KeyError, ...
        raise InputError(f"{path}: not a whole checkpoint ({error})") from error
    if form != FORMAT or sha256 != _digest(tensors, text):
        raise InputError(f"{path}: damaged or changed, its checksum differs")
    return tensors, json.loads(text)


def _digest(tensors: dict[str, np.ndarray], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = np.ascontiguousarray(tensors[name])
        digest.update(f"{name} {tensor.dtype} {tensor.shape}".encode())
        digest.update(tensor.data)
    return digest.hexdigest()


def newest_whole(folder: Path, damaged: list[str]) -> tuple[Path, dict[str, np.ndarray], dict] | None:
    """The newest checkpoint of a folder that is whole; why others are not is appended to `damaged`."""
    for path in newest_first(folder):
        try:
            return path, *load(path)
        except InputError as error:
            damaged.append(str(error))
    return None


def prune(folder: Path, keep: int, best: int | None) -> None:
    """Removes all but the newest `keep` checkpoints and the one of step `best`."""
    for path in newest_first(folder)[keep:]:
        if step_of(path) != best:
            path.unlink()


def state_dict(model: TrainableModel) -> dict[str, np.ndarray]:
    """The tensors of a model and its optimizers, by names that do not depend on how it was constructed."""
    tensors = {f"{MEMORY}/{key}": value for key, value in model.extra_state().items()}
    for name, net in model.nets.items():
        tensors |= layer_tensors(name, unwrap(net))
    for name, optimizer in model.optimizers.items():
        tensors |= optimizer_tensors(name, optimizer, _parameters(model, name))
    return tensors


def load_state_dict(model: TrainableModel, tensors: dict[str, np.ndarray]) -> None:
    """Undoes `state_dict`.

    Raises:
        InputError: the checkpoint is of other networks.
    """
    for name, net in model.nets.items():
        set_layer(name, unwrap(net), tensors)
    for name, optimizer in model.optimizers.items():
        set_optimizer(name, optimizer, _parameters(model, name), tensors)
    model.load_extra_state(_of(MEMORY, tensors))


def _parameters(model: TrainableModel, optimizer: str) -> dict[str, Tensor]:
    """What an optimizer changes, by the parameters' places: in its network, or in its networks by name."""
    names = model.optimized[optimizer]
    return {
        place if len(names) == 1 else f"{name}.{place}": parameter
        for name in names
        for place, parameter in unwrap(model.nets[name]).named_parameters()
    }


def layer_tensors(name: str, net: nn.Layer) -> dict[str, np.ndarray]:
    """The state of a network: "name/parameter" each."""
    return {f"{name}/{key}": value.numpy() for key, value in net.state_dict().items()}


def set_layer(name: str, net: nn.Layer, tensors: dict[str, np.ndarray]) -> None:
    """Undoes `layer_tensors`.

    Raises:
        InputError: the checkpoint is of another network.
    """
    state = _of(name, tensors)
    shapes = {key: tuple(value.shape) for key, value in net.state_dict().items()}
    if shapes != {key: value.shape for key, value in state.items()}:
        raise InputError(f"the checkpoint's {name} is another network than the config's")
    net.set_state_dict({key: paddle.to_tensor(value) for key, value in state.items()})


def optimizer_tensors(
    name: str, optimizer: paddle.optimizer.Optimizer, parameters: dict[str, Tensor]
) -> dict[str, np.ndarray]:
    """Adam's moments and powers: "name/parameter/moment1_0" each.

    Paddle keys them by names that depend on what was constructed before; here the keys of `parameters` count.
    """
    state = optimizer.state_dict()
    return {
        f"{name}/{place}/{key.removeprefix(f'{parameter.name}_')}": value.numpy()
        for place, parameter in parameters.items()
        for key, value in state.items()
        if key.startswith(f"{parameter.name}_")
    }


def set_optimizer(
    name: str, optimizer: paddle.optimizer.Optimizer, parameters: dict[str, Tensor], tensors: dict[str, np.ndarray]
) -> None:
    """Undoes `optimizer_tensors`."""
    state = {"LR_Scheduler": optimizer.state_dict()["LR_Scheduler"]}  # as it is: the schedule depends on the step alone
    for key, value in _of(name, tensors).items():
        place, kind = key.rsplit("/", 1)
        state[f"{parameters[place].name}_{kind}"] = paddle.to_tensor(value)
    optimizer.set_state_dict(state)


def _of(name: str, tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {key.removeprefix(f"{name}/"): value for key, value in tensors.items() if key.startswith(f"{name}/")}
