"""Engines that run on Paddle: dygraph (eager) and Paddle Inference, on CPUs and GPUs."""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
import threading
import warnings
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from ...errors import InputError
from ...utils.libraries import needs
from ...weights import Weights
from .. import onnx_graph
from .onnx_engines import OnnxRuntime

if TYPE_CHECKING:
    from paddle import Tensor
    from paddle.inference import Config
    from paddle.nn import Layer

ONEDNN_BROKEN = "3.3."  # in these versions oneDNN's fused convolution crashes (SIGSEGV) on this network
IMAGE = {"image": [None, 3, None, None]}
NO_GPU = "device gpu: no GPU that an installed paddlepaddle-gpu can use; omit --device for the CPU"


class _Paddle:
    """Base class of the Paddle engines; ONNX Runtime measures pooled statistics, once per large image."""

    def __init__(self, weights: Weights, device: str, threads: int) -> None:
        self._weights, self._device, self._threads = weights, device, threads
        self.on_gpu = device == "gpu"
        self._paddle, self._lock = paddle(), threading.Lock()

    def run_blended(self, images: np.ndarray, stats: np.ndarray | None, alpha: float) -> tuple[np.ndarray, np.ndarray]:
        raise NotImplementedError

    def with_fixed_stats(self, stats: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        return lambda images: self.run_blended(images, stats[None], 0.0)[0]

    def pooled_stats(self, samples: np.ndarray) -> np.ndarray:
        return OnnxRuntime(self._weights, self._threads).pooled_stats(samples)


class PaddleDygraph(_Paddle):
    """Paddle dygraph: the reference for the other engines."""

    name, bytes_per_pixel = "paddle-dygraph", 40

    def __init__(self, weights: Weights, device: str, threads: int) -> None:
        super().__init__(weights, device, threads)
        self._network = cartoonizer(weights, device)
        self._place = self._network.generator.out.weight.place
        where = "the GPU" if device == "gpu" else f"{os.environ['OMP_NUM_THREADS']} CPU threads"
        self.description = f"Paddle dygraph on {where}"

    def __call__(self, images: np.ndarray) -> np.ndarray:
        with self._lock, self._paddle.no_grad():
            return self._network(self._tensor(images)).numpy()

    def run_blended(self, images: np.ndarray, stats: np.ndarray | None, alpha: float) -> tuple[np.ndarray, np.ndarray]:
        from ...models.networks import Statistics

        statistics = Statistics() if alpha == 1 else Statistics(self._tensor(stats), alpha or None)
        with self._lock, self._paddle.no_grad():
            return self._network(self._tensor(images), statistics).numpy(), statistics.used().numpy()

    def _tensor(self, values: np.ndarray) -> Tensor:
        return self._paddle.to_tensor(values, place=self._place)


class PaddleInference(_Paddle):
    """Paddle Inference: on a CPU with oneDNN if that works, on a GPU in fp32 or fp16, there also with TensorRT."""

    name, bytes_per_pixel = "paddle", 40

    def __init__(self, weights: Weights, device: str, threads: int, precision: str, tensorrt: bool) -> None:
        super().__init__(weights, device, threads)
        self.precision, self._tensorrt = precision, tensorrt
        self._own = self._program(cartoonizer(weights, device), IMAGE)
        self.description = self._own.description

    def _program(self, network: Layer, shapes: dict[str, list[int | None]]) -> Program:
        with tempfile.TemporaryDirectory() as folder:
            path = save(network, Path(folder) / "model", **shapes)
            return Program(path, self._device, self._threads, self.precision, self._tensorrt)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        with self._lock:
            return self._own(images)[0]

    def _program_with_stats(self, **inputs: list[int | None]) -> Program:
        from ...models.networks import WithStatistics

        return self._program(WithStatistics(cartoonizer(self._weights, self._device)), IMAGE | inputs)

    @cached_property
    def _measured(self) -> Program:
        return self._program_with_stats()

    @cached_property
    def _blended(self) -> Program:
        return self._program_with_stats(given=[None, None, 2], alpha=[1])

    def run_blended(self, images: np.ndarray, stats: np.ndarray | None, alpha: float) -> tuple[np.ndarray, np.ndarray]:
        with self._lock:
            if alpha == 1:
                return tuple(self._measured(images))
            return tuple(self._blended(images, stats, np.float32([alpha])))


class Program:
    """A saved model, loaded by Paddle Inference: a function from its inputs, in order, to a list of its outputs.

    Args:
        path: the .json or .pdmodel file; the .pdiparams file is next to it.
        device: "cpu" or "gpu".
        threads: CPU threads; ignored on a GPU.
        precision: "fp32", or "fp16" on a GPU.
        tensorrt: run supported operators with TensorRT, on a GPU.
    """

    def __init__(self, path: Path, device: str, threads: int, precision: str = "fp32", tensorrt: bool = False) -> None:
        version, inference = paddle().__version__, importlib.import_module("paddle.inference")
        config = inference.Config(str(path), str(path.with_suffix(".pdiparams")))
        config.disable_glog_info()
        if device == "gpu":
            set_gpu(config, precision, tensorrt)
            where = f"the GPU with TensorRT in {precision}" if tensorrt else f"the GPU in {precision}"
        elif version.startswith(ONEDNN_BROKEN):
            config.set_cpu_math_library_num_threads(threads)
            config.disable_mkldnn()
            where = f"{threads} CPU threads without oneDNN, which crashes in Paddle {version}"
        else:
            config.set_cpu_math_library_num_threads(threads)
            config.enable_mkldnn()
            config.set_mkldnn_cache_capacity(1)  # else memory grows with each new image size
            where = f"{threads} CPU threads"
        self.description = f"Paddle Inference on {where}"
        self._predictor = inference.create_predictor(config)
        restore_threads()

    def __call__(self, *inputs: np.ndarray) -> list[np.ndarray]:
        for name, value in zip(self._predictor.get_input_names(), inputs):
            self._predictor.get_input_handle(name).copy_from_cpu(value)
        self._predictor.run()
        restore_threads()
        return [self._predictor.get_output_handle(name).copy_to_cpu() for name in self._predictor.get_output_names()]


def restore_threads() -> None:
    """Sets the process's math threads back to the number that Paddle was imported with.

    Paddle Inference sets its own number when a predictor is created, and 1 after a run. Both would change the last bits
    of training steps in the same process.
    """
    paddle().base.core.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))  # Paddle's import sets the variable


def set_gpu(config: Config, precision: str, tensorrt: bool) -> None:
    """Configures Paddle Inference to run on the GPU."""
    kinds = importlib.import_module("paddle.inference").PrecisionType
    kind = kinds.Half if precision == "fp16" else kinds.Float32
    config.enable_use_gpu(256, 0, kind)  # initial memory pool in MB, index of the GPU
    if tensorrt:
        config.enable_tensorrt_engine(1 << 30, 1, 3, kind, False, False)
        sizes = ([1, 3, 64, 64], [4, 3, 2048, 2048], [1, 3, 256, 256])  # minimum, maximum, optimum
        config.set_trt_dynamic_shape_info(*({"image": size} for size in sizes))


def save(network: Layer, prefix: Path, **shapes: list[int | None]) -> Path:
    """Saves PREFIX.pdiparams and a program; returns the program's path: .json, or .pdmodel with Paddle 2.

    Args:
        network: the network to save.
        prefix: path without an ending.
        shapes: the network's inputs by name, in order; None stands for any size.
    """
    specs = [paddle().static.InputSpec(shape, "float32", name) for name, shape in shapes.items()]
    paddle().jit.save(network, str(prefix), input_spec=specs)
    program = prefix.with_suffix(".json")
    return program if program.exists() else prefix.with_suffix(".pdmodel")


TENSORRT = "tensorrt"
NAMES = (PaddleInference.name, TENSORRT, PaddleDygraph.name)


def create(weights: Weights, engine: str, device: str, threads: int, precision: str) -> PaddleDygraph | PaddleInference:
    """Same as `engines.create`, for "auto" on a GPU that Paddle can use and for the engines in `NAMES`.

    Raises:
        InputError: Paddle, the GPU or TensorRT is not available, or the engine does not support the precision.
    """
    paddle()
    if device == "gpu" and not gpu():
        raise InputError(NO_GPU)
    device = "gpu" if device != "cpu" and gpu() else "cpu"
    on_gpu = device == "gpu" and engine != PaddleDygraph.name
    if precision not in ("auto", "fp32") and not (precision == "fp16" and on_gpu):
        supported = "fp32 or fp16" if on_gpu else "fp32"
        raise InputError(f"engine {engine} computes in {supported}: omit --precision {precision}")
    precision = "fp32" if precision == "auto" else precision
    if engine == PaddleDygraph.name:
        return PaddleDygraph(weights, device, threads)
    tensorrt = on_gpu and sum(importlib.import_module("paddle.inference").get_trt_compile_version()) > 0
    if engine == TENSORRT and not tensorrt:
        raise InputError("engine tensorrt: needs a GPU and a Paddle that was built with TensorRT: use --engine paddle")
    if engine != "auto":
        return PaddleInference(weights, device, threads, precision, engine == TENSORRT)
    for use_tensorrt in (True, False) if tensorrt else (False,):
        try:
            candidate = PaddleInference(weights, device, threads, precision, use_tensorrt)
            candidate(np.zeros((1, 3, 64, 64), np.float32))
            return candidate
        except Exception:  # builds of Paddle raise various errors on GPUs that they have no kernels for
            continue
    return PaddleDygraph(weights, device, threads)


def gpu() -> bool:
    """Whether Paddle can use a GPU; imports Paddle only if there is a driver."""
    if not (shutil.which("nvidia-smi") and importlib.util.find_spec("paddle")):
        return False
    try:
        device = paddle().device
    except InputError:  # Paddle is broken; the CPU engines still work
        return False
    return device.is_compiled_with_cuda() and device.cuda.device_count() > 0


def paddle() -> ModuleType:
    """Imports Paddle without its warnings about compilers.

    Raises:
        InputError: it is not installed or cannot be imported.
    """
    os.environ.setdefault("GLOG_minloglevel", "2")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="No ccache found")
        try:
            with needs("Paddle's engines"):
                return importlib.import_module("paddle")
        except ImportError as error:
            raise InputError(f"Paddle is installed but cannot be imported: {error}") from error


def cartoonizer(weights: Weights, device: str) -> Layer:
    """The Paddle network with its weights on a device."""
    onnx_graph.build(weights)  # checks the tensors before Paddle allocates memory
    from ...models.networks import Cartoonizer

    network = Cartoonizer(**weights.network).to(device=device)
    network.set_state_dict(weights.tensors)
    return network
