"""The folder of a study: photos/NAME.* and, of each method, STYLE/METHOD/NAME.*"""

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
    """What there is to vote on: each style with each photo.

    Attributes:
        photos: photo by name, which has no ending.
        sizes: height and width of each photo, and of what was made of it, in pixels.
        outputs: file by style, method and name of the photo.
        checksums: SHA-256 of each file, by its path below the folder.
    """

    photos: dict[str, Path]
    sizes: dict[str, tuple[int, int]]
    outputs: dict[str, dict[str, dict[str, Path]]]
    checksums: dict[str, str]

    def file(self, style: str, photo: str, method: str) -> Path:
        """The output of a method, or the photo for the method ""."""
        return self.outputs[style][method][photo] if method else self.photos[photo]


def read(folder: Path) -> tuple[Material, list[str]]:
    """Looks at all images of a study.

    Args:
        folder: has the photos, which decide what is shown, and a folder for each style with one for each method in it.
            Names that begin with . or _ are left out, and so are outputs without a photo.

    Returns:
        The material, and what is wrong with it, a line each.

    Raises:
        InputError: there is no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    problems: list[str] = []

    def found(path: Path) -> dict[str, Path]:
        try:
            return by_stem(image_files(path))
        except InputError as error:
            problems.append(str(error))
            return {}

    photos = found(folder / PHOTOS)
    styles = [path for path in _folders(folder, problems) if path.name != PHOTOS]
    outputs = {style.name: {path.name: found(path) for path in _folders(style, problems)} for style in styles}
    problems += _gaps(folder, photos, outputs)
    wanted = [
        {name: file for name, file in files.items() if name in photos}
        for files in (photos, *(files for methods in outputs.values() for files in methods.values()))
    ]
    looks = _look_at([file for files in wanted for file in files.values()])
    problems += [look for look in looks.values() if isinstance(look, str)]
    good = {file: look for file, look in looks.items() if not isinstance(look, str)}
    sizes = {name: good[file][0] for name, file in photos.items() if file in good}
    for name, file in (item for files in wanted for item in files.items()):
        if file in good and name in sizes and good[file][0] != sizes[name]:
            here, there = (f"{width}x{height}" for height, width in (good[file][0], sizes[name]))
            problems.append(f"{file}: {here} pixels, but its photo has {there}")
    checksums = {file.relative_to(folder).as_posix(): checksum for file, (_, checksum) in good.items()}
    return Material(photos, sizes, outputs, checksums), problems


def _folders(parent: Path, problems: list[str]) -> list[Path]:
    found = sorted(path for path in parent.iterdir() if path.is_dir() and path.name[0] not in "._")
    problems += [f"{path}: its name has signs that cannot be printed" for path in found if not path.name.isprintable()]
    return found


def _gaps(folder: Path, photos: dict[str, Path], outputs: dict[str, dict[str, dict[str, Path]]]) -> list[str]:
    """What is missing."""
    if not outputs:
        return [f"{folder}: no style beside {PHOTOS}; a style is a folder with a folder for each method in it"]
    few = [
        f"{folder / style}: a style needs folders of at least two methods, and has {len(methods)}"
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


def _look_at(files: list[Path]) -> dict[Path, tuple[tuple[int, int], str] | str]:
    """Size and checksum of each image, or why it cannot be read."""

    def look(file: Path) -> tuple[tuple[int, int], str] | str:
        try:
            return images.read(file).rgb.shape[:2], hashlib.sha256(file.read_bytes()).hexdigest()
        except InputError as error:
            return str(error)

    with threads() as pool:
        looks = pool.imap(look, files)
        return dict(zip(files, tqdm(looks, "images", len(files), unit="image", leave=False, disable=None)))
