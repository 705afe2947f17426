"""Tables as Markdown and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from .files import atomic


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        header: the title.
        form: format specification of the numbers.
        values: a number, or a text instead, per row.
    """

    header: str
    form: str
    values: list[float | str]

    def cells(self) -> list[str]:
        return [value if isinstance(value, str) else format(value, self.form) for value in self.values]


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """The lines of a table and a blank line; the first column is left-aligned, the others right-aligned."""
    yield f"| {' | '.join(header)} |"
    yield "|---|" + "---:|" * (len(header) - 1)
    for row in rows:
        escaped = [str(cell).replace("|", r"\|") for cell in row]
        yield f"| {' | '.join(escaped)} |"
    yield ""


def to_csv(columns: Sequence[Column]) -> str:
    """The table as CSV, with unrounded numbers."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(column.header for column in columns)
    writer.writerows(zip(*(column.values for column in columns)))
    return text.getvalue()


def write_tables(path: Path, text: str, columns: Sequence[Column]) -> None:
    """Writes a text as PATH.md and columns as PATH.csv, atomically.

    Raises:
        OutputError: a file cannot be written.
    """
    for ending, content in (("md", text + "\n"), ("csv", to_csv(columns))):
        with atomic(path.with_name(f"{path.name}.{ending}")) as temporary:
            temporary.write_text(content, encoding="utf-8", errors="backslashreplace")
