"""Generators that are not the paper's, from their weights files."""

from __future__ import annotations

import inspect

from .. import ppgan_compat  # noqa: F401  before ppgan, which it makes importable

# isort: split
from paddle import nn
from ppgan.models.generators.generater_animegan import AnimeGenerator
from ppgan.models.generators.resnet import ResnetGenerator

from ..errors import InputError
from ..models import networks
from ..weights import Weights
from . import cartoongan

GENERATORS = {  # the keys of `weights.BASELINES`
    "AnimeGenerator": AnimeGenerator,
    "CartoonGANGenerator": cartoongan.Generator,
    "ResnetGenerator": ResnetGenerator,
}


def generator(weights: Weights) -> nn.Layer:
    """The network of such weights, in eval mode: image [N, 3, H, W] in [-1, 1] -> cartoon, likewise.

    Raises:
        InputError: there is no such generator, or a tensor is missing, left over, or of another shape than it says.
    """
    arguments = {key: value for key, value in weights.network["generator"].items() if key != "name"}
    if "encoder" not in weights.network:
        net = GENERATORS[weights.generator_name](**arguments)
    else:
        try:
            kinds = inspect.signature(networks.GENERATORS[weights.generator_name], eval_str=True).parameters
            if not all(type(value) is kinds[key].annotation for key, value in arguments.items()):
                raise TypeError
            net = networks.Cartoonizer(**weights.network)
        except Exception as error:  # which a constructor raises for arguments that a stranger's file has
            given = ", ".join(f"{key}={value}" for key, value in arguments.items())
            raise InputError(
                f"{weights.style}: ppcartoon/models/networks.py does not have the generator {weights.generator_name}({given})"
            ) from error
    wanted = {(name, *tensor.shape) for name, tensor in net.state_dict().items()}
    there = {(name, *tensor.shape) for name, tensor in weights.tensors.items()}
    for name, *shape in sorted(wanted ^ there)[:1]:
        raise InputError(f"{weights.style}: {name} {shape} is not in both the file and {weights.generator_name}")
    net.set_state_dict(weights.tensors)
    net.eval()
    return net
