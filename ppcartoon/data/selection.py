"""Selects cartoons with clear drawing and fair light, and evens out their tint and range."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from tqdm import tqdm

from ..errors import InputError
from ..utils.files import atomic
from ..utils.threads import threads
from .edge_smoothing import CANNY
from .image_folder import by_stem, encode_png, image_files, images_in, read_on_white, write_contact_sheet

NEAR = 7  # pixels: side of the square around an edge pixel in which grain is not measured
FINE = 1.5  # standard deviation of the blur that grain is measured against, in pixels
PLAIN = 500  # pixels away from edges that a measure of grain needs
EVENED = 0.6  # share of the way to a gray mean color and to the full range
GAMMA = 2.2
FULL = 8, 250  # luma of the full range
PERCENTILES = 0.5, 99.5  # of the luma, which are moved toward the full range
NARROWEST = 60  # luma between the percentiles below which an image is not stretched further


class Drawing(NamedTuple):
    """Measures of a cartoon that tell clear drawing and fair light.

    Attributes:
        luma: mean luma, of 255.
        edges: share of the pixels that are Canny edges, 0 to 1.
        grain: median difference between luma and blurred luma away from edges, of 255; infinite for an image that has
            edges nearly everywhere.
        contrast: standard deviation of luma, of 255.
    """

    luma: float
    edges: float
    grain: float
    contrast: float


class Limits(NamedTuple):
    """Limits on the measures of a cartoon; the defaults were chosen on images of 256x256.

    Attributes:
        min_luma: least mean luma, of 255.
        min_edges: least share of edge pixels, 0 to 1.
        max_edges: largest share of edge pixels, 0 to 1.
        max_grain: most grain, of 255.
        min_contrast: least standard deviation of luma, of 255.
    """

    min_luma: float = 108
    min_edges: float = 0.03
    max_edges: float = 0.16
    max_grain: float = 1.55
    min_contrast: float = 30

    def faults(self, drawing: Drawing) -> list[str]:
        """The limits that a cartoon fails, in words; an empty list for one that is kept."""
        failed = {
            f"mean luma under {self.min_luma:g}": drawing.luma < self.min_luma,
            f"edges on less than {self.min_edges:g} of the pixels": drawing.edges < self.min_edges,
            f"edges on more than {self.max_edges:g} of the pixels": drawing.edges > self.max_edges,
            f"grain over {self.max_grain:g}": drawing.grain > self.max_grain,
            f"contrast under {self.min_contrast:g}": drawing.contrast < self.min_contrast,
        }
        return [words for words, fails in failed.items() if fails]


DEFAULT = Limits()


class Selection(NamedTuple):
    """Result of `select`.

    Attributes:
        kept: files whose image was kept.
        number_left_out: number of the other files that could be read.
        left_out: the files that fail each limit; a file can fail several.
        failed: files that could not be read, each with the message of its error.
        sheets: contact sheets of the kept and of the other images; None where there is no such image.
    """

    kept: list[Path]
    number_left_out: int
    left_out: dict[str, list[Path]]
    failed: dict[Path, str]
    sheets: tuple[Path | None, Path | None]


def measure(image: np.ndarray) -> Drawing:
    """Measures a cartoon, RGB uint8 [H, W, 3]."""
    luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    edges = cv2.Canny(luma, *CANNY) > 0
    plain = cv2.dilate(edges.astype(np.uint8), np.ones((NEAR, NEAR), np.uint8)) == 0
    exact = luma.astype(np.float32)
    grain = np.abs(exact - cv2.GaussianBlur(exact, (0, 0), FINE))[plain]
    return Drawing(
        float(luma.mean()),
        float(edges.mean()),
        float(np.median(grain)) if grain.size > PLAIN else np.inf,
        float(luma.std()),
    )


def even_out(image: np.ndarray) -> np.ndarray:
    """Moves the mean color toward gray, in linear light, and the range of luma toward the full range.

    Args:
        image: RGB uint8 [H, W, 3].

    Returns:
        The same shape and type.
    """
    linear = (image.astype(np.float32) / 255) ** GAMMA
    mean = linear.reshape(-1, 3).mean(0)
    gray = mean[::-1].mean()  # blue first, as images were evened out for the shipped styles: the rounding differs
    tinted = np.clip(linear * (gray / np.maximum(mean, 1e-6)) ** EVENED, 0, 1) ** (1 / GAMMA) * 255
    low, high = np.percentile(cv2.cvtColor(tinted.astype(np.float32), cv2.COLOR_RGB2GRAY), PERCENTILES)
    stretched = (tinted - low) / max(high - low, NARROWEST) * (FULL[1] - FULL[0]) + FULL[0]
    evened = (1 - EVENED) * tinted + EVENED * stretched
    return np.uint8(np.clip(evened + 0.5, 0, 255))


def select(
    cartoons: Path, folder: Path, limits: Limits = DEFAULT, even: bool = False, jobs: int | None = None
) -> Selection:
    """Writes the cartoons within the limits as PNG files into a folder, and contact sheets beside the folder.

    Files that are there already and would not change are not written again.

    Args:
        cartoons: folder of images; not modified.
        folder: for the images that are kept; images of other names in it are left alone.
        limits: on the measures of an image.
        even: whether to write images after `even_out`.
        jobs: threads; None for one per core.

    Raises:
        InputError: there is no such folder, no image in it, or two files differ in their extensions only; `folder` is
            `cartoons` or inside it, or contains images that are left out now.
        OutputError: the folder cannot be written.
    """
    files = image_files(cartoons)
    by_stem(files)
    source, target = (Path(os.path.realpath(path)) for path in (cartoons, folder))
    if source in (target, *target.parents):
        raise InputError(f"{folder}: is inside the folder of cartoons; choose another --output")
    failed: dict[Path, str] = {}

    def faults(file: Path) -> list[str]:
        try:
            return limits.faults(measure(read_on_white(file)))
        except InputError as error:
            failed[file] = str(error)
            return []

    def write(file: Path) -> None:
        image, path = read_on_white(file), folder / f"{file.stem}.png"
        data = encode_png(even_out(image) if even else image)
        if not (path.is_file() and path.read_bytes() == data):
            with atomic(path) as temporary:
                temporary.write_bytes(data)

    with threads(jobs) as pool:
        found = dict(zip(files, tqdm(pool.imap(faults, files), "measuring", len(files), unit="image", disable=None)))
        kept = [file for file in files if not found[file] and file not in failed]
        others = [file for file in files if found[file]]
        names = {f"{file.stem}.png" for file in others}
        if earlier := [file.name for file in images_in(folder) if file.name in names]:
            raise InputError(
                f"{folder}: has {len(earlier)} images that are left out now, {earlier[0]} first; remove them or choose "
                "another --output"
            )
        list(tqdm(pool.imap_unordered(write, kept), "writing", len(kept), unit="image", disable=None))
    left_out: dict[str, list[Path]] = {}
    for file in files:
        for reason in found[file]:
            left_out.setdefault(reason, []).append(file)
    sheets = write_contact_sheet(kept, folder, "kept"), write_contact_sheet(others, folder, "left_out")
    return Selection(kept, len(others), left_out, dict(sorted(failed.items())), sheets)
