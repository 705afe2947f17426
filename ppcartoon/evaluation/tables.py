"""Tables I and II of the paper: distances of cartoons to the style's images and to the photos, next to the paper's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..data.image_folder import image_files
from ..errors import InputError
from ..utils.files import is_legal_name
from ..utils.tables import Column, markdown_table, write_tables
from . import features, outputs
from .compare import RELIABLE, FeatureOptions
from .fid import Kid, Statistics, frechet_distance, kid, statistics

DATASET = Path("data/dataset")  # where `ppcartoon prepare` puts the paper's data
CARTOONS = {
    style: DATASET / folder / "style"
    for style, folder in {"hayao": "Hayao", "hosoda": "SummerWar", "paprika": "Paprika", "shinkai": "Shinkai"}.items()
}
CONTENT = "Content Images"
MODELS = (CONTENT, "CycleGAN", "CartoonGAN", "AnimeGAN", "CartoonLossGAN")
TARGETS = ("cartoon images", "content images")
PAPER = {  # FID of each model to each target, from Tables I and II
    "shinkai": ((135.82, "N/A"), (108.29, 91.95), (117.62, 58.71), (116.33, 77.36), (118.79, 53.95)),
    "paprika": ((174.27, "N/A"), (122.60, 141.39), (143.98, 107.81), (150.71, 95.67), (147.88, 79.95)),
}


def test_photos() -> Path:
    """The folder of the paper's test images: `test_photo256`, or `test_photo` where a data set lacks it."""
    small = DATASET / "test/test_photo256"
    return small if small.is_dir() else DATASET / "test/test_photo"


def cartoons_of(style: str) -> Path:
    """The folder of the paper's cartoons of a style.

    Raises:
        InputError: the paper does not have this style.
    """
    if style.casefold() not in CARTOONS:
        raise InputError(f"--style {style}: not one of {', '.join(CARTOONS)}; give its images as --cartoons")
    return CARTOONS[style.casefold()]


class Measured(NamedTuple):
    """A folder of images, measured.

    Attributes:
        features: float32 [N, D].
        statistics: mean and covariance of the features.
    """

    features: np.ndarray
    statistics: Statistics


class Score(NamedTuple):
    """The distances between two sets of images.

    Attributes:
        frechet: Fréchet distance of their features.
        kid: kernel distance of their features, with its standard error.
    """

    frechet: float
    kid: Kid


Scores = dict[str, tuple[Score | str, Score | str]]  # by model, for each of TARGETS; a text says why there is none


def measure(
    photos: Path, cartoons: Path, given: dict[str, Path], work: Path, features_of: Callable[[Path], np.ndarray]
) -> Scores:
    """Computes the distances of the photos and of each model's outputs to the cartoons and to the photos.

    Args:
        photos: folder of the content images.
        cartoons: folder of the style's images.
        given: paths by method name, see `outputs.outputs`.
        work: folder for the outputs of weights.
        features_of: computes the features [N, D] of a folder's images.

    Raises:
        InputError: images are missing, cannot be read, or are too few.
    """
    if CONTENT in given:
        raise InputError(f"{CONTENT}={given[CONTENT]}: this row is for the photos")
    files, folders = image_files(photos), {}
    image_files(cartoons)  # reports a missing folder before the outputs are computed
    for name, path in given.items():
        folders[name] = folder = outputs.outputs(name, path, files, work)[0].parent
        if (count := len(image_files(folder))) > len(files):
            raise InputError(f"{folder}: {count} images of {name} for {len(files)} photos; keep one for each photo")

    def measured(folder: Path) -> Measured:
        found = features_of(folder)
        return Measured(found, statistics(found))

    style, content = measured(cartoons), measured(photos)
    scores: Scores = {CONTENT: (_score(content, style), "N/A")}
    for name, folder in folders.items():
        output = measured(folder)
        scores[name] = _score(output, style), _score(output, content)
    return scores


def _score(one: Measured, other: Measured) -> Score:
    return Score(frechet_distance(one.statistics, other.statistics), kid(one.features, other.features))


def columns(scores: Scores, style: str, network: str, is_fid: bool) -> tuple[list[Column], list[Column]]:
    """The columns of the paper's table, and of a table of kernel distances.

    Differences to the paper's values are shown for FID only, since other distances are on another scale.

    Args:
        scores: from `measure`; models of the paper that are missing are shown as "not run".
        style: if the paper has its values, they are shown next to ours.
        network: name of the features.
        is_fid: whether distances of these features are FID and KID.
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
    """A number per score, or the text that says why there is none."""
    return [value if isinstance(value, str) else number(value) for value in values]


def _difference(ours: float | str, paper: float | str) -> float | str:
    reasons = [value for value in (ours, paper) if isinstance(value, str)]
    return reasons[0] if reasons else ours - paper


def write(
    style: str, photos: Path, cartoons: Path, given: dict[str, Path], folder: Path, options: FeatureOptions
) -> str:
    """Writes STYLE.md and STYLE.csv (unrounded); returns the Markdown.

    Args:
        style: see `columns`.
        photos: see `measure`.
        cartoons: see `measure`.
        given: see `measure`.
        folder: output folder, for the table and the folder `outputs` with the outputs of weights.
        options: the features to compare.

    Raises:
        InputError: the style cannot be part of a file name; or as in `measure`.
        OutputError: the folder cannot be written to.
    """
    if not is_legal_name(style):
        raise InputError(f"--style {style}: cannot be part of a file name")
    extractor = features.extractor(options.name, options.path)
    features_of = partial(
        features.folder_features, extractor=extractor, batch_size=options.batch_size, cache=options.cache
    )
    scores = measure(photos, cartoons, given, folder / "outputs", features_of)
    tables = columns(scores, style, extractor.name, extractor.is_fid)
    counts = [len(image_files(each)) for each in (photos, cartoons)]
    remarks = [f"{counts[0]} photos of {photos}, {counts[1]} cartoons of {cartoons}. Smaller is closer."]
    if not extractor.is_fid:
        remarks.append(f"Distances of {extractor.name} features are not FID: the paper's values are on another scale.")
    if min(counts) < RELIABLE:
        remarks.append("Fréchet distances of so few images are biased upward; kernel distances are unbiased.")
    remarks += [f"{name}: {path}." for name, path in given.items()]
    lines = [f"## {style}, by {extractor.name} features", ""]
    for table in tables:
        lines += markdown_table([column.header for column in table], zip(*(column.cells() for column in table)))
    text = "\n".join([*lines, " ".join(remarks)])
    write_tables(folder / style, text, [tables[0][0], *(column for table in tables for column in table[1:])])
    return text
