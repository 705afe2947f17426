"""Reports the votes of a study: shares with confidence intervals, significance tests, and a chart like Fig. 11."""

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
    "Shares with 95 % intervals: Wilson's assume that all votes are independent; those by voters resample the voters "
    f"(bootstrap, {RESAMPLES} times), since the votes of one voter are correlated. Quote the wider one; with fewer "
    "than about ten voters, neither is reliable. Both tests assume that the votes are independent; the binomial test "
    "compares the two methods with the most votes. The chart shows the wider intervals."
)


class Share(NamedTuple):
    """The share of a method in the votes on a style.

    Attributes:
        style: name of the style, or "all styles".
        method: name of the method.
        votes: number of votes for the method.
        share: fraction of all votes on the style, in [0, 1].
        wilson: Wilson's 95 % interval.
        by_voters: 95 % bootstrap interval from resampled voters.
    """

    style: str
    method: str
    votes: int
    share: float
    wilson: tuple[float, float]
    by_voters: tuple[float, float]

    @property
    def interval(self) -> tuple[float, float]:
        """The union of both intervals."""
        return min(self.wilson[0], self.by_voters[0]), max(self.wilson[1], self.by_voters[1])


def groups(methods: dict[str, list[str]], votes: list[Vote]) -> list[tuple[str, list[str], list[Vote]]]:
    """Name, methods and votes of each style with votes, and of all styles together if they have the same methods."""
    found = [(style, names, [vote for vote in votes if vote.style == style]) for style, names in methods.items()]
    if len(methods) > 1 and all(names == found[0][1] for names in methods.values()):
        found.append((ALL, found[0][1], votes))
    return [group for group in found if group[2]]


def shares(style: str, methods: list[str], votes: list[Vote]) -> list[Share]:
    """The share of each method in the votes on a style; there must be at least one vote."""
    voters = {number: i for i, number in enumerate({vote.voter for vote in votes})}
    counts = np.zeros((len(voters), len(methods)), int)
    for vote in votes:
        counts[voters[vote.voter], methods.index(vote.method)] += 1
    weights = np.random.default_rng(0).multinomial(len(voters), np.full(len(voters), 1 / len(voters)), RESAMPLES)
    resampled = weights @ counts  # [RESAMPLES, methods]
    percentiles = 50 * (1 - LEVEL), 50 * (1 + LEVEL)
    low, high = np.percentile(resampled / resampled.sum(1, keepdims=True), percentiles, 0)
    rows = []
    for i, (method, n) in enumerate(zip(methods, counts.sum(0).tolist())):
        wilson = stats.binomtest(n, len(votes)).proportion_ci(LEVEL, "wilson")
        by_voters = float(low[i]), float(high[i])
        rows.append(Share(style, method, n, n / len(votes), (float(wilson.low), float(wilson.high)), by_voters))
    return rows


def significance(rows: list[Share], voters: int) -> str:
    """One line on a style: chi-square test of equal shares, exact binomial test of the two methods with most votes."""
    first, second = sorted(rows, key=lambda row: -row.votes)[:2]
    equal = stats.chisquare([row.votes for row in rows])
    lead = stats.binomtest(first.votes, first.votes + second.votes)
    return (
        f"{first.style}: {sum(row.votes for row in rows)} votes of {voters} voters; equal shares: "
        f"chi-square({len(rows) - 1}) = {equal.statistic:.2f}, p = {equal.pvalue:.2g}; {first.method} against "
        f"{second.method}: {first.votes} to {second.votes}, exact binomial p = {lead.pvalue:.2g}"
    )


def report(methods: dict[str, list[str]], votes: list[Vote], output: Path) -> list[str]:
    """Writes votes.csv, shares.csv, shares.png and report.md; returns the lines of report.md.

    Args:
        methods: methods by style.
        votes: at least one vote.
        output: folder; created if missing.

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
    names = "style", "method", "votes", "share", "wilson_low", "wilson_high", "by_voters_low", "by_voters_high"
    _write_csv(output / "shares.csv", names, ([*row[:4], *row.wilson, *row.by_voters] for row in rows))
    images.write(output / "shares.png", images.Picture(chart(rows)))
    with atomic(output / "report.md") as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return lines


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with atomic(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


def chart(rows: list[Share]) -> np.ndarray:
    """A bar chart of the shares, grouped by style, with the wider intervals; RGB uint8 [H, W, 3]."""
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
        spread = np.abs(ends - share)  # rounding could make it negative
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
