"""Draws Figs. 4 to 10 of the paper, from the weights of runs and the outputs of other methods.

The command line reads `FIGURES` for its help, so what drawing needs is imported when a figure is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from string import ascii_lowercase
from typing import TYPE_CHECKING, NamedTuple

from ..errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from ..utils.grid import Box

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


FOLD = 4  # panels a row, where there is nothing else to order them


def make(
    number: int,
    photos: list[Path],
    given: dict[str, Path],
    work: Path,
    *,
    boxes: Sequence[str] = (),
    references: Sequence[Path] = (),
    size: int = 256,
) -> np.ndarray:
    """Draws a figure of the paper.

    Args:
        number: 4 to 10.
        photos: image files, each of which is a row; in Figs. 7 and 8 one in the upper part and one in the lower.
        given: paths of methods by name, as in `methods.outputs`; those of the figure that are missing are left out.
        work: folder for the outputs of weights.
        boxes: "PHOTO=LEFT,TOP,RIGHT,BOTTOM" each, drawn in red on all panels of that photo, or without "PHOTO=" of all;
            in fractions of the photo if none is above 1, else in its pixels.
        references: cartoons that Gatys' results refer to: one for each photo, or one for all.
        size: longer side of the panels, in pixels.

    Returns:
        RGB uint8 [H, W, 3].

    Raises:
        InputError: something of it is missing, cannot be read, or makes no sense.
    """
    from ..data.image_folder import by_stem
    from ..utils import grid
    from . import outputs

    figure = at_hand(number, list(given))
    if references and (figure.inset not in given or len(references) not in (1, len(photos))):
        raise InputError("--references: are for Gatys' results in figure 9, one for each photo, or one for all")
    inputs = {stem: outputs.read(path) for stem, path in by_stem(photos).items()}
    marks = _boxes(boxes, inputs)
    insets = [outputs.read(path) for path in references] or [None]
    panel = _scaled(next(iter(inputs.values())), size)
    made = {}
    for source in figure.sources():
        if source.method in given:
            path = given[source.method]
            if source.epoch is not None:
                path = outputs.of_epoch(source.method, path, source.epoch)
            made[source] = outputs.outputs(source.method, path, photos, work)

    def cell(source: Source, i: int, stem: str) -> Image.Image:
        if source not in made:
            return grid.blank(panel, "not run")
        inset = insets[i % len(insets)] if source.method == figure.inset else None
        return grid.cell(outputs.read(made[source][i]), panel, marks[stem], inset)

    rows = [[cell(source, i, stem) for source in row] for row in figure.rows.values() for i, stem in enumerate(inputs)]
    if not figure.photos:
        cells = [each for row in rows for each in row]
        return grid.grid([cells[i : i + FOLD] for i in range(0, len(cells), FOLD)])
    first = [grid.cell(photo, panel, marks[stem]) for stem, photo in inputs.items()]
    rows = [[photo, *row] for photo, row in zip(first * len(figure.rows), rows)]
    columns = [f"({letter}) {caption}" for letter, caption in zip(ascii_lowercase, ("Input", *figure.columns))]
    captions = [caption for caption in figure.rows for _ in photos if caption]
    return grid.grid(rows, columns, captions)


def _boxes(texts: Sequence[str], photos: dict[str, np.ndarray]) -> dict[str, list[Box]]:
    """The boxes of each photo, in fractions of it."""
    found: dict[str, list[Box]] = {stem: [] for stem in photos}
    for text in texts:
        stem, _, sides = text.rpartition("=")
        try:
            left, top, right, bottom = map(float, sides.split(","))
        except ValueError as error:
            raise InputError(f"--boxes {text}: is not [PHOTO=]LEFT,TOP,RIGHT,BOTTOM") from error
        if stem and stem not in photos:
            raise InputError(f"--boxes {text}: no photo of that name; there are {', '.join(photos)}")
        for name in [stem] if stem else photos:
            height, width = photos[name].shape[:2]
            x, y = (1, 1) if max(left, top, right, bottom) <= 1 else (width, height)
            box = left / x, top / y, right / x, bottom / y
            if not (0 <= box[0] < box[2] <= 1 and 0 <= box[1] < box[3] <= 1):
                raise InputError(f"--boxes {text}: no rectangle inside {name}, which has {width}x{height} pixels")
            found[name].append(box)
    return found


def _scaled(image: np.ndarray, size: int) -> tuple[int, int]:
    """Width and height with the longer one at `size`."""
    height, width = image.shape[:2]
    scale = size / max(height, width)
    return max(1, round(width * scale)), max(1, round(height * scale))
