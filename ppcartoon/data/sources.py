"""What can be downloaded: AnimeGAN's data set, as the paper used it, and the weights of VGG19 and Inception."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from ..errors import InputError, OutputError
from .download import fetch
from .image_folder import image_files
from .unpacking import filled, unpack


class Source(NamedTuple):
    """A file on a server.

    Attributes:
        title: what it is.
        url: where it is.
        checksum: "md5:..." or "sha256:..."; None where nobody published one.
    """

    title: str
    url: str
    checksum: str | None

    @property
    def name(self) -> str:
        """Of the file."""
        return self.url.rpartition("/")[2]


SOURCES = {
    "dataset": Source(  # footnote 4; its files have checksums inside
        "AnimeGAN's data set",
        "https://github.com/TachibanaYoshino/AnimeGAN/releases/download/dataset-1/dataset.zip",
        None,
    ),
    "vgg19": Source(  # footnote 2
        "VGG19",
        "https://paddlegan.bj.bcebos.com/models/vgg19_no_fc.npy",
        "md5:8ea1ef2374f8684b6cea9f300849be81",
    ),
    "inception": Source(  # footnote 10
        "Inception-V3",
        "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
        "sha256:6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    ),
}

PAPER = {  # images by folder, section IV-A
    "train_photo": 6656,
    "test/test_photo": 790,
    "test/HR_photo": 45,
    "Hayao/style": 1792,
    "Shinkai/style": 1650,
    "SummerWar/style": 1357,  # Hosoda
    "Paprika/style": 1553,
}


def weights_folder() -> Path:
    """Where ppgan looks for weights."""
    return Path.home() / ".cache" / "ppgan"


def download(what: str, folder: Path | None = None, url: str | None = None, checksum: str | None = None) -> Path:
    """Fetches a file, unless it is there, and gives its path.

    Args:
        what: "dataset", "vgg19" or "inception".
        folder: where it goes; None for `weights_folder()`.
        url: of a mirror; None for the origin.
        checksum: what a file without a published one should have; None for no check.

    Raises:
        InputError: it cannot be had; the message says how to get it by hand.
    """
    source = SOURCES[what]
    path = (folder or weights_folder()) / source.name
    try:
        return fetch(url or source.url, path, source.checksum or checksum)
    except OutputError:
        raise
    except InputError as error:
        known = f" ({source.checksum})" if source.checksum else ""
        raise InputError(
            f"{source.title} cannot be had: {error}. Try again, or fetch that file{known} by hand and put it there "
            f"as {path}"
        ) from error


def download_dataset(folder: Path, url: str | None = None, checksum: str | None = None) -> Path:
    """Fetches AnimeGAN's data set into `folder` and unpacks it there, unless that is done; gives its own folder.

    Raises:
        InputError: it cannot be had, or is not what it should be.
    """
    target = folder / "dataset"
    if not filled(target):
        unpack(download("dataset", folder, url, checksum), target, "train_photo")
    return target


def count(dataset: Path) -> dict[str, int]:
    """The images of each folder in `PAPER`."""
    counts = {}
    for name in PAPER:
        try:
            counts[name] = len(image_files(dataset / name))
        except InputError:
            counts[name] = 0
    return counts
