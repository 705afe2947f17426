"""The engines side by side: a process each, which take turns, so that a busy machine slows all of them alike."""

from __future__ import annotations

import multiprocessing
import os
import resource
import statistics
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import NamedTuple

WARM_UP = 2
PAUSE = 0.5  # seconds between turns: the threads of some runtimes spin for a while after their work


class Row(NamedTuple):
    """One engine at one size.

    Attributes:
        engine: its description.
        size: height and width in pixels.
        seconds: of each round, for one image.
        peak: resident memory at most, in bytes, of the engine's process.
    """

    engine: str
    size: int
    seconds: list[float]
    peak: int


def measure(engines: list[str], style: str, size: int, rounds: int, threads: int) -> list[Row]:
    """Times every engine once a round, for `rounds` rounds, on one image of size x size."""
    os.environ["OMP_NUM_THREADS"] = str(threads)  # read by Paddle's dygraph in the processes
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for name in engines:
        here, there = context.Pipe()
        processes.append(context.Process(target=_serve, args=(there, name, style, size, threads), daemon=True))
        processes[-1].start()
        there.close()
        pipes.append(here)
    descriptions = [pipe.recv() for pipe in pipes]
    seconds: list[list[float]] = [[] for _ in pipes]
    for _ in range(rounds):
        for pipe, times in zip(pipes, seconds):
            pipe.send(True)
            times.append(pipe.recv())
            time.sleep(PAUSE)
    for pipe in pipes:
        pipe.send(False)
    rows = [Row(d, size, times, pipe.recv()) for d, times, pipe in zip(descriptions, seconds, pipes)]
    for process in processes:
        process.join()
    return rows


def _serve(pipe: Connection, name: str, style: str, size: int, threads: int) -> None:
    """In a process of its own: makes the engine, then times one image for each True that comes."""
    import numpy as np

    from ppcartoon import engines, weights

    engine = engines.create(weights.load_style(style), name, "cpu", threads)
    image = np.random.default_rng(0).uniform(-1, 1, (1, 3, size, size)).astype(np.float32)
    for _ in range(WARM_UP):
        engine(image)
    pipe.send(engine.description)
    while pipe.recv():
        start = time.perf_counter()
        engine(image)
        pipe.send(time.perf_counter() - start)
    pipe.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def table(rows: list[Row]) -> Iterator[str]:
    """Lines of Markdown; ratios are to the last row, round by round: median (least to most)."""
    yield "| engine | size | ms, median (range) | images/s | times as fast | peak memory |"
    yield "|---|---|---|---|---|---|"
    for row in rows:
        ratios = [slow / fast for slow, fast in zip(rows[-1].seconds, row.seconds)]
        ms = [1000 * s for s in row.seconds]
        yield (
            f"| {row.engine} | {row.size}x{row.size} | {statistics.median(ms):.0f} ({min(ms):.0f} to {max(ms):.0f}) "
            f"| {1000 / statistics.median(ms):.2f} | {statistics.median(ratios):.2f} "
            f"({min(ratios):.2f} to {max(ratios):.2f}) | {row.peak / 1e6:.0f} MB |"
        )
