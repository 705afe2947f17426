"""Timestamps of frames and packets that always rise, where those in the file do not."""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

REORDERED = 16  # frames: the farthest that codecs move one from its place in the file
JUMP = 1.0  # seconds that a timestamp may be ahead of the last and still continue it
SETTLED = 8  # rising timestamps in sequence, after which a shift is there to stay


class Timeline:
    """Corrects timestamps, one after the other, so that each is greater than the last.

    Where videos were joined, timestamps jump back: all that follow are shifted. A damaged one between good ones is
    replaced, and nothing is shifted.

    Args:
        first: the earliest time, in seconds; that of a first timestamp that is missing or damaged.
        step: seconds between timestamps.
        limit: the latest time to which timestamps may jump ahead.

    Attributes:
        corrected: number of timestamps so far that did not rise, or jumped ahead and back.
    """

    def __init__(self, first: float = -math.inf, step: float = 0, limit: float = math.inf) -> None:
        self.last, self.first, self.limit, self.corrected = first - step, first, limit, 0
        self._shift = self._settled_shift = 0.0
        self._rising = 0

    def place(self, time: float | None, step: float, after: float | None = None) -> float:
        """The corrected timestamp.

        Args:
            time: as stored, in seconds; None if it is missing.
            step: seconds from the last timestamp to this one, by the frame rate.
            after: the timestamp that follows, if it is known.
        """
        expected = self.last + step
        if time is None:
            self.last = expected
            return expected
        after = None if after is None else after + self._settled_shift
        returns = after is not None and self._continues(after)
        shift = self._shift_of(time, after if returns else math.inf)
        if shift is not None:
            self._shift, self.last = shift, time + shift
            self._rising += 1
            if self._rising == SETTLED:
                self._settled_shift = shift
            return self.last
        self.corrected += 1
        self._rising = 0
        if returns:
            self.last = min(expected, (self.last + after) / 2)
        else:
            self.last, self._shift = expected, expected - time
        return self.last

    def _shift_of(self, time: float, after: float) -> float | None:
        """The seconds to add to a timestamp; None if it is not credible."""
        for shift in (self._settled_shift, self._shift):
            if self._continues(time + shift):
                return shift
        jump = time + self._settled_shift
        return self._settled_shift if self._rises(jump) and jump <= min(after, self.limit) else None

    def _continues(self, time: float) -> bool:
        return self._rises(time) and time <= self.last + JUMP

    def _rises(self, time: float) -> bool:
        return time > self.last and time >= self.first


def sorted_times(
    items: Iterable[tuple[float | None, T]], in_file_order: Callable[[], bool]
) -> Iterator[tuple[float | None, T]]:
    """The items in their order with their times sorted, as long as `in_file_order()` is true.

    AVI has no timestamps of its own: those of frames number the frames as stored, and decoders return them reordered.
    """
    times: list[float] = []
    held: deque[tuple[float | None, T]] = deque()
    for time, item in items:
        held.append((time, item))
        if time is None or not in_file_order():
            yield from held
            held.clear()
            times.clear()
            continue
        heapq.heappush(times, time)
        if len(held) > REORDERED:
            yield heapq.heappop(times), held.popleft()[1]
    yield from zip(sorted(times), (item for _, item in held))
