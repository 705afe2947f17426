"""Reads and checks the folder of a study: photos/NAME.* and the outputs STYLE/METHOD/NAME.*."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from ... import images
from ...data.image_folder import by_stem, image_files
from ...errors import InputError
from ...utils.threads import threads

PHOTOS = "photos"


class Material(NamedTuple):
    """The images of a study.

    Attributes:
        photos: file by the photo's name without extension.
        sizes: height and width in pixels by the photo's name; outputs have the same size.
        outputs: file by style, method and the photo's name.
        checksums: SHA-256 by path relative to the folder.
    """

    photos: dict[str, Path]
    sizes: dict[str, tuple[int, int]]
    outputs: dict[str, dict[str, dict[str, Path]]]
    checksums: dict[str, str]

    def file(self, style: str, photo: str, method: str) -> Path:
        """A method's output for a photo, or the photo itself if `method` is ""."""
        return self.outputs[style][method][photo] if method else self.photos[photo]


def read(folder: Path) -> tuple[Material, list[str]]:
    """Reads the images of a study.

    Args:
        folder: contains a folder of photos, and for each style a folder with one folder per method. Names that begin
            with . or _ and outputs without a photo are ignored.

    Returns:
        The images, and one line per problem.

    Raises:
        InputError: the folder does not exist.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    problems: list[str] = []

    def images_of(path: Path) -> dict[str, Path]:
        try:
            return by_stem(image_files(path))
        except InputError as error:
            problems.append(str(error))
            return {}

    photos = images_of(folder / PHOTOS)
    styles = [path for path in _folders(folder, problems) if path.name != PHOTOS]
    outputs = {style.name: {path.name: images_of(path) for path in _folders(style, problems)} for style in styles}
    problems += _missing(folder, photos, outputs)
    wanted = [
        {name: file for name, file in files.items() if name in photos}
        for files in (photos, *(files for methods in outputs.values() for files in methods.values()))
    ]
    results = _inspect([file for files in wanted for file in files.values()])
    problems += [error for error in results.values() if isinstance(error, str)]
    readable = {file: result for file, result in results.items() if not isinstance(result, str)}
    sizes = {name: readable[file][0] for name, file in photos.items() if file in readable}
    for name, file in (item for files in wanted for item in files.items()):
        if file in readable and name in sizes and readable[file][0] != sizes[name]:
            size, expected = (f"{width}x{height}" for height, width in (readable[file][0], sizes[name]))
            problems.append(f"{file}: {size} pixels, but its photo has {expected}")
    checksums = {file.relative_to(folder).as_posix(): checksum for file, (_, checksum) in readable.items()}
    return Material(photos, sizes, outputs, checksums), problems


def _folders(parent: Path, problems: list[str]) -> list[Path]:
    found = sorted(path for path in parent.iterdir() if path.is_dir() and path.name[0] not in "._")
    unprintable = [path for path in found if not path.name.isprintable()]
    problems += [f"{path}: its name contains characters that cannot be printed" for path in unprintable]
    return found


def _missing(folder: Path, photos: dict[str, Path], outputs: dict[str, dict[str, dict[str, Path]]]) -> list[str]:
    """One line per missing style, method or output."""
    if not outputs:
        return [f"{folder}: no style next to {PHOTOS}; a style is a folder with one folder per method"]
    few = [
        f"{folder / style}: a style needs folders of at least two methods, but has {len(methods)}"
        for style, methods in outputs.items()
        if len(methods) < 2
    ]
    return few + [
        f"{folder / style / method}: no output for {photo.name}"
        for style, methods in outputs.items()
        for method, files in methods.items()
        if files
        for name, photo in photos.items()
        if name not in files
    ]


def _inspect(files: list[Path]) -> dict[Path, tuple[tuple[int, int], str] | str]:
    """Size and checksum of each image, or the error message."""

    def inspect(file: Path) -> tuple[tuple[int, int], str] | str:
        try:
            return images.read(file).rgb.shape[:2], hashlib.sha256(file.read_bytes()).hexdigest()
        except InputError as error:
            return str(error)

    with threads() as pool:
        results = pool.imap(inspect, files)
        return dict(zip(files, tqdm(results, "images", len(files), unit="image", leave=False, disable=None)))
