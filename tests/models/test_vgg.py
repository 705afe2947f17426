"""VGG19's features, and the download of its file."""

import hashlib
import http.server
import os
import re
import threading
from functools import partial
from pathlib import Path

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest

from ppcartoon.data import download
from ppcartoon.errors import InputError
from ppcartoon.models import vgg
from tests.helpers.vgg_file import table, write

# isort: split
from ppgan.utils import download as ppgan_download

CONV3_1 = 11  # number of layers up to conv3_1, as ppgan counts them
ORACLE, VGG_FILE = Path(os.environ.get("PPCARTOON_ORACLE", "/nowhere/oracle")), "data/vgg19_conv1_1_to_conv3_4.npy"


@pytest.fixture
def small(tmp_path):
    return write(tmp_path / "small.npy", table())


def image(*shape):
    return paddle.to_tensor(np.random.default_rng(1).uniform(-1, 1, shape), "float32")


@paddle.no_grad()
def test_features_are_convolutions_of_caffe_s_input(small):
    x = (image(2, 3, 16, 12).flip(1) + 1) * 127.5 - paddle.to_tensor([103.939, 116.779, 123.68]).reshape([1, 3, 1, 1])
    for name, (kernel, bias) in table().items():
        x = F.max_pool2d(x, 2, 2) if name in ("conv2_1", "conv3_1") else x
        x = F.conv2d(x, paddle.to_tensor(kernel.transpose(3, 2, 0, 1).copy()), paddle.to_tensor(bias), padding=1)
        assert x.numpy().min() < 0  # no ReLU was applied
        assert paddle.allclose(vgg.VGG19(name, str(small))(image(2, 3, 16, 12)), x, rtol=1e-4, atol=1e-4), name
        x = F.relu(x)
    assert x.shape == [2, 8, 4, 3]


@paddle.no_grad()
def test_features_equal_those_of_ppgan_s_class(small, monkeypatch):
    ours = vgg.VGG19("conv3_1", str(small))
    monkeypatch.setattr(vgg.caffevgg, "get_path_from_url", lambda url, md5: small)
    monkeypatch.setattr(vgg.caffevgg.CaffeVGG19, "cfg", [4, 5, "M", 6, 7, "M", 8])
    theirs = vgg.caffevgg.CaffeVGG19(CONV3_1)
    assert paddle.equal_all(ours(image(1, 3, 8, 8)), theirs(image(1, 3, 8, 8)))


@paddle.no_grad()
def test_after_relu_gives_several_layers_from_one_pass(small):
    net, x = vgg.VGG19("conv3_1", str(small)), image(2, 3, 16, 12)
    found = net.after_relu(x, ("conv3_1", "conv1_2", "conv2_1"))
    assert found.keys() == {"conv1_2", "conv2_1", "conv3_1"}
    for name, features in found.items():
        assert paddle.allclose(features, F.relu(vgg.VGG19(name, str(small))(x))), name


if (ORACLE.parent / VGG_FILE).is_file():

    @paddle.no_grad()
    def test_features_equal_the_oracle_s():
        with np.load(ORACLE / "golden.npz") as archive:
            photo, wanted = archive["photo"], archive["out.vgg"]
        features = vgg.VGG19("conv3_4", str(ORACLE.parent / VGG_FILE))(paddle.to_tensor(photo)).numpy()
        assert np.linalg.norm(features - wanted) / np.linalg.norm(wanted) < 1e-4


def test_partial_file_serves_the_layers_that_it_contains(small):
    assert vgg.VGG19("conv3_1", str(small))(image(1, 3, 8, 8)).shape == [1, 8, 2, 2]
    with pytest.raises(InputError, match=re.escape(f"{small}: has no conv3_2; use the complete")):
        vgg.VGG19("conv3_3", str(small))


def test_parameters_are_frozen_and_gradients_reach_the_image(small):
    net, x = vgg.VGG19("conv2_1", str(small)), image(1, 3, 8, 8)
    x.stop_gradient = False
    net(x).square().mean().backward()
    assert float(x.grad.abs().min()) > 0
    assert len(net.parameters()) == 6
    assert all(p.stop_gradient and p.grad is None for p in net.parameters())
    assert not net.training


def test_random_features_are_the_same_every_time():
    first, second = (vgg.VGG19("conv2_2", vgg.RANDOM)(image(1, 3, 16, 8)) for _ in range(2))
    assert paddle.equal_all(first, second)
    assert first.shape == [1, 128, 8, 4]
    assert 0.1 < float(first.std() / vgg.VGG19("conv1_1", vgg.RANDOM)(image(1, 3, 16, 8)).std()) < 10


@pytest.mark.parametrize("layer", ["conv3_5", "conv6_1", "M", "relu4_4", ""])
def test_unknown_layers_are_refused(layer):
    with pytest.raises(InputError, match=f"^vgg_layer '{layer}': unknown"):
        vgg.VGG19(layer, vgg.RANDOM)


@pytest.fixture
def origin(small, tmp_path, monkeypatch):
    """Makes a local server the source of VGG19; returns the cache folder that it is downloaded into."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path)
    monkeypatch.setattr(handler.func, "log_message", lambda *_: None)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/small.npy"
        checksum = f"md5:{hashlib.md5(small.read_bytes()).hexdigest()}"
        monkeypatch.setitem(download.SOURCES, "vgg19", download.RemoteFile("VGG19", url, checksum))
        yield tmp_path / "home/.cache/ppgan"
        server.shutdown()
        thread.join()


def test_file_is_downloaded_once(small, origin):
    assert vgg.VGG19("conv3_1").parameters()[-1].shape == [8]
    small.unlink()
    assert vgg.VGG19("conv3_1").parameters()[-1].shape == [8]
    assert list(origin.iterdir()) == [origin / "small.npy"]


def test_failed_download_gives_one_line_with_the_remedy(small, origin):
    small.unlink()
    with pytest.raises(InputError) as caught:
        vgg.VGG19("conv1_1")
    message = str(caught.value)
    assert message.startswith("VGG19 cannot be downloaded") and "\n" not in message
    assert all(part in message for part in ("404", "md5:", str(origin / "small.npy"), "model.vgg_path"))


def test_url_checksum_and_folder_are_ppgan_s():
    url, md5 = vgg.caffevgg.model_urls["caffevgg19"]
    assert (download.SOURCES["vgg19"].url, download.SOURCES["vgg19"].checksum) == (url, f"md5:{md5}")
    assert str(download.weights_folder()) == ppgan_download.PPGAN_HOME
