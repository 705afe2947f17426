"""Tiles cover the image, are exact with the whole image's statistics, and close to it with sampled ones."""

import numpy as np
import pytest
from skimage import data, transform

import ppcartoon
from ppcartoon import weights
from ppcartoon.images import from_network, to_network
from ppcartoon.inference import engines, tiling
from ppcartoon.inference.predictor import CartoonPredictor
from tests.helpers.samples import photo


@pytest.mark.parametrize("tile", [64, 100, 512])
@pytest.mark.parametrize("length", [1, 3, 64, 65, 151, 152, 153, 500, 1023, 4096])
def test_spans_cover_a_length_once_with_the_receptive_field_as_margin(length, tile):
    spans = list(tiling.spans(length, tile))
    padded = length + -length % 4
    assert [x for span in spans for x in range(span.low, span.high)] == list(range(length))
    assert len({span.stop - span.start for span in spans}) == 1
    for span in spans:
        assert span.high - span.low <= tile
        assert span.start % 4 == span.stop % 4 == 0 <= span.start
        assert span.start <= max(span.low - tiling.MARGIN, 0)
        assert min(span.high + tiling.MARGIN, padded) <= span.stop <= padded


@pytest.mark.parametrize("encoder", ["CartoonLossDiscriminator", "CartoonLossNLayerDiscriminator"])
@pytest.mark.parametrize("size", [(200, 301), (97, 402), (5, 300)])
def test_tiles_are_exact_with_the_statistics_of_the_whole_image(tiny_weights, size, encoder):
    if encoder == "CartoonLossNLayerDiscriminator":
        tiny_weights = n_layer(tiny_weights)
    engine = engines.create(tiny_weights, "onnx", "cpu")
    image = photo(*size)
    padded = ppcartoon.images.pad(image)
    whole, stats = engine.run_blended(to_network(padded[None]), None, 1.0)
    tiles = tiling.cartoonize_tiles(engine, image, 64, stats[0])
    wanted = from_network(whole)[0, : size[0], : size[1]]
    assert wanted.std() > 10
    assert np.abs(tiles.astype(int) - wanted).max() <= 1


def test_progress_counts_the_tiles_of_a_photo(tiny_file):
    predictor, seen = CartoonPredictor(weights_file=tiny_file, engine="onnx", tile=64, working_size=0), []
    predictor.progress = lambda done, total: seen.append((done, total))
    predictor(photo(100, 180))
    assert seen == [(i, 6) for i in range(1, 7)]


def n_layer(like):
    """Random weights with the other encoder."""
    rng = np.random.default_rng(0)
    encoder = {"encoder.0.weight": (4, 3, 4, 4), "encoder.2.weight": (8, 4, 4, 4)}
    tensors = {name: value for name, value in like.tensors.items() if name.startswith("generator.")}
    tensors |= {name: np.float32(rng.normal(0, 0.2, shape)) for name, shape in encoder.items()}
    tensors |= {"encoder.3.weight": np.ones(8, np.float32), "encoder.3.bias": np.zeros(8, np.float32)}
    network = {
        "encoder": {"name": "CartoonLossNLayerDiscriminator", "channels": 4},
        "generator": like.network["generator"],
    }
    return weights.Weights(tensors, network, "n-layer", "", "", "")


def large_photo(size):
    """A photo with the noise of a camera."""
    image = transform.resize(data.astronaut(), (size, size), order=3)
    return np.uint8(np.clip(255 * image + np.random.default_rng(0).normal(0, 4, image.shape), 0, 255))


def test_tiles_with_sampled_statistics_are_close_to_the_whole_and_without_seams():
    """At least 40 dB PSNR; gradients across the borders of tiles within 3% of the whole image's."""
    image = large_photo(1024)
    cartoons = [ppcartoon.CartoonPredictor(tile=tile, working_size=0)(image).astype(float) for tile in (0, 256)]
    whole, tiles = cartoons
    assert 10 * np.log10(255**2 / np.square(tiles - whole).mean()) >= 40
    borders = [span.low for span in tiling.spans(1024, 256)][1:]
    assert borders == [256, 512, 768]
    gradients = [
        np.mean([np.abs(x[b] - x[b - 1]).mean() + np.abs(x[:, b] - x[:, b - 1]).mean() for b in borders])
        for x in cartoons
    ]
    assert gradients[1] == pytest.approx(gradients[0], rel=0.03)


@pytest.mark.parametrize("size", [(3000, 96), (50, 4000), (400, 700)])
def test_samples_are_spread_evenly_over_the_image(size):
    y, x = np.mgrid[: size[0], : size[1]]
    image = np.uint8(np.stack([255 * y / size[0], 255 * x / size[1], 0 * x], -1))
    samples = tiling._samples(image, 144)
    assert samples.shape[1:] == (tiling.SIDE, tiling.SIDE, 3) and 72 <= len(samples) <= 144
    np.testing.assert_allclose(samples.mean((0, 1, 2)), image.mean((0, 1)), atol=6)
    counts, _ = np.histogram(samples[..., np.argmax(size)], bins=8, range=(0, 256))
    assert counts.min() > 0.5 * counts.mean()
