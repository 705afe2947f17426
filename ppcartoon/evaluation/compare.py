"""FID and KID of two folders of images, or of statistics made of such."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import InputError
from .features import BATCH, extractor, of_folder
from .fid import Statistics, frechet_distance, kid, load_statistics, save_statistics, statistics
from .inception import FEATURES

MANY = 2048  # images, from which on FID is commonly trusted


class Features(NamedTuple):
    """Which features are compared, and how they are made.

    Attributes:
        name: see `features.extractor`.
        path: of its weights, likewise.
        batch_size: images at once.
        cache: see `features.of_folder`.
    """

    name: str = "inception"
    path: Path | None = None
    batch_size: int = BATCH
    cache: bool = True


def compare(a: Path, b: Path | None, asked: Features, save: Path | None = None) -> list[str]:
    """What there is to say of two sets of images, line by line.

    Args:
        a: folder of images, or an .npz of statistics.
        b: likewise; None where only statistics are to be saved.
        asked: the features.
        save: where the statistics of `a` go.

    Raises:
        InputError: a file or folder is not there or not what it should be.
    """
    if b is None and save is None:
        raise InputError("B is missing: name two folders or statistics, or --save for one")
    sides = [load_statistics(side) if side.suffix == ".npz" else side for side in (a, b) if side]
    folders = [side for side in sides if isinstance(side, Path)]
    network = extractor(asked.name, asked.path) if folders else None
    options = {"batch_size": asked.batch_size, "cache": asked.cache}
    samples = [of_folder(side, network, **options) if isinstance(side, Path) else None for side in sides]
    known = [side if sample is None else statistics(sample) for side, sample in zip(sides, samples)]
    lines = []
    if save:
        save_statistics(save, known[0])
        lines.append(f"statistics of {a}: {save}")
    if b is not None:
        is_fid = asked.name == "inception" and known[0].mu.size == FEATURES
        lines += distances(None if is_fid else network.name if network else asked.name, known, samples)
    return lines


def distances(not_fid: str | None, known: list[Statistics], samples: list[np.ndarray | None]) -> list[str]:
    """The distances of two sets of images, and what they mean; `not_fid` names other features than Inception's."""
    names = ("FID", "KID")
    if not_fid:
        names = (f"Fréchet distance of {not_fid} features, not FID", f"kernel distance of {not_fid} features, not KID")
    lines = [f"{names[0]}: {frechet_distance(*known):.6g}"]
    if any(sample is None for sample in samples):
        return [*lines, f"{names[1]}: needs the images of both, statistics are not enough"]
    value, error = kid(*samples)
    lines.append(f"{names[1]}: {value:.6g}, standard error {error:.2g}")
    counts = [len(sample) for sample in samples]
    if min(counts) < MANY:
        lines.append(
            f"{counts[0]} and {counts[1]} images are few: the Fréchet distance comes out too large, and compares with "
            "those of as many images only; the kernel distance is unbiased"
        )
    return lines
