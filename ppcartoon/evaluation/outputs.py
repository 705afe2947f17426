"""The outputs of the compared methods, each given as NAME=PATH: a folder of outputs, a weights file or a run folder."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path

from .. import images
from ..baselines.predictor import open_weights
from ..config import loading
from ..data.image_folder import by_stem, fingerprint, image_files
from ..errors import InputError
from ..inference.batch import BatchOptions, cartoonize_files
from ..inference.jobs import Job
from ..utils.threads import threads

CONFIG, WEIGHTS = "config.yaml", "weights.safetensors"  # in a run folder


def parse_methods(texts: Sequence[str], known: Sequence[str]) -> dict[str, Path]:
    """Paths by method name.

    Args:
        texts: NAME=PATH each.
        known: names that are matched without regard to case; the result has their spelling.

    Raises:
        InputError: a text has another form, a name is repeated, or a path does not exist.
    """
    spellings = {name.casefold(): name for name in known}
    methods: dict[str, Path] = {}
    for text in texts:
        name, _, path = text.partition("=")
        if not (name.strip() and name.isprintable() and path):
            raise InputError(f"{text}: give a method as NAME=PATH")
        name = spellings.get(name.casefold(), name)
        if name in methods:
            raise InputError(f"{text}: a method of that name is already given")
        if not Path(path).exists():
            raise InputError(f"{text}: no such file or folder")
        methods[name] = Path(path)
    return methods


def outputs(name: str, path: Path, photos: list[Path], work: Path, same_size: bool = True) -> list[Path]:
    """The files of a method's output for each photo.

    Args:
        name: name of the method.
        path: a folder of files named like the photos, with any extension; a weights file; or a run folder, whose newest
            weights are used.
        photos: image files.
        work: folder for the outputs of weights, which are computed once.
        same_size: whether files in a folder must have the sizes of their photos.

    Raises:
        InputError: the weights cannot be read, outputs are missing or of another size, or photos cannot be read.
    """
    by_stem(photos)
    if path.is_dir() and not (path / WEIGHTS).is_file():
        return _from_folder(name, path, photos, same_size)
    return _from_weights(name, path / WEIGHTS if path.is_dir() else path, photos, work)


def weights_of_epoch(name: str, run: Path, epoch: int) -> Path:
    """The weights file of a run after an epoch of stage cartoon, or after stage init for epoch 0.

    Raises:
        InputError: the folder is not a run folder, or has no such file.
    """
    if not (run / CONFIG).is_file():
        raise InputError(f"{name}={run}: give a run folder, which has the weights of each epoch")
    number = loading.load(run / CONFIG).model.init_epochs + epoch
    path = run / "weights" / f"epoch_{number:04d}.safetensors"
    if not path.is_file():
        raise InputError(f"{path}: no such file; {name} has no weights of epoch {number}")
    return path


def _from_folder(name: str, folder: Path, photos: list[Path], same_size: bool) -> list[Path]:
    found = by_stem(image_files(folder))
    if missing := [photo.name for photo in photos if photo.stem not in found]:
        raise InputError(f"{folder}: {name} lacks {len(missing)} of {len(photos)} outputs, the first for {missing[0]}")
    files = [found[photo.stem] for photo in photos]
    if not same_size:
        return files
    with threads() as pool:
        sizes = pool.map(lambda path: "x".join(map(str, images.read(path).rgb.shape[1::-1])), [*photos, *files])
    for photo, file, expected, size in zip(photos, files, sizes, sizes[len(photos) :]):
        if size != expected:
            raise InputError(f"{file}: {size}, but {photo} has {expected}; {name}'s outputs need their photos' sizes")
    return files


def _from_weights(name: str, weights: Path, photos: list[Path], work: Path) -> list[Path]:
    """Computes the missing outputs, in a folder named after the weights and the photos."""
    key = hashlib.sha256(weights.read_bytes() + json.dumps(fingerprint(photos)).encode()).hexdigest()
    folder = work / f"{re.sub('[^-.0-9A-Za-z]+', '_', name)}-{key[:8]}"
    targets = [folder / f"{photo.stem}.png" for photo in photos]
    jobs = [Job(photo, target, skip=False) for photo, target in zip(photos, targets) if not target.is_file()]
    if jobs and (failed := cartoonize_files(open_weights(weights, precision="fp32"), jobs, BatchOptions())):
        raise InputError(f"{name}={weights}: {failed} of {len(photos)} photos, named above, have no output")
    return targets
