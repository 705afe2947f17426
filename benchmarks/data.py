"""Preparing and reading data: edge smoothing, the cache of images, and waiting for the loader."""

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

from . import harness
from .common import spread

SIZE, COUNT = 256, 100
OURS, LOOP = "ppcartoon", "loop over the edge pixels in Python"
LOOPED = 8  # images of a turn
CACHED, DECODED = "memory-mapped cache", "decoded each time"
ROOT = Path(__file__).parents[1]


def measure(folder: Path | None, rounds: int) -> Iterator[str]:
    """Lines of Markdown. Rates are those of one core; ratios are to the row below, round by round.

    Args:
        folder: of cartoons, the first COUNT of which are taken; None for some drawn by code.
        rounds: turns of each variant.

    Raises:
        InputError: the folder has no images, or there are no rounds.
    """
    if rounds < 1:
        raise InputError("--rounds is at least 1")
    with tempfile.TemporaryDirectory() as work:
        source, some = Path(work) / "cartoons", [draw_cartoon(i, SIZE) for i in range(COUNT if folder is None else 0)]
        some += [images.read(file).rgb for file in image_files(folder)[:COUNT]] if folder else []
        for i, rgb in enumerate(some):
            images.write(source / f"{i:03d}.jpg", images.Picture(cv2.resize(rgb, (SIZE, SIZE))))
        for what, prepare, names in (("smoothing", _smoothing, (OURS, LOOP)), ("reading", _reading, (CACHED, DECODED))):
            yield from _table(what, names, harness.take(prepare, [(name, work, 1) for name in names], rounds))
    yield from _waiting()


def _smoothing(name: str, work: str, threads: int) -> tuple[str, Callable[[], float]]:
    """The share of pixels that change, and what gives the seconds an image takes from file to file.

    Raises:
        RuntimeError: the two ways give different images.
    """
    cv2.setNumThreads(threads)
    source = Path(work) / "cartoons"
    files = image_files(source)
    cartoons = [images.read(file).rgb for file in files[:LOOPED]]
    differences = (np.abs(_loop(c[..., ::-1])[..., ::-1].astype(int) - smooth_edges(c)).max() for c in cartoons)
    if max(differences) > 1:  # the loop cuts off fractions
        raise RuntimeError("the two ways of smoothing give different images")
    changed = statistics.mean((smooth_edges(c) != c).any(2).mean() for c in cartoons)

    def turn() -> float:
        with tempfile.TemporaryDirectory(dir=work) as target:
            start = time.perf_counter()
            if name == OURS:
                smooth_folder(source, Path(target), threads)
                return (time.perf_counter() - start) / len(files)
            for file in files[:LOOPED]:
                cv2.imwrite(f"{target}/{file.name}", _loop(cv2.imread(str(file))))
            return (time.perf_counter() - start) / LOOPED

    return f"{changed:.0%} of the pixels change", turn


def _loop(image: np.ndarray) -> np.ndarray:
    """Edge smoothing as the usual scripts write it, pixel by pixel."""
    edges = cv2.dilate(cv2.Canny(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), *CANNY), np.ones((KERNEL, KERNEL), np.uint8))
    kernel = cv2.getGaussianKernel(KERNEL, 0)
    kernel, half = kernel @ kernel.T, KERNEL // 2
    padded, result = np.pad(image, ((half, half), (half, half), (0, 0)), mode="reflect"), image.copy()
    for y, x in zip(*np.nonzero(edges)):
        for channel in range(3):
            result[y, x, channel] = np.sum(padded[y : y + KERNEL, x : x + KERNEL, channel] * kernel)
    return result


def _reading(name: str, work: str, _: int) -> tuple[str, Callable[[], float]]:
    """The size of the cache, and what gives the seconds until an image is there as an array of its own."""
    files = image_files(Path(work) / "cartoons")
    stack = ImageStack(files, SIZE, Path(work) / "stacks")
    order = np.random.default_rng(0).permutation(len(files))

    def turn() -> float:
        start = time.perf_counter()
        for i in order:
            np.array(stack[i] if name == CACHED else resize(images.read(files[i]).rgb, SIZE))
        return (time.perf_counter() - start) / len(order)

    return f"{SIZE}x{SIZE}", turn


def _table(what: str, names: tuple[str, ...], results: list[harness.Result]) -> Iterator[str]:
    yield f"| {what}, {results[0].facts} | ms an image, median (range) | images/s | times as fast |"
    yield "|---|---|---|---|"
    for name, result in zip(names, results):
        ms = [1000 * seconds for seconds in result.turns]
        ratios = [slow / fast for slow, fast in zip(results[-1].turns, result.turns)]
        yield f"| {name} | {spread(ms)} | {1000 / statistics.median(ms):.0f} | {spread(ratios)} |"
    yield ""


def _waiting() -> Iterator[str]:
    """How long the steps of demo.yaml wait for their data, by the trainer's own account."""
    yield "| demo.yaml, half of it in each stage | images/s, median | time spent waiting for data, median (range) |"
    yield "|---|---|---|"
    for workers in (0, 2):
        with tempfile.TemporaryDirectory() as work:
            options = ["epochs=4", "model.init_epochs=2", "lr_scheduler.decay_epochs=0", "enable_visualdl=false"]
            options += [f"output_dir={work}", f"dataset.train.num_workers={workers}"]
            command = [sys.executable, ROOT / "tools/train.py", "-c", ROOT / "configs/demo.yaml", "-o", *options]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise InputError(f"training failed: {done.stderr.splitlines()[-1]}")
            lines = (Path(work) / "demo" / "metrics.jsonl").read_text().splitlines()
        steps = [row for row in map(json.loads, lines) if "data_share" in row]
        rate = statistics.median(row["images_per_second"] for row in steps)
        yield f"| {workers} workers | {rate:.2f} | {spread([100 * row['data_share'] for row in steps])} % |"
