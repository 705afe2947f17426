"""Measures variants in turn, each in its own process, so that other load on the machine affects all of them alike."""

from __future__ import annotations

import multiprocessing
import os
import resource
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from ppcartoon.errors import InputError

PAUSE = 0.5  # seconds between measurements: the threads of some runtimes keep spinning for a while


class Result(NamedTuple):
    """The measurements of one variant.

    Attributes:
        info: what `prepare` returned about the variant.
        measurements: one per round.
        peak_bytes: peak resident memory of the variant's process.
    """

    info: Any
    measurements: list[Any]
    peak_bytes: int


def run(
    prepare: Callable[..., tuple[Any, Callable[[], Any]]], variants: list[tuple], rounds: int, threads: int
) -> list[Result]:
    """Measures each variant once per round.

    Args:
        prepare: called in each variant's process with the variant's arguments; returns information about the variant
            and a function that takes one measurement.
        variants: the arguments of each variant.
        rounds: number of measurements per variant.
        threads: OpenMP threads of each process.

    Raises:
        InputError: `prepare` or a measurement raised it, or a process ended early.
    """
    os.environ["OMP_NUM_THREADS"] = str(threads)  # inherited; Paddle's dygraph reads it
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for variant in variants:
        pipe, child_pipe = context.Pipe()
        process = context.Process(target=_serve, args=(child_pipe, prepare, variant), daemon=True)
        process.start()
        child_pipe.close()
        pipes.append(pipe)
        processes.append(process)
    try:
        return _collect(pipes, rounds)
    finally:
        for pipe in pipes:
            pipe.close()
        for process in processes:
            process.join()


def run_once(function: Callable[..., Any], *arguments: Any, threads: int = 1) -> Any:
    """Calls a function in its own process.

    A process inherits its parent's peak memory, so the parent must stay small.
    """
    return run(_prepare_once, [(function, *arguments)], 0, threads)[0].info


def _prepare_once(function: Callable[..., Any], *arguments: Any) -> tuple[Any, None]:
    return function(*arguments), None


def _collect(pipes: list[Connection], rounds: int) -> list[Result]:
    infos = [_receive(pipe) for pipe in pipes]
    measurements: list[list[Any]] = [[] for _ in pipes]
    for _ in range(rounds):
        for pipe, values in zip(pipes, measurements):
            pipe.send(True)
            values.append(_receive(pipe))
            time.sleep(PAUSE)
    for pipe in pipes:
        pipe.send(False)
    return [Result(info, values, _receive(pipe)) for info, values, pipe in zip(infos, measurements, pipes)]


def _receive(pipe: Connection) -> Any:
    try:
        answer = pipe.recv()
    except EOFError as error:
        raise InputError("a process ended early: is there enough memory?") from error
    if isinstance(answer, InputError):
        raise answer
    return answer


def _serve(pipe: Connection, prepare: Callable, variant: tuple) -> None:
    """Runs in the child process: prepares the variant and takes a measurement for each True received."""
    with suppress(EOFError, BrokenPipeError):  # another variant has failed
        try:
            info, measure = prepare(*variant)
            pipe.send(info)
            while pipe.recv():
                pipe.send(measure())
        except InputError as error:
            pipe.send(error)
            return
        pipe.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
