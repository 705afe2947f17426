"""Inception-V3 with random weights, compared with features that pytorch-fid computed."""

import os
from pathlib import Path

import numpy as np
import paddle
import pytest

from ppcartoon.data import download
from ppcartoon.errors import InputError
from ppcartoon.evaluation import features, inception
from tests.helpers import inception_file, tiny, torch_save
from tests.helpers.samples import FIXTURES

ORACLE = os.environ.get("PPCARTOON_ORACLE")
ARCHIVES = [FIXTURES / "inception.npz"] + ([Path(ORACLE) / "inception.npz"] if ORACLE else [])


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory):
    return inception_file.write(tmp_path_factory.mktemp("inception") / "random.pth")


@pytest.fixture(scope="module")
def extractor(weights_file):
    return features.extractor("inception", weights_file)


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: path.parent.name)
def test_features_equal_those_of_pytorch_fid(extractor, archive):
    with np.load(archive) as table:
        images, expected, names = table["images"], table["features"], table["names"]
    assert set(names.astype(str)) == set(inception_file.table())
    found = extractor(list(images))
    assert found.dtype == np.float32 and found.shape == (len(images), extractor.dimensions)
    for one, other in zip(found, expected):
        assert tiny.relative(one, other) < 1e-4


def test_paddle_inference_and_dygraph_give_the_same_features_for_images_of_any_size(extractor, weights_file):
    images = [
        np.random.default_rng(i).integers(0, 256, size, np.uint8) for i, size in enumerate([(40, 60, 3), (7, 5, 3)])
    ]
    network = inception.load(weights_file)
    with paddle.no_grad():
        expected = network(paddle.to_tensor(np.stack([inception.to_inception(image) for image in images]))).numpy()
    found = extractor(images)
    assert tiny.relative(found, expected) < 1e-4
    assert tiny.relative(found[0], found[1]) > 1e-2


def test_resize_is_bilinear_without_aligned_corners_or_antialiasing():
    line = np.zeros(2990, np.uint8)
    line[4::10] = line[5::10] = 255  # the samples are between pixels 10 i + 4 and 10 i + 5; others do not count
    stripes = line[None, :, None].repeat(299, 0).repeat(3, 2)
    np.testing.assert_allclose(inception.to_inception(stripes), 1, atol=1e-5)
    step = np.repeat(np.uint8([0, 255])[None, :, None], 2, 0).repeat(3, 2)
    x = np.clip((np.arange(299) + 0.5) * 2 / 299 - 0.5, 0, 1)  # positions of the pixels in an image of two
    np.testing.assert_allclose(inception.to_inception(step)[0, 0], 2 * x - 1, atol=1e-5)


@pytest.mark.parametrize(
    "changed, reason",
    [
        (
            {"Mixed_7c.branch_pool.conv.weight": np.zeros((192, 2048, 1, 3), np.float32)},
            "[192, 2048, 1, 3], not [192, 2048",
        ),
        ({"Mixed_5b.branch1x1.bn.running_mean": np.zeros(63, np.float32)}, "of shape [63], not [64]"),
        ({"Conv2d_1a_3x3.bn.running_var": np.full(32, -1, np.float32)}, "Conv2d_1a_3x3 has values that are not finite"),
        ({"Conv2d_1a_3x3.bn.bias": np.full(32, np.nan, np.float32)}, "Conv2d_1a_3x3 has values that are not finite"),
    ],
)
def test_invalid_weights_give_an_error_that_names_them(tmp_path, changed, reason):
    with pytest.raises(InputError) as caught:
        inception.load(inception_file.write(tmp_path / "a.pth", **changed))
    assert str(caught.value).startswith(f"{tmp_path / 'a.pth'}: ") and reason in str(caught.value)


def test_weights_of_another_network_give_an_error(tmp_path):
    tensors = torch_save.tensors({"conv1.weight": np.zeros((64, 3, 7, 7), np.float32)})
    path = torch_save.write(tmp_path / "a.pth", tensors)
    with pytest.raises(InputError, match=r"Conv2d_1a_3x3.conv.weight is missing.*not pytorch-fid's Inception-V3"):
        inception.load(path)


def test_default_weights_are_verified_in_the_download_folder(weights_file, tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    place = download.weights_folder() / download.SOURCES["inception"].name
    place.parent.mkdir(parents=True)
    place.write_bytes(weights_file.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"Inception-V3 cannot be downloaded.*instead of sha256:6726825d"):
        features.extractor()
