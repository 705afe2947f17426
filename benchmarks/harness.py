"""Variants side by side: a process each, which take turns, so that a busy machine slows all of them alike."""

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

PAUSE = 0.5  # seconds between turns: the threads of some runtimes spin for a while after their work


class Result(NamedTuple):
    """Of one variant.

    Attributes:
        facts: what `prepare` tells of it.
        turns: what each turn returned.
        peak: resident memory at most, in bytes, of the variant's process.
    """

    facts: Any
    turns: list[Any]
    peak: int


def take(prepare: Callable[..., tuple[Any, Callable[[], Any]]], variants: list[tuple], rounds: int) -> list[Result]:
    """One turn of each variant a round, for `rounds` rounds.

    Args:
        prepare: called in the process of each variant with that variant's arguments; returns facts and the turn.
        variants: arguments of each; the last is the number of threads.
        rounds: turns of each variant.

    Raises:
        InputError: `prepare` or a turn raises it, or a process ends early.
    """
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for variant in variants:
        os.environ["OMP_NUM_THREADS"] = str(variant[-1])  # read by Paddle's dygraph in the process
        here, there = context.Pipe()
        processes.append(context.Process(target=_serve, args=(there, prepare, variant), daemon=True))
        processes[-1].start()
        there.close()
        pipes.append(here)
    try:
        return _rounds(pipes, rounds)
    finally:
        for pipe in pipes:
            pipe.close()
        for process in processes:
            process.join()


def apart(call: Callable[..., Any], *arguments: Any) -> Any:
    """What a call returns, in a process of its own; the last argument is the number of threads.

    What a process has ever taken counts in the peak of those that it starts: so ours takes little.
    """
    return take(_once, [(call, *arguments)], 0)[0].facts


def _once(call: Callable[..., Any], *arguments: Any) -> tuple[Any, None]:
    return call(*arguments), None


def _rounds(pipes: list[Connection], rounds: int) -> list[Result]:
    facts = [_receive(pipe) for pipe in pipes]
    turns: list[list[Any]] = [[] for _ in pipes]
    for _ in range(rounds):
        for pipe, answers in zip(pipes, turns):
            pipe.send(True)
            answers.append(_receive(pipe))
            time.sleep(PAUSE)
    for pipe in pipes:
        pipe.send(False)
    return [Result(*row, _receive(pipe)) for *row, pipe in zip(facts, turns, pipes)]


def _receive(pipe: Connection) -> Any:
    try:
        answer = pipe.recv()
    except EOFError as error:
        raise InputError("a process ended early: is there enough memory?") from error
    if isinstance(answer, InputError):
        raise answer
    return answer


def _serve(pipe: Connection, prepare: Callable, variant: tuple) -> None:
    """In a process of its own: prepares the variant, then takes a turn for each True that comes."""
    with suppress(EOFError, BrokenPipeError):  # another variant has failed
        try:
            facts, turn = prepare(*variant)
            pipe.send(facts)
            while pipe.recv():
                pipe.send(turn())
        except InputError as error:
            pipe.send(error)
            return
        pipe.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
