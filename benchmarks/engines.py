"""Speed, memory and precision of the engines, compared with plain ONNX Runtime and PaddleGAN."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ppcartoon.errors import InputError
from ppcartoon.utils.tables import markdown_table

from . import common, harness
from .common import Style, format_number, median_range, ratio_range

if TYPE_CHECKING:
    from ppcartoon.inference.engines import Engine

WARM_UP = 2
HEIGHT, WIDTH, PHOTOS = 384, 512, 4  # photos on which precisions are compared
OPTIONS = ("engine", "device", "precision")
ENGINES = {  # values of the options
    "gpu-fp16": ("auto", "gpu", "fp16"),
    "gpu-fp32": ("auto", "gpu", "fp32"),
    "openvino-int8": ("openvino", "cpu", "int8"),
    "openvino-bf16": ("openvino", "cpu", "bf16"),
    "openvino-fp32": ("openvino", "cpu", "fp32"),
    "onnx": ("onnx", "cpu", "fp32"),
    "paddle": ("paddle", "cpu", "fp32"),
    "paddle-dygraph": ("paddle-dygraph", "cpu", "fp32"),
}
REFERENCES = {"plain-onnx": common.PLAIN, "paddlegan": common.PADDLEGAN}
NAMES = (*ENGINES, *REFERENCES)


def measure(
    style: Style, names: list[str] | None, sizes: list[int], batches: list[int], rounds: int, threads: int
) -> Iterator[str]:
    """Compares engines; yields lines of Markdown.

    Speedups are over the references, or over the last engine if there is no reference.

    Args:
        style: the measured style.
        names: engines from `NAMES`, one per row; None for all that this machine and the style support.
        sizes: heights and widths in pixels, multiples of 4.
        batches: batch sizes.
        rounds: measurements of each engine.
        threads: threads of each engine.

    Raises:
        InputError: an engine is not available.
    """
    names = names or harness.run_once(_supported, style)
    with tempfile.TemporaryDirectory() as folder:
        file = harness.run_once(common.write_onnx, style, Path(folder)) if "plain-onnx" in names else None
        for size in sizes:
            for batch in batches:
                variants = [(name, style, file, size, batch, threads) for name in names]
                yield from _table(names, size, batch, harness.run(_prepare, variants, rounds, threads))
    reduced = [name for name in names if name in ENGINES and ENGINES[name][2] != "fp32"]
    if reduced:
        rows = ([name, median_range(harness.run_once(_psnr_to_fp32, name, style, threads))] for name in reduced)
        yield from markdown_table(["engine", f"PSNR to fp32 in dB, {PHOTOS} photos of {WIDTH}x{HEIGHT}"], rows)


def _supported(style: Style) -> list[str]:
    from ppcartoon.inference.engines.onnx_engines import has_bf16, has_vnni

    runs = {"openvino-bf16": has_bf16(), "openvino-int8": has_vnni() and style.load().int8}
    runs |= {name: _runs(name, style) for name in ("gpu-fp16", "gpu-fp32")}
    return [name for name in NAMES if runs.get(name, True)]


def _runs(name: str, style: Style) -> bool:
    with suppress(InputError):
        return bool(_create(name, style, None))
    return False


def _create(name: str, style: Style, threads: int | None, precision: str = "") -> Engine:
    from ppcartoon.inference import engines

    engine, device, own = ENGINES[name]
    return engines.create(style.load(), engine, device, threads, precision or own)


def _prepare(
    name: str, style: Style, file: Path | None, size: int, batch: int, threads: int
) -> tuple[str, Callable[[], float]]:
    """Returns the description of the engine and a function that measures the seconds per image."""
    import numpy as np

    if name in ENGINES:
        network = _create(name, style, threads)
        description = network.description
    else:
        network = common.plain_onnx_runtime(file, threads) if name == "plain-onnx" else common.paddlegan_network()
        description = f"{REFERENCES[name]} on {threads} CPU threads"
    images = np.random.default_rng(0).uniform(-1, 1, (batch, 3, size, size)).astype(np.float32)
    for _ in range(WARM_UP):
        network(images)

    def measure() -> float:
        start = time.perf_counter()
        network(images)
        return (time.perf_counter() - start) / batch

    return description, measure


def _table(names: list[str], size: int, batch: int, results: list[harness.Result]) -> Iterator[str]:
    references = {REFERENCES[name]: result.measurements for name, result in zip(names, results) if name in REFERENCES}
    references = references or {results[-1].info: results[-1].measurements}
    speedups = [f"speedup over {reference}" for reference in references]
    rows = [
        [
            description,
            f"{size}x{size}",
            str(batch),
            median_range([1000 * s for s in seconds]),
            format_number(1 / statistics.median(seconds)),
            *(ratio_range(reference, seconds) for reference in references.values()),
            f"{peak_bytes / 1e6:.0f} MB",
        ]
        for description, seconds, peak_bytes in results
    ]
    return markdown_table(
        ["engine", "size", "batch", "ms per image, median (range)", "images/s", *speedups, "peak memory"], rows
    )


def _psnr_to_fp32(name: str, style: Style, threads: int) -> list[float]:
    """PSNR in dB between an engine's cartoons of photos and the same engine's in fp32."""
    from ppcartoon.images import from_network, psnr, to_network

    reduced, full = _create(name, style, threads), _create(name, style, threads, "fp32")
    inputs = [to_network(photo[None]) for photo in common.photos(PHOTOS, HEIGHT, WIDTH)]
    return [psnr(from_network(reduced(x)), from_network(full(x))) for x in inputs]
