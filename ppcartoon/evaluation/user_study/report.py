"""What the votes say: preference shares with confidence intervals, tests of significance, and a chart like Fig. 11."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import stats

from ... import images
from ...errors import InputError
from ...utils.files import atomic
from ...utils.tables import markdown_table
from .votes import Vote

LEVEL = 0.95
RESAMPLES = 2000
ALL = "all styles"
NOTE = (
    "Shares with 95 % intervals: Wilson's take all votes for independent; those by voters resample the voters "
    f"(bootstrap, {RESAMPLES} times), because the votes of one voter are alike. Quote the wider one; with fewer than "
    "about ten voters rely on neither. Both tests take the votes for independent; the two methods compared are those "
    "that came out first and second. The chart has the wider intervals."
)


class Share(NamedTuple):
    """How often a method was chosen, of the votes on a style.

    Attributes:
        style: or "all styles".
        method: its name.
        votes: for it.
        share: of all votes on the style, in [0, 1].
        wilson: ends of Wilson's 95 % interval.
        by_voters: ends of the bootstrap's over voters.
    """

    style: str
    method: str
    votes: int
    share: float
    wilson: tuple[float, float]
    by_voters: tuple[float, float]

    @property
    def interval(self) -> tuple[float, float]:
        """The wider of the two, end by end."""
        return min(self.wilson[0], self.by_voters[0]), max(self.wilson[1], self.by_voters[1])


def groups(methods: dict[str, list[str]], votes: list[Vote]) -> list[tuple[str, list[str], list[Vote]]]:
    """Name, methods and votes of each style that has votes, and of all together where they share their methods."""
    found = [(style, names, [vote for vote in votes if vote.style == style]) for style, names in methods.items()]
    if len(methods) > 1 and all(names == found[0][1] for names in methods.values()):
        found.append((ALL, found[0][1], votes))
    return [group for group in found if group[2]]


def shares(style: str, methods: list[str], votes: list[Vote]) -> list[Share]:
    """The share of each method in the votes on one style, at least one of them."""
    voters = {number: i for i, number in enumerate({vote.voter for vote in votes})}
    counts = np.zeros((len(voters), len(methods)), int)
    for vote in votes:
        counts[voters[vote.voter], methods.index(vote.method)] += 1
    drawn = np.random.default_rng(0).multinomial(len(voters), np.full(len(voters), 1 / len(voters)), RESAMPLES)
    again = drawn @ counts  # [RESAMPLES, methods]
    tails = 50 * (1 - LEVEL), 50 * (1 + LEVEL)
    low, high = np.percentile(again / again.sum(1, keepdims=True), tails, 0)
    rows = []
    for i, (method, n) in enumerate(zip(methods, counts.sum(0).tolist())):
        wilson = stats.binomtest(n, len(votes)).proportion_ci(LEVEL, "wilson")
        ends = (float(wilson.low), float(wilson.high)), (float(low[i]), float(high[i]))
        rows.append(Share(style, method, n, n / len(votes), *ends))
    return rows


def significance(rows: list[Share], voters: int) -> str:
    """One line on a style: chi-square against equal shares, and an exact binomial test of the first two methods."""
    first, second = sorted(rows, key=lambda row: -row.votes)[:2]
    equal = stats.chisquare([row.votes for row in rows])
    ahead = stats.binomtest(first.votes, first.votes + second.votes)
    return (
        f"{first.style}: {sum(row.votes for row in rows)} votes of {voters} voters; equal shares: "
        f"chi-square({len(rows) - 1}) = {equal.statistic:.2f}, p = {equal.pvalue:.2g}; {first.method} against "
        f"{second.method}: {first.votes} to {second.votes}, exact binomial p = {ahead.pvalue:.2g}"
    )


def report(methods: dict[str, list[str]], votes: list[Vote], output: Path) -> list[str]:
    """Writes votes.csv, shares.csv, shares.png and report.md, whose lines it gives.

    Args:
        methods: of each style.
        votes: at least one.
        output: folder, made where there is none.

    Raises:
        InputError: there are no votes.
        OutputError: a file cannot be written.
    """
    if not votes:
        raise InputError("no votes yet")
    tests, rows = [], []
    for style, names, some in groups(methods, votes):
        of_style = shares(style, names, some)
        rows += of_style
        tests.append(f"- {significance(of_style, len({vote.voter for vote in some}))}")
    cells = []
    for row in rows:
        intervals = [f"{100 * low:.1f} to {100 * high:.1f} %" for low, high in (row.wilson, row.by_voters)]
        cells.append([row.style, row.method, row.votes, f"{100 * row.share:.1f} %", *intervals])
    header = ["style", "method", "votes", "share", "Wilson 95 %", "by voters 95 %"]
    lines = [*markdown_table(header, cells), *tests, "", NOTE]
    _write_csv(output / "votes.csv", Vote._fields, votes)
    head = "style", "method", "votes", "share", "wilson_low", "wilson_high", "by_voters_low", "by_voters_high"
    _write_csv(output / "shares.csv", head, ([*row[:4], *row.wilson, *row.by_voters] for row in rows))
    images.write(output / "shares.png", images.Picture(chart(rows)))
    with atomic(output / "report.md") as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return lines


def _write_csv(path: Path, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with atomic(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head, *rows])


def chart(rows: list[Share]) -> np.ndarray:
    """Bars of the shares, a group for each style, with the wider intervals: RGB uint8 [H, W, 3]."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    styles, methods = (list(dict.fromkeys(row[i] for row in rows)) for i in (0, 1))
    width = 0.8 / len(methods)
    figure = Figure(figsize=(2.5 + 2 * len(styles), 4), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    for i, method in enumerate(methods):
        of_method = [row for row in rows if row.method == method]
        x = [styles.index(row.style) + (i - (len(methods) - 1) / 2) * width for row in of_method]
        share = 100 * np.array([row.share for row in of_method])
        ends = 100 * np.array([row.interval for row in of_method]).T
        axes.bar(x, share, 0.9 * width, label=method, color=f"C{i % 10}")
        spread = np.abs(ends - share)  # never negative, whatever rounding did
        axes.errorbar(x, share, spread, fmt="none", ecolor="black", elinewidth=1, capsize=3)
    axes.set_xticks(range(len(styles)), styles, parse_math=False)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("preference, % (lines: 95 %)")
    axes.spines[["top", "right"]].set_visible(False)
    for text in figure.legend(loc="outside upper center", ncols=min(4, len(methods)), frameon=False).get_texts():
        text.set_parse_math(False)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
