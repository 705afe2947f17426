"""One call, several runtimes: float32 [N, 3, H, W] in [-1, 1], H and W multiples of 4 -> the cartoons, likewise.

Engines take several calls at once from several threads.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
import threading
import warnings
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Protocol

import numpy as np

from . import graph
from .errors import InputError
from .threads import cores
from .weights import Weights

if TYPE_CHECKING:
    from paddle.nn import Layer


class Engine(Protocol):
    """A network that is ready to run; `description` says by what, in a few words."""

    name: str
    description: str

    def __call__(self, images: np.ndarray) -> np.ndarray: ...


class OnnxRuntime:
    """ONNX Runtime on the CPU."""

    name = "onnx"

    def __init__(self, weights: Weights, device: str, threads: int) -> None:
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read at the import
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # errors only
        model = graph.build(weights).SerializeToString()
        self._session = onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
        self.description = f"ONNX Runtime on {threads} CPU threads"

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return self._session.run(None, {"image": images})[0]


class PaddleDygraph:
    """Paddle, eagerly: the engine of GPUs, and the reference for the others."""

    name = "paddle-dygraph"

    def __init__(self, weights: Weights, device: str, threads: int) -> None:
        self._paddle, self._lock = _paddle(), threading.Lock()
        self._network = _cartoonizer(weights, device)
        self._place = self._network.generator.out.weight.place
        self.description = "Paddle dygraph on " + (
            "the GPU" if device == "gpu" else f"{os.environ['OMP_NUM_THREADS']} CPU threads"
        )

    def __call__(self, images: np.ndarray) -> np.ndarray:
        with self._lock, self._paddle.no_grad():
            return self._network(self._paddle.to_tensor(images, place=self._place)).numpy()


class PaddleProgram:
    """A saved model in Paddle Inference on the CPU, with oneDNN where it works.

    Args:
        program: its .json or .pdmodel; the .pdiparams is beside it.
        threads: on the CPU.
    """

    name = "paddle"

    def __init__(self, program: Path, threads: int) -> None:
        paddle, inference = _paddle(), importlib.import_module("paddle.inference")
        config = inference.Config(str(program), str(program.with_suffix(".pdiparams")))
        config.disable_glog_info()
        config.set_cpu_math_library_num_threads(threads)
        broken = paddle.__version__.startswith(ONEDNN_BROKEN)
        if broken:
            config.disable_mkldnn()
        else:
            config.enable_mkldnn()
            config.set_mkldnn_cache_capacity(1)  # memory would grow with each new image size
        self._predictor = inference.create_predictor(config)
        self._lock = threading.Lock()
        note = f" without oneDNN, which Paddle {paddle.__version__} breaks" if broken else ""
        self.description = f"Paddle Inference on {threads} CPU threads{note}"

    def __call__(self, images: np.ndarray) -> np.ndarray:
        with self._lock:
            self._predictor.get_input_handle("image").copy_from_cpu(images)
            self._predictor.run()
            return self._predictor.get_output_handle(self._predictor.get_output_names()[0]).copy_to_cpu()


class PaddleInference(PaddleProgram):
    """Paddle Inference on the CPU."""

    def __init__(self, weights: Weights, device: str, threads: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            super().__init__(save_paddle(weights, Path(folder) / "model"), threads)


def save_paddle(weights: Weights, prefix: Path) -> Path:
    """Saves PREFIX.pdiparams and a program for any batch and size; the path of that: .json, or .pdmodel of Paddle 2."""
    paddle = _paddle()
    spec = paddle.static.InputSpec([None, 3, None, None], "float32", "image")
    paddle.jit.save(_cartoonizer(weights, "cpu"), str(prefix), input_spec=[spec])
    return next(path for ending in (".json", ".pdmodel") if (path := prefix.with_suffix(ending)).exists())


ONEDNN_BROKEN = "3.3."  # there oneDNN's fused convolution ends the process with a segmentation fault on this network
NAMES = ("auto", OnnxRuntime.name, PaddleInference.name, PaddleDygraph.name)


def create(weights: Weights, engine: str = "auto", device: str = "auto", threads: int | None = None) -> Engine:
    """The engine for a device.

    Args:
        weights: what it runs.
        engine: "auto": ONNX Runtime on a CPU, Paddle on a GPU; "onnx"; "paddle": Paddle Inference on a CPU, dygraph
            on a GPU; "paddle-dygraph".
        device: "auto" (a GPU where Paddle sees one), "cpu" or "gpu".
        threads: on the CPU, all cores by default; Paddle's dygraph takes OMP_NUM_THREADS instead.

    Raises:
        InputError: what was asked for does not exist here.
    """
    if engine not in NAMES:
        raise InputError(f"engine {engine!r}: unknown, choose from {', '.join(NAMES)}")
    if engine.startswith("paddle") and not importlib.util.find_spec("paddle"):
        raise InputError(f"engine {engine}: Paddle is not installed; pip install paddlepaddle==3.2.2, or the GPU build")
    if device == "gpu" and engine == OnnxRuntime.name:
        raise InputError("engine onnx runs on the CPU: use --engine paddle for a GPU")
    if device == "auto":
        device = "gpu" if engine != OnnxRuntime.name and _gpu() else "cpu"
    elif device == "gpu" and not _gpu():
        raise InputError(
            "device gpu: no GPU that an installed paddlepaddle-gpu can use; leave --device out for the CPU"
        )
    if device == "gpu" or engine == PaddleDygraph.name:
        kind = PaddleDygraph
    else:
        kind = PaddleInference if engine == PaddleInference.name else OnnxRuntime
    return kind(weights, device, threads or cores())


def _gpu() -> bool:
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
