"""Measured numbers as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence


def number(value: float) -> str:
    """Three digits, or all of those before the point."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:#.3g}".rstrip(".")


def spread(values: Sequence[float]) -> str:
    """median (least to most)"""
    return f"{number(statistics.median(values))} ({number(min(values))} to {number(max(values))})"


def ratios(numerators: Sequence[float], denominators: Sequence[float]) -> str:
    """The spread of ratios, taken round by round."""
    return spread([above / below for above, below in zip(numerators, denominators)])


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Lines of a table, and an empty one."""
    yield f"| {' | '.join(head)} |"
    yield "|---" * len(head) + "|"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""
