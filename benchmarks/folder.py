"""A folder of photos from file to file, against the engine alone, and against plain ONNX Runtime file by file."""

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

from . import common, harness
from .common import Subject, number, ratios, spread, table

if TYPE_CHECKING:
    from ppcartoon.inference.engines import Network
    from ppcartoon.inference.predictor import CartoonPredictor

COUNT, HEIGHT, WIDTH = 12, 384, 512
OURS, ENGINE, PLAIN = "ppcartoon, the folder", "its engine alone, on tensors", f"{common.PLAIN}, file by file"
NAMES = (OURS, ENGINE, PLAIN)


def measure(subject: Subject, rounds: int, threads: int) -> Iterator[str]:
    """Lines of Markdown; ratios round by round."""
    with tempfile.TemporaryDirectory() as work:
        source = Path(work) / "photos"
        harness.apart(write_photos, source, COUNT, HEIGHT, WIDTH, 1)
        file = harness.apart(common.write_onnx, subject, Path(work), threads)
        results = harness.take(_prepare, [(name, subject, source, file, threads) for name in NAMES], rounds)
    seconds = {name: result.turns for name, result in zip(NAMES, results)}
    head = [f"{COUNT} JPEG files, {WIDTH}x{HEIGHT}", "ms an image, median (range)", "images/s"]
    head += ["part of the engine's rate", f"times as fast as {common.PLAIN}"]
    rows = []
    for name, each in seconds.items():
        rows.append([name, spread([1000 * s for s in each]), number(1 / statistics.median(each))])
        rows[-1] += [ratios(seconds[other], each) for other in (ENGINE, PLAIN)]
    yield results[0].facts
    yield ""
    yield from table(head, rows)


def write_photos(folder: Path, count: int, height: int, width: int, _: int) -> None:
    """Photos as JPEG."""
    from ppcartoon import images

    from .common import photos

    for i, rgb in enumerate(photos(count, height, width)):
        images.write(folder / f"{i:02d}.jpg", images.Picture(rgb))


def _prepare(name: str, subject: Subject, source: Path, file: Path, threads: int) -> tuple[str, Callable[[], float]]:
    """What runs, and what gives the seconds it takes for an image, after a first time."""
    files = sorted(source.iterdir())
    if name == PLAIN:
        description, once = name, _file_by_file(files, file, threads)
    else:
        predictor = subject.predictor(threads)
        description = predictor.engine.description
        once = _as_folder(predictor, source) if name == OURS else _tensors(predictor.engine, files)

    def turn() -> float:
        with tempfile.TemporaryDirectory() as target:
            start = time.perf_counter()
            once(Path(target))
            return (time.perf_counter() - start) / len(files)

    turn()
    return description, turn


def _as_folder(predictor: CartoonPredictor, source: Path) -> Callable[[Path], None]:
    from ppcartoon.inference.batch import BatchOptions, cartoonize_files
    from ppcartoon.inference.jobs import plan

    def once(target: Path) -> None:
        with contextlib.redirect_stderr(io.StringIO()) as remarks:  # and the bar that a terminal would get
            if cartoonize_files(predictor, plan([str(source)], target), BatchOptions()):
                raise InputError(remarks.getvalue())

    return once


def _tensors(network: Network, files: list[Path]) -> Callable[[Path], None]:
    from ppcartoon import images

    tensors = [images.to_network(images.read(file).rgb[None]) for file in files]
    return lambda _: [network(tensor) for tensor in tensors]


def _file_by_file(files: list[Path], model: Path, threads: int) -> Callable[[Path], None]:
    from ppcartoon import images

    network = common.plain(model, threads)

    def once(target: Path) -> None:
        for file in files:
            cartoon = network(images.to_network(images.read(file).rgb[None]))
            images.write(target / file.name, images.Picture(images.from_network(cartoon)[0]))

    return once


INFER = Path(__file__).parents[1] / "tools/infer.py"
COLD, WARM = "process, from launch to exit", "the same image, once more in a process that runs"
START_NAMES = (COLD, WARM)


def measure_start(subject: Subject, rounds: int, threads: int) -> Iterator[str]:
    """Lines of Markdown; the difference is taken round by round."""
    with tempfile.TemporaryDirectory() as work:
        harness.apart(write_photos, Path(work), 1, HEIGHT, WIDTH, 1)
        file = Path(work) / "00.jpg"
        cold, warm = (
            r.turns for r in harness.take(_prepare_start, [(n, subject, file, threads) for n in START_NAMES], rounds)
        )
    rows = [[name, spread(seconds)] for name, seconds in zip(START_NAMES, (cold, warm))]
    rows.append(["the start: the difference", spread([long - short for long, short in zip(cold, warm)])])
    yield from table([f"one JPEG file, {WIDTH}x{HEIGHT}", "s, median (range)"], rows)


def _prepare_start(name: str, subject: Subject, file: Path, threads: int) -> tuple[None, Callable[[], float]]:
    """What gives the seconds of a turn, after a first time, when all files are in the system's memory."""
    once = _process(subject, file, threads) if name == COLD else _call(subject, file, threads)

    def turn() -> float:
        start = time.perf_counter()
        once()
        return time.perf_counter() - start

    turn()
    return None, turn


def _process(subject: Subject, file: Path, threads: int) -> Callable[[], object]:
    command = [sys.executable, INFER, "-i", file, "-o", file.parent / "cold", *subject.options()]
    command += ["--device", "cpu", "--threads", str(threads)]

    def once() -> None:
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise InputError(f"{INFER} failed: {done.stderr}")

    return once


def _call(subject: Subject, file: Path, threads: int) -> Callable[[], object]:
    from ppcartoon import images

    predictor = subject.predictor(threads)
    return lambda: images.write(file.parent / "warm.jpg", images.Picture(predictor(images.read(file).rgb)))
