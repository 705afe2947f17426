"""One interface to several runtimes: images float32 [N, 3, H, W] in [-1, 1] -> cartoons of the same shape and range.

H and W are multiples of 4. An engine may be called from several threads at the same time.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import numpy as np

from ... import images
from ...errors import InputError
from ...utils.machine import cores
from ...weights import Weights
from . import paddle_engines
from .onnx_engines import OnnxRuntime, OpenVino, has_bf16, has_vnni

Network = Callable[[np.ndarray], np.ndarray]
MIN_PSNR = 38.0  # dB between bf16 or int8 and fp32; below it, precision "auto" is fp32


class Engine(Protocol):
    """A network, ready to run.

    Attributes:
        name: the `engine` argument of `create`.
        description: runtime, device and precision, in a few words.
        bytes_per_pixel: peak memory per pixel, per channel of G's width and per image of a batch.
    """

    name: str
    description: str
    bytes_per_pixel: float

    def __call__(self, images: np.ndarray) -> np.ndarray: ...

    def run_blended(self, images: np.ndarray, stats: np.ndarray | None, alpha: float) -> tuple[np.ndarray, np.ndarray]:
        """Cartoons, and the LN statistics [N, L, 2] used: alpha * those of each image + (1 - alpha) * `stats`.

        Args:
            images: float32 [N, 3, H, W].
            stats: mean and variance of the L layer norms, float32 [N or 1, L, 2]; ignored if alpha is 1.
            alpha: in [0, 1]. With 0, nothing is measured, which is faster.
        """

    def with_fixed_stats(self, stats: np.ndarray) -> Network:
        """The network with LN statistics [L, 2] built in, for the tiles of an image."""

    def pooled_stats(self, samples: np.ndarray) -> np.ndarray:
        """LN statistics [L, 2] over all samples [N, 3, H, W] of one image."""


NAMES = ("auto", OpenVino.name, OnnxRuntime.name, *paddle_engines.NAMES)
PRECISIONS = ("auto", "fp32", "bf16", "int8", "fp16")


def create(
    weights: Weights,
    engine: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    precision: str = "auto",
) -> Engine:
    """Creates an engine.

    Args:
        weights: the weights of the network.
        engine: "auto": the fastest that works, on a CPU OpenVINO if it is installed, else ONNX Runtime, on a GPU
            Paddle; "openvino"; "onnx"; "paddle": Paddle Inference; "tensorrt": Paddle Inference with TensorRT, on a
            GPU; "paddle-dygraph".
        device: "auto" (a GPU if Paddle finds one), "cpu" or "gpu".
        threads: CPU threads, all cores by default; "paddle-dygraph" reads OMP_NUM_THREADS instead.
        precision: "fp32"; "bf16", for OpenVINO on CPUs that support it; "int8", for OpenVINO and styles that are
            calibrated, see `ppcartoon.inference.int8`; "fp16", for Paddle Inference on a GPU; "auto":
            with OpenVINO bf16 if the CPU supports it, else int8 if the CPU has VNNI and the style is calibrated, but
            fp32 if a cartoon does not reach `MIN_PSNR` against fp32.

    Raises:
        InputError: the engine, device or precision is unknown or not available.
    """
    for value, known, what in ((engine, NAMES, "engine"), (precision, PRECISIONS, "precision")):
        if value not in known:
            raise InputError(f"{what} {value!r}: unknown, choose from {', '.join(known)}")
    if device == "gpu" and engine in (OnnxRuntime.name, OpenVino.name):
        raise InputError(f"engine {engine} runs on the CPU: use --engine paddle for a GPU")
    if engine in paddle_engines.NAMES or (engine == "auto" and device != "cpu" and paddle_engines.gpu()):
        return paddle_engines.create(weights, engine, device, threads or cores(), precision)
    if device == "gpu":
        raise InputError(paddle_engines.NO_GPU)
    if precision == "fp16":
        raise InputError("precision fp16 is for GPUs: use bf16, int8 or fp32 on a CPU")
    if precision in ("bf16", "int8") and engine == OnnxRuntime.name:
        raise InputError(f"engine onnx computes in fp32: use --engine openvino for {precision}")
    return _on_cpu(weights, engine, threads or cores(), precision)


def _on_cpu(weights: Weights, engine: str, threads: int, precision: str) -> Engine:
    if engine == OpenVino.name or precision in ("bf16", "int8"):
        try:
            return _openvino(weights, threads, precision)
        except RuntimeError as error:
            raise InputError(
                f"OpenVINO cannot run here ({str(error).strip().splitlines()[-1]}): use --engine onnx"
            ) from error
    if engine == "auto" and importlib.util.find_spec("openvino"):
        with suppress(Exception):  # broken, or built for another CPU: fall back to ONNX Runtime
            return _openvino(weights, threads, precision)
    try:
        return OnnxRuntime(weights, threads)
    except (InputError, ImportError, MemoryError):
        raise
    except Exception as error:  # of ONNX Runtime or protobuf
        raise InputError(f"ONNX Runtime cannot run here ({error}); memory may be short") from error


def _openvino(weights: Weights, threads: int, precision: str) -> OpenVino:
    if precision != "auto":
        return OpenVino(weights, threads, precision)
    reduced = "bf16" if has_bf16() else "int8" if has_vnni() and weights.int8 else None
    if reduced:
        candidate = OpenVino(weights, threads, reduced)
        if agreement(candidate, OnnxRuntime(weights, threads)) >= MIN_PSNR:
            return candidate
    return OpenVino(weights, threads, "fp32")


def agreement(one: Network, other: Network) -> float:
    """PSNR in dB between two networks' cartoons of a synthetic image of waves and noise."""
    y, x = np.mgrid[0:1:128j, 0:1:128j]
    waves = np.stack([np.sin(9 * x), np.cos(7 * y), np.sin(20 * x * y)]) * 0.8
    image = np.float32(waves + np.random.default_rng(0).normal(0, 0.1, waves.shape)).clip(-1, 1)[None]
    return images.psnr(one(image), other(image), 2)
