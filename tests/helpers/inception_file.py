"""Writes a file like pytorch-fid's pt_inception-2015-12-05-6726825d.pth, with random weights."""

import functools
import zlib

import numpy as np

from ppcartoon.evaluation.inception import Inception
from tests.helpers import torch_save


def random_parameter(name, shape):
    """A random parameter that depends on its name only."""
    x = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape).astype(np.float32)
    if name.endswith("running_var"):
        return np.abs(x) * 0.2 + 0.8
    if name.endswith("bn.weight"):
        return 1 + 0.1 * x
    if name.endswith((".bn.bias", ".running_mean", "fc.bias")):
        return 0.1 * x
    return np.float32(x * np.sqrt(2 / np.prod(shape[1:])))


@functools.cache
def table():
    """All parameters by name."""
    shapes = {"fc.weight": (1008, 2048), "fc.bias": (1008,)}
    for name, value in Inception().state_dict().items():
        if name.endswith(".conv.weight"):
            shapes[name] = tuple(value.shape)
            for key in ("weight", "bias", "running_mean", "running_var"):
                shapes[name.replace("conv.weight", f"bn.{key}")] = (value.shape[0],)
    return {name: random_parameter(name, shape) for name, shape in shapes.items()}


def write(path, **changed):
    return torch_save.write(path, torch_save.tensors({**table(), **changed}))
