"""What is compared: NAME=PATH, where PATH is a folder of outputs made already, a weights file, or a run's folder."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .. import images
from ..baselines.predictor import open_weights
from ..config import loading
from ..data.image_folder import by_stem, fingerprint, image_files
from ..errors import InputError
from ..inference.batch import BatchOptions, cartoonize_files
from ..inference.jobs import Job
from ..utils.threads import threads

CONFIG, WEIGHTS = "config.yaml", "weights.safetensors"  # of a run


def named(texts: Sequence[str], known: Sequence[str]) -> dict[str, Path]:
    """Paths by names, from NAME=PATH each.

    Args:
        texts: what the user gave.
        known: names whose spelling is taken over, whatever case they are given in.

    Raises:
        InputError: one has another form, a name comes twice, or a path is not there.
    """
    spelled = {name.casefold(): name for name in known}
    found: dict[str, Path] = {}
    for text in texts:
        name, _, path = text.partition("=")
        if not (name.strip() and name.isprintable() and path):
            raise InputError(f"{text}: a method is named as NAME=PATH")
        name = spelled.get(name.casefold(), name)
        if name in found:
            raise InputError(f"{text}: two methods of that name")
        if not Path(path).exists():
            raise InputError(f"{text}: no such file or folder")
        found[name] = Path(path)
    return found


def outputs(name: str, path: Path, photos: list[Path], work: Path) -> list[Path]:
    """A method's output for each photo, of the photo's size.

    Args:
        name: of the method.
        path: a folder with files of the photos' names, whatever their endings; a weights file; or a run's folder, whose
            newest weights are taken.
        photos: image files.
        work: folder for the outputs of weights, which are made once.

    Raises:
        InputError: there are no such weights, outputs are missing or have another size, or photos cannot be read.
    """
    by_stem(photos)
    if path.is_dir() and not (path / WEIGHTS).is_file():
        return _there(name, path, photos)
    return _made(name, path / WEIGHTS if path.is_dir() else path, photos, work)


def of_epoch(name: str, run: Path, epoch: int) -> Path:
    """The weights that a run kept after so many epochs of stage cartoon; 0: at the end of stage init.

    Raises:
        InputError: it is no run's folder, or does not have them.
    """
    if not (run / CONFIG).is_file():
        raise InputError(f"{name}={run}: needs a run's folder, with its weights of each epoch")
    number = loading.load(run / CONFIG).model.init_epochs + epoch
    path = run / "weights" / f"epoch_{number:04d}.safetensors"
    if not path.is_file():
        raise InputError(f"{path}: not there; {name} has no weights of epoch {number}")
    return path


def read(path: Path) -> np.ndarray:
    """RGB uint8 [H, W, 3].

    Raises:
        InputError: it cannot be read.
    """
    try:
        return images.read(path).rgb
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _there(name: str, folder: Path, photos: list[Path]) -> list[Path]:
    found = by_stem(image_files(folder))
    if missing := [photo.name for photo in photos if photo.stem not in found]:
        raise InputError(f"{folder}: {name} lacks {len(missing)} of {len(photos)} outputs, that of {missing[0]} first")
    files = [found[photo.stem] for photo in photos]
    with threads() as pool:
        sizes = pool.map(lambda path: "x".join(map(str, read(path).shape[1::-1])), [*photos, *files])
    for photo, file, size, other in zip(photos, files, sizes, sizes[len(photos) :]):
        if size != other:
            raise InputError(f"{file}: {other}, where {photo} has {size}; {name}'s outputs need their photos' sizes")
    return files


def _made(name: str, weights: Path, photos: list[Path], work: Path) -> list[Path]:
    """Outputs of weights, in a folder that is named after all they depend on."""
    key = hashlib.sha256(weights.read_bytes() + json.dumps(fingerprint(photos)).encode()).hexdigest()
    folder = work / f"{re.sub('[^-.0-9A-Za-z]+', '_', name)}-{key[:8]}"
    targets = [folder / f"{photo.stem}.png" for photo in photos]
    jobs = [Job(photo, target, skip=False) for photo, target in zip(photos, targets) if not target.is_file()]
    if jobs and (failed := cartoonize_files(open_weights(weights, precision="fp32"), jobs, BatchOptions())):
        raise InputError(f"{name}={weights}: {failed} of {len(photos)} photos, named above, have no output")
    return targets
