"""The engines side by side, at several sizes and batches, and beside what one would run instead."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from . import common, harness
from .common import Subject, number, ratios, spread, table

WARM_UP = 2
HEIGHT, WIDTH, PHOTOS = 384, 512, 4  # of the photos on which precisions are compared
OURS = {
    "openvino-bf16": ("openvino", "bf16"),
    "openvino-fp32": ("openvino", "fp32"),
    "onnx": ("onnx", "fp32"),
    "paddle": ("paddle", "fp32"),
    "paddle-dygraph": ("paddle-dygraph", "fp32"),
}
RIVALS = {"plain-onnx": common.PLAIN, "paddlegan": common.PADDLEGAN}
NAMES = (*OURS, *RIVALS)


def measure(
    subject: Subject, names: list[str] | None, sizes: list[int], batches: list[int], rounds: int, threads: int
) -> Iterator[str]:
    """Lines of Markdown; ratios are to the rivals, or to the last row where there are none, round by round.

    Args:
        subject: the weights.
        names: of `NAMES`, in the order of the rows; None for all that this CPU has instructions for.
        sizes: height and width in pixels, multiples of 4.
        batches: how many images at once.
        rounds: turns of each.
        threads: that each may use.

    Raises:
        InputError: an engine cannot be had.
    """
    names = names or harness.apart(_possible, threads)
    with tempfile.TemporaryDirectory() as folder:
        file = harness.apart(common.write_onnx, subject, Path(folder), threads) if "plain-onnx" in names else None
        for size in sizes:
            for batch in batches:
                variants = [(name, subject, file, size, batch, threads) for name in names]
                yield from _table(names, size, batch, harness.take(_prepare, variants, rounds))
    reduced = [name for name in names if name in OURS and OURS[name][1] != "fp32"]
    if reduced:
        rows = ([name, spread(harness.apart(_agreement, name, subject, threads))] for name in reduced)
        yield from table(["engine", f"PSNR against fp32 in dB, {PHOTOS} photos of {WIDTH}x{HEIGHT}"], rows)


def _possible(_: int) -> list[str]:
    from ppcartoon.inference.engines.onnx_engines import has_bf16

    return [name for name in NAMES if has_bf16() or not name.endswith("bf16")]


def _prepare(
    name: str, subject: Subject, file: Path | None, size: int, batch: int, threads: int
) -> tuple[str, Callable[[], float]]:
    """What runs, and what gives the seconds it takes for an image."""
    import numpy as np

    from ppcartoon.inference import engines

    if name in OURS:
        engine, precision = OURS[name]
        network = engines.create(subject.weights(), engine, "cpu", threads, precision)
        description = network.description
    else:
        network = common.plain(file, threads) if name == "plain-onnx" else common.paddlegan()
        description = f"{RIVALS[name]} on {threads} CPU threads"
    images = np.random.default_rng(0).uniform(-1, 1, (batch, 3, size, size)).astype(np.float32)
    for _ in range(WARM_UP):
        network(images)

    def turn() -> float:
        start = time.perf_counter()
        network(images)
        return (time.perf_counter() - start) / batch

    return description, turn


def _table(names: list[str], size: int, batch: int, results: list[harness.Result]) -> Iterator[str]:
    others = {RIVALS[name]: result.turns for name, result in zip(names, results) if name in RIVALS}
    others = others or {results[-1].facts: results[-1].turns}
    head = ["engine", "size", "batch", "ms an image, median (range)", "images/s"]
    head += [*(f"times as fast as {other}" for other in others), "peak memory"]
    rows = []
    for facts, seconds, peak in results:
        rows.append([facts, f"{size}x{size}", str(batch), spread([1000 * s for s in seconds])])
        rows[-1].append(number(1 / statistics.median(seconds)))
        rows[-1] += [*(ratios(other, seconds) for other in others.values()), f"{peak / 1e6:.0f} MB"]
    return table(head, rows)


def _agreement(name: str, subject: Subject, threads: int) -> list[float]:
    """PSNR in dB of an engine's cartoons of photos against its own in fp32."""
    from ppcartoon.images import from_network, to_network
    from ppcartoon.inference import engines

    from .common import photos, psnr

    engine, precision = OURS[name]
    one, other = (engines.create(subject.weights(), engine, "cpu", threads, each) for each in (precision, "fp32"))
    inputs = [to_network(photo[None]) for photo in photos(PHOTOS, HEIGHT, WIDTH)]
    return [psnr(from_network(one(x)), from_network(other(x))) for x in inputs]
