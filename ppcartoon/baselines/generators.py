"""The generators of the baselines, from their weights files."""

from __future__ import annotations

from .. import compat  # noqa: F401  before ppgan, which it makes importable

# isort: split
from paddle import nn
from ppgan.models.generators.generater_animegan import AnimeGenerator
from ppgan.models.generators.resnet import ResnetGenerator

from ..errors import InputError
from ..weights import Weights

GENERATORS = {"AnimeGenerator": AnimeGenerator, "ResnetGenerator": ResnetGenerator}  # the keys of `weights.BASELINES`


def generator(weights: Weights) -> nn.Layer:
    """The network of a baseline's weights, in eval mode: image [N, 3, H, W] in [-1, 1] -> cartoon, likewise.

    Raises:
        InputError: a tensor is missing, left over, or of another shape than the network says.
    """
    arguments = {key: value for key, value in weights.network["generator"].items() if key != "name"}
    net = GENERATORS[weights.baseline](**arguments)
    wanted = {(name, *tensor.shape) for name, tensor in net.state_dict().items()}
    there = {(name, *tensor.shape) for name, tensor in weights.tensors.items()}
    for name, *shape in sorted(wanted ^ there)[:1]:
        raise InputError(f"{weights.style}: {name} {shape} is not in both the file and {weights.baseline}")
    net.set_state_dict(weights.tensors)
    net.eval()
    return net
