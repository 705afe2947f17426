"""The engines give the same cartoon, and say what is missing."""

import dataclasses
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import paddle
import pytest

from ppcartoon import InputError, engines


def images(n=1, height=24, width=40):
    return np.random.default_rng(n).uniform(-1, 1, (n, 3, height, width)).astype(np.float32)


@pytest.mark.parametrize("name", ["paddle", "paddle-dygraph"])
def test_engines_agree(tiny_weights, name):
    reference = engines.create(tiny_weights, "onnx", "cpu")
    engine = engines.create(tiny_weights, name, "cpu", threads=1)
    assert engine.name == name
    for batch in (images(), images(3, 16, 12), images()):
        wanted = reference(batch)
        assert wanted.std() > 0.05
        np.testing.assert_allclose(engine(batch), wanted, atol=1e-4)


def test_paddle_inference_runs_with_onednn_where_that_works(tiny_weights):
    engine = engines.create(tiny_weights, "paddle", "cpu")
    assert ("without oneDNN" in engine.description) == paddle.__version__.startswith("3.3.")


def test_all_cores_unless_told_otherwise(tiny_weights, monkeypatch):
    monkeypatch.setattr(engines, "cores", lambda: 3)
    assert engines.create(tiny_weights, "onnx").description == "ONNX Runtime on 3 CPU threads"
    engine = engines.create(tiny_weights, "onnx", threads=1)
    assert engine.description == "ONNX Runtime on 1 CPU threads"
    assert engine._session.get_session_options().intra_op_num_threads == 1


@pytest.mark.parametrize("name", ["onnx", "paddle", "paddle-dygraph"])
def test_threads_share_an_engine(tiny_weights, name):
    engine = engines.create(tiny_weights, name, "cpu", threads=1)
    batches = [images(1 + i % 2, 16 + 4 * i, 24) for i in range(8)]
    wanted = [engine(batch) for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        for got, want in zip(pool.map(engine, batches * 4), wanted * 4):
            np.testing.assert_allclose(got, want, atol=1e-6)


def test_onnx_runtime_reports_to_nobody(tiny_file, tmp_path):
    code = f"import numpy as np, ppcartoon; ppcartoon.CartoonPredictor(weights_file={str(tiny_file)!r})"
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    root = Path(__file__).parents[1]
    subprocess.run([sys.executable, "-c", code], env=environment, cwd=root, check=True)
    assert list(tmp_path.iterdir()) == []


def test_auto_on_a_cpu_is_onnx(tiny_weights):
    assert engines.create(tiny_weights, device="cpu").name == "onnx"


def test_a_gpu_takes_dygraph(tiny_weights, monkeypatch):
    made = []
    monkeypatch.setattr(engines, "_gpu", lambda: True)
    monkeypatch.setattr(
        engines, "_cartoonizer", lambda weights, device: made.append(device) or paddle.nn.Conv2D(1, 1, 1)
    )
    for engine in ("auto", "paddle", "paddle-dygraph"):
        with pytest.raises(AttributeError, match="generator"):  # the stand-in for a network has none
            engines.create(tiny_weights, engine)
    assert made == ["gpu"] * 3


def test_a_broken_paddle_beside_a_gpu_leaves_onnx_runtime(tiny_weights, monkeypatch):
    monkeypatch.setattr(engines.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    monkeypatch.setitem(sys.modules, "paddle", None)
    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda name: True)
    assert engines.create(tiny_weights).name == "onnx"
    with pytest.raises(InputError, match="device gpu: no GPU"):
        engines.create(tiny_weights, device="gpu")
    with pytest.raises(InputError, match="Paddle is installed but cannot be imported"):
        engines.create(tiny_weights, "paddle", "cpu")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"engine": "tensorflow"}, "'tensorflow': unknown, choose from auto, onnx"),
        ({"engine": "onnx", "device": "gpu"}, "engine onnx runs on the CPU"),
        ({"device": "gpu"}, "device gpu: no GPU"),
    ],
)
def test_what_is_not_there_is_said(tiny_weights, options, message, monkeypatch):
    monkeypatch.setattr(engines, "_gpu", lambda: False)
    with pytest.raises(InputError, match=message):
        engines.create(tiny_weights, **options)


def test_without_paddle_its_engines_say_how_to_get_it(tiny_weights, monkeypatch):
    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="Paddle is not installed; pip install"):
        engines.create(tiny_weights, "paddle")
    assert engines.create(tiny_weights).name == "onnx"


@pytest.mark.parametrize("name", ["paddle", "paddle-dygraph"])
def test_paddle_refuses_tensors_that_are_not_the_network_s(tiny_weights, name):
    tensors = tiny_weights.tensors | {"generator.out.weight": np.zeros((3, 9, 1, 1), np.float32)}
    with pytest.raises(InputError, match=r"tensor generator\.out\.weight: \[3, 9, 1, 1\], the network wants"):
        engines.create(dataclasses.replace(tiny_weights, tensors=tensors), name, "cpu")


def test_the_onnx_engine_imports_neither_paddle_nor_ppgan(tiny_file):
    code = (
        "import sys, numpy as np, ppcartoon\n"
        f"ppcartoon.CartoonPredictor(weights_file={str(tiny_file)!r})(np.zeros((8, 8, 3), np.uint8))\n"
        "print(sorted({'paddle', 'ppgan'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
