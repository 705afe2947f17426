"""Paddle as an engine: eagerly, and through Paddle Inference, on CPUs and GPUs."""

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

from . import graph
from .errors import InputError
from .onnx_engines import OnnxRuntime
from .weights import Weights

if TYPE_CHECKING:
    from paddle import Tensor
    from paddle.inference import Config
    from paddle.nn import Layer

ONEDNN_BROKEN = "3.3."  # there oneDNN's fused convolution ends the process with a segmentation fault on this network
NO_GPU = "device gpu: no GPU that an installed paddlepaddle-gpu can use; leave --device out for the CPU"


class _Paddle:
    """What both have in common: the statistics of samples are measured by ONNX Runtime, once for a large image."""

    def __init__(self, weights: Weights, device: str, threads: int) -> None:
        self._weights, self._device, self._threads = weights, device, threads
        self._paddle, self._lock = _paddle(), threading.Lock()

    def blended(self, images: np.ndarray, given: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
        raise NotImplementedError

    def folded(self, statistics: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        return lambda images: self.blended(images, statistics[None], 0.0)[0]

    def together(self, samples: np.ndarray) -> np.ndarray:
        return OnnxRuntime(self._weights, self._threads).together(samples)


class PaddleDygraph(_Paddle):
    """Paddle, eagerly: the reference for the others."""

    name, precision, bytes_per_pixel = "paddle-dygraph", "fp32", 40

    def __init__(self, weights: Weights, device: str, threads: int) -> None:
        super().__init__(weights, device, threads)
        self._network = _cartoonizer(weights, device)
        self._place = self._network.generator.out.weight.place
        self.description = "Paddle dygraph on " + (
            "the GPU" if device == "gpu" else f"{os.environ['OMP_NUM_THREADS']} CPU threads"
        )

    def __call__(self, images: np.ndarray) -> np.ndarray:
        with self._lock, self._paddle.no_grad():
            return self._network(self._tensor(images)).numpy()

    def blended(self, images: np.ndarray, given: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
        from .networks import Statistics

        statistics = Statistics(self._tensor(given), share or None)
        with self._lock, self._paddle.no_grad():
            return self._network(self._tensor(images), statistics).numpy(), statistics.used().numpy()

    def _tensor(self, values: np.ndarray) -> Tensor:
        return self._paddle.to_tensor(values, place=self._place)


class PaddleInference(_Paddle):
    """Paddle Inference: on the CPU with oneDNN where it works, on a GPU in fp32 or fp16, and there with TensorRT."""

    name, bytes_per_pixel = "paddle", 40

    def __init__(self, weights: Weights, device: str, threads: int, precision: str, tensorrt: bool) -> None:
        super().__init__(weights, device, threads)
        self.precision, self._tensorrt = precision, tensorrt
        where = f"{threads} CPU threads"
        if device == "gpu":
            where = f"the GPU{' with TensorRT' * tensorrt} in {precision}"
        elif not self._has_onednn():
            where += f" without oneDNN, which Paddle {self._paddle.__version__} breaks"
        self.description = f"Paddle Inference on {where}"
        self._own = self._load(_cartoonizer(weights, device), image=[None, 3, None, None])

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return self._own(images)[0]

    @cached_property
    def _blended(self) -> Callable[..., list[np.ndarray]]:
        from .networks import Blended

        network = Blended(_cartoonizer(self._weights, self._device))
        return self._load(network, image=[None, 3, None, None], given=[None, None, 2], share=[1])

    def blended(self, images: np.ndarray, given: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
        cartoons, statistics = self._blended(images, given, np.float32([share]))
        return cartoons, statistics

    def _load(self, network: Layer, **shapes: list[int | None]) -> Callable[..., list[np.ndarray]]:
        """A function of the network's inputs, in order, to its outputs."""
        inference = importlib.import_module("paddle.inference")
        specs = [self._paddle.static.InputSpec(shape, "float32", name) for name, shape in shapes.items()]
        with tempfile.TemporaryDirectory() as folder:
            self._paddle.jit.save(network, f"{folder}/model", input_spec=specs)
            (program,) = (path for path in Path(folder).iterdir() if path.suffix in (".json", ".pdmodel"))
            config = inference.Config(str(program), f"{folder}/model.pdiparams")
            self._configure(config, inference)
            predictor = inference.create_predictor(config)

        def run(*inputs: np.ndarray) -> list[np.ndarray]:
            with self._lock:
                for name, value in zip(shapes, inputs):
                    predictor.get_input_handle(name).copy_from_cpu(value)
                predictor.run()
                return [predictor.get_output_handle(name).copy_to_cpu() for name in predictor.get_output_names()]

        return run

    def _configure(self, config: Config, inference: ModuleType) -> None:
        config.disable_glog_info()
        if self._device == "gpu":
            precision = inference.PrecisionType.Half if self.precision == "fp16" else inference.PrecisionType.Float32
            config.enable_use_gpu(256, 0, precision)  # MB to begin with, and which GPU
            if self._tensorrt:
                config.enable_tensorrt_engine(1 << 30, 1, 3, precision, False, False)
                sizes = ([1, 3, 64, 64], [4, 3, 2048, 2048], [1, 3, 256, 256])  # least, most, and what it is tuned for
                config.set_trt_dynamic_shape_info(*({"image": size} for size in sizes))
            return
        config.set_cpu_math_library_num_threads(self._threads)
        if self._has_onednn():
            config.enable_mkldnn()
            config.set_mkldnn_cache_capacity(1)  # memory would grow with each new image size
        else:
            config.disable_mkldnn()

    def _has_onednn(self) -> bool:
        return not self._paddle.__version__.startswith(ONEDNN_BROKEN)


TENSORRT = "tensorrt"
NAMES = (PaddleInference.name, TENSORRT, PaddleDygraph.name)


def create(weights: Weights, engine: str, device: str, threads: int, precision: str) -> PaddleDygraph | PaddleInference:
    """As `engines.create`, for "auto" on a GPU and the engines of `NAMES`.

    Raises:
        InputError: Paddle, the GPU or TensorRT is not there, or the precision is not the engine's.
    """
    if not importlib.util.find_spec("paddle"):
        raise InputError(f"engine {engine}: Paddle is not installed; pip install paddlepaddle==3.2.2, or the GPU build")
    if device == "gpu" and not gpu():
        raise InputError(NO_GPU)
    device = "gpu" if device != "cpu" and gpu() else "cpu"
    on_gpu = device == "gpu" and engine != PaddleDygraph.name
    if precision not in ("auto", "fp32") and not (precision == "fp16" and on_gpu):
        raise InputError(f"engine {engine} computes in fp32{' or fp16' * on_gpu}: leave --precision {precision} out")
    precision = "fp32" if precision == "auto" else precision
    if engine == PaddleDygraph.name:
        return PaddleDygraph(weights, device, threads)
    tensorrt = on_gpu and sum(importlib.import_module("paddle.inference").get_trt_compile_version()) > 0
    if engine == TENSORRT and not tensorrt:
        raise InputError("engine tensorrt: needs a GPU and a Paddle that was built with TensorRT: use --engine paddle")
    if engine != "auto":
        return PaddleInference(weights, device, threads, precision, engine == TENSORRT)
    for kind in [TENSORRT] * tensorrt + [PaddleInference.name]:
        try:
            made = PaddleInference(weights, device, threads, precision, kind == TENSORRT)
            made(np.zeros((1, 3, 64, 64), np.float32))
            return made
        except Exception:  # each build of Paddle has its own for GPUs that it has no kernels for
            continue
    return PaddleDygraph(weights, device, threads)


def gpu() -> bool:
    """Whether Paddle can use a GPU; Paddle is only imported where there is a driver."""
    if not (shutil.which("nvidia-smi") and importlib.util.find_spec("paddle")):
        return False
    try:
        paddle = _paddle()
    except InputError:  # a broken Paddle must not keep anybody from ONNX Runtime
        return False
    return paddle.device.is_compiled_with_cuda() and paddle.device.cuda.device_count() > 0


def _paddle() -> ModuleType:
    """Imports Paddle without its remarks on compilers and graphs.

    Raises:
        InputError: it cannot be imported.
    """
    os.environ.setdefault("GLOG_minloglevel", "2")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="No ccache found")
        try:
            return importlib.import_module("paddle")
        except ImportError as error:  # Paddle needs setuptools, for one, and does not say so to pip
            raise InputError(f"Paddle is installed but cannot be imported: {error}") from error


def _cartoonizer(weights: Weights, device: str) -> Layer:
    """The Paddle network with its weights on a device."""
    graph.build(weights)  # which checks the tensors before Paddle allocates any
    from .networks import Cartoonizer

    network = Cartoonizer(**weights.network).to(device=device)
    network.set_state_dict(weights.tensors)
    return network
