"""All engines make the same cartoon; what is missing is named."""

import dataclasses
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import paddle
import pytest
from google.protobuf.message import EncodeError

from ppcartoon import InputError, weights
from ppcartoon.images import from_network, to_network
from ppcartoon.inference import engines
from ppcartoon.inference.engines import onnx_engines, paddle_engines

pytestmark = pytest.mark.slow


def images(n=1, height=24, width=40):
    return np.random.default_rng(n).uniform(-1, 1, (n, 3, height, width)).astype(np.float32)


@pytest.mark.parametrize("name", ["openvino", "paddle", "paddle-dygraph"])
def test_engines_agree(tiny_weights, name):
    reference = engines.create(tiny_weights, "onnx", "cpu")
    engine = engines.create(tiny_weights, name, "cpu", threads=1, precision="fp32")
    assert engine.name == name
    for batch in (images(), images(3, 16, 12), images()):
        wanted = reference(batch)
        assert wanted.std() > 0.05
        np.testing.assert_allclose(engine(batch), wanted, atol=1e-4)


@pytest.mark.parametrize("name", ["onnx", "openvino", "paddle", "paddle-dygraph"])
def test_statistics_of_an_image_reproduce_its_cartoon(tiny_weights, name):
    """Measured, given or built in; other statistics make another cartoon."""
    engine = engines.create(tiny_weights, name, "cpu", threads=1, precision="fp32")
    wanted, other = engine(images(1)), engine(images(1) / 4 + 0.5)
    cartoon, own = engine.run_blended(images(1), None, 1.0)
    np.testing.assert_allclose(cartoon, wanted, atol=1e-4)
    _, others = engine.run_blended(images(1) / 4 + 0.5, own, 1.0)
    again, used = engine.run_blended(images(1) / 4 + 0.5, others, 0.0)
    np.testing.assert_allclose(used, others, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(again, other, atol=1e-4)
    np.testing.assert_allclose(engine.with_fixed_stats(own[0])(images(1)), wanted, atol=1e-4)
    assert np.abs(engine.with_fixed_stats(others[0])(images(1)) - wanted).max() > 0.01
    _, nearly_own = engine.run_blended(images(1), others, 1 - 1e-6)
    np.testing.assert_allclose(nearly_own, own, rtol=1e-3, atol=1e-5)
    _, half = engine.run_blended(images(1), others, 0.5)
    np.testing.assert_allclose(half[0, 0], (own[0, 0] + others[0, 0]) / 2, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", ["openvino", "paddle"])
def test_pooled_statistics_agree_between_engines(tiny_weights, name):
    samples = images(2, 96, 96)
    wanted = engines.create(tiny_weights, "onnx", "cpu").pooled_stats(samples)
    assert wanted.shape == (19, 2)
    got = engines.create(tiny_weights, name, "cpu", precision="fp32").pooled_stats(samples)
    np.testing.assert_allclose(got, wanted, rtol=1e-3, atol=1e-4)


def test_paddle_inference_uses_onednn_unless_it_crashes(tiny_weights):
    engine = engines.create(tiny_weights, "paddle", "cpu")
    assert ("without oneDNN" in engine.description) == paddle.__version__.startswith("3.3.")


def test_threads_default_to_all_cores(tiny_weights, monkeypatch):
    monkeypatch.setattr(engines, "cores", lambda: 3)
    assert engines.create(tiny_weights, "onnx").description == "ONNX Runtime on 3 CPU threads"
    engine = engines.create(tiny_weights, "onnx", threads=1)
    assert engine.description == "ONNX Runtime on 1 CPU threads"


def test_onnx_runtime_and_openvino_use_the_given_number_of_threads(tiny_weights, monkeypatch):
    import onnxruntime
    import openvino

    options = []
    session, core = onnxruntime.InferenceSession, openvino.Core.compile_model
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *a: options.append(a[1]) or session(*a))
    monkeypatch.setattr(openvino.Core, "compile_model", lambda *a: options.append(a[3]) or core(*a))
    for name in ("onnx", "openvino"):
        engines.create(tiny_weights, name, threads=1, precision="fp32")
    assert options[0].intra_op_num_threads == 1
    assert options[1]["INFERENCE_NUM_THREADS"] == 1 and options[1]["INFERENCE_PRECISION_HINT"] == "f32"


@pytest.mark.parametrize("name", ["onnx", "openvino", "paddle", "paddle-dygraph"])
def test_an_engine_may_be_called_from_several_threads(tiny_weights, name):
    engine = engines.create(tiny_weights, name, "cpu", threads=1)
    batches = [images(1 + i % 2, 16 + 4 * i, 24) for i in range(8)]
    wanted = [engine(batch) for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        for got, want in zip(pool.map(engine, batches * 4), wanted * 4):
            np.testing.assert_allclose(got, want, atol=1e-6)


def test_engines_write_no_telemetry_files(tiny_file, tmp_path):
    engines = "ppcartoon.CartoonPredictor(weights_file={0!r}, engine={1!r})"
    code = "import ppcartoon; " + "; ".join(engines.format(str(tiny_file), name) for name in ("onnx", "openvino"))
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], env=environment, cwd=root, check=True)
    assert list(tmp_path.iterdir()) == []


def test_auto_on_a_cpu_is_openvino_if_installed_else_onnx_runtime(tiny_weights, monkeypatch):
    assert engines.create(tiny_weights, device="cpu").name == "openvino"
    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda name: None)
    assert engines.create(tiny_weights, device="cpu").name == "onnx"


def test_auto_falls_back_to_onnx_runtime_if_openvino_is_broken(tiny_weights, monkeypatch):
    def broken(*arguments):
        raise RuntimeError("Illegal instruction")

    monkeypatch.setattr(engines, "OpenVino", broken)
    broken.name = "openvino"
    assert engines.create(tiny_weights, device="cpu").name == "onnx"
    with pytest.raises(InputError, match=r"OpenVINO cannot run here \(Illegal instruction\): use --engine onnx"):
        engines.create(tiny_weights, "openvino")


@pytest.mark.parametrize(
    "supported, psnr, precision", [(True, 38.0, "bf16"), (True, 37.9, "fp32"), (False, 99.0, "fp32")]
)
def test_auto_precision_is_bf16_only_if_supported_and_accurate(tiny_weights, monkeypatch, supported, psnr, precision):
    created = []

    class Engine(engines.OpenVino):
        def __init__(self, weights, threads, precision):
            created.append(precision)

    monkeypatch.setattr(engines, "OpenVino", Engine)
    monkeypatch.setattr(engines, "has_bf16", lambda: supported)
    monkeypatch.setattr(engines, "has_vnni", lambda: False)
    monkeypatch.setattr(engines, "agreement", lambda one, other: psnr)
    engines.create(tiny_weights, device="cpu")
    assert created[-1] == precision
    engines.create(tiny_weights, "openvino", precision="fp32")
    assert created[-1] == "fp32"
    engines.create(tiny_weights, "openvino", precision="bf16")
    assert created[-1] == "bf16"


@pytest.mark.parametrize("bf16, vnni, psnr, precision", [
    (False, True, 38.0, "int8"), (False, True, 37.9, "fp32"), (False, False, 99.0, "fp32"), (True, True, 99.0, "bf16"),
])  # fmt: skip
def test_auto_precision_is_int8_if_the_cpu_has_vnni_but_no_bf16(tiny_weights, monkeypatch, bf16, vnni, psnr, precision):
    monkeypatch.setattr(engines, "OpenVino", lambda weights, threads, precision: precision)
    monkeypatch.setattr(engines, "has_bf16", lambda: bf16)
    monkeypatch.setattr(engines, "has_vnni", lambda: vnni)
    monkeypatch.setattr(engines, "agreement", lambda one, other: psnr)
    calibrated = dataclasses.replace(tiny_weights, int8={"generator.out": [-1.0, 1.0]})
    assert engines._openvino(calibrated, 1, "auto") == precision
    assert engines._openvino(tiny_weights, 1, "auto") == ("bf16" if bf16 else "fp32")


def test_agreement_is_psnr():
    same = lambda image: image  # noqa: E731
    assert engines.agreement(same, same) > 120
    assert engines.agreement(same, lambda image: image + 2 / 255) == pytest.approx(20 * np.log10(255), abs=0.01)


@pytest.mark.skipif(not onnx_engines.has_bf16(), reason="this CPU does not support bf16")
def test_bf16_agrees_with_fp32_on_photos_with_the_shipped_weights():
    from skimage import data

    shipped = weights.load_style("peppercarrot")
    fp32, bf16 = (engines.create(shipped, "openvino", precision=precision) for precision in ("fp32", "bf16"))
    for photo in (data.astronaut(), data.coffee(), data.chelsea()):
        image = to_network(photo[None, :256, :256])
        one, other = (from_network(engine(image)).astype(float) for engine in (fp32, bf16))
        assert 10 * np.log10(255**2 / np.square(one - other).mean()) > engines.MIN_PSNR
        assert np.abs(one - other).max() > 0


class RecordingConfig:
    """Records the calls of a paddle.inference.Config."""

    def __init__(self):
        self.calls = {}

    def __getattr__(self, name):
        return lambda *values: self.calls.update({name: values})


def test_auto_on_a_gpu_is_the_first_paddle_engine_that_works(tiny_weights, monkeypatch):
    monkeypatch.setattr(paddle_engines, "gpu", lambda: True)
    monkeypatch.setattr(paddle.inference, "get_trt_compile_version", lambda: (8, 6, 1))
    made, broken = [], set()

    class Inference:
        def __init__(self, weights, device, threads, precision, tensorrt):
            made.append((device, precision, tensorrt))
            self.tensorrt = tensorrt

        def __call__(self, images):
            if self.tensorrt in broken:
                raise RuntimeError("no kernel image is available")

    Inference.name = "paddle"
    monkeypatch.setattr(paddle_engines, "PaddleInference", Inference)

    class Dygraph:
        def __init__(self, weights, device, threads):
            made.append(device)

    Dygraph.name = "paddle-dygraph"
    monkeypatch.setattr(paddle_engines, "PaddleDygraph", Dygraph)
    assert engines.create(tiny_weights).tensorrt
    broken.add(True)
    assert not engines.create(tiny_weights, precision="fp16").tensorrt
    assert made == [("gpu", "fp32", True), ("gpu", "fp16", True), ("gpu", "fp16", False)]
    broken.add(False)
    assert isinstance(engines.create(tiny_weights), Dygraph)
    assert made[-1] == "gpu"


@pytest.mark.parametrize("tensorrt", [False, True])
def test_paddle_inference_is_configured_for_a_gpu(tiny_weights, tensorrt):
    config = RecordingConfig()
    paddle_engines.set_gpu(config, "fp16", tensorrt)
    assert config.calls["enable_use_gpu"][2] == paddle.inference.PrecisionType.Half
    assert ("enable_tensorrt_engine" in config.calls) == tensorrt
    real = paddle.inference.Config()
    for name, values in config.calls.items():  # the arguments are valid, even in builds without TensorRT
        with suppress(RuntimeError):
            getattr(real, name)(*values)


def test_auto_on_a_gpu_falls_back_to_a_cpu_engine_if_paddle_is_broken(tiny_weights, tmp_path, monkeypatch):
    monkeypatch.setattr(paddle_engines.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    (tmp_path / "paddle.py").write_text("raise ImportError('libcudnn.so: cannot open shared object file')")
    monkeypatch.delitem(sys.modules, "paddle", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    assert engines.create(tiny_weights).name == "openvino"
    with pytest.raises(InputError, match="device gpu: no GPU"):
        engines.create(tiny_weights, device="gpu")
    with pytest.raises(InputError, match=r"Paddle is installed but cannot be imported: libcudnn\.so"):
        engines.create(tiny_weights, "paddle", "cpu")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"engine": "tensorflow"}, "'tensorflow': unknown, choose from auto, openvino"),
        ({"engine": "onnx", "device": "gpu"}, "device gpu: no GPU"),
        ({"device": "gpu", "precision": "int8"}, "precision int8 is for CPUs: use fp16 or fp32 on a GPU"),
        ({"device": "gpu"}, "device gpu: no GPU"),
        ({"precision": "fp8"}, "'fp8': unknown, choose from auto, fp32"),
        ({"precision": "fp16"}, "precision fp16 is for GPUs"),
        ({"engine": "onnx", "precision": "bf16"}, "engine onnx computes in fp32: use --engine openvino"),
        ({"engine": "paddle", "precision": "bf16"}, "engine paddle computes in fp32: omit --precision bf16"),
        ({"engine": "onnx", "precision": "int8"}, "engine onnx computes in fp32: use --engine openvino for int8"),
        ({"precision": "int8"}, "tiny is not calibrated: ppcartoon export --precision int8 --calibrate DIR"),
        ({"engine": "tensorrt"}, "engine tensorrt: needs a GPU"),
    ],
)
def test_unavailable_engines_devices_and_precisions_are_refused(tiny_weights, options, message, monkeypatch):
    monkeypatch.setattr(paddle_engines, "gpu", lambda: False)
    with pytest.raises(InputError, match=message):
        engines.create(tiny_weights, **options)


def test_a_missing_runtime_is_an_error_with_the_pip_command(tiny_weights, monkeypatch):
    monkeypatch.setitem(sys.modules, "paddle", None)
    monkeypatch.setitem(sys.modules, "openvino", None)
    onnx_engines.core.cache_clear()
    with pytest.raises(InputError, match=r"^paddle is not installed; for Paddle's engines: pip install paddlepaddle"):
        engines.create(tiny_weights, "paddle")
    with pytest.raises(InputError, match=r"^openvino is not installed; for OpenVINO: pip install openvino$"):
        engines.create(tiny_weights, "openvino")
    assert engines.create(tiny_weights).name == "onnx"


@pytest.mark.parametrize("name", ["paddle", "paddle-dygraph"])
def test_paddle_engines_refuse_tensors_of_the_wrong_shape(tiny_weights, name):
    tensors = tiny_weights.tensors | {"generator.out.weight": np.zeros((3, 9, 1, 1), np.float32)}
    with pytest.raises(InputError, match=r"tensor generator\.out\.weight: \[3, 9, 1, 1\], the network wants"):
        engines.create(dataclasses.replace(tiny_weights, tensors=tensors), name, "cpu")


def test_a_network_that_does_not_fit_into_the_memory_is_one_line(tiny_weights, monkeypatch):
    def fail(engine, model):
        raise EncodeError("Failed to serialize proto")

    monkeypatch.setattr(onnx_engines.OnnxRuntime, "_compile", fail)
    with pytest.raises(InputError, match=r"cannot run here \(Failed to serialize proto\); memory may be short"):
        engines.create(tiny_weights, "onnx", "cpu")


def test_the_onnx_engine_imports_neither_paddle_nor_ppgan(tiny_file):
    code = (
        "import sys, numpy as np, ppcartoon\n"
        f"ppcartoon.CartoonPredictor(weights_file={str(tiny_file)!r})(np.zeros((8, 8, 3), np.uint8))\n"
        "print(sorted({'paddle', 'ppgan'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
