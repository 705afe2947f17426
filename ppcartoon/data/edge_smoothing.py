"""Edge smoothing of cartoons (Chen et al., CartoonGAN, CVPR 2018, section 3.2.1)."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from tqdm import tqdm

from .. import images
from ..errors import InputError, OutputError
from ..utils.threads import threads
from .image_folder import by_stem, image_files, images_in, write_png

KERNEL = 5
CANNY = (100, 200)


class Smoothed(NamedTuple):
    """What became of a folder.

    Attributes:
        folder: of the smoothed cartoons.
        made: how many were written.
        there: how many were there already, newer than their cartoons or in another format.
        failed: the files that could not be read, with the reason.
    """

    folder: Path
    made: int
    there: int
    failed: dict[Path, str]


def smooth_edges(image: np.ndarray) -> np.ndarray:
    """The cartoon e of a cartoon c: Canny edges, dilated, and a Gaussian blur on the dilated edges alone.

    Args:
        image: RGB uint8 [H, W, 3].

    Returns:
        The same shape and type; what lies away from edges is unchanged.
    """
    edges = cv2.Canny(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), *CANNY)
    near = cv2.dilate(edges, np.ones((KERNEL, KERNEL), np.uint8))
    blurred = cv2.GaussianBlur(image, (KERNEL, KERNEL), 0, borderType=cv2.BORDER_REFLECT_101)
    return np.where(near[..., None] > 0, blurred, image)


def smooth_folder(cartoons: Path, folder: Path | None = None, jobs: int | None = None) -> Smoothed:
    """Writes the smoothed twin of every cartoon, as PNG: lossless, so that they differ at the edges alone.

    Args:
        cartoons: folder of images, which is left as it is.
        folder: for the twins; None for `smooth` beside `cartoons`, as in AnimeGAN's data set.
        jobs: threads; None for as many as cores.

    Raises:
        InputError: there is no such folder, no image in it, or two of one name but for the ending; the twins would go
            into the folder of the cartoons.
        OutputError: the folder cannot be written.
    """
    folder = folder or Path(os.path.abspath(cartoons)).parent / "smooth"  # a link stays where it is
    files = image_files(cartoons)
    by_stem(files)
    source, target = (Path(os.path.realpath(path)) for path in (cartoons, folder))
    if source in (target, *target.parents):
        raise InputError(f"{folder}: lies in the folder of the cartoons, which is left as it is; name another --output")
    others = {file.stem for file in images_in(folder) if file.suffix != ".png"}
    failed: dict[Path, str] = {}

    def smooth(file: Path) -> str:
        target = folder / f"{file.stem}.png"
        try:
            newer = target.is_file() and target.stat().st_mtime >= file.stat().st_mtime
            if newer or file.stem in others:  # somebody else's twins, which come with AnimeGAN's data set
                return "there"
            write_png(target, smooth_edges(images.read(file).rgb))
            return "made"
        except OutputError:
            raise
        except (InputError, OSError) as error:
            failed[file] = str(error)
            return "failed"

    before = cv2.getNumThreads()
    cv2.setNumThreads(1)  # an image a core is quicker than all cores on one
    try:
        with threads(jobs) as pool:
            done = Counter(
                tqdm(pool.imap_unordered(smooth, files), "smoothing", len(files), unit="image", disable=None)
            )
    finally:
        cv2.setNumThreads(before)
    return Smoothed(folder, done["made"], done["there"], dict(sorted(failed.items())))
