"""One call, several runtimes: float32 [N, 3, H, W] in [-1, 1], H and W multiples of 4 -> the cartoons, likewise.

Engines take several calls at once from several threads.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import numpy as np

from ...errors import InputError
from ...utils.threads import cores
from ...weights import Weights
from . import paddle_engines
from .onnx_engines import OnnxRuntime, OpenVino, has_bf16

Network = Callable[[np.ndarray], np.ndarray]
PSNR = 38.0  # dB that bf16 must agree with fp32 to, or "auto" does not take it


class Engine(Protocol):
    """A network that is ready to run.

    Attributes:
        name: as `create` takes it.
        description: by what it runs, in a few words.
        bytes_per_pixel: of memory at its peak, for each channel of G's width and each image of a batch.
    """

    name: str
    description: str
    bytes_per_pixel: float

    def __call__(self, images: np.ndarray) -> np.ndarray: ...

    def measured(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Cartoons, and the LN statistics [N, L, 2] of each image."""

    def run_blended(self, images: np.ndarray, stats: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
        """Cartoons, and the LN statistics [N, L, 2] behind them: `share` of each image's own, the rest `stats`.

        With a share of 0 nothing has to be measured, which may be faster.
        """

    def with_fixed_stats(self, statistics: np.ndarray) -> Network:
        """The network with LN statistics [L, 2] built in, for the tiles of an image."""

    def pooled_stats(self, samples: np.ndarray) -> np.ndarray:
        """LN statistics [L, 2] of the image that these [N, 3, H, W] are samples of."""


NAMES = ("auto", OpenVino.name, OnnxRuntime.name, *paddle_engines.NAMES)
PRECISIONS = ("auto", "fp32", "bf16", "fp16")


def create(
    weights: Weights,
    engine: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    precision: str = "auto",
) -> Engine:
    """The engine for a device.

    Args:
        weights: what it runs.
        engine: "auto": the fastest that works, on a CPU OpenVINO where it is installed and ONNX Runtime elsewhere, on a
            GPU Paddle; "openvino"; "onnx"; "paddle": Paddle Inference; "tensorrt": the same with TensorRT, on a GPU;
            "paddle-dygraph".
        device: "auto" (a GPU where Paddle sees one), "cpu" or "gpu".
        threads: on the CPU, all cores by default; Paddle's dygraph takes OMP_NUM_THREADS instead.
        precision: "fp32"; "bf16", for OpenVINO on CPUs that have it; "fp16", for Paddle Inference on a GPU; "auto":
            bf16 with OpenVINO where the CPU has it and these weights agree with fp32 to `PSNR`, else fp32.

    Raises:
        InputError: what was asked for does not exist here.
    """
    for value, known, what in ((engine, NAMES, "engine"), (precision, PRECISIONS, "precision")):
        if value not in known:
            raise InputError(f"{what} {value!r}: unknown, choose from {', '.join(known)}")
    ours = (OnnxRuntime.name, OpenVino.name)
    if device == "gpu" and engine in ours:
        raise InputError(f"engine {engine} runs on the CPU: use --engine paddle for a GPU")
    if engine in paddle_engines.NAMES or (engine == "auto" and device != "cpu" and paddle_engines.gpu()):
        return paddle_engines.create(weights, engine, device, threads or cores(), precision)
    if device == "gpu":
        raise InputError(paddle_engines.NO_GPU)
    if precision == "fp16":
        raise InputError("precision fp16 is for GPUs: use bf16 or fp32 on a CPU")
    if precision == "bf16" and engine == OnnxRuntime.name:
        raise InputError("engine onnx computes in fp32: use --engine openvino for bf16")
    return _on_cpu(weights, engine, threads or cores(), precision)


def _on_cpu(weights: Weights, engine: str, threads: int, precision: str) -> Engine:
    if engine == OpenVino.name or precision == "bf16":
        try:
            return _openvino(weights, threads, precision)
        except RuntimeError as error:
            raise InputError(
                f"OpenVINO cannot run here ({str(error).strip().splitlines()[-1]}): use --engine onnx"
            ) from error
    if engine == "auto" and importlib.util.find_spec("openvino"):
        with suppress(Exception):  # one that is broken, or not for this CPU, must not keep anybody from ONNX Runtime
            return _openvino(weights, threads, precision)
    return OnnxRuntime(weights, threads)


def _openvino(weights: Weights, threads: int, precision: str) -> OpenVino:
    if precision == "bf16" or (precision == "auto" and has_bf16()):
        bf16 = OpenVino(weights, threads, "bf16")
        if precision == "bf16" or agreement(bf16, OnnxRuntime(weights, threads)) >= PSNR:
            return bf16
    return OpenVino(weights, threads, "fp32")


def agreement(one: Network, other: Network) -> float:
    """PSNR in dB of two networks' cartoons of an image of waves and noise, as 8-bit images count it."""
    y, x = np.mgrid[0:1:128j, 0:1:128j]
    waves = np.stack([np.sin(9 * x), np.cos(7 * y), np.sin(20 * x * y)]) * 0.8
    image = np.float32(waves + np.random.default_rng(0).normal(0, 0.1, waves.shape)).clip(-1, 1)[None]
    return 10 * np.log10(4 / max(float(np.square(one(image) - other(image)).mean()), 1e-12))
