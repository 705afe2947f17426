"""GPU engines without Paddle: what is chosen, checked, refused and said. Their GPU is the CPU, pretending."""

import dataclasses

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.reference import ReferenceEvaluator

from ppcartoon import InputError
from ppcartoon.cli.infer import main
from ppcartoon.images import Picture, psnr, write
from ppcartoon.inference import engines, onnx_graph
from ppcartoon.inference.engines import gpu_engines, onnx_engines, paddle_engines

pytestmark = pytest.mark.slow


def images(n=1, height=24, width=40):
    return np.random.default_rng(n).uniform(-1, 1, (n, 3, height, width)).astype(np.float32)


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """Pretends that a build of ONNX Runtime has these providers: name -> what its outputs are multiplied by.

    A provider with 0 does not load. Returns the sessions' providers and settings.
    """
    real, sessions = onnxruntime.InferenceSession, []

    class Session:
        def __init__(self, model, options, providers, **settings):
            names = [provider if isinstance(provider, str) else provider[0] for provider in providers]
            self.factor = factors.get(names[0], 1)
            self.names = names if self.factor else names[1:]
            self.session = real(model, options, ["CPUExecutionProvider"])
            if len(names) > 1:
                assert settings == {"enable_fallback": 0}
                sessions.append(providers)

        def get_providers(self):
            return self.names

        def run(self, outputs, inputs):
            return [np.float32(self.factor * output) for output in self.session.run(outputs, inputs)]

    factors = {}

    def install(**chosen):
        factors.update({f"{name}ExecutionProvider": factor for name, factor in chosen.items()})
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [*factors, "CPUExecutionProvider"])
        return sessions

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    monkeypatch.setattr(paddle_engines, "gpu", lambda: False)
    monkeypatch.setattr(gpu_engines, "cache_home", lambda: tmp_path / "cache")
    return install


@pytest.mark.parametrize("options", [{}, {"device": "gpu"}, {"device": "gpu", "engine": "onnx"}])
def test_first_provider_that_agrees_with_the_cpu_is_used_and_named(tiny_weights, installed, options):
    installed(Dml=1, CUDA=1, CoreML=1)
    engine = engines.create(tiny_weights, **options)
    assert (engine.name, engine.description) == ("onnx", "ONNX Runtime with CUDA in fp16 on the GPU")
    np.testing.assert_allclose(engine(images()), engines.create(tiny_weights, "onnx", "cpu")(images()), atol=0.01)


def test_provider_with_wrong_pixels_or_that_does_not_load_gives_way_to_the_next(tiny_weights, installed):
    installed(CUDA=0, MIGraphX=-1, Dml=float("nan"), CoreML=1)
    assert engines.create(tiny_weights).description == (
        "ONNX Runtime with CoreML in fp16 on the GPU, "
        "not CUDA (does not load; its libraries or the driver are missing), "
        f"MIGraphX (its cartoon differs from the CPU's, {_psnr_of_negative(tiny_weights):.0f} dB), "
        "DirectML (its cartoon differs from the CPU's, nan dB)"
    )


def _psnr_of_negative(weights):
    run = onnx_engines.OnnxRuntime(weights, 1)
    return engines.agreement(run, lambda image: -run(image))


def test_without_a_provider_that_works_auto_is_the_cpu_with_a_remark(tiny_weights, installed):
    installed()
    plain = engines.create(tiny_weights).description
    assert plain == engines.create(tiny_weights, device="cpu").description
    installed(CUDA=0)
    said = engines.create(tiny_weights).description
    assert said == f"{plain}, not CUDA (does not load; its libraries or the driver are missing)"
    assert engines.create(tiny_weights, device="cpu").description == plain
    assert engines.create(tiny_weights, "onnx", threads=1).description == "ONNX Runtime on 1 CPU threads"


@pytest.mark.parametrize(
    "platform, build", [("linux", '"onnxruntime-gpu[cuda,cudnn]"'), ("win32", "onnxruntime-directml")]
)
def test_device_gpu_refuses_in_one_line_with_what_was_tried_and_what_to_install(
    tiny_file, installed, monkeypatch, tmp_path, capsys, platform, build
):
    write(tmp_path / "photo.png", Picture(np.zeros((16, 16, 3), np.uint8)))
    options = [str(tmp_path / "photo.png"), "-w", str(tiny_file), "-o", str(tmp_path / "out"), "--device"]
    monkeypatch.setattr(gpu_engines.sys, "platform", platform)
    no_gpu = "ppcartoon: device gpu: no GPU that Paddle, ONNX Runtime or OpenVINO can use"
    remedy = f"; pip uninstall onnxruntime, pip install {build}; or omit --device for the CPU\n"
    installed()
    assert main([*options, "gpu"]) == 2
    assert capsys.readouterr() == ("", no_gpu + remedy)
    installed(CUDA=0, Dml=-1)
    assert main([*options, "gpu"]) == 2
    out, error = capsys.readouterr()
    assert out == "" and error.count("\n") == 1
    assert error.startswith(f"{no_gpu}: CUDA (does not load; ") and "DirectML (its cartoon differs " in error
    assert error.endswith(remedy)
    assert main([*options, "auto"]) == 0
    assert " CPU threads, not CUDA (does not load; " in capsys.readouterr().out


def test_two_builds_of_onnxruntime_are_named(tiny_weights, installed, monkeypatch):
    installed()
    both = {"onnxruntime": ["onnxruntime-gpu", "onnxruntime", "onnxruntime"]}
    monkeypatch.setattr(gpu_engines, "packages_distributions", lambda: both)
    message = (
        "OpenVINO can use; onnxruntime and onnxruntime-gpu overwrite one another, pip uninstall onnxruntime "
        "onnxruntime-gpu, then install one; or omit --device for the CPU$"
    )
    with pytest.raises(InputError, match=message):
        engines.create(tiny_weights, device="gpu")
    monkeypatch.delattr(onnxruntime, "get_available_providers")  # as after one of the two was uninstalled
    with pytest.raises(InputError, match=message):
        engines.create(tiny_weights, device="gpu")


@pytest.mark.parametrize(
    "wanted, accurate, used",
    [
        ("auto", ("fp16", "fp32"), "fp16"),
        ("auto", ("fp32",), "fp32"),
        ("fp32", ("fp16", "fp32"), "fp32"),
        ("fp16", ("fp32",), None),
    ],
)
def test_precision_on_a_gpu_is_fp16_if_accurate(tiny_weights, installed, monkeypatch, wanted, accurate, used):
    installed(CUDA=1)
    monkeypatch.setattr(
        engines, "agreement", lambda one, other: 38.0 if one.description.split()[5] in accurate else 37.9
    )
    if used:
        engine = engines.create(tiny_weights, precision=wanted)
        assert engine.description == f"ONNX Runtime with CUDA in {used} on the GPU"
    else:
        with pytest.raises(InputError, match=r"CUDA \(its cartoon differs from the CPU's, 38 dB\)"):
            engines.create(tiny_weights, device="gpu", precision=wanted)


def test_a_precision_that_fails_with_an_error_gives_way_to_fp32(tiny_weights, installed, monkeypatch):
    installed(CUDA=1)
    build = onnx_graph.build

    def without_fp16(weights, kind="own", half=False):
        if half:
            raise RuntimeError(
                "/src/kernels.cc:72 void find(Options&, const Kind&) no kernel for Conv in float16\nstack"
            )
        return build(weights, kind)

    monkeypatch.setattr(onnx_graph, "build", without_fp16)
    assert engines.create(tiny_weights).description == "ONNX Runtime with CUDA in fp32 on the GPU"
    with pytest.raises(InputError, match=r"CUDA \(no kernel for Conv in float16\); "):
        engines.create(tiny_weights, device="gpu", precision="fp16")


def test_bf16_and_int8_are_computed_on_the_cpu_though_there_is_a_gpu(tiny_weights, installed):
    installed(CUDA=1)
    with pytest.raises(InputError, match="tiny is not calibrated"):
        engines.create(tiny_weights, precision="int8")


def test_statistics_and_tiles_on_a_gpu_agree_with_the_cpu(tiny_weights, installed):
    installed(CUDA=1)
    pair = [engines.create(tiny_weights, "onnx", device) for device in ("gpu", "cpu")]
    (_, stats), (_, wanted) = (engine.run_blended(images(2), None, 1.0) for engine in pair)
    np.testing.assert_allclose(stats, wanted, rtol=0.01, atol=0.01)
    for alpha in (0.0, 0.5):
        assert psnr(*(engine.run_blended(images(1), wanted[:1], alpha)[0] for engine in pair), 2) > 50
    assert psnr(*(engine.with_fixed_stats(wanted[0])(images(1)) for engine in pair), 2) > 50
    pooled, expected = (engine.pooled_stats(images(2, 96, 96)) for engine in pair)
    np.testing.assert_allclose(pooled, expected, rtol=0.01, atol=0.01)


def test_tensorrt_runs_only_if_named_and_keeps_its_engines_by_weights(tiny_weights, installed, tmp_path):
    sessions = installed(Tensorrt=1, CUDA=1)
    assert "with CUDA" in engines.create(tiny_weights, device="gpu").description
    sessions.clear()
    assert "with TensorRT in fp32" in engines.create(tiny_weights, "tensorrt", precision="fp32").description
    tensors = {name: tensor * 1.01 for name, tensor in tiny_weights.tensors.items()}
    engines.create(dataclasses.replace(tiny_weights, tensors=tensors), "tensorrt", precision="fp32")
    assert [[each if isinstance(each, str) else each[0] for each in providers] for providers in sessions] == [
        ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    ] * 2
    folders = {providers[0][1]["trt_engine_cache_path"] for providers in sessions}
    assert folders == {str(path) for path in (tmp_path / "cache/ppcartoon/tensorrt").iterdir()} and len(folders) == 2
    installed(Tensorrt=0)
    with pytest.raises(InputError, match=r"^engine tensorrt: needs a GPU, .*: TensorRT \(does not load; "):
        engines.create(tiny_weights, "tensorrt")


def test_openvino_runs_on_the_gpu_that_it_finds(tiny_weights, installed, monkeypatch):
    core, compiled = onnx_engines.core(), []

    class Core:
        available_devices = ("CPU", "GPU.0", "GPU.1")

        def __getattr__(self, name):
            return getattr(core, name)

        def compile_model(self, model, device, settings):
            compiled.append((device, settings["INFERENCE_PRECISION_HINT"]))
            return core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    for module in (onnx_engines, gpu_engines):
        monkeypatch.setattr(module, "core", Core)
    installed()
    engine = engines.create(tiny_weights)
    assert (engine.name, engine.description) == ("openvino", "OpenVINO in fp16 on the GPU")
    engines.create(tiny_weights, "openvino", "gpu", precision="fp32")
    assert compiled == [("GPU", "f16"), ("GPU", "f32")]
    with pytest.raises(InputError, match="no GPU that"):
        engines.create(tiny_weights, "onnx", "gpu")


def computed(model, **inputs):
    """The outputs of a graph in the arithmetic that its types say; ONNX Runtime's CPU computes float16 in float32."""
    loaded = onnx.load_from_string(model.SerializeToString())
    onnx.checker.check_model(loaded, full_check=True)
    return ReferenceEvaluator(loaded).run(None, inputs)


@pytest.mark.parametrize("loudness", [1, 300])
def test_graphs_in_fp16_agree_with_fp32_though_squares_of_features_overflow_fp16(tiny_weights, loudness):
    tensors = dict(tiny_weights.tensors)
    tensors["encoder.0.weight"] = tensors["encoder.0.weight"] * loudness  # up to the first LN
    weights = dataclasses.replace(tiny_weights, tensors=tensors)
    image, given = images(), None
    for kind in ("measured", "own", "given", "blended"):
        inputs = {"image": image}
        inputs |= {"given": given} if kind in ("given", "blended") else {}
        inputs |= {"alpha": np.float32([0.5])} if kind == "blended" else {}
        half, full = (computed(onnx_graph.build(weights, kind, half), **inputs) for half in (True, False))
        assert half[0].dtype == np.float32 and full[0].std() > 0.05
        assert 45 < psnr(half[0], full[0], 2) < 100
        if len(full) > 1:
            np.testing.assert_allclose(half[1], full[1], rtol=0.01, atol=0.01)
            given = full[1] * np.float32([0.9, 1.2])
    half, full = (computed(onnx_graph.build(weights, "pooled", half), image=images(2, 96, 96))[0] for half in (1, 0))
    np.testing.assert_allclose(half, full, rtol=0.01, atol=0.01)
