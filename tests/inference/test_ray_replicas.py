"""Networks in replicas on a Ray cluster: calls with a handle like Ray Serve's, and the service on a cluster."""

import io
import json
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from PIL import Image

from ppcartoon import images, weights
from ppcartoon.errors import InputError, UnavailableError
from ppcartoon.inference.predictor import CartoonPredictor
from ppcartoon.inference.ray_cluster import replicas
from ppcartoon.inference.ray_cluster.replicas import Replica, ReplicatedEngine
from tests.helpers import videos
from tests.helpers.samples import photo
from tests.helpers.visitors import Visitor, demo


class Handle:
    """A handle of one replica in this process; the errors in `failures` come before answers."""

    def __init__(self, replica, failures=()):
        self.replica, self.failures = replica, list(failures)

    def __getattr__(self, method):
        return SimpleNamespace(remote=lambda *arguments: self._response(method, arguments))

    def _response(self, method, arguments):
        def result(timeout_s):
            if self.failures:
                raise self.failures.pop(0)
            return getattr(self.replica, method)(*arguments)

        return SimpleNamespace(result=result)


@pytest.fixture(scope="module")
def replica(tiny_file):
    return Replica({"tiny": weights.load(tiny_file)}, "cpu", 1, False)


@pytest.fixture
def handle(replica):
    return Handle(replica)


@pytest.mark.parametrize("tile", [0, 64])
def test_cartoons_and_frames_equal_those_of_an_engine_here(handle, tiny_file, tile):
    here = CartoonPredictor(weights_file=tiny_file, device="cpu", threads=1, tile=tile)
    there = CartoonPredictor(weights_file=tiny_file, engine=ReplicatedEngine(handle, "tiny"), tile=tile)
    for name in ("name", "description", "on_gpu", "bytes_per_pixel"):
        assert getattr(there.engine, name) == getattr(here.engine, name)
    rgb = photo(90, 130)
    assert images.psnr(there(rgb), here(rgb)) > 40  # in bf16 with tiles, else equal
    _, stats = here.with_stats(photo(90, 130, seed=1), None, 1.0)
    for alpha in (0.0, 0.3, 1.0):
        (one, its_stats), (other, other_stats) = (each.with_stats(rgb, stats, alpha) for each in (there, here))
        assert images.psnr(one, other) > 40
        np.testing.assert_allclose(its_stats, other_stats, rtol=1e-4, atol=1e-5)


def test_a_call_whose_replica_died_is_repeated_once(handle, tiny_file):
    from ray.exceptions import RayActorError

    engine = ReplicatedEngine(handle, "tiny")
    predictor = CartoonPredictor(weights_file=tiny_file, engine=engine)
    expected = predictor(photo(32, 48))
    handle.failures = [RayActorError()]
    assert np.array_equal(predictor(photo(32, 48)), expected)
    handle.failures = [RayActorError(), RayActorError()]
    with pytest.raises(UnavailableError, match=r"^the cluster lost the work in progress; try again later$"):
        predictor(photo(32, 48))
    assert handle.failures == []


def test_a_cluster_that_does_not_answer_is_not_asked_again_with_smaller_tiles(handle, tiny_file):
    predictor = CartoonPredictor(weights_file=tiny_file, engine=ReplicatedEngine(handle, "tiny"), tile="auto")
    handle.failures = [TimeoutError(), TimeoutError()]
    with pytest.raises(UnavailableError, match=r"^the cluster did not answer within 120 seconds; try again later$"):
        predictor(photo(256, 384))
    assert len(handle.failures) == 1


def test_an_error_of_the_engine_is_raised_as_it_is(handle):
    from ray.exceptions import RayTaskError

    engine = ReplicatedEngine(handle, "tiny")
    handle.failures = [RayTaskError("run", "traceback", MemoryError("too much"))]
    with pytest.raises(MemoryError, match=r"^too much$"):
        engine.pooled_stats(np.zeros((1, 3, 32, 32), np.float32))


def test_a_missing_ray_serve_is_an_error_with_the_pip_command(tiny_weights, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("ray.serve")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(replicas, "connected", nullcontext)
    monkeypatch.delattr("ray.serve", raising=False)
    monkeypatch.setitem(sys.modules, "grpc", None)
    with pytest.raises(InputError, match=r'^grpc is not installed; for a Ray cluster: pip install "ray\[data,serve\]'):
        replicas.replicated({"tiny": tiny_weights}, "local", "cpu", "x").__enter__()


@pytest.mark.slow
def test_the_service_makes_photos_and_videos_on_a_cluster(tmp_path, tiny_file, predictor):
    clip = videos.write(tmp_path / "clip.mp4", videos.scenes(1, 2, seconds=0.5)).read_bytes()
    buffer = io.BytesIO()
    Image.fromarray(photo(64, 96)).save(buffer, "PNG")
    with (
        tempfile.TemporaryDirectory(prefix="r", dir="/tmp") as folder,  # a short path, as Ray's sockets need one
        demo(Path(folder), "-w", tiny_file, "--ray", "local", command="serve") as (process, address),
    ):
        visitor = Visitor(address)
        answer = visitor.post("cartoon", buffer.getvalue())
        cartoon = np.asarray(Image.open(io.BytesIO(answer.content)))
        assert np.abs(np.int16(cartoon) - np.int16(predictor(photo(64, 96)))).max() <= 1
        job = visitor.make("clip.mp4", clip)
        assert (job["state"], job["error"], job["frames"]) == ("done", "", 12)
        started = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        listening = [c.laddr.ip for each in started for c in each.net_connections() if c.status == psutil.CONN_LISTEN]
        assert len(listening) > 5 and {ip.removeprefix("::ffff:") for ip in listening} == {"127.0.0.1"}
        process.terminate()
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (0, "")
        assert [json.loads(line)["outcome"] for line in err.splitlines()] == ["done", "done"]
        assert not any(Path(folder).rglob("*.mp4"))
