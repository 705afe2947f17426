"""Tables of numbers as Markdown, CSV and images."""

from __future__ import annotations

import csv
import io
import textwrap
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        head: the title.
        form: format specification of the numbers.
        values: a number, or a text instead, per row.
    """

    head: str
    form: str
    values: list[float | str]

    def cells(self) -> list[str]:
        return [value if isinstance(value, str) else format(value, self.form) for value in self.values]


def to_markdown(columns: Sequence[Column]) -> Iterator[str]:
    """The lines of a table and a blank line; the first column is left-aligned, the others right-aligned."""
    yield f"| {' | '.join(column.head for column in columns)} |"
    yield "|---|" + "---:|" * (len(columns) - 1)
    for row in zip(*(column.cells() for column in columns)):
        escaped = [cell.replace("|", r"\|") for cell in row]
        yield f"| {' | '.join(escaped)} |"
    yield ""


def to_csv(columns: Sequence[Column]) -> str:
    """The table as CSV, with unrounded numbers."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(column.head for column in columns)
    writer.writerows(zip(*(column.values for column in columns)))
    return text.getvalue()


def draw_tables(title: str, tables: Sequence[Sequence[Column]]) -> np.ndarray:
    """Draws tables below each other; RGB uint8 [H, W, 3]."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows, widest = len(tables[0][0].values), max(map(len, tables))
    figure = Figure(figsize=(1.5 + 1.6 * widest, len(tables) * (1.2 + 0.3 * rows)), dpi=150, layout="constrained")
    figure.get_layout_engine().set(h_pad=0.15)
    figure.suptitle(title, parse_math=False)
    for i, columns in enumerate(tables):
        axes = figure.add_subplot(len(tables), 1, i + 1)
        axes.set_axis_off()
        heads = [textwrap.fill(column.head, 18) for column in columns]
        cells = list(zip(*(column.cells() for column in columns)))
        table = axes.table(cells, colLabels=heads, loc="center", edges="horizontal", bbox=(0, 0, 1, 1))
        table.auto_set_font_size(False)
        table.set_fontsize(10)
        for (row, column), cell in table.get_celld().items():
            cell.set_height(3 if row == 0 else 1)
            cell.get_text().set(parse_math=False, horizontalalignment="left" if column == 0 else "right")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
