"""One interface to several runtimes: images float32 [N, 3, H, W] in [-1, 1] -> cartoons of the same shape and range.

H and W are multiples of 4. An engine may be called from several threads at the same time.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import numpy as np

from ... import images
from ...errors import InputError
from ...utils.machine import cores
from ...weights import Weights
from . import gpu_engines, paddle_engines
from .onnx_engines import OnnxRuntime, OpenVino, has_bf16, has_vnni

LOCATION = re.compile(r"^\S+:\d+ .*?\) ")  # in ONNX Runtime's sources, before some of its messages
Network = Callable[[np.ndarray], np.ndarray]
MIN_PSNR = 38.0  # dB to fp32 on the CPU that bf16, int8 and GPUs must reach


class Engine(Protocol):
    """A network, ready to run.

    Attributes:
        name: the `engine` argument of `create`.
        description: runtime, device and precision, in a few words.
        on_gpu: whether it runs on a GPU.
        bytes_per_pixel: peak memory per pixel, per channel of G's width and per image of a batch.
    """

    name: str
    description: str
    on_gpu: bool
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
        engine: "auto": the fastest that works, on a GPU Paddle, ONNX Runtime or OpenVINO, whichever is first in finding
            one, on a CPU OpenVINO if it is installed, else ONNX Runtime; "openvino"; "onnx"; "paddle": Paddle
            Inference; "tensorrt": TensorRT on a GPU, in Paddle Inference or ONNX Runtime; "paddle-dygraph".
        device: "auto" (with engine "auto" and Paddle's engines a GPU if one works), "cpu" or "gpu".
        threads: CPU threads, all cores by default; "paddle-dygraph" reads OMP_NUM_THREADS instead.
        precision: "fp32"; "bf16", for OpenVINO on CPUs that support it; "int8", for OpenVINO and styles that are
            calibrated, see `ppcartoon.inference.int8`; "fp16", on a GPU; "auto": with OpenVINO bf16 if the CPU supports
            it, else int8 if the CPU has VNNI and the style is calibrated; with ONNX Runtime and OpenVINO on a GPU fp16;
            but fp32 if a cartoon does not reach `MIN_PSNR` against fp32.

    Raises:
        InputError: the engine, device or precision is unknown or not available.
    """
    for value, known, what in ((engine, NAMES, "engine"), (precision, PRECISIONS, "precision")):
        if value not in known:
            raise InputError(f"{what} {value!r}: unknown, choose from {', '.join(known)}")
    threads = threads or cores()
    if engine in ("auto", gpu_engines.TENSORRT) and device != "cpu":
        on_paddle = paddle_engines.gpu()
    else:
        on_paddle = engine in paddle_engines.NAMES
    if on_paddle:
        return paddle_engines.create(weights, engine, device, threads, precision)
    failures: dict[str, str] = {}
    if device == "gpu" or engine == gpu_engines.TENSORRT or engine == device == "auto":
        if precision not in ("bf16", "int8"):
            found, failures = _on_gpu(weights, engine, threads, precision)
            if found:
                return _with_remark(found, failures)
        elif device == "gpu":
            raise InputError(f"precision {precision} is for CPUs: use fp16 or fp32 on a GPU")
    if device == "gpu" or engine == gpu_engines.TENSORRT:
        raise InputError(gpu_engines.refusal(engine, failures))
    if precision == "fp16":
        raise InputError("precision fp16 is for GPUs: use bf16, int8 or fp32 on a CPU")
    if precision in ("bf16", "int8") and engine == OnnxRuntime.name:
        raise InputError(f"engine onnx computes in fp32: use --engine openvino for {precision}")
    return _with_remark(_on_cpu(weights, engine, threads, precision), failures)


def _with_remark(engine: Engine, failures: dict[str, str]) -> Engine:
    """The engine, whose description says what was tried before it."""
    if failures:
        engine.description += f", not {gpu_engines.tell(failures)}"
    return engine


def _on_gpu(weights: Weights, engine: str, threads: int, precision: str) -> tuple[Engine | None, dict[str, str]]:
    """The first engine on a GPU without Paddle whose cartoon agrees with the CPU's, and why others do not work."""
    failures: dict[str, str] = {}
    for name, make in gpu_engines.candidates(engine).items():
        for each in ("fp16", "fp32") if precision == "auto" else (precision,):
            try:
                candidate = make(weights, threads, each)
                psnr = agreement(candidate, OnnxRuntime(weights, threads))
            except Exception as error:  # each runtime raises others
                reason = (str(error).strip() or type(error).__name__).splitlines()[0]
                failures[name] = LOCATION.sub("", reason)[:150]
                continue
            if psnr >= MIN_PSNR:
                failures.pop(name, None)
                return candidate, failures
            failures[name] = f"its cartoon differs from the CPU's, {psnr:.0f} dB"
    return None, failures


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
