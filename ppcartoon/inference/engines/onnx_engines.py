"""Engines that run the ONNX graphs on a CPU: ONNX Runtime and OpenVINO."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...errors import InputError
from ...utils.libraries import needs
from ...weights import Weights
from .. import int8, onnx_graph
from ..onnx_messages import ModelProto

if TYPE_CHECKING:
    from types import ModuleType

    import onnxruntime
    import openvino

Outputs = tuple[np.ndarray, ...]


class _OnnxEngine:
    """Base class of the ONNX engines; each graph is compiled when it is first needed."""

    on_gpu = False
    _half = False  # graphs in fp16

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._lock = threading.Lock()
        self._own = self._compile(onnx_graph.build(weights, half=self._half))

    def _compile(self, model: ModelProto) -> Callable[..., Outputs]:
        """Compiles a graph into a function from its inputs, by name, to its outputs."""
        raise NotImplementedError

    @cached_property
    def _measured(self) -> Callable[..., Outputs]:
        return self._compile(onnx_graph.build(self._weights, "measured", self._half))

    @cached_property
    def _given(self) -> Callable[..., Outputs]:
        return self._compile(onnx_graph.build(self._weights, "given", self._half))

    @cached_property
    def _blended(self) -> Callable[..., Outputs]:
        return self._compile(onnx_graph.build(self._weights, "blended", self._half))

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return self._own(image=images)[0]

    def run_blended(self, images: np.ndarray, stats: np.ndarray | None, alpha: float) -> tuple[np.ndarray, np.ndarray]:
        if alpha == 0:
            return self._given(image=images, given=stats)[0], stats
        if alpha == 1:  # measured more exactly than in the blended graph
            cartoons, used = self._measured(image=images)
        else:
            cartoons, used = self._blended(image=images, given=stats, alpha=np.float32([alpha]))
        return cartoons, used

    def with_fixed_stats(self, stats: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        run = self._compile(onnx_graph.with_fixed_stats(self._weights, stats))
        return lambda images: run(image=images)[0]

    def pooled_stats(self, samples: np.ndarray) -> np.ndarray:
        run = self._compile(onnx_graph.build(self._weights, "pooled", self._half))
        return run(image=samples)[0][0]


class OnnxRuntime(_OnnxEngine):
    """ONNX Runtime on the CPU."""

    name, bytes_per_pixel = "onnx", 25

    def __init__(self, weights: Weights, threads: int) -> None:
        self._threads = threads
        self.description = f"ONNX Runtime on {threads} CPU threads"
        super().__init__(weights)

    def _compile(self, model: ModelProto) -> Callable[..., Outputs]:
        session = self._session(model, ["CPUExecutionProvider"])
        return lambda **inputs: session.run(None, inputs)

    def _session(self, model: ModelProto, providers: list, **settings: int) -> onnxruntime.InferenceSession:
        options = runtime().SessionOptions()
        options.intra_op_num_threads = self._threads
        options.enable_mem_pattern = False  # else memory use doubles, and is not freed; DirectML needs this
        options.log_severity_level = 3  # errors only
        return runtime().InferenceSession(model.SerializeToString(), options, providers, **settings)


class OpenVino(_OnnxEngine):
    """OpenVINO on the CPU.

    Raises:
        InputError: OpenVINO is not installed, the CPU does not support bf16, or the style is not calibrated for int8.
    """

    name, _device = "openvino", "CPU"

    def __init__(self, weights: Weights, threads: int, precision: str) -> None:
        self._core = core()
        if precision == "bf16" and not has_bf16():
            raise InputError("precision bf16: this CPU does not support it: use --precision fp32")
        if precision == "int8" and not weights.int8:
            raise InputError(
                f"precision int8: {weights.style} is not calibrated: ppcartoon export --precision int8 --calibrate DIR"
            )
        self._ranges = weights.int8 if precision == "int8" else {}
        self._settings = {
            "INFERENCE_PRECISION_HINT": "bf16" if has_bf16() and precision != "fp32" else "f32",
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            "CPU_RUNTIME_CACHE_CAPACITY": "128",  # layers kept by input size; the default of 5000 uses much memory
        }
        self.bytes_per_pixel = {"fp32": 22.5, "bf16": 11.5, "int8": 19.5}[precision]
        self.description = f"OpenVINO in {precision} on {threads} CPU threads"
        super().__init__(weights)

    def _compile(self, model: ModelProto) -> Callable[..., Outputs]:
        if self._ranges:
            model = int8.quantize(model, self._ranges)
        compiled = self._core.compile_model(
            self._core.read_model(model.SerializeToString()), self._device, self._settings
        )
        request = compiled.create_infer_request()

        def run(**inputs: np.ndarray) -> Outputs:
            with self._lock:
                outputs = request.infer(inputs, share_inputs=True, share_outputs=True)
                return tuple(output.copy() for output in outputs.to_tuple())

        return run


def runtime() -> ModuleType:
    """The module onnxruntime."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when it is imported
    import onnxruntime

    return onnxruntime


@cache
def core() -> openvino.Core:
    """OpenVINO's device manager.

    Raises:
        InputError: OpenVINO is not installed.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # no reports to Intel; OpenVINO then uses its own stub
    with needs("OpenVINO"):
        import openvino
    return openvino.Core()


def has_bf16() -> bool:
    """Whether the CPU supports bf16 (avx512_bf16 or AMX), according to OpenVINO."""
    return "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def has_vnni() -> bool:
    """Whether the CPU multiplies 8-bit integers in one instruction (avx512_vnni or avx_vnni); known only on Linux."""
    try:
        return "_vnni" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
