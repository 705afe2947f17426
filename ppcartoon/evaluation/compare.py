"""FID and KID between two sets of images, each a folder or a statistics file."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import InputError
from .features import BATCH, extractor, folder_features
from .fid import Statistics, frechet_distance, kid, load_statistics, save_statistics, statistics
from .inception import FEATURES

RELIABLE = 2048  # images that FID commonly needs


class FeatureOptions(NamedTuple):
    """The features to compare, and how to compute them.

    Attributes:
        name: see `features.extractor`.
        path: weights file, see `features.extractor`.
        batch_size: images per batch.
        cache: see `features.folder_features`.
    """

    name: str = "inception"
    path: Path | None = None
    batch_size: int = BATCH
    cache: bool = True


def compare(a: Path, b: Path | None, options: FeatureOptions, save: Path | None = None) -> list[str]:
    """Compares two sets of images; returns the lines of the report.

    Args:
        a: folder of images, or .npz file of statistics.
        b: the same; None to save statistics only.
        options: the features.
        save: file for the statistics of `a`.

    Raises:
        InputError: a file or folder is missing or invalid.
        OutputError: the statistics cannot be written.
    """
    if b is None and save is None:
        raise InputError("B is missing: give two folders or statistics files, or one and --save")
    sides = [load_statistics(side) if side.suffix == ".npz" else side for side in (a, b) if side]
    network = extractor(options.name, options.path) if any(isinstance(side, Path) for side in sides) else None
    features = [
        folder_features(side, network, batch_size=options.batch_size, cache=options.cache)
        if isinstance(side, Path)
        else None
        for side in sides
    ]
    all_statistics = [side if rows is None else statistics(rows) for side, rows in zip(sides, features)]
    lines = []
    if save:
        save_statistics(save, all_statistics[0])
        lines.append(f"statistics of {a}: {save}")
    if b is not None:
        is_fid = options.name == "inception" and all_statistics[0].mu.size == FEATURES
        name = network.name if network else options.name
        lines += _distances(None if is_fid else name, all_statistics, features)
    return lines


def _distances(not_fid: str | None, both: list[Statistics], features: list[np.ndarray | None]) -> list[str]:
    """The lines on the distances of two sets; `not_fid` is the name of features other than those of FID."""
    names = ("FID", "KID")
    if not_fid:
        names = (f"Fréchet distance of {not_fid} features, not FID", f"kernel distance of {not_fid} features, not KID")
    lines = [f"{names[0]}: {frechet_distance(*both):.6g}"]
    if any(rows is None for rows in features):
        return [*lines, f"{names[1]}: needs two folders of images, not statistics"]
    value, error = kid(*features)
    lines.append(f"{names[1]}: {value:.6g}, standard error {error:.2g}")
    counts = [len(rows) for rows in features]
    if min(counts) < RELIABLE:
        lines.append(
            f"{counts[0]} and {counts[1]} images are few: the Fréchet distance is biased upward, so compare it only "
            "with distances of equally many images; the kernel distance is unbiased"
        )
    return lines
