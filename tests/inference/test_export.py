"""Export: files make the same cartoons in other runtimes, describe themselves, and are written all or none."""

import dataclasses
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import openvino
import paddle
import pytest
import yaml

from ppcartoon import InputError, weights
from ppcartoon.inference import engines, export

pytestmark = pytest.mark.slow

TOOL = [sys.executable, Path(__file__).parents[2] / "tools" / "export.py"]


def run(*arguments, **options):
    return subprocess.run([*TOOL, *arguments], capture_output=True, text=True, **options)


@pytest.fixture(scope="module")
def tiny(tiny_file) -> weights.Weights:
    """Weights as they are in the file, in float16."""
    return weights.load(tiny_file)


@pytest.fixture(scope="module")
def exported(tiny_file, tmp_path_factory) -> Path:
    """A folder with all formats that the installed Paddle writes."""
    folder = tmp_path_factory.mktemp("exported") / "new"
    done = run("--weights", tiny_file, "-o", folder)
    assert done.returncode == 0, done.stderr
    formats, remark = export.possible()
    lines = done.stdout.splitlines()
    assert [line.split("/")[-2] for line in lines[: len(formats)]] == formats
    assert lines[len(formats) :] == [f"left out: {remark}"] * bool(remark)
    return folder


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def image(n=1, height=24, width=40):
    return np.random.default_rng(n).uniform(-1, 1, (n, 3, height, width)).astype(np.float32)


def paddle_inference(program: Path, batch: np.ndarray) -> np.ndarray:
    config = paddle.inference.Config(str(program), str(program.with_suffix(".pdiparams")))
    config.disable_glog_info()
    config.disable_mkldnn()
    predictor = paddle.inference.create_predictor(config)
    predictor.get_input_handle("image").copy_from_cpu(batch)
    predictor.run()
    return predictor.get_output_handle(predictor.get_output_names()[0]).copy_to_cpu()


def programs(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("tiny.*") if path.suffix in (".json", ".pdmodel")]


def test_writes_all_formats_of_the_installed_paddle(exported):
    wanted = {"onnx/tiny.onnx"}
    if not paddle.__version__.startswith("2."):
        wanted |= {"paddle/tiny.json", "paddle/tiny.pdiparams", "paddle/tiny.yml"}
    if not paddle.__version__.startswith("3.3."):
        wanted |= {"paddle-lite/tiny.pdmodel", "paddle-lite/tiny.pdiparams", "paddle-lite/tiny.yml"}
    assert files(exported) == wanted


@pytest.mark.parametrize("batch", [image(), image(3, 16, 12)], ids=["1x24x40", "3x16x12"])
def test_all_runtimes_agree_for_any_image_size(exported, tiny, batch):
    path = exported / "onnx" / "tiny.onnx"
    wanted = engines.create(tiny, "onnx", "cpu")(batch)
    assert wanted.std() > 0.05
    cartoons = [onnxruntime.InferenceSession(path).run(None, {"image": batch})[0]]
    cartoons.append(openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(batch)[0])
    cartoons += [paddle_inference(program, batch) for program in programs(exported)]
    assert len(cartoons) == 2 + len(export.possible()[0]) - 1
    for cartoon in cartoons:
        np.testing.assert_allclose(cartoon, wanted, atol=1e-4)


def test_onnx_is_valid_and_has_its_description(exported, tiny):
    model = onnx.load(exported / "onnx" / "tiny.onnx", load_external_data=False)
    onnx.checker.check_model(model, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    for value, name in ((inferred.graph.input, "image"), (inferred.graph.output, "cartoon")):
        assert value[0].name == name
        assert [d.dim_param or d.dim_value for d in value[0].type.tensor_type.shape.dim] == ["N", 3, "H", "W"]
    assert {p.key: p.value for p in model.metadata_props} == export.description(tiny)
    assert export.description(tiny)["attribution"] == "nobody"


def test_paddle_models_have_a_yml_description(exported, tiny):
    for program in programs(exported):
        read = yaml.safe_load(program.with_suffix(".yml").read_text(encoding="utf-8"))
        assert read == export.description(tiny)
        assert json.loads(read["network"]) == tiny.network


def test_files_contain_no_paths_of_python_code(exported):
    for path in exported.rglob("*.*"):
        assert b".py" not in path.read_bytes(), path


def test_descriptions_keep_special_characters(tiny, tmp_path):
    odd = dataclasses.replace(tiny, style="../Été: a/b", attribution='"Ann" \\ 漫画: #1 🐈')
    kind = export.possible()[0][-1]
    (done,) = export.export(odd, tmp_path, [kind])
    assert done.path.parent == tmp_path / kind and done.path.is_file()
    assert yaml.safe_load(done.path.with_suffix(".yml").read_text(encoding="utf-8"))["attribution"] == odd.attribution


@pytest.mark.parametrize("style, name", [("", "_"), ("Con", "Con_")])
def test_a_style_without_a_name_or_with_that_of_a_device_gets_a_file_name(tiny, tmp_path, style, name):
    export.export(dataclasses.replace(tiny, style=style), tmp_path, ["onnx"])
    assert files(tmp_path) == {f"onnx/{name}.onnx"}


def test_nothing_is_replaced_if_cartoons_differ(tiny, tmp_path, monkeypatch):
    old = tmp_path / "onnx" / "tiny.onnx"
    old.parent.mkdir()
    old.write_bytes(b"old")
    create = engines.create
    monkeypatch.setattr(engines, "create", lambda *args: lambda photos: create(*args)(photos) + np.float32(2e-3))
    with pytest.raises(InputError, match=r"tiny\.onnx: cartoons by ONNX Runtime differ by 2\.0e-03"):
        export.export(tiny, tmp_path, export.possible()[0])
    assert files(tmp_path) == {"onnx/tiny.onnx"}
    assert old.read_bytes() == b"old"


def test_nan_cartoons_are_refused(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(engines, "create", lambda *args: lambda photos: np.full_like(photos, np.nan))
    with pytest.raises(InputError, match="nothing was written"):
        export.export(tiny, tmp_path, ["onnx"])


def test_no_file_is_written_if_one_cannot_be_written(tiny, tmp_path):
    kind = export.possible()[0][-1]
    (tmp_path / kind).write_text("mine")
    with pytest.raises(InputError, match="a file is there, where a folder is needed"):
        export.export(tiny, tmp_path, ["onnx", kind])
    assert files(tmp_path) == {kind}


def test_a_failure_of_paddle_is_one_line(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(export.sys, "path", [])  # so that the subprocess cannot import the package
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        InputError, match=r"Paddle cannot save it \(ModuleNotFoundError: No module named 'ppcartoon'\)$"
    ):
        export.export(tiny, tmp_path, export.possible()[0][-1:])
    assert files(tmp_path) == set()


@pytest.mark.parametrize("size, kind", [(5, "onnx"), (5, "paddle"), (100, "paddle-lite")])
def test_full_disk_ends_the_command_with_1_names_the_file_and_leaves_none(tiny_file, tmp_path, size, kind):
    """A limit on file sizes simulates the full disk; writing fails in the same way."""
    if kind not in export.possible()[0]:
        pytest.skip(f"this version of Paddle does not write {kind}")

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000 * size, 1000 * size))

    done = run("--weights", tiny_file, "-o", tmp_path / "out", "--format", kind, preexec_fn=limit)
    assert done.returncode == 1 and done.stderr.startswith(f"ppcartoon export: {tmp_path}/out/{kind}/tiny")
    assert done.stderr.count("\n") == 1 and not list(tmp_path.iterdir())


def test_without_paddle_only_onnx_is_possible_and_a_remark_names_the_rest(tiny, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "paddle", None)
    formats, remark = export.possible()
    assert formats == ["onnx"] and "pip install paddlepaddle" in remark
    with pytest.raises(InputError, match="paddle-lite: paddle is not installed; for Paddle's engines: pip install"):
        export.export(tiny, tmp_path, ["onnx", "paddle-lite"])
    export.export(tiny, tmp_path, formats)
    assert files(tmp_path) == {"onnx/tiny.onnx"}


@pytest.mark.parametrize("version, formats", [("2.6.2", ["onnx", "paddle-lite"]), ("3.3.1", ["onnx", "paddle"])])
def test_paddle_versions_that_cannot_write_a_format(monkeypatch, version, formats):
    monkeypatch.setattr(paddle, "__version__", version)
    available, remark = export.possible()
    assert available == formats and remark.startswith(f"Paddle {version} does not write paddle")


def test_without_scikit_image_drawn_photos_are_compared(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage", None)
    drawn = export._photos()
    assert [photos.shape for photos in drawn] == [(2, 3, 256, 256), (1, 3, 192, 320)]
    assert all(photos.std() > 0.1 for photos in drawn)


def test_the_command_reports_an_error_in_one_line(tiny, tmp_path):
    path = tmp_path / "broken.safetensors"
    tensors = {name: tensor for name, tensor in tiny.tensors.items() if name != "generator.out.weight"}
    weights.save(path, dataclasses.replace(tiny, tensors=tensors))
    done = run("--weights", path, "-o", tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert (
        done.stderr.startswith("ppcartoon export: tiny: tensor generator.out.weight: missing")
        and done.stderr.count("\n") == 1
    )
    assert files(tmp_path) == {"broken.safetensors"}


def test_sigterm_leaves_no_files(tiny_file, tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    command = [*TOOL, "--weights", tiny_file, "-o", tmp_path / "exported"]
    with subprocess.Popen(command, env=os.environ | {"TMPDIR": str(work)}) as process:
        while not list(tmp_path.glob("exported/.*/onnx/*")):
            assert process.poll() is None
            time.sleep(0.02)
        process.terminate()
    assert process.returncode == 143
    assert files(tmp_path) == set() and list(work.iterdir()) == []
