"""The benchmarks of training steps, edge smoothing and image reading."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks import data, harness, training_step
from ppcartoon.data.edge_smoothing import smooth_edges
from ppcartoon.data.samples import draw_cartoon
from ppcartoon.images import Picture, write

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def benchmark(*options):
    return subprocess.run(
        [sys.executable, "tools/benchmark.py", "train", *options], capture_output=True, text=True, cwd=ROOT
    )


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_train_reports_equal_losses_speedups_and_parts():
    tiny = ("--size", "32", "--batch-size", "1", "--channels", "4", "--layer", "conv2_1", "--rounds", "2")
    done = benchmark(*tiny, "--threads", "1")
    assert done.returncode == 0, done.stderr
    summary, *lines = done.stdout.splitlines()
    assert float(summary.split("within ")[1].split(" ")[0]) <= training_step.TOLERANCE
    _, _, ours, reference, _, _, *parts = [cells(line) for line in lines if line]
    assert [ours[0], reference[0]] == [training_step.PPCARTOON, training_step.REFERENCE]
    assert reference[2:5] == ["1.00 (1.00 to 1.00)", "1.00", "1.00"]
    assert float(ours[3]) > 1
    assert all(50 < float(row[5].split()[0]) < 4000 for row in (ours, reference))
    assert len(parts) == 11
    assert sum(float(share.rstrip("%")) for _, _, share in parts) == pytest.approx(100, abs=1)


@pytest.mark.parametrize("options", [("--size", "13"), ("--channels", "5"), ("--rounds", "0"), ("--layer", "conv9_9")])
def test_invalid_option_gives_an_error_without_traceback(options):
    done = benchmark(*options)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("benchmark: ")
    assert "Traceback" not in done.stderr


def test_different_losses_raise_an_error(monkeypatch):
    def run(prepare, variants, rounds, threads):
        infos = [training_step.StepInfo([{"g_loss": loss}], 1.0) for loss in (1.0, 1.001)]
        return [harness.Result(info, [{"step": 1.0}], 1) for info in infos]

    monkeypatch.setattr(harness, "run", run)
    with pytest.raises(RuntimeError, match="different losses"):
        training_step.measure(64, 1, 4, "conv2_1", 1, 1)


def test_stopwatch_counts_nested_calls_for_the_innermost():
    class Work:
        def outer(self):
            time.sleep(0.02)
            self.inner()

        def inner(self):
            time.sleep(0.04)

    work, watch = Work(), training_step.Stopwatch()
    watch.watch(work, "outer", lambda: "outer")
    watch.watch(work, "inner", lambda: f"inner of {watch.label}")
    start = time.perf_counter()
    seconds = watch.time(work.outer)
    total = time.perf_counter() - start
    assert list(seconds) == ["outer", "inner of outer", training_step.OTHER]
    assert seconds["outer"] >= 0.02
    assert seconds["inner of outer"] >= 0.04
    assert 0.06 <= sum(seconds.values()) <= total


@pytest.mark.parametrize(
    "prepare, names",
    [(data.prepare_smoothing, (data.PPCARTOON, data.LOOP)), (data.prepare_reading, (data.CACHED, data.DECODED))],
)
def test_both_variants_use_the_same_images(tmp_path, prepare, names):
    for seed in range(3):
        write(tmp_path / f"cartoons/{seed}.png", Picture(draw_cartoon(seed, 48)))
    (info, measure), (other_info, measure_other) = (prepare(name, str(tmp_path)) for name in names)
    assert info == other_info
    assert measure() > 0 and measure_other() > 0


def test_loop_smooths_like_smooth_edges():
    noise = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    for image in (noise, draw_cartoon(0, 40)):
        looped = data.smooth_by_loop(image[..., ::-1])[..., ::-1]
        assert (looped != image).any()
        assert np.abs(looped - smooth_edges(image).astype(int)).max() <= 1
