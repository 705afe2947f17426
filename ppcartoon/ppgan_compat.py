"""Importing this module makes ppgan 2.1.0 importable on Paddle 2.5 and later, which lack `paddle.fluid`."""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import paddle
from paddle import Tensor


def soft_relu(x: Tensor, threshold: float = 40.0) -> Tensor:
    """log(1 + exp(x)) with x clipped to [-threshold, threshold]; all that ppgan imports from paddle.fluid."""
    return paddle.log1p(paddle.exp(paddle.clip(x, -threshold, threshold)))


if importlib.util.find_spec("paddle.fluid") is None:
    for name in ("paddle.fluid", "paddle.fluid.layers", "paddle.fluid.layers.nn"):
        sys.modules[name] = ModuleType(name)
        sys.modules[name].__spec__ = ModuleSpec(name, None)
    sys.modules["paddle.fluid.layers.nn"].soft_relu = soft_relu
