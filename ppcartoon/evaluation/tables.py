"""The paper's Tables I and II: how far outputs are from cartoons and from their photos, beside the paper's values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..data.image_folder import image_files
from ..errors import InputError
from ..utils.files import atomic
from ..utils.tables import Column, markdown_table, to_csv
from . import features, outputs
from .compare import MANY, Features
from .fid import Kid, Statistics, frechet_distance, kid, statistics

DATASET = Path("data/dataset")  # where prepare_data.py puts the paper's
PHOTOS = DATASET / "test/test_photo"
CARTOONS = {
    style: DATASET / folder / "style"
    for style, folder in {"hayao": "Hayao", "hosoda": "SummerWar", "paprika": "Paprika", "shinkai": "Shinkai"}.items()
}
CONTENT = "Content Images"
MODELS = (CONTENT, "CycleGAN", "CartoonGAN", "AnimeGAN", "CartoonLossGAN")
TARGETS = ("cartoon images", "content images")
PAPER = {  # FID to each of them, from Tables I and II
    "shinkai": ((135.82, "N/A"), (108.29, 91.95), (117.62, 58.71), (116.33, 77.36), (118.79, 53.95)),
    "paprika": ((174.27, "N/A"), (122.60, 141.39), (143.98, 107.81), (150.71, 95.67), (147.88, 79.95)),
}


def cartoons_of(style: str) -> Path:
    """Where the paper's cartoons of a style are.

    Raises:
        InputError: it is none of the paper's.
    """
    if style.casefold() not in CARTOONS:
        raise InputError(f"--style {style}: none of {', '.join(CARTOONS)}; say where its --cartoons are")
    return CARTOONS[style.casefold()]


class Known(NamedTuple):
    """What is known of a folder of images.

    Attributes:
        features: float32 [N, D].
        statistics: of them.
    """

    features: np.ndarray
    statistics: Statistics


class Score(NamedTuple):
    """How far some images are from others.

    Attributes:
        frechet: Fréchet distance of their features.
        kid: kernel distance of their features, with its standard error.
    """

    frechet: float
    kid: Kid


Scores = dict[str, tuple[Score | str, Score | str]]  # by model, to each of TARGETS, or why there is none


def measure(
    photos: Path, cartoons: Path, given: dict[str, Path], work: Path, features_of: Callable[[Path], np.ndarray]
) -> Scores:
    """How far the photos, and what each model made of them, are from the cartoons and from the photos.

    Args:
        photos: folder of the content images.
        cartoons: folder of the style.
        given: paths of methods by name, as in `methods.outputs`.
        work: folder for the outputs of weights.
        features_of: the features [N, D] of a folder's images.

    Raises:
        InputError: images are missing, cannot be read, or are too few.
    """
    if CONTENT in given:
        raise InputError(f"{CONTENT}={given[CONTENT]}: the photos have that row")
    files, folders = image_files(photos), {}
    image_files(cartoons)  # which has to be there before much is done
    for name, path in given.items():
        folders[name] = folder = outputs.outputs(name, path, files, work)[0].parent
        if (there := len(image_files(folder))) > len(files):
            raise InputError(f"{folder}: {there} images of {name} for {len(files)} photos; leave one for each")

    def known(folder: Path) -> Known:
        found = features_of(folder)
        return Known(found, statistics(found))

    style, content = known(cartoons), known(photos)
    scores: Scores = {CONTENT: (_score(content, style), "N/A")}
    for name, folder in folders.items():
        made = known(folder)
        scores[name] = _score(made, style), _score(made, content)
    return scores


def _score(one: Known, other: Known) -> Score:
    return Score(frechet_distance(one.statistics, other.statistics), kid(one.features, other.features))


def columns(scores: Scores, style: str, network: str, is_fid: bool) -> tuple[list[Column], list[Column]]:
    """The table of the paper, and one of kernel distances.

    The paper's values can be compared to FID alone: there are differences to nothing else.

    Args:
        scores: from `measure`; models of the paper that it lacks were not run.
        style: decides which values of the paper stand beside ours, if any.
        network: that the features are of.
        is_fid: whether distances of its features are FID and KID.
    """
    models = list(dict.fromkeys([*MODELS, *scores]))
    paper = dict(zip(MODELS, PAPER.get(style.casefold(), ())))
    frechet, kernel = ("FID", "KID") if is_fid else (f"{network} Fréchet distance", f"{network} kernel distance")
    distances, kernels = [Column("Model", "", models)], [Column("Model", "", models)]
    for i, target in enumerate(TARGETS):
        found = [scores[model][i] if model in scores else "not run" for model in models]
        ours = _each(found, lambda score: score.frechet)
        published = [paper.get(model, ("N/A", "N/A"))[i] for model in models]
        if paper:
            distances.append(Column(f"FID to {target}, paper", ".2f", published))
        form = ".2f" if is_fid else ".4g"
        title = f"{frechet} to {target}, ours" if paper else f"{frechet} to {target}"
        distances.append(Column(title, form, ours))
        if paper and is_fid:
            distances.append(Column(f"FID to {target}, difference", "+.2f", list(map(_difference, ours, published))))
        kernels.append(Column(f"{kernel} to {target}", ".4g", _each(found, lambda score: score.kid.value)))
        errors = _each(found, lambda score: score.kid.standard_error)
        kernels.append(Column(f"{kernel} to {target}, standard error", ".2g", errors))
    return distances, kernels


def _each(values: Sequence, number: Callable[[Score], float]) -> list[float | str]:
    """A number of each score, or the reason why there is none."""
    return [value if isinstance(value, str) else number(value) for value in values]


def _difference(ours: float | str, paper: float | str) -> float | str:
    reasons = [value for value in (ours, paper) if isinstance(value, str)]
    return reasons[0] if reasons else ours - paper


def make(style: str, photos: Path, cartoons: Path, given: dict[str, Path], folder: Path, asked: Features) -> str:
    """Writes STYLE.md and STYLE.csv (unrounded); gives the Markdown.

    Args:
        style: see `columns`.
        photos: see `measure`.
        cartoons: likewise.
        given: likewise.
        folder: for the table, and for a folder with the outputs of weights.
        asked: which features are compared.

    Raises:
        InputError: the style is no name of a file, or as in `measure`.
        OutputError: the folder cannot be written to.
    """
    if not style or Path(style).name != style:
        raise InputError(f"--style {style}: is to be part of a file's name")
    extractor = features.extractor(asked.name, asked.path)
    features_of = partial(features.of_folder, extractor=extractor, batch_size=asked.batch_size, cache=asked.cache)
    scores = measure(photos, cartoons, given, folder / "outputs", features_of)
    tables = columns(scores, style, extractor.name, extractor.is_fid)
    counts = [len(image_files(each)) for each in (photos, cartoons)]
    remarks = [f"{counts[0]} photos of {photos}, {counts[1]} cartoons of {cartoons}. Smaller is nearer."]
    if not extractor.is_fid:
        remarks.append(f"Distances of {extractor.name} features are not FID: the paper's values are on another scale.")
    if min(counts) < MANY:
        remarks.append("These are few for Fréchet distances, which come out too large; kernel distances are unbiased.")
    remarks += [f"{name}: {path}." for name, path in given.items()]
    lines = [f"## {style}, by {extractor.name} features", ""]
    for table in tables:
        lines += markdown_table([column.header for column in table], zip(*(column.cells() for column in table)))
    text = "\n".join([*lines, " ".join(remarks)])
    everything = to_csv([tables[0][0], *(column for table in tables for column in table[1:])])
    for ending, content in (("md", text + "\n"), ("csv", everything)):
        with atomic(folder / f"{style}.{ending}") as temporary:
            temporary.write_text(content, encoding="utf-8", errors="backslashreplace")
    return text
