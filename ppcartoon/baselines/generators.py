"""Builds the generators of baselines and of other networks from weights files."""

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


def load_generator(weights: Weights) -> nn.Layer:
    """The network with its weights, in eval mode: image [N, 3, H, W] in [-1, 1] -> cartoon of the same shape and range.

    Raises:
        InputError: the generator is unknown, or a tensor is missing, unexpected, or of the wrong shape.
    """
    name = weights.generator_name
    arguments = {key: value for key, value in weights.network["generator"].items() if key != "name"}
    if "encoder" not in weights.network:
        net = GENERATORS[name](**arguments)
    else:
        try:
            parameters = inspect.signature(networks.GENERATORS[name], eval_str=True).parameters
            if not all(type(value) is parameters[key].annotation for key, value in arguments.items()):
                raise TypeError
            net = networks.Cartoonizer(**weights.network)
        except Exception as error:  # a constructor may raise anything on the arguments of an untrusted file
            listed = ", ".join(f"{key}={value}" for key, value in arguments.items())
            raise InputError(
                f"{weights.style}: ppcartoon/models/networks.py does not have the generator {name}({listed})"
            ) from error
    expected = {(key, *tensor.shape) for key, tensor in net.state_dict().items()}
    found = {(key, *tensor.shape) for key, tensor in weights.tensors.items()}
    if mismatches := sorted(expected ^ found):
        key, *shape = mismatches[0]
        raise InputError(f"{weights.style}: {key} {shape} is not in both the file and {name}")
    net.set_state_dict(weights.tensors)
    net.eval()
    return net
