"""GPU engines that need no Paddle: ONNX Runtime's execution providers and OpenVINO's GPU plugin."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout, suppress
from functools import cache, partial
from importlib.metadata import packages_distributions
from typing import TYPE_CHECKING

import numpy as np

from ...utils.files import cache_home
from ...weights import Weights
from .onnx_engines import OnnxRuntime, OpenVino, Outputs, core, runtime

if TYPE_CHECKING:
    from ..onnx_messages import ModelProto

TENSORRT = "tensorrt"
PROVIDERS = {  # of ONNX Runtime, in the order in which they are tried, and their settings
    "TensorRT": ("TensorrtExecutionProvider", {}),
    "CUDA": ("CUDAExecutionProvider", {"cudnn_conv_algo_search": "HEURISTIC"}),  # else a search for each image size
    "ROCm": ("ROCMExecutionProvider", {}),
    "MIGraphX": ("MIGraphXExecutionProvider", {}),
    "DirectML": ("DmlExecutionProvider", {}),
    "CoreML": ("CoreMLExecutionProvider", {"ModelFormat": "MLProgram"}),  # the other format has no fp16
}
INSTALL = {  # by platform
    "linux": 'pip uninstall onnxruntime, pip install "onnxruntime-gpu[cuda,cudnn]"',
    "win32": "pip uninstall onnxruntime, pip install onnxruntime-directml",
    "darwin": "pip install onnxruntime",
}
Create = Callable[[Weights, int, str], OnnxRuntime | OpenVino]  # from weights, CPU threads and precision


class _OnGpu:
    """What the engines on a GPU have in common."""

    on_gpu = True
    bytes_per_pixel = 40  # not measured

    def with_fixed_stats(self, stats: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """One graph for all images: compiling one for the tiles of each image would take longer than it saves."""
        return lambda images: self.run_blended(images, stats[None], 0.0)[0]


class OnnxRuntimeGpu(_OnGpu, OnnxRuntime):
    """ONNX Runtime with an execution provider of `PROVIDERS`.

    Raises:
        RuntimeError: the provider does not load.
    """

    def __init__(self, provider: str, weights: Weights, threads: int, precision: str) -> None:
        self._provider, self._half = provider, precision == "fp16"
        super().__init__(weights, threads)
        self.name = TENSORRT if provider == "TensorRT" else OnnxRuntime.name
        self.description = f"ONNX Runtime with {provider} in {precision} on the GPU"

    def _compile(self, model: ModelProto) -> Callable[..., Outputs]:
        runtime().set_default_logger_severity(4)  # else what does not load is also written to standard error
        provider, settings = PROVIDERS[self._provider]
        providers = [(provider, settings), "CPUExecutionProvider"]
        if self._provider in ("TensorRT", "CUDA"):
            load_nvidia_libraries()
        if self._provider == "TensorRT":
            # ONNX Runtime names the engines that it keeps by the graph without its weights.
            digest = hashlib.sha256(model.SerializeToString()).hexdigest()[:16]
            folder = cache_home() / "ppcartoon" / "tensorrt" / digest
            folder.mkdir(parents=True, exist_ok=True)
            settings = {"trt_engine_cache_enable": True, "trt_timing_cache_enable": True}
            settings |= {"trt_engine_cache_path": str(folder), "trt_timing_cache_path": str(folder)}
            providers[:1] = [(provider, settings), PROVIDERS["CUDA"]]
        session = self._session(model, providers, enable_fallback=0)
        if session.get_providers()[0] != provider:
            raise RuntimeError("does not load; its libraries or the driver are missing")

        def run(**inputs: np.ndarray) -> Outputs:
            with self._lock:
                return session.run(None, inputs)

        return run


class OpenVinoGpu(_OnGpu, OpenVino):
    """OpenVINO on an Intel GPU."""

    _device, _ranges = "GPU", {}

    def __init__(self, weights: Weights, threads: int, precision: str) -> None:
        self._core = core()
        self._settings = {"INFERENCE_PRECISION_HINT": "f16" if precision == "fp16" else "f32"}
        self.description = f"OpenVINO in {precision} on the GPU"
        super(OpenVino, self).__init__(weights)


@cache
def load_nvidia_libraries() -> None:
    """Loads CUDA and cuDNN from their Python packages, for ONNX Runtime, which would print what it does not find."""
    with redirect_stdout(io.StringIO()):
        runtime().preload_dlls()


def candidates(engine: str) -> dict[str, Create]:
    """The engines that what is installed offers, by name, in the order in which to try them; they may not work.

    Args:
        engine: "auto", "onnx", "openvino" or "tensorrt". TensorRT must be named: it compiles for minutes.
    """
    found: dict[str, Create] = {}
    if engine != OpenVino.name:
        with suppress(Exception):  # ONNX Runtime is missing or broken
            available = runtime().get_available_providers()
            names = [name for name in PROVIDERS if (name == "TensorRT") == (engine == TENSORRT)]
            found = {name: partial(OnnxRuntimeGpu, name) for name in names if PROVIDERS[name][0] in available}
    if engine in ("auto", OpenVino.name) and importlib.util.find_spec("openvino"):
        with suppress(Exception):  # OpenVINO is broken
            if any(device.startswith("GPU") for device in core().available_devices):
                found["OpenVINO"] = OpenVinoGpu
    return found


def refusal(engine: str, failures: Mapping[str, str]) -> str:
    """Why there is no engine on a GPU, what was tried, and what to install.

    Args:
        engine: as in `candidates`.
        failures: reasons, by name of the candidate.
    """
    what = "device gpu: no GPU that Paddle, ONNX Runtime or OpenVINO can use"
    if engine == TENSORRT:
        what = "engine tensorrt: needs a GPU, TensorRT, and a Paddle or an onnxruntime-gpu that was built with it"
    tried = f": {tell(failures)}" if failures else ""
    builds = sorted(set(packages_distributions().get("onnxruntime", ())))
    remedy = INSTALL.get(sys.platform, INSTALL["linux"])
    if len(builds) > 1:
        remedy = f"{' and '.join(builds)} overwrite one another, pip uninstall {' '.join(builds)}, then install one"
    return f"{what}{tried}; {remedy}; or omit --device for the CPU"


def tell(failures: Mapping[str, str]) -> str:
    """Failures in one line."""
    return ", ".join(f"{name} ({reason})" for name, reason in failures.items())
