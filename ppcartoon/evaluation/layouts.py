"""What the paper's Figs. 4 to 10 show: their columns, their rows, and which weights or outputs go where."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..errors import InputError

OURS = "CartoonLossGAN"


class Source(NamedTuple):
    """Where a panel comes from.

    Attributes:
        method: its name on the command line.
        epoch: of stage cartoon, after which the weights are taken; 0 for the end of stage init, None for the newest.
    """

    method: str
    epoch: int | None = None


class Figure(NamedTuple):
    """What a figure shows of each photo.

    Attributes:
        columns: their captions, without that of the photo.
        rows: by their captions, with a source for each column.
        photos: whether the photos come first, as column (a).
        others: whether methods of other names may follow, each in a column of its own.
        inset: the method whose results have the reference cartoon in their corner.
    """

    columns: tuple[str, ...]
    rows: dict[str, tuple[Source, ...]]
    photos: bool = True
    others: bool = False
    inset: str = ""

    def sources(self) -> list[Source]:
        """Of all panels."""
        return [source for row in self.rows.values() for source in row]


def _newest(*names: str) -> tuple[Source, ...]:
    return tuple(map(Source, names))


def _epochs(name: str) -> tuple[Source, ...]:
    return tuple(Source(name, epoch) for epoch in (1, 2, 3, 4, 5, None))


FIGURES = {
    4: Figure(("After the initialization",), {"": (Source(OURS, 0),)}),
    5: Figure(
        ("Miyazaki Hayao style", "Mamoru Hosoda style", "Paprika style", "Makoto Shinkai style"),
        {"": _newest("hayao", "hosoda", "paprika", "shinkai")},
        others=True,
    ),
    6: Figure(
        (
            "Without reusing the discriminator", "Without the gray style loss", "Without the color style loss",
            "Without the initialization", OURS,
        ),
        {"": _newest("without_reuse", "without_gray", "without_color", "without_init", OURS)},
        others=True,
    ),
    # The text says "the first 5 epochs": taken as those of stage cartoon, which in the upper row follows stage init.
    7: Figure(
        ("Epoch 1", "Epoch 2", "Epoch 3", "Epoch 4", "Epoch 5", "Final"),
        {"With initialization": _epochs(OURS), "Without initialization": _epochs("without_init")},
    ),
    8: Figure(
        ("Adversarial loss", "Adversarial and style loss", "Adversarial and color loss", "Total loss"),
        {
            "AnimeGAN's losses": _newest("adv_animegan", "adv_style_animegan", "adv_color_animegan", "total_animegan"),
            "Our losses": _newest("adv_ours", "without_color", "without_gray", OURS),
        },
    ),
    9: Figure(
        ("Gatys et al.", "CycleGAN", "CartoonGAN", "AnimeGAN", OURS),
        {"": _newest("Gatys", "CycleGAN", "CartoonGAN", "AnimeGAN", OURS)},
        others=True,
        inset="Gatys",
    ),
    10: Figure(("",), {"": _newest("CycleGAN")}, photos=False),
}  # fmt: skip


def takes(number: int) -> list[str]:
    """The names of the methods that a figure shows."""
    return list(dict.fromkeys(source.method for source in FIGURES[number].sources()))


def at_hand(number: int, given: Sequence[str]) -> Figure:
    """The figure without the rows and columns of which no method is given, and with columns for others.

    Raises:
        InputError: none of its methods is given, or another one, which it has no place for.
    """
    figure, known = FIGURES[number], takes(number)
    others = [name for name in given if name not in known]
    if not given or (others and not figure.others):
        raise InputError(f"figure {number}: shows {', '.join(known)}" + "".join(f", but no {name}" for name in others))
    kept = [i for i, sources in enumerate(zip(*figure.rows.values())) if any(s.method in given for s in sources)]
    return figure._replace(
        columns=(*(figure.columns[i] for i in kept), *others),
        rows={
            caption: (*(row[i] for i in kept), *_newest(*others))
            for caption, row in figure.rows.items()
            if others or any(source.method in given for source in row)
        },
    )
