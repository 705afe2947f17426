"""Baseline weights: export, validation and prediction."""

import json
import sys

import numpy as np
import paddle
import pytest
import safetensors.numpy

from ppcartoon import CartoonPredictor, InputError, images, weights
from ppcartoon.baselines.generators import GENERATORS, load_generator
from ppcartoon.baselines.predictor import open_weights
from ppcartoon.cli import evaluate, infer
from tests.helpers import tiny
from tests.helpers.samples import photo

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("size", [(32, 32), (37, 50)])
def test_exported_weights_reproduce_the_trained_model_s_image(baseline, tmp_path, size):
    model, rgb = baseline.model, photo(*size)
    model.setup_input(tiny.batch())
    model.train_iter()
    baseline.export(tmp_path / "own.safetensors")
    predictor = open_weights(tmp_path / "own.safetensors")
    padded = paddle.to_tensor(images.to_network(images.pad(rgb)[None]))
    wanted = images.from_network(model.cartoonize(padded).numpy())[0, : size[0], : size[1]]
    made = predictor(rgb)
    assert made.shape == rgb.shape and made.dtype == np.uint8
    assert np.abs(made.astype(int) - wanted).max() <= 2  # float16 in the file


def test_every_baseline_of_the_weights_format_has_a_generator():
    assert GENERATORS.keys() == weights.BASELINES.keys()


def test_evaluate_run_takes_baseline_weights_and_ours(baseline_run, tiny_file, tmp_path, capsys):
    _, run = baseline_run
    for name, rgb in {"a": photo(30, 41), "b": photo(24, 24), "speck": photo(3, 40)}.items():
        images.write(tmp_path / "photos" / f"{name}.png", images.Picture(rgb))
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"nothing")
    made = {}
    for kind, file in (("baseline", run / "weights.safetensors"), ("ours", tiny_file)):
        arguments = ["run", "--weights", str(file), "-i", str(tmp_path / "photos"), "-o", str(tmp_path / kind)]
        assert evaluate.main(arguments) == 1
        said = capsys.readouterr()
        assert "broken.jpg: " in said.err and f"{2 if kind == 'baseline' else 1} failed" in said.out
        made[kind] = images.read(tmp_path / kind / "a.png").rgb
        assert made[kind].shape == (30, 41, 3)
        (tmp_path / kind / "a.png").unlink()
        evaluate.main([*arguments, "--skip-existing"])
        assert "skipped, there already" in capsys.readouterr().out
        np.testing.assert_array_equal(images.read(tmp_path / kind / "a.png").rgb, made[kind])
    assert not np.array_equal(made["baseline"], made["ours"])
    np.testing.assert_array_equal(made["ours"], CartoonPredictor(weights_file=tiny_file)(photo(30, 41)))


def test_infer_names_the_command_that_runs_baseline_weights(baseline_run, tmp_path, capsys):
    _, run = baseline_run
    images.write(tmp_path / "a.png", images.Picture(photo(16, 16)))
    file = str(run / "weights.safetensors")
    assert infer.main(["-i", str(tmp_path / "a.png"), "-w", file, "-o", str(tmp_path / "made")]) == 2
    error = capsys.readouterr().err
    assert "weights of another network" in error and "tools/evaluate.py run" in error and error.count("\n") == 1


def test_image_too_large_for_memory_is_refused(baseline_run):
    predictor = open_weights(baseline_run[1] / "weights.safetensors")
    assert predictor.tile_size(300, 400) == 0
    with pytest.raises(InputError, match=r"400000x300000 needs more than the .* GB of memory here: use a smaller"):
        predictor.tile_size(300000, 400000)


def test_missing_gpu_or_paddle_is_named(baseline_run, monkeypatch):
    with pytest.raises(InputError, match="no GPU that an installed paddlepaddle-gpu can use"):
        open_weights(baseline_run[1] / "weights.safetensors", "gpu")
    monkeypatch.setitem(sys.modules, "paddle", None)
    with pytest.raises(InputError, match=r"Generator: paddle is not installed; .*: pip install paddlepaddle"):
        open_weights(baseline_run[1] / "weights.safetensors")


@pytest.mark.parametrize(
    "arguments",
    [
        {"name": "ResnetGenerator", "input_nc": 3, "output_nc": 3, "ngf": 10**6, "n_blocks": 9},
        {"name": "ResnetGenerator", "input_nc": 3, "output_nc": 3, "ngf": 64, "n_blocks": True},
        {"name": "ResnetGenerator", "ngf": 64},
        {"name": "AnimeGenerator", "path": "/etc/passwd"},
        {"name": ["AnimeGenerator"]},
        {"name": "os.system"},
        3,
    ],
)
def test_weights_file_with_an_unknown_network_is_refused(tmp_path, arguments):
    metadata = {"format": "ppcartoon", "network": json.dumps({"generator": arguments})}
    path = tmp_path / "odd.safetensors"
    path.write_bytes(safetensors.numpy.save({"a": np.zeros(1, np.float16)}, metadata))
    with pytest.raises(InputError, match="metadata key network"):
        weights.load(path)


@pytest.mark.parametrize("change", ["missing", "left over", "shape"])
def test_tensors_that_do_not_fit_the_network_are_refused(baseline, change):
    model = baseline.model
    tensors = model.export()
    first = sorted(tensors)[0]
    if change == "missing":
        del tensors[first]
    else:
        tensors[first if change == "shape" else "more"] = np.zeros((1, 2, 3), np.float32)
    with pytest.raises(InputError, match="is not in both the file and"):
        load_generator(weights.Weights(tensors, model.network, "x", "x", "x", "x"))
