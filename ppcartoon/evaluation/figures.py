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
PER_ROW = 4  # panels, in a figure without photos


class Source(NamedTuple):
    """The method and weights behind a panel.

    Attributes:
        method: name on the command line.
        epoch: epoch of stage cartoon whose weights are used; 0 for the end of stage init, None for the newest weights.
    """

    method: str
    epoch: int | None = None


class Figure(NamedTuple):
    """The layout of a figure.

    Attributes:
        columns: captions of the columns after the photos.
        rows: sources of the columns by the row's caption; each row is repeated for each photo.
        photos: whether the photos are shown as column (a).
        others: whether methods of other names may be added, each as a column.
        inset: the method whose panels show the reference cartoon in a corner.
    """

    columns: tuple[str, ...]
    rows: dict[str, tuple[Source, ...]]
    photos: bool = True
    others: bool = False
    inset: str = ""

    def sources(self) -> list[Source]:
        """The sources of all panels."""
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
    # The paper says "the first 5 epochs"; these are epochs of stage cartoon, which in the upper row follows stage init.
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


def method_names(number: int) -> list[str]:
    """The names of the methods in a figure of the paper."""
    return list(dict.fromkeys(source.method for source in FIGURES[number].sources()))


def select(number: int, given: Sequence[str]) -> Figure:
    """A figure without the rows and columns whose methods are all missing, and with columns for other methods.

    Raises:
        InputError: no method is given, or the figure does not show a given method.
    """
    figure, known = FIGURES[number], method_names(number)
    others = [name for name in given if name not in known]
    if not given or (others and not figure.others):
        raise InputError(f"figure {number}: shows {', '.join(known)}" + "".join(f", but not {name}" for name in others))
    kept = [i for i, sources in enumerate(zip(*figure.rows.values())) if any(s.method in given for s in sources)]
    return figure._replace(
        columns=(*(figure.columns[i] for i in kept), *others),
        rows={
            caption: (*(row[i] for i in kept), *_newest(*others))
            for caption, row in figure.rows.items()
            if others or any(source.method in given for source in row)
        },
    )


def draw(
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
        photos: image files, one row each; in Figs. 7 and 8 one row in the upper part and one in the lower part.
        given: paths by method name, see `outputs.outputs`; missing methods of the figure are left out.
        work: folder for the outputs of weights.
        boxes: "PHOTO=LEFT,TOP,RIGHT,BOTTOM" each, a red box on all panels of that photo, or without "PHOTO=" of all
            photos; in fractions of the photo if no number is above 1, else in pixels of the photo.
        references: style images of Gatys' results: one for each photo, or one for all.
        size: longer side of the panels, in pixels.

    Returns:
        RGB uint8 [H, W, 3].

    Raises:
        InputError: a file is missing or cannot be read, or the arguments do not fit the figure.
    """
    from .. import images
    from ..data.image_folder import by_stem
    from ..utils import grid
    from . import outputs

    figure = select(number, list(given))
    if references and (figure.inset not in given or len(references) not in (1, len(photos))):
        raise InputError("--references: only for Gatys' results in figure 9, one for each photo or one for all")
    inputs = {stem: images.read(path).rgb for stem, path in by_stem(photos).items()}
    marks = _parse_boxes(boxes, inputs)
    insets = [images.read(path).rgb for path in references] or [None]
    panel = _panel_size(next(iter(inputs.values())), size)
    made = {}
    for source in figure.sources():
        if source.method in given:
            path = given[source.method]
            if source.epoch is not None:
                path = outputs.weights_of_epoch(source.method, path, source.epoch)
            made[source] = outputs.outputs(source.method, path, photos, work)

    def cell(source: Source, i: int, stem: str) -> Image.Image:
        if source not in made:
            return grid.blank(panel, "not run")
        inset = insets[i % len(insets)] if source.method == figure.inset else None
        return grid.cell(images.read(made[source][i]).rgb, panel, marks[stem], inset)

    rows = [[cell(source, i, stem) for source in row] for row in figure.rows.values() for i, stem in enumerate(inputs)]
    if not figure.photos:
        cells = [each for row in rows for each in row]
        return grid.grid([cells[i : i + PER_ROW] for i in range(0, len(cells), PER_ROW)])
    first = [grid.cell(photo, panel, marks[stem]) for stem, photo in inputs.items()]
    rows = [[photo, *row] for photo, row in zip(first * len(figure.rows), rows)]
    columns = [f"({letter}) {caption}" for letter, caption in zip(ascii_lowercase, ("Input", *figure.columns))]
    captions = [caption for caption in figure.rows for _ in photos if caption]
    return grid.grid(rows, columns, captions)


def _parse_boxes(texts: Sequence[str], photos: dict[str, np.ndarray]) -> dict[str, list[Box]]:
    """The boxes by photo, in fractions of the photo."""
    boxes: dict[str, list[Box]] = {stem: [] for stem in photos}
    for text in texts:
        stem, _, sides = text.rpartition("=")
        try:
            left, top, right, bottom = map(float, sides.split(","))
        except ValueError as error:
            raise InputError(f"--boxes {text}: not of the form [PHOTO=]LEFT,TOP,RIGHT,BOTTOM") from error
        if stem and stem not in photos:
            raise InputError(f"--boxes {text}: no photo of that name; the photos are {', '.join(photos)}")
        for name in [stem] if stem else photos:
            height, width = photos[name].shape[:2]
            x, y = (1, 1) if max(left, top, right, bottom) <= 1 else (width, height)
            box = left / x, top / y, right / x, bottom / y
            if not (0 <= box[0] < box[2] <= 1 and 0 <= box[1] < box[3] <= 1):
                raise InputError(f"--boxes {text}: not a rectangle inside {name}, which has {width}x{height} pixels")
            boxes[name].append(box)
    return boxes


def _panel_size(image: np.ndarray, size: int) -> tuple[int, int]:
    """Width and height of an image scaled to `size` pixels on the longer side."""
    height, width = image.shape[:2]
    scale = size / max(height, width)
    return max(1, round(width * scale)), max(1, round(height * scale))
