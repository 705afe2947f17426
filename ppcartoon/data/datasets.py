"""Datasets of unpaired photos and cartoons, and a resumable sampler whose order depends only on seed and epoch."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from paddle.io import BatchSampler, Dataset

from ..errors import InputError
from ..images import to_network
from .cache import ImageStack, cache_folder
from .edge_smoothing import smooth_edges
from .image_folder import image_files, paired_files
from .samples import draw_cartoon, draw_photo

log = logging.getLogger("ppcartoon")

PHOTOS, CARTOONS, WINDOWS, OTHERS = range(4)  # independent random streams


class UnpairedCartoonDataset(Dataset):
    """Photos p, each with a random cartoon c and its edge-smoothed cartoon e.

    An item is a dict of float32 [3, size, size] in [-1, 1]: `photo`, `cartoon` and `smooth`; and with `other_cartoons`,
    float32 [other_cartoons, 3, size, size] of more pairs, `other_cartoons` and `other_smooth`. Its index is (number,
    photo) from an `EpochSampler`; the cartoons, the crops and the flips depend on the seed and `number` only. With a
    photo's number alone, as from the samplers of Paddle and ppgan, NumPy's global generator draws `number`, so that
    each epoch has other cartoons and crops.

    Args:
        dataroot: folder that the other folders are relative to.
        photos: folder of photos.
        cartoons: folder of cartoons.
        smooth: folder of smoothed cartoons with the cartoons' names; if None or missing, they are computed.
        size: height and width of the crops, a multiple of 4.
        load_size: shorter side of an image before it is cropped; None for `size`.
        random_crop: crop at a random position instead of the center.
        flip: mirror at random, with probability 0.5.
        seed: seed of order, crops and flips.
        cache_dir: folder for decoded images; None for `cache_folder()`.
        other_cartoons: number of other cartoons for each photo; they do not change the rest of the item.
        recursive: also take the photos in subfolders of `photos`.

    Raises:
        InputError: a folder is missing or empty, files cannot be read, paired files are missing or of another shape.
    """

    def __init__(
        self,
        dataroot: str,
        photos: str,
        cartoons: str,
        smooth: str | None = None,
        size: int = 256,
        load_size: int | None = None,
        random_crop: bool = False,
        flip: bool = False,
        seed: int = 0,
        cache_dir: str | None = None,
        other_cartoons: int = 0,
        recursive: bool = False,
    ) -> None:
        super().__init__()
        self.size, self.random_crop, self.flip, self.seed = size, random_crop, flip, seed
        self.other_cartoons = other_cartoons
        root, cache = Path(dataroot).expanduser(), Path(cache_dir).expanduser() if cache_dir else cache_folder()

        def stack(key: str, files: list[Path], smoothed: bool = False) -> ImageStack:
            try:
                return ImageStack(files, load_size or size, cache, smoothed)
            except InputError as error:
                raise type(error)(f"dataset.train.{key}: {error}") from error

        self.photos = stack("photos", _files("photos", root / photos, recursive))
        self.cartoons = stack("cartoons", _files("cartoons", root / cartoons))
        names = self.cartoons.files
        if smooth and not (root / smooth).is_dir():
            log.info(f"dataset.train.smooth: {root / smooth} does not exist; the cartoons are smoothed now")
        if smooth and (root / smooth).is_dir():
            self.smooth = stack("smooth", _smoothed(names, root / smooth))
        else:
            self.smooth = stack("cartoons", names, smoothed=True)
        for i in np.flatnonzero((self.smooth.shapes != self.cartoons.shapes).any(1))[:1]:
            raise InputError(f"dataset.train.smooth: {self.smooth.files[i]} has another shape than {names[i]}")

    def __len__(self) -> int:
        """Number of photos."""
        return len(self.photos)

    def __getitem__(self, index: int | tuple[int, int]) -> dict[str, np.ndarray]:
        number, photo = index if isinstance(index, tuple) else (int(np.random.randint(2**31)), index)
        turn, position = divmod(number, len(self.cartoons))
        cartoon = _permutation(len(self.cartoons), self.seed, CARTOONS, turn)[position]
        rng = np.random.default_rng((self.seed, WINDOWS, number))
        windows = self._window([self.photos[photo]], rng)
        windows += self._window([self.cartoons[cartoon], self.smooth[cartoon]], rng)
        item = {name: to_network(image[None])[0] for name, image in zip(("photo", "cartoon", "smooth"), windows)}
        if self.other_cartoons:
            rng = np.random.default_rng((self.seed, OTHERS, number))
            others = rng.integers(len(self.cartoons), size=self.other_cartoons)
            pairs = [self._window([self.cartoons[i], self.smooth[i]], rng) for i in others]
            item |= {f"other_{k}": to_network(np.stack(v)) for k, v in zip(("cartoons", "smooth"), zip(*pairs))}
        return item

    def _window(self, images: list[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
        """Crops the same size x size window from images [H, W, 3] of one shape, and mirrors all or none."""
        free = np.array(images[0].shape[:2]) - self.size
        top, left = rng.integers(free + 1) if self.random_crop else free // 2
        step = -1 if self.flip and rng.random() < 0.5 else 1
        return [image[top : top + self.size, left : left + self.size][:, ::step] for image in images]


class DrawnCartoonDataset(UnpairedCartoonDataset):
    """The same with images drawn by code, for demonstrations.

    Args:
        count: number of photos, and of cartoons.
        size: height and width of all images, a multiple of 4.
        flip: mirror at random, with probability 0.5.
        seed: seed of the images and their order.
        other_cartoons: number of other cartoons for each photo.
    """

    def __init__(self, count: int, size: int, flip: bool = False, seed: int = 0, other_cartoons: int = 0) -> None:
        Dataset.__init__(self)
        self.size, self.random_crop, self.flip, self.seed = size, False, flip, seed
        self.other_cartoons = other_cartoons
        seeds = range(seed * count, (seed + 1) * count)
        self.photos: Sequence[np.ndarray] = [draw_photo(s, size) for s in seeds]
        self.cartoons: Sequence[np.ndarray] = [draw_cartoon(s, size) for s in seeds]
        self.smooth = [smooth_edges(cartoon) for cartoon in self.cartoons]


def _files(key: str, folder: Path, recursive: bool = False) -> list[Path]:
    try:
        return image_files(folder, recursive)
    except InputError as error:
        raise InputError(f"dataset.train.{key}: {error}; it is relative to dataset.train.dataroot") from error


def _smoothed(cartoons: list[Path], folder: Path) -> list[Path]:
    try:
        return paired_files(cartoons, folder)
    except InputError as error:
        raise InputError(f"dataset.train.smooth: {error}; make them, or set smooth: null") from error


@lru_cache(maxsize=8)
def _permutation(count: int, seed: int, *stream: int) -> np.ndarray:
    return np.random.default_rng((seed, *stream)).permutation(count)


def epoch_order(count: int, used: int, seed: int, epoch: int) -> np.ndarray:
    """Indices of the `used` photos of an epoch, shuffled; those left out rotate from epoch to epoch.

    Args:
        count: number of photos.
        used: number of photos in an epoch.
        seed: seed of the run.
        epoch: counted from 0.
    """
    left_out = (epoch * (count - used) + np.arange(count - used)) % count
    rest = np.delete(_permutation(count, seed, PHOTOS), left_out)
    return np.random.default_rng((seed, PHOTOS, epoch + 1)).permutation(rest)


class EpochSampler(BatchSampler):
    """One rank's batches of (number, photo) for `UnpairedCartoonDataset`, over all epochs.

    Every photo occurs once per epoch over all ranks, except at most batch_size * ranks - 1, which rotate.

    Args:
        photos: number of photos.
        batch_size: batch size of one rank.
        epochs: epochs of the run.
        seed: seed of the run.
        rank: rank of this process.
        ranks: number of processes.
        start: steps already done.

    Raises:
        InputError: there are fewer photos than one step takes.
    """

    def __init__(
        self, photos: int, batch_size: int, epochs: int, seed: int = 0, rank: int = 0, ranks: int = 1, start: int = 0
    ) -> None:
        if photos < batch_size * ranks:
            raise InputError(
                f"dataset.train: {photos} photos are fewer than the {batch_size * ranks} of one step "
                f"(batch_size {batch_size} on {ranks} process{'es' * (ranks > 1)}): add photos or lower batch_size"
            )
        self.photos, self.batch_size, self.seed, self.rank, self.ranks = photos, batch_size, seed, rank, ranks
        self.steps_per_epoch = photos // (batch_size * ranks)
        self.steps, self.start = epochs * self.steps_per_epoch, start

    def __len__(self) -> int:
        """Remaining steps."""
        return self.steps - self.start

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        joined = self.batch_size * self.ranks
        epoch_now, order = -1, None
        for step in range(self.start, self.steps):
            epoch, k = divmod(step, self.steps_per_epoch)
            if epoch != epoch_now:
                epoch_now, order = epoch, epoch_order(self.photos, self.steps_per_epoch * joined, self.seed, epoch)
            positions = range(k * joined + self.rank * self.batch_size, k * joined + (self.rank + 1) * self.batch_size)
            first = epoch * self.steps_per_epoch * joined
            yield [(first + position, int(order[position])) for position in positions]
