"""Inception-V3 against pytorch-fid's own figures, with made-up weights."""

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
    return inception_file.write(tmp_path_factory.mktemp("inception") / "made_up.pth")


@pytest.fixture(scope="module")
def extractor(weights_file):
    return features.extractor("inception", weights_file)


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: path.parent.name)
def test_features_are_those_of_pytorch_fid(extractor, archive):
    with np.load(archive) as table:
        images, wanted, names = table["images"], table["features"], table["names"]
    assert set(names.astype(str)) == set(inception_file.table())
    found = extractor(list(images))
    assert found.dtype == np.float32 and found.shape == (len(images), extractor.dimensions)
    for one, other in zip(found, wanted):
        assert tiny.relative(one, other) < 1e-4


def test_paddle_inference_and_dygraph_agree_on_images_of_any_sizes(extractor, weights_file):
    images = [
        np.random.default_rng(i).integers(0, 256, size, np.uint8) for i, size in enumerate([(40, 60, 3), (7, 5, 3)])
    ]
    network = inception.load(weights_file)
    with paddle.no_grad():
        wanted = network(paddle.to_tensor(np.stack([inception.to_inception(image) for image in images]))).numpy()
    found = extractor(images)
    assert tiny.relative(found, wanted) < 1e-4
    assert tiny.relative(found[0], found[1]) > 1e-2


def test_resizing_neither_aligns_corners_nor_smooths():
    line = np.zeros(2990, np.uint8)
    line[4::10] = line[5::10] = 255  # pixel i of 299 lies between 10 i + 4 and 10 i + 5: others must not count
    stripes = line[None, :, None].repeat(299, 0).repeat(3, 2)
    np.testing.assert_allclose(inception.to_inception(stripes), 1, atol=1e-5)
    step = np.repeat(np.uint8([0, 255])[None, :, None], 2, 0).repeat(3, 2)
    x = np.clip((np.arange(299) + 0.5) * 2 / 299 - 0.5, 0, 1)  # where the pixels lie in an image of two
    np.testing.assert_allclose(inception.to_inception(step)[0, 0], 2 * x - 1, atol=1e-5)


@pytest.mark.parametrize(
    "changed, why",
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
def test_weights_that_do_not_fit_are_refused(tmp_path, changed, why):
    with pytest.raises(InputError) as caught:
        inception.load(inception_file.write(tmp_path / "a.pth", **changed))
    assert str(caught.value).startswith(f"{tmp_path / 'a.pth'}: ") and why in str(caught.value)


def test_another_network_is_refused(tmp_path):
    tensors = torch_save.tensors({"conv1.weight": np.zeros((64, 3, 7, 7), np.float32)})
    path = torch_save.write(tmp_path / "a.pth", tensors)
    with pytest.raises(InputError, match=r"Conv2d_1a_3x3.conv.weight is missing.*not pytorch-fid's Inception-V3"):
        inception.load(path)


def test_without_a_path_the_published_file_is_taken_from_where_downloads_go(weights_file, tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    place = download.weights_folder() / download.SOURCES["inception"].name
    place.parent.mkdir(parents=True)
    place.write_bytes(weights_file.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"Inception-V3 cannot be downloaded.*instead of sha256:6726825d"):
        features.extractor()
