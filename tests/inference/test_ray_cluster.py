"""Cartoons by a Ray cluster of two nodes on this machine, on loopback only."""

import importlib
import os
import signal
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ppcartoon import InputError
from ppcartoon.inference.batch import BatchOptions
from ppcartoon.inference.jobs import plan
from ppcartoon.inference.ray_cluster import jobs as cluster_jobs
from ppcartoon.inference.ray_cluster import run
from tests.helpers.samples import photo

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def address():
    """Starts the cluster, in a folder with a short path, as sockets need one."""
    with tempfile.TemporaryDirectory(prefix="r", dir="/tmp") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", folder)  # so that Ray does not register the cluster for this machine
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # loopback only
        from ray.cluster_utils import Cluster

        nodes = Cluster()
        (Path(folder) / "ray").mkdir()
        try:
            for _ in range(2):
                nodes.add_node(node_ip_address="127.0.0.1", include_dashboard=False, object_store_memory=80 << 20)
            yield nodes.address
        finally:
            nodes.shutdown()


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """30 photos in two folders, and two files that are no photos."""
    monkeypatch.chdir(tmp_path)
    Path("photos/sub").mkdir(parents=True)
    for i in range(30):
        Image.fromarray(photo(50 + i, 60, i)).save(f"photos/{'sub/' * (i % 2)}{i}.png")
    Path("photos/words.png").write_text("words")
    Path("photos/sub/half.png").write_bytes(Path("photos/0.png").read_bytes()[:60])
    return Path("photos")


def outputs(folder="cartoons"):
    return {str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file()}


def fragile():
    """A worker class that dies once at an image; local, so that Ray sends its code and not its name."""

    class Fragile(run.Worker):
        def _write(self, target, photo, rgb):
            once = Path(target).with_name("killed once")
            if target.endswith("11.png") and not once.exists():
                once.parent.mkdir(parents=True, exist_ok=True)
                once.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            super()._write(target, photo, rgb)

    return Fragile


def test_every_image_is_written_once_even_if_a_worker_dies(photos, address, tiny_file, predictor, capfd, monkeypatch):
    monkeypatch.setattr(run, "Worker", fragile())
    options = {"weights_file": tiny_file, "threads": 1}
    made, skipped, failures = run.run(["photos"], "cartoons", address, options, BatchOptions(), recursive=True)
    Path("cartoons/sub/killed once").unlink()
    assert (made, skipped) == (30, 0)
    failed = {"words.png", "sub/half.png"}
    assert {failure.split(": ")[0] for failure in failures} == {f"{photos.resolve()}/{name}" for name in failed}
    assert outputs() == {str(path.relative_to(photos)) for path in photos.rglob("*.png")} - failed
    for name in outputs():
        assert (np.asarray(Image.open(f"cartoons/{name}")) == predictor(photos / name)).all()
    out, err = capfd.readouterr()
    assert out == "" and sorted(err.splitlines()) == sorted(f"ppcartoon: {failure}" for failure in failures)

    for name in failed:
        (photos / name).unlink()
    before = {path: path.stat().st_mtime_ns for path in Path("cartoons").rglob("*.png")}
    again = run.run(["photos"], "cartoons", address, options, BatchOptions(), recursive=True, skip_existing=True)
    assert again == (0, 30, [])
    assert {path: path.stat().st_mtime_ns for path in Path("cartoons").rglob("*.png")} == before


def test_an_image_that_kills_its_worker_fails_alone(photos, tiny_file, monkeypatch):
    """Ray is simulated: a task whose worker dies has no results."""
    sizes = []

    def results(jobs, batch, size, arguments):
        sizes.append((len(jobs), batch, size))
        for start in range(0, len(jobs), size):
            task = jobs.slice(start, size)
            if not any(source.endswith(b"13.png") for source in task["source"].to_pylist()):
                yield from ((index, "", False, "") for index in task["index"].to_pylist())

    monkeypatch.setattr(run, "_results", results)
    monkeypatch.setattr(run, "connected", nullcontext)
    options = {"weights_file": tiny_file, "batch_size": 8}
    made, _, failures = run.run(["photos"], "cartoons", "auto", options, BatchOptions(), recursive=True)
    assert sizes == [(32, 8, 8), (8, 1, 1)]
    assert made == 31
    (failure,) = failures
    assert failure.startswith(f"{photos.resolve()}/sub/13.png: its worker died")


def test_a_list_to_a_uri_in_batches(photos, address, tiny_file, predictor):
    lines = ["photos/0.png", f"file://{photos.resolve()}/sub/1.png", "photos/2.png"]
    Path("list.txt").write_text("\n".join(lines))
    batch_options = BatchOptions(max_size=40, side_by_side=True)
    options = {"weights_file": tiny_file, "batch_size": 2}
    result = run.run(["@list.txt"], f"file://{Path.cwd()}/made", address, options, batch_options, suffix="_c")
    assert result == (3, 0, [])
    assert outputs("made") == {"0_c.png", "sub/1_c.png", "2_c.png"}
    pair = np.asarray(Image.open("made/0_c.png"))
    half = pair.shape[1] // 2
    assert max(pair.shape[0], half) == 40
    np.testing.assert_allclose(pair[:, half:], predictor(np.ascontiguousarray(pair[:, :half])), atol=1)


@pytest.mark.parametrize(
    "options, message", [({"threads": 99}, "has 99 CPUs$"), ({"device": "gpu"}, "has 1 CPUs and a GPU$")]
)
def test_resources_that_no_node_has_are_an_error(photos, address, tiny_file, options, message):
    with pytest.raises(InputError, match=message):
        run.run(["photos"], "cartoons", address, {"weights_file": tiny_file} | options, BatchOptions())


def test_an_output_that_cannot_be_written_is_fatal(photos, tiny_file):
    Path("file").touch()
    worker = run.Worker({}, tiny_file.read_bytes(), BatchOptions())
    jobs, _ = cluster_jobs.plan(["photos"], "file", recursive=False, suffix="", ext="auto", skip_existing=False)
    results = worker(jobs.slice(14)).to_pylist()  # the last photo, and words.png
    assert [row["fatal"] for row in results] == [True, False]
    assert results[0]["message"].endswith("file: a file is there, where a folder is needed")


def test_a_worker_without_a_predictor_reports_the_error_for_each_job(photos, tiny_file):
    worker = run.Worker({"engine": "onnx", "precision": "bf16"}, tiny_file.read_bytes(), BatchOptions())
    jobs, _ = cluster_jobs.plan(["photos"], "made", recursive=False, suffix="", ext="auto", skip_existing=False)
    assert {(row["fatal"], row["message"][:32]) for row in worker(jobs).to_pylist()} == {
        (True, "engine onnx computes in fp32: us")
    }


def test_frames_that_are_left_out_are_a_remark(photos, tiny_file):
    frames = [Image.new("RGB", (32, 24), color) for color in ("red", "blue")]
    frames[0].save("moving.webp", save_all=True, append_images=frames[1:])
    jobs, _ = cluster_jobs.plan(["moving.webp"], "made", recursive=False, suffix="", ext="auto", skip_existing=False)
    (row,) = run.Worker({}, tiny_file.read_bytes(), BatchOptions())(jobs).to_pylist()
    assert row["message"] == "" and row["remark"].endswith("moving.webp: the first of 2 frames is used, 1 left out")


def planned(inputs, output, **options):
    options = {"recursive": True, "suffix": "", "ext": "auto", "skip_existing": False} | options
    jobs, skipped = cluster_jobs.plan(inputs, output, **options)
    return {os.fsdecode(job["source"]): os.fsdecode(job["target"]) for job in jobs.to_pylist()}, skipped


@pytest.mark.parametrize("ext", ["auto", "png"])
def test_output_names_are_those_of_inference_jobs(tmp_path, monkeypatch, ext):
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "a.jpg", "a.tif", "sub/a.tif", "sub/a.png", "sub/deep/a.gif", os.fsdecode(b"\xff.png")):
        Path("in", name).parent.mkdir(parents=True, exist_ok=True)
        Path("in", name).touch()
    inputs = ["in", "in/sub", "in/a.*", "in/sub/deep"]
    expected = {
        str(j.source.resolve()): str(j.target.resolve()) for j in plan(inputs, Path("out"), recursive=True, ext=ext)
    }
    assert planned(inputs, "out", ext=ext) == (expected, 0)


def test_many_files_of_one_name_take_linear_time(tmp_path):
    (tmp_path / "list.txt").write_text("\n".join(f"s3://bucket{i}/a.png" for i in range(20000)))
    start = time.process_time()
    jobs, _ = planned([f"@{tmp_path}/list.txt"], "s3://bucket/out")
    assert len(set(jobs.values())) == 20000
    assert time.process_time() - start < 5


def test_outputs_that_would_replace_inputs_are_refused(photos):
    for output in ("photos", "photos/../photos"):
        with pytest.raises(InputError, match="would replace an input"):
            planned(["photos"], output)
    with pytest.raises(InputError, match="photos/sub: has files and is inside an input folder"):
        planned(["photos"], "photos/sub")
    jobs, skipped = planned(["photos"], "photos/sub", skip_existing=True)
    assert len(jobs) + skipped == 16
    with pytest.raises(InputError, match="writes into a folder"):
        planned(["photos"], "cartoon.png")


@pytest.mark.parametrize(
    "address, message",
    [
        ("127.0.0.1:1", "--ray 127.0.0.1:1: .*refused; give auto, local, or host:port"),
        ("nonsense", "--ray nonsense: .*; give auto"),
        ("ray://127.0.0.1:10001", "Ray Client is not supported"),
    ],
)
def test_addresses_without_a_cluster_are_refused(photos, tiny_file, address, message):
    with pytest.raises(InputError, match=message):
        run.run(["photos"], "cartoons", address, {"weights_file": tiny_file}, BatchOptions())
    assert not Path("cartoons").exists()


def test_a_missing_ray_is_an_error_with_the_pip_command(photos, tiny_file, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    remedy = r'for a Ray cluster: pip install "ray\[data,serve\]<2\.64"$'
    with pytest.raises(InputError, match=f"^ray is not installed; {remedy}"):
        run.run(["photos"], "cartoons", "local", {"weights_file": tiny_file}, BatchOptions())
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=f"^pyarrow is not installed; {remedy}"):
        importlib.reload(run)
