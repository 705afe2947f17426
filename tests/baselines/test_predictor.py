"""Weights of baselines: exported, checked, and run beside our own."""

import json

import numpy as np
import paddle
import pytest
import safetensors.numpy

from ppcartoon import CartoonPredictor, InputError, images, weights
from ppcartoon.baselines.generators import GENERATORS, generator
from ppcartoon.baselines.predictor import open_weights
from ppcartoon.cli import evaluate, infer
from tests.helpers import tiny
from tests.helpers.samples import photo


@pytest.mark.parametrize("size", [(32, 32), (37, 50)])
def test_exported_weights_give_the_image_of_the_model_in_training(baseline, tmp_path, size):
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


def test_every_known_generator_can_be_built():
    assert GENERATORS.keys() == weights.BASELINES.keys()


def test_any_weights_run_over_photos(baseline_run, tiny_file, tmp_path, capsys):
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


def test_what_runs_on_onnx_says_what_runs_a_baseline(baseline_run, tmp_path, capsys):
    _, run = baseline_run
    images.write(tmp_path / "a.png", images.Picture(photo(16, 16)))
    file = str(run / "weights.safetensors")
    assert infer.main(["-i", str(tmp_path / "a.png"), "-w", file, "-o", str(tmp_path / "made")]) == 2
    error = capsys.readouterr().err
    assert "weights of another network" in error and "tools/evaluate.py run" in error and error.count("\n") == 1


def test_an_image_that_is_too_large_for_memory_is_refused(baseline_run):
    predictor = open_weights(baseline_run[1] / "weights.safetensors")
    assert predictor.tile_size(300, 400) == 0
    with pytest.raises(InputError, match=r"400000x300000 needs more than the .* GB of memory here: use a smaller"):
        predictor.tile_size(300000, 400000)


def test_what_is_missing_is_named_in_a_line(baseline_run, monkeypatch):
    with pytest.raises(InputError, match="no GPU that an installed paddlepaddle-gpu can use"):
        open_weights(baseline_run[1] / "weights.safetensors", "gpu")
    monkeypatch.setattr("ppcartoon.baselines.predictor.find_spec", lambda _: None)
    with pytest.raises(InputError, match="Generator runs on Paddle: pip install paddlepaddle"):
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
def test_a_file_cannot_ask_for_another_network(tmp_path, arguments):
    metadata = {"format": "ppcartoon", "network": json.dumps({"generator": arguments})}
    path = tmp_path / "odd.safetensors"
    path.write_bytes(safetensors.numpy.save({"a": np.zeros(1, np.float16)}, metadata))
    with pytest.raises(InputError, match="metadata key network"):
        weights.load(path)


@pytest.mark.parametrize("change", ["missing", "left over", "shape"])
def test_tensors_must_be_the_network_s(baseline, change):
    model = baseline.model
    tensors = model.export()
    first = sorted(tensors)[0]
    if change == "missing":
        del tensors[first]
    else:
        tensors[first if change == "shape" else "more"] = np.zeros((1, 2, 3), np.float32)
    with pytest.raises(InputError, match="is not in both the file and"):
        generator(weights.Weights(tensors, model.network, "x", "x", "x", "x"))
