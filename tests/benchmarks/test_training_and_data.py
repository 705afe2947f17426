"""The comparisons of training steps, and of ways to prepare and read data."""

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


def test_train_prints_equal_losses_ratios_and_parts():
    tiny = ("--size", "32", "--batch-size", "1", "--channels", "4", "--layer", "conv2_1", "--rounds", "2")
    done = benchmark(*tiny, "--threads", "1")
    assert done.returncode == 0, done.stderr
    verdict, _, _, _, ours, other, _, _, _, *step = done.stdout.splitlines()
    assert float(verdict.split("within ")[1].split(",")[0]) <= training_step.TOLERANCE
    ours, other = cells(ours), cells(other)
    assert [ours[0], other[0]] == [training_step.OURS, training_step.STRAIGHTFORWARD]
    assert other[2:5] == ["1.00 (1.00 to 1.00)", "1.00", "1.00"]
    assert float(ours[3]) > 1
    assert all(50 < float(row[5].split()[0]) < 4000 for row in (ours, other))
    assert len(step) == 11
    assert sum(float(cells(line)[2].rstrip("%")) for line in step) == pytest.approx(100, abs=1)


@pytest.mark.parametrize("options", [("--size", "13"), ("--channels", "5"), ("--rounds", "0"), ("--layer", "conv9_9")])
def test_a_bad_option_is_one_line(options):
    done = benchmark(*options)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("benchmark: ")
    assert "Traceback" not in done.stderr


def test_different_losses_are_an_error(monkeypatch):
    def take(prepare, variants, rounds):
        return [
            harness.Result(training_step.Facts([{"g_loss": loss}], 1.0), [{"step": 1.0}], 1) for loss in (1.0, 1.001)
        ]

    monkeypatch.setattr(harness, "take", take)
    with pytest.raises(RuntimeError, match="different losses"):
        training_step.measure(64, 1, 4, "conv2_1", 1, 1)


def test_the_stopwatch_gives_each_moment_to_the_innermost_call():
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
    whole = time.perf_counter() - start
    assert list(seconds) == ["outer", "inner of outer", training_step.REST]
    assert seconds["outer"] >= 0.02
    assert seconds["inner of outer"] >= 0.04
    assert 0.06 <= sum(seconds.values()) <= whole


@pytest.mark.parametrize(
    "prepare, names", [(data._smoothing, (data.OURS, data.LOOP)), (data._reading, (data.CACHED, data.DECODED))]
)
def test_both_ways_of_preparing_data_take_the_same_images(tmp_path, prepare, names):
    for seed in range(3):
        write(tmp_path / f"cartoons/{seed}.png", Picture(draw_cartoon(seed, 48)))
    (ours, turn), (other, turn_of_other) = (prepare(name, str(tmp_path), 1) for name in names)
    assert ours == other
    assert turn() > 0 and turn_of_other() > 0


def test_the_loop_smooths_as_we_do():
    noise = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    for image in (noise, draw_cartoon(0, 40)):
        looped = data._loop(image[..., ::-1])[..., ::-1]
        assert (looped != image).any()
        assert np.abs(looped - smooth_edges(image).astype(int)).max() <= 1
