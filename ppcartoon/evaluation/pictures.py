"""Measures how cartoons differ from their photos: color, flat surfaces, edges, contrast and brightness.

All values are of images in [0, 255]; luma, U and V are those of ITU-R BT.601.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image
from tqdm import tqdm

from .. import images
from ..data.image_folder import by_stem, fingerprint, image_files, write_png
from ..errors import InputError
from ..utils.tables import Column, markdown_table, write_tables
from ..utils.threads import threads
from .fid import frechet_distance, statistics
from .outputs import outputs

PHOTOS = "the photos"
WINDOW, FLAT = 5, 2  # pixels per side, and the luma deviation below which a pixel is flat
EDGES = 90  # percentile of the gradient of a photo's luma from which a pixel is an edge
LAYER, CELLS = "conv3_4", 4  # of VGG19; rows and columns of cells
SCALE = 127.5 / 100  # divides VGG19's features by 100, the scale of the distances in weights/README.md
ASPECT = 0.05  # difference between the ratios of the sides of an output and its photo, at most


class Measures(NamedTuple):
    """How an output differs from its photo.

    Attributes:
        chroma: see `chroma_error`.
        flat: see `flat_surface`.
        edges: see `edge_sharpness`.
        contrast: see `contrast_kept`.
        luma: see `luma_moved`.
    """

    chroma: float
    flat: float
    edges: float
    contrast: float
    luma: float


COLUMNS = Measures(  # header and form
    ("chroma error", ".1f"),
    ("flat surface", ".1%"),
    ("edge sharpness", ".2f"),
    ("contrast kept", ".2f"),
    ("mean luma moved", ".1f"),
)


def measure(photo: np.ndarray, output: np.ndarray) -> Measures:
    """Measures an output and its photo, RGB uint8 [H, W, 3] each."""
    one, other = (cv2.cvtColor(image.astype(np.float32), cv2.COLOR_RGB2YUV) for image in (photo, output))
    luma = one[..., 0], other[..., 0]
    return Measures(
        chroma_error(one, other),
        flat_surface(luma[1]),
        edge_sharpness(*luma),
        contrast_kept(*luma),
        luma_moved(*luma),
    )


def chroma_error(photo: np.ndarray, output: np.ndarray) -> float:
    """Mean absolute difference in U and V; YUV float32 [H, W, 3] each."""
    return float(np.abs(photo[..., 1:] - output[..., 1:]).mean())


def flat_surface(luma: np.ndarray) -> float:
    """Share of the pixels around which the standard deviation of luma, float32 [H, W], is under 2 in 5x5 pixels."""
    mean = cv2.blur(luma, (WINDOW, WINDOW))
    variance = cv2.blur(luma * luma, (WINDOW, WINDOW)) - mean * mean
    return float((variance < FLAT**2).mean())


def edge_sharpness(photo: np.ndarray, output: np.ndarray) -> float:
    """Mean Sobel gradient of the output's luma, over the photo's, where the photo's is in its top tenth.

    Args:
        photo: luma, float32 [H, W].
        output: the same.

    Returns:
        1 for edges as sharp as the photo's, and for a photo of one brightness.
    """
    one, other = (
        np.hypot(cv2.Sobel(luma, cv2.CV_32F, 1, 0), cv2.Sobel(luma, cv2.CV_32F, 0, 1)) for luma in (photo, output)
    )
    edges = one >= np.percentile(one, EDGES)
    return _ratio(other[edges].mean(), one[edges].mean())


def contrast_kept(photo: np.ndarray, output: np.ndarray) -> float:
    """Standard deviation of the output's luma, over the photo's, float32 [H, W]; 1 for a photo of one brightness."""
    return _ratio(output.std(), photo.std())


def luma_moved(photo: np.ndarray, output: np.ndarray) -> float:
    """Absolute difference between the mean lumas; float32 [H, W] each."""
    return abs(float(output.mean(dtype=np.float64)) - float(photo.mean(dtype=np.float64)))


def _ratio(one: np.ndarray, other: np.ndarray) -> float:
    return float(one / other) if other else 1.0


class Features(NamedTuple):
    """What Fréchet distances are measured with.

    Attributes:
        name: of the features, for the header.
        cartoons: folder of the style's images.
        rows: computes the features [N, D] of image files, reduced to a longer side.
    """

    name: str
    cartoons: Path
    rows: Callable[[list[Path], int], np.ndarray]


def vgg_features(cartoons: Path, weights_file: Path | None = None) -> Features:
    """VGG19's conv3_4 before its ReLU, averaged over the 16 cells of an image, each of which is a sample.

    Args:
        cartoons: folder of the style's images.
        weights_file: see `features.extractor`.

    Raises:
        InputError: the weights cannot be downloaded or read.
    """
    from .features import VGGFeatures, file_features  # with Paddle

    extractor = VGGFeatures(LAYER, weights_file, CELLS)

    def rows(files: list[Path], size: int) -> np.ndarray:
        return SCALE * file_features(files, extractor, size=size).reshape(len(files) * CELLS**2, -1)

    return Features(extractor.name, cartoons, rows)


def compare(
    photos: Path, given: dict[str, Path], work: Path, size: int = 256, features: Features | None = None
) -> list[Column]:
    """The columns of a table with a row for the photos and a row for each method, as means over the photos.

    Args:
        photos: folder of photos.
        given: paths by method name, see `outputs.outputs`.
        work: folder for the reduced photos and the outputs of weights.
        size: longer side at which photos and outputs are measured, and at which weights see the photos; smaller photos
            are not enlarged.
        features: for columns with the Fréchet distances to the style and to the photos.

    Raises:
        InputError: images are missing, cannot be read, or are too few; an output has another aspect ratio.
    """
    if PHOTOS in given:
        raise InputError(f"{PHOTOS}={given[PHOTOS]}: this row is for the photos")
    files = image_files(photos)
    cartoons = image_files(features.cartoons) if features else []
    reduced = _reduced(files, work, size)
    methods = {PHOTOS: reduced}
    methods |= {name: outputs(name, path, reduced, work, same_size=False) for name, path in given.items()}
    columns = [Column("", "", [*methods])]
    if features:
        style, content, *others = (
            statistics(features.rows(found, size)) for found in (cartoons, reduced, *list(methods.values())[1:])
        )
        for header, target in (("the style", style), ("the photos", content)):
            values = [frechet_distance(each, target) for each in (content, *others)]
            columns.append(Column(f"{features.name} Fréchet distance to {header}", ".0f", values))
    measured = [np.mean(_measured(name, reduced, found, size), 0) for name, found in methods.items()]
    for (header, form), values in zip(COLUMNS, zip(*measured)):
        columns.append(Column(header, form, list(map(float, values))))
    return columns


def write(photos: Path, given: dict[str, Path], folder: Path, size: int, features: Features | None) -> str:
    """Writes pictures.md and pictures.csv (unrounded) into a folder; returns the Markdown.

    Args:
        photos: see `compare`.
        given: see `compare`.
        folder: output folder, for the table and the folder `outputs` with the outputs of weights.
        size: see `compare`.
        features: see `compare`.

    Raises:
        InputError: as in `compare`.
        OutputError: the folder cannot be written to.
    """
    columns = compare(photos, given, folder / "outputs", size, features)
    lines = list(markdown_table([column.header for column in columns], zip(*(column.cells() for column in columns))))
    lines.append(f"{len(image_files(photos))} photos of {photos}, longer side at most {size} pixels.")
    if features:
        lines[-1] += f" The style: {len(image_files(features.cartoons))} images of {features.cartoons}."
        lines[-1] += " The distances are not FID; compare only those of the same photos and style images."
    text = "\n".join(lines)
    write_tables(folder / "pictures", text, columns)
    return text


def _reduced(files: list[Path], work: Path, size: int) -> list[Path]:
    """Copies of photos, as PNG files whose longer side is at most `size`, in a folder named after the photos."""
    key = hashlib.sha256(json.dumps(fingerprint(files)).encode()).hexdigest()
    found = {work / f"photos-{size}-{key[:8]}" / f"{stem}.png": file for stem, file in by_stem(files).items()}
    missing = [path for path in found if not path.is_file()]
    with threads() as pool:
        pool.map(lambda path: write_png(path, images.shrink(images.read(found[path]), size).rgb), missing)
    return list(found)


def _measured(name: str, photos: list[Path], files: list[Path], size: int) -> list[Measures]:
    def measure_files(pair: tuple[Path, Path]) -> Measures:
        photo, output = (images.shrink(images.read(path), size).rgb for path in pair)
        return measure(photo, _fitted(output, photo.shape, pair[1]))

    with threads() as pool:
        pairs = pool.imap(measure_files, zip(photos, files))
        return list(tqdm(pairs, name, len(files), unit="image", leave=False, disable=None))


def _fitted(output: np.ndarray, shape: tuple[int, ...], file: Path) -> np.ndarray:
    """The output, scaled to the shape of its photo."""
    (height, width), (rows, columns) = shape[:2], output.shape[:2]
    if abs(columns * height / (rows * width) - 1) > ASPECT:
        raise InputError(f"{file}: {columns}x{rows} after reduction, but its photo has {width}x{height}")
    if output.shape == shape:
        return output
    return np.asarray(Image.fromarray(output).resize((width, height), Image.Resampling.LANCZOS))
