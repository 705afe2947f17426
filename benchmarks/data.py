"""Speed of edge smoothing and image reading, and how long training waits for data."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from ppcartoon import images
from ppcartoon.data.cache import ImageStack, resize
from ppcartoon.data.edge_smoothing import CANNY, KERNEL, smooth_edges, smooth_folder
from ppcartoon.data.image_folder import image_files
from ppcartoon.data.samples import draw_cartoon
from ppcartoon.errors import InputError
from ppcartoon.utils.tables import markdown_table

from . import harness
from .common import median_range, ratio_range

SIZE, COUNT = 256, 100
PPCARTOON, LOOP = "ppcartoon", "Python loop over the edge pixels"
LOOP_COUNT = 8  # images per measurement of the loop
CACHED, DECODED = "memory-mapped cache", "decoded each time"
ROOT = Path(__file__).parents[1]


def measure(folder: Path | None, rounds: int) -> Iterator[str]:
    """Measures all on one CPU core; yields lines of Markdown.

    Args:
        folder: cartoons, of which the first COUNT are used; None for synthetic ones.
        rounds: measurements of each variant.

    Raises:
        InputError: the folder has no images, or `rounds` is less than 1.
    """
    if rounds < 1:
        raise InputError("--rounds must be at least 1")
    if folder:
        cartoons = [cv2.resize(images.read(file).rgb, (SIZE, SIZE)) for file in image_files(folder)[:COUNT]]
    else:
        cartoons = [draw_cartoon(i, SIZE) for i in range(COUNT)]
    with tempfile.TemporaryDirectory() as work:
        for i, rgb in enumerate(cartoons):
            images.write(Path(work) / "cartoons" / f"{i:03d}.jpg", images.Picture(rgb))
        yield from _compare("edge smoothing", prepare_smoothing, (PPCARTOON, LOOP), work, rounds)
        yield from _compare("reading", prepare_reading, (CACHED, DECODED), work, rounds)
    yield from _waiting()


def _compare(title: str, prepare: Callable, names: tuple[str, str], work: str, rounds: int) -> Iterator[str]:
    results = harness.run(prepare, [(name, work) for name in names], rounds, threads=1)
    rows = []
    for name, (_, seconds, _) in zip(names, results):
        ms = [1000 * s for s in seconds]
        speedup = ratio_range(results[-1].measurements, seconds)
        rows.append([name, median_range(ms), f"{1000 / statistics.median(ms):.0f}", speedup])
    return markdown_table([f"{title}, {results[0].info}", "ms per image, median (range)", "images/s", "speedup"], rows)


def prepare_smoothing(name: str, work: str) -> tuple[str, Callable[[], float]]:
    """Returns the share of changed pixels and a function that measures the seconds per image, from file to file.

    Raises:
        RuntimeError: the two implementations give different images.
    """
    cv2.setNumThreads(1)
    source = Path(work) / "cartoons"
    files = image_files(source)
    cartoons = [images.read(file).rgb for file in files[:LOOP_COUNT]]
    smoothed = [smooth_edges(cartoon) for cartoon in cartoons]
    for cartoon, expected in zip(cartoons, smoothed):
        if np.abs(smooth_by_loop(cartoon[..., ::-1])[..., ::-1] - expected.astype(int)).max() > 1:  # it rounds down
            raise RuntimeError("the two implementations of edge smoothing give different images")
    changed = statistics.mean((after != before).any(2).mean() for before, after in zip(cartoons, smoothed))

    def measure() -> float:
        with tempfile.TemporaryDirectory(dir=work) as target:
            start = time.perf_counter()
            if name == PPCARTOON:
                smooth_folder(source, Path(target), 1)
                return (time.perf_counter() - start) / len(files)
            for file in files[:LOOP_COUNT]:
                cv2.imwrite(f"{target}/{file.name}", smooth_by_loop(cv2.imread(str(file))))
            return (time.perf_counter() - start) / LOOP_COUNT

    return f"{changed:.0%} of the pixels changed", measure


def smooth_by_loop(image: np.ndarray) -> np.ndarray:
    """Edge smoothing of a BGR uint8 image, pixel by pixel, as in the usual scripts."""
    edges = cv2.dilate(cv2.Canny(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), *CANNY), np.ones((KERNEL, KERNEL), np.uint8))
    kernel = cv2.getGaussianKernel(KERNEL, 0)
    kernel, half = kernel @ kernel.T, KERNEL // 2
    padded, result = np.pad(image, ((half, half), (half, half), (0, 0)), mode="reflect"), image.copy()
    for y, x in zip(*np.nonzero(edges)):
        for channel in range(3):
            result[y, x, channel] = np.sum(padded[y : y + KERNEL, x : x + KERNEL, channel] * kernel)
    return result


def prepare_reading(name: str, work: str) -> tuple[str, Callable[[], float]]:
    """Returns the image size and a function that measures the seconds to get an image as its own array."""
    files = image_files(Path(work) / "cartoons")
    stack = ImageStack(files, SIZE, Path(work) / "stacks")
    order = np.random.default_rng(0).permutation(len(files))

    def measure() -> float:
        start = time.perf_counter()
        for i in order:
            np.array(stack[i] if name == CACHED else resize(images.read(files[i]).rgb, SIZE))
        return (time.perf_counter() - start) / len(order)

    return f"{SIZE}x{SIZE}", measure


def _waiting() -> Iterator[str]:
    """The share of time that training demo.yaml waits for data, from its metrics.jsonl."""
    rows = []
    for workers in (0, 2):
        with tempfile.TemporaryDirectory() as work:
            options = ["epochs=4", "model.init_epochs=2", "lr_scheduler.decay_epochs=0", "enable_visualdl=false"]
            options += [f"output_dir={work}", f"dataset.train.num_workers={workers}"]
            command = [sys.executable, ROOT / "tools/train.py", "-c", ROOT / "configs/demo.yaml", "-o", *options]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise InputError(f"training failed: {done.stderr.splitlines()[-1]}")
            lines = (Path(work) / "demo" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        steps = [step for step in map(json.loads, lines) if "data_share" in step]
        speed = statistics.median(step["images_per_second"] for step in steps)
        waiting = median_range([100 * step["data_share"] for step in steps])
        rows.append([f"{workers} workers", f"{speed:.2f}", f"{waiting} %"])
    header = ["demo.yaml, half in each stage", "images/s, median", "time spent waiting for data, median (range)"]
    yield from markdown_table(header, rows)
