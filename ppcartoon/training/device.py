"""Chooses the device that a run trains on, and names it."""

from __future__ import annotations

import paddle

from ..errors import InputError
from ..utils.machine import cpu_name


def select(device: str) -> None:
    """Makes Paddle use a device.

    Args:
        device: "cpu", "gpu", or "auto" for a GPU if Paddle finds one.

    Raises:
        InputError: "gpu", and Paddle finds none.
    """
    if device == "gpu" and not _gpus():
        raise InputError("--device gpu: Paddle finds no GPU, or is a build without CUDA; use --device cpu")
    paddle.set_device("gpu" if _gpus() and device != "cpu" else "cpu")


def describe(amp: str | None) -> str:
    """The device in use, its name, Paddle's version and the precision: "GPU, Tesla V100, Paddle 2.6.2, float32".

    Args:
        amp: "float16" or "bfloat16" for mixed precision, which only GPUs have.
    """
    gpu = paddle.get_device().startswith("gpu")
    name = f"GPU, {paddle.device.cuda.get_device_name()}" if gpu else f"CPU, {cpu_name()}"
    precision = f"float32 and {amp}" if gpu and amp else "float32"
    line = f"{name}, Paddle {paddle.__version__}, {precision}"
    if paddle.is_compiled_with_cuda() and not _gpus():
        line += "; THIS GPU BUILD OF PADDLE FINDS NO GPU AND TRAINS ON THE CPU"
    return line


def _gpus() -> int:
    return paddle.device.cuda.device_count() if paddle.is_compiled_with_cuda() else 0
