"""Parses and formats times such as 0:01:30.50."""

from __future__ import annotations

import re


def parse_time(text: str) -> float:
    """Converts "90", "1:30" or "0:01:30.5" to seconds.

    Raises:
        ValueError: the text is not a time.
    """
    if not re.fullmatch(r"(\d+:){0,2}\d+(\.\d+)?", text):
        raise ValueError(f"{text} is not a time like 90, 1:30 or 0:01:30.5")
    return sum(float(part) * 60**i for i, part in enumerate(reversed(text.split(":"))))


def show_time(seconds: float) -> str:
    """Formats seconds as "0:01:30.50"."""
    minutes, rest = divmod(round(100 * seconds), 6000)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest / 100:05.2f}"
