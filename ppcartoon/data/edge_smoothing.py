"""Edge smoothing of cartoons (Chen et al., CartoonGAN, CVPR 2018, section 3.2.1)."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from tqdm import tqdm

from ..errors import InputError, OutputError
from ..utils.threads import threads
from .image_folder import by_stem, image_files, images_in, read_on_white, write_png

KERNEL = 5
CANNY = (100, 200)


class Smoothed(NamedTuple):
    """Result of `smooth_folder`.

    Attributes:
        folder: folder of the smoothed cartoons.
        made: number of files written.
        existing: number of files kept, as they are newer than their cartoons or in another format.
        failed: files that could not be read or written, each with the message of its error.
    """

    folder: Path
    made: int
    existing: int
    failed: dict[Path, str]


def smooth_edges(image: np.ndarray) -> np.ndarray:
    """The edge-smoothed cartoon e of a cartoon c: Canny edges, dilated; a Gaussian blur on the dilated edges only.

    Args:
        image: RGB uint8 [H, W, 3].

    Returns:
        The same shape and type; unchanged away from edges.
    """
    edges = cv2.Canny(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), *CANNY)
    near = cv2.dilate(edges, np.ones((KERNEL, KERNEL), np.uint8))
    blurred = cv2.GaussianBlur(image, (KERNEL, KERNEL), 0, borderType=cv2.BORDER_REFLECT_101)
    return np.where(near[..., None] > 0, blurred, image)


def smooth_folder(cartoons: Path, folder: Path | None = None, jobs: int | None = None) -> Smoothed:
    """Writes the edge-smoothed file of every cartoon, as PNG: lossless, so that they differ at the edges only.

    Files that exist are kept, unless their cartoon is newer.

    Args:
        cartoons: folder of images; not modified.
        folder: for the smoothed files; None for `smooth` beside `cartoons`, as in AnimeGAN's data set.
        jobs: threads; None for one per core.

    Raises:
        InputError: there is no such folder, no image in it, or two files differ in their extensions only; `folder` is
            inside `cartoons`.
        OutputError: the folder cannot be written.
    """
    folder = folder or Path(os.path.abspath(cartoons)).parent / "smooth"  # links are not resolved
    files = image_files(cartoons)
    by_stem(files)
    source, target = (Path(os.path.realpath(path)) for path in (cartoons, folder))
    if source in (target, *target.parents):
        raise InputError(f"{folder}: is inside the folder of cartoons; choose another --output")
    others = {file.stem for file in images_in(folder) if file.suffix != ".png"}
    failed: dict[Path, str] = {}

    def smooth(file: Path) -> str:
        target = folder / f"{file.stem}.png"
        try:
            newer = target.is_file() and target.stat().st_mtime >= file.stat().st_mtime
            if newer or file.stem in others:  # in another format, as in AnimeGAN's data set
                return "existing"
            write_png(target, smooth_edges(read_on_white(file)))
            return "made"
        except OutputError:
            raise
        except InputError as error:
            failed[file] = str(error)
        except OSError as error:
            failed[file] = f"{file}: {error.strerror}"
            return "failed"

    before = cv2.getNumThreads()
    cv2.setNumThreads(1)  # one image per core is faster than all cores on one image
    try:
        with threads(jobs) as pool:
            done = Counter(
                tqdm(pool.imap_unordered(smooth, files), "smoothing", len(files), unit="image", disable=None)
            )
    finally:
        cv2.setNumThreads(before)
    return Smoothed(folder, done["made"], done["existing"], dict(sorted(failed.items())))
