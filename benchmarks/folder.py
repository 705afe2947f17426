"""Cartoonizing a folder of photos, compared with the engine alone and with plain ONNX Runtime; and the startup time."""

from __future__ import annotations

import contextlib
import io
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ppcartoon.errors import InputError
from ppcartoon.utils.tables import markdown_table

from . import common, harness
from .common import Style, format_number, median_range, ratio_range
from .engines import ENGINES, OPTIONS

if TYPE_CHECKING:
    from ppcartoon.inference.engines import Network
    from ppcartoon.inference.predictor import CartoonPredictor

COUNT, HEIGHT, WIDTH = 12, 384, 512
FOLDER, ENGINE, PLAIN = "ppcartoon, whole folder", "engine alone, on tensors", f"{common.PLAIN}, file by file"
NAMES = (FOLDER, ENGINE, PLAIN)
INFER = Path(__file__).parents[1] / "tools/infer.py"


def measure(style: Style, rounds: int, threads: int) -> Iterator[str]:
    """Measures photos from file to file; yields lines of Markdown."""
    with tempfile.TemporaryDirectory() as work:
        source = Path(work) / "photos"
        harness.run_once(write_photos, source, COUNT, HEIGHT, WIDTH)
        model = harness.run_once(common.write_onnx, style, Path(work))
        variants = [(name, style, source, model, threads) for name in NAMES]
        results = harness.run(_prepare, variants, rounds, threads)
    seconds = {name: result.measurements for name, result in zip(NAMES, results)}
    header = [
        f"{COUNT} JPEG files, {WIDTH}x{HEIGHT}",
        "ms per image, median (range)",
        "images/s",
        "fraction of the engine's speed",
        f"speedup over {common.PLAIN}",
    ]
    rows = [
        [
            name,
            median_range([1000 * s for s in each]),
            format_number(1 / statistics.median(each)),
            ratio_range(seconds[ENGINE], each),
            ratio_range(seconds[PLAIN], each),
        ]
        for name, each in seconds.items()
    ]
    yield results[0].info
    yield ""
    yield from markdown_table(header, rows)


def write_photos(folder: Path, count: int, height: int, width: int) -> None:
    """Writes photos as JPEG."""
    from ppcartoon import images

    for i, rgb in enumerate(common.photos(count, height, width)):
        images.write(folder / f"{i:02d}.jpg", images.Picture(rgb))


def _prepare(name: str, style: Style, source: Path, model: Path, threads: int) -> tuple[str, Callable[[], float]]:
    """Returns the description of the variant and a function that measures the seconds per image, after a warm-up."""
    files = sorted(source.iterdir())
    if name == PLAIN:
        description, cartoonize = name, _file_by_file(files, model, threads)
    else:
        predictor = style.predictor(threads)
        description = predictor.engine.description
        cartoonize = _whole_folder(predictor, source) if name == FOLDER else _tensors(predictor.engine, files)

    def measure() -> float:
        with tempfile.TemporaryDirectory() as target:
            start = time.perf_counter()
            cartoonize(Path(target))
            return (time.perf_counter() - start) / len(files)

    measure()
    return description, measure


def _whole_folder(predictor: CartoonPredictor, source: Path) -> Callable[[Path], None]:
    from ppcartoon.inference.batch import BatchOptions, cartoonize_files
    from ppcartoon.inference.jobs import plan

    def cartoonize(target: Path) -> None:
        with contextlib.redirect_stderr(io.StringIO()) as messages:  # and the progress bar
            if cartoonize_files(predictor, plan([str(source)], target), BatchOptions()):
                raise InputError(messages.getvalue())

    return cartoonize


def _tensors(network: Network, files: list[Path]) -> Callable[[Path], None]:
    from ppcartoon import images

    tensors = [images.to_network(images.read(file).rgb[None]) for file in files]

    def cartoonize(target: Path) -> None:
        for tensor in tensors:
            network(tensor)

    return cartoonize


def _file_by_file(files: list[Path], model: Path, threads: int) -> Callable[[Path], None]:
    from ppcartoon import images

    network = common.plain_onnx_runtime(model, threads)

    def cartoonize(target: Path) -> None:
        for file in files:
            cartoon = network(images.to_network(images.read(file).rgb[None]))
            images.write(target / file.name, images.Picture(images.from_network(cartoon)[0]))

    return cartoonize


def measure_startup(style: Style, names: list[str] | None, rounds: int, threads: int) -> Iterator[str]:
    """Measures the startup time, the difference between a new and a running process; yields lines of Markdown.

    Args:
        style: the measured style.
        names: engines from `engines.ENGINES`, others are ignored; None for the default one and ONNX Runtime, which is
            the one without extras.
        rounds: measurements of each engine.
        threads: threads of each engine.
    """
    chosen = {name: ENGINES[name] for name in names or () if name in ENGINES} or {
        "default": ("auto", "cpu", "auto"),
        "onnx": ENGINES["onnx"],
    }
    with tempfile.TemporaryDirectory() as work:
        harness.run_once(write_photos, Path(work), 1, HEIGHT, WIDTH)
        file = Path(work) / "00.jpg"
        variants = [(is_new, style, file, each, threads) for each in chosen.values() for is_new in (True, False)]
        seconds = [result.measurements for result in harness.run(_prepare_startup, variants, rounds, threads)]
    rows = [
        [name, median_range(cold), median_range(warm), median_range([new - old for new, old in zip(cold, warm)])]
        for name, cold, warm in zip(chosen, seconds[::2], seconds[1::2])
    ]
    header = [f"one JPEG file, {WIDTH}x{HEIGHT}, s", "new process, from launch to exit", "running process", "startup"]
    yield from markdown_table(header, rows)


def _prepare_startup(
    is_new: bool, style: Style, file: Path, engine: tuple[str, str, str], threads: int
) -> tuple[None, Callable[[], float]]:
    """Returns a function that measures seconds, after a warm-up that puts all files into the system's cache."""
    cartoonize = (_new_process if is_new else _running_process)(style, file, engine, threads)

    def measure() -> float:
        start = time.perf_counter()
        cartoonize()
        return time.perf_counter() - start

    measure()
    return None, measure


def _new_process(style: Style, file: Path, engine: tuple[str, str, str], threads: int) -> Callable[[], None]:
    command = [sys.executable, INFER, "-i", file, "-o", file.parent / "cold", *style.infer_options()]
    command += ["--working-size", "0", "--threads", str(threads)]
    command += [f"--{name}={value}" for name, value in zip(OPTIONS, engine)]

    def cartoonize() -> None:
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise InputError(f"{INFER} failed: {done.stderr}")

    return cartoonize


def _running_process(style: Style, file: Path, engine: tuple[str, str, str], threads: int) -> Callable[[], None]:
    from ppcartoon import images

    predictor = style.predictor(threads, **dict(zip(OPTIONS, engine)))
    return lambda: images.write(file.parent / "warm.jpg", images.Picture(predictor(images.read(file).rgb)))
