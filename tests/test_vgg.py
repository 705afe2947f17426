"""VGG19's features, and the download of its file."""

import hashlib
import http.server
import os
import re
import socket
import threading
from functools import partial
from pathlib import Path

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
from vgg_file import table, write

from ppcartoon import vgg
from ppcartoon.errors import InputError

# isort: split
from ppgan.utils import download

CONV3_1 = 11  # layers up to it, in ppgan's count
ORACLE, VGG_FILE = Path(os.environ.get("PPCARTOON_ORACLE", "/nowhere/oracle")), "data/vgg19_conv1_1_to_conv3_4.npy"


@pytest.fixture
def small(tmp_path):
    return write(tmp_path / "small.npy", table())


def image(*shape):
    return paddle.to_tensor(np.random.default_rng(1).uniform(-1, 1, shape), "float32")


@paddle.no_grad()
def test_features_are_plain_convolutions_of_caffe_s_input(small):
    x = (image(2, 3, 16, 12).flip(1) + 1) * 127.5 - paddle.to_tensor([103.939, 116.779, 123.68]).reshape([1, 3, 1, 1])
    for name, (kernel, bias) in table().items():
        x = F.max_pool2d(x, 2, 2) if name in ("conv2_1", "conv3_1") else x
        x = F.conv2d(x, paddle.to_tensor(kernel.transpose(3, 2, 0, 1).copy()), paddle.to_tensor(bias), padding=1)
        assert x.numpy().min() < 0  # nothing is cut off before the ReLU
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


if (ORACLE.parent / VGG_FILE).is_file():

    @paddle.no_grad()
    def test_features_equal_the_oracle_s():
        with np.load(ORACLE / "golden.npz") as archive:
            photo, wanted = archive["photo"], archive["out.vgg"]
        features = vgg.VGG19("conv3_4", str(ORACLE.parent / VGG_FILE))(paddle.to_tensor(photo)).numpy()
        assert np.linalg.norm(features - wanted) / np.linalg.norm(wanted) < 1e-4


def test_a_partial_file_is_enough_up_to_its_end(small):
    assert vgg.VGG19("conv3_1", str(small))(image(1, 3, 8, 8)).shape == [1, 8, 2, 2]
    with pytest.raises(InputError, match=re.escape(f"{small}: has no conv3_2: take the whole")):
        vgg.VGG19("conv3_3", str(small))


def test_parameters_are_frozen_and_gradients_reach_the_image(small):
    net, x = vgg.VGG19("conv2_1", str(small)), image(1, 3, 8, 8)
    x.stop_gradient = False
    net(x).square().mean().backward()
    assert float(x.grad.abs().min()) > 0
    assert len(net.parameters()) == 6
    assert all(p.stop_gradient and p.grad is None for p in net.parameters())
    assert not net.training


def test_random_features_are_the_same_each_time():
    first, second = (vgg.VGG19("conv2_2", vgg.RANDOM)(image(1, 3, 16, 8)) for _ in range(2))
    assert paddle.equal_all(first, second)
    assert first.shape == [1, 128, 8, 4]
    assert 0.1 < float(first.std() / vgg.VGG19("conv1_1", vgg.RANDOM)(image(1, 3, 16, 8)).std()) < 10


@pytest.mark.parametrize("layer", ["conv3_5", "conv6_1", "M", "relu4_4", ""])
def test_unknown_layers_are_refused(layer):
    with pytest.raises(InputError, match=f"^vgg_layer '{layer}': unknown"):
        vgg.VGG19(layer, vgg.RANDOM)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "PPGAN_HOME", str(folder))
    monkeypatch.setattr(vgg, "PPGAN_HOME", str(folder))
    return folder


@pytest.fixture
def server(tmp_path):
    """Serves the folder of `small`, on a port of its own."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=tmp_path)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def place(monkeypatch, port, file, md5):
    """Makes this the address and checksum of VGG19."""
    url = f"http://127.0.0.1:{port}/{file}"
    monkeypatch.setattr(vgg.caffevgg, "model_urls", {"caffevgg19": (url, md5)})
    return url


def refusal(url, cache):
    with pytest.raises(InputError) as caught:
        vgg.VGG19("conv1_1")
    message = str(caught.value)
    assert message.startswith("VGG19 cannot be downloaded") and "\n" not in message
    assert all(part in message for part in (url, str(cache), "model.vgg_path"))
    return message


def test_the_file_is_downloaded_verified_and_kept(small, cache, server, monkeypatch):
    place(monkeypatch, server.server_port, "small.npy", hashlib.md5(small.read_bytes()).hexdigest())
    assert vgg.VGG19("conv3_1").parameters()[-1].shape == [8]
    assert vgg.download() == cache / "small.npy"
    assert (cache / "small.npy").read_bytes() == small.read_bytes()
    server.shutdown()
    server.socket.close()
    assert vgg.VGG19("conv3_1").parameters()[-1].shape == [8]


def test_a_damaged_copy_is_fetched_again(small, cache, server, monkeypatch):
    place(monkeypatch, server.server_port, "small.npy", hashlib.md5(small.read_bytes()).hexdigest())
    cache.mkdir()
    (cache / "small.npy").write_bytes(b"half of it")
    assert vgg.download().read_bytes() == small.read_bytes()


def test_a_wrong_checksum_is_refused(small, cache, server, monkeypatch):
    refusal(place(monkeypatch, server.server_port, "small.npy", "0" * 32), cache)


def test_an_answer_that_is_no_file_is_refused(cache, server, monkeypatch):
    refusal(place(monkeypatch, server.server_port, "no.npy", "0" * 32), cache)


def test_no_answer_is_one_line(cache, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # and nobody listens
        refusal(place(monkeypatch, free.getsockname()[1], "small.npy", "0" * 32), cache)
