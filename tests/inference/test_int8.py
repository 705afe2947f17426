"""int8: cartoons close to fp32 in every kind of graph, and calibration that leaves costly convolutions in fp32."""

import json

import numpy as np
import onnx
import pytest
from PIL import Image

from ppcartoon import CartoonPredictor, InputError, weights
from ppcartoon.cli.export import main as export
from ppcartoon.data.samples import sample_photos
from ppcartoon.images import psnr, to_network
from ppcartoon.inference import engines, int8, onnx_graph
from tests.helpers.samples import photo


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder with a few photos."""
    folder = tmp_path_factory.mktemp("photos")
    for file in sample_photos():
        Image.open(file).reduce(3).save(folder / f"{file.stem}.png")
    return folder


@pytest.fixture(scope="module", params=["peppercarrot", "storybook"])
def shipped(request):
    """A shipped style, and its engines in int8 and fp32."""
    style = weights.load_style(request.param)
    return style, *(engines.create(style, "openvino", "cpu", 1, precision) for precision in ("int8", "fp32"))


def test_shipped_styles_in_int8_agree_with_fp32_with_own_given_and_blended_statistics(shipped):
    from skimage import data

    _, reduced, full = shipped
    image, other = (to_network(pixels[None, 100:356, 100:356]) for pixels in (data.astronaut(), data.coffee()))
    assert 36 < psnr(reduced(image), full(image), 2) < 60
    _, stats = full.run_blended(other, None, 1.0)
    for alpha in (0.0, 0.5, 1.0):
        pair = [engine.run_blended(image, stats, alpha)[0] for engine in (reduced, full)]
        assert psnr(*pair, 2) > 36
    np.testing.assert_allclose(reduced.pooled_stats(image)[:, 1], full.pooled_stats(image)[:, 1], rtol=0.02)


def test_tiles_in_int8_agree_with_fp32():
    from skimage import data

    tiles = (CartoonPredictor(precision=each, device="cpu", engine="openvino", tile=160) for each in ("int8", "fp32"))
    assert psnr(*(predictor(data.chelsea()[:, :320]) for predictor in tiles)) > 36


def test_only_convolutions_with_a_range_are_quantized(tiny_weights):
    model = onnx_graph.build(tiny_weights)
    before = model.SerializeToString()
    quantized = int8.quantize(model, {"encoder.2": [-0.5, 2.0], "generator.out": [-1.0, 3.0]})
    assert model.SerializeToString() == before
    read = onnx.load_from_string(quantized.SerializeToString())
    onnx.checker.check_model(read, full_check=True)
    tensors = {t.name: onnx.numpy_helper.to_array(t) for t in read.graph.initializer}
    assert {n for n, t in tensors.items() if t.dtype == np.int8} == {"encoder.2.weight", "generator.out.weight"}
    restored = tensors["encoder.2.weight"] * tensors["encoder.2.scales"][:, None, None, None]
    error = np.abs(restored - tiny_weights.tensors["encoder.2.weight"]).max((1, 2, 3))
    assert (error <= tensors["encoder.2.scales"] / 2 * 1.001).all()
    assert tensors["encoder.2.scale"] * (0 - float(tensors["encoder.2.zero"])) == pytest.approx(-0.5, abs=0.005)


def test_calibration_leaves_the_costliest_convolutions_in_fp32_until_photos_agree(tiny_weights, photos, monkeypatch):
    monkeypatch.setattr(int8, "MIN_PSNR", 0.0)
    everything = int8.calibrate(tiny_weights, photos)
    assert all(low <= 0 < high for low, high in everything.values())
    convolutions = {name.removesuffix(".weight") for name, t in tiny_weights.tensors.items() if t.ndim == 4}
    assert everything.keys() == convolutions - {"encoder.0", "generator.out"}
    monkeypatch.setattr(int8, "MIN_PSNR", 50.0)
    some = int8.calibrate(tiny_weights, photos)
    assert 0 < len(some) < len(everything) and some.items() <= everything.items()
    model = onnx_graph.build(tiny_weights)
    for image in int8._photos(photos):
        pair = (int8._compile(each)(image)[0] for each in (model, int8.quantize(model, some)))
        assert psnr(*pair, 2) >= 50
    monkeypatch.setattr(int8, "MIN_PSNR", 200.0)
    with pytest.raises(InputError, match="tiny: no convolution"):
        int8.calibrate(tiny_weights, photos)


def test_calibrated_weights_and_onnx_are_exported(tiny_file, photos, tmp_path, capsys):
    options = ["-w", str(tiny_file), "-o", str(tmp_path), "--precision", "int8"]
    assert export([*options, "--calibrate", str(photos)]) == 0
    model, file = tmp_path / "onnx/tiny.int8.onnx", tmp_path / "safetensors/tiny.safetensors"
    shown = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[0] for line in shown] == [str(model), str(file)]
    assert {each.key for each in onnx.load(model).metadata_props} >= {"licence", "input", "output"}
    ranges = json.loads(json.dumps(weights.load(file).int8))
    assert shown[0].startswith(f"{model}: {len(ranges)} convolutions in int8, PSNR ")
    cartoon = CartoonPredictor(weights_file=file, device="cpu", engine="openvino", precision="int8")(photo(48, 64))
    assert psnr(cartoon, CartoonPredictor(weights_file=file, device="cpu", precision="fp32")(photo(48, 64))) > 34


@pytest.mark.parametrize(
    "options, message",
    [
        (["--precision", "int8"], "tiny: not calibrated for int8: use --calibrate DIR"),
        (["--precision", "int8", "--calibrate", "nothing"], "nothing: no such folder, or no image in it"),
        (["--precision", "int8", "--format", "paddle"], "--precision int8 writes --format onnx only"),
        (["--calibrate", "photos"], "--calibrate is for --precision int8"),
    ],
)
def test_impossible_int8_exports_are_refused(tiny_file, tmp_path, capsys, options, message):
    assert export(["-w", str(tiny_file), "-o", str(tmp_path / "out"), *options]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
