"""Unpaired photos and cartoons as batches of named tensors, in an order that seed and epoch alone decide."""

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

PHOTOS, CARTOONS, WINDOWS = range(3)  # independent streams of random numbers


class UnpairedCartoonDataset(Dataset):
    """Photos p, each with a cartoon c drawn with it, and that cartoon's edge-smoothed twin e.

    An item is a dict of float32 [3, size, size] in [-1, 1]: `photo`, `cartoon`, `smooth`, and `gray` where gray
    cartoons were made ahead. Its index is (number, photo) from an `EpochSampler`, or a photo's number alone; the
    cartoon, the crop and the flip depend on the seed and on `number` only.

    Args:
        dataroot: folder that the other folders are relative to.
        photos: folder of photos.
        cartoons: folder of cartoons.
        smooth: folder of smoothed cartoons with the cartoons' names; where it is None or missing, they are made.
        gray: folder of gray cartoons with the cartoons' names; None to make them in the training step.
        size: height and width of what the networks see, a multiple of 4.
        load_size: shorter side of an image before it is cropped; None for `size`.
        random_crop: crop anywhere instead of in the middle.
        flip: mirror every other image.
        seed: of order, crops and flips.
        cache_dir: folder for decoded images; None for one in the user's cache.

    Raises:
        InputError: a folder is missing or empty, files cannot be read, twins are missing or of another size.
    """

    def __init__(
        self,
        dataroot: str,
        photos: str,
        cartoons: str,
        smooth: str | None = None,
        gray: str | None = None,
        size: int = 256,
        load_size: int | None = None,
        random_crop: bool = False,
        flip: bool = False,
        seed: int = 0,
        cache_dir: str | None = None,
    ) -> None:
        super().__init__()
        self.size, self.random_crop, self.flip, self.seed = size, random_crop, flip, seed
        root, cache = Path(dataroot).expanduser(), Path(cache_dir).expanduser() if cache_dir else cache_folder()

        def stack(key: str, files: list[Path], smoothed: bool = False) -> ImageStack:
            try:
                return ImageStack(files, load_size or size, cache, smoothed)
            except InputError as error:
                raise type(error)(f"dataset.train.{key}: {error}") from error

        self.photos = stack("photos", _files("photos", root / photos))
        self.cartoons = stack("cartoons", _files("cartoons", root / cartoons))
        self.twins = {}
        names = self.cartoons.files
        if smooth and not (root / smooth).is_dir():
            log.info(f"dataset.train.smooth: {root / smooth} is not there: the cartoons are smoothed here")
        if smooth and (root / smooth).is_dir():
            self.twins["smooth"] = stack("smooth", _twins("smooth", names, root / smooth))
        else:
            self.twins["smooth"] = stack("cartoons", names, smoothed=True)
        if gray:
            self.twins["gray"] = stack("gray", _twins("gray", names, root / gray))
        for key, others in self.twins.items():
            for i in np.flatnonzero((others.shapes != self.cartoons.shapes).any(1))[:1]:
                raise InputError(f"dataset.train.{key}: {others.files[i]} has another shape than {names[i]}")

    def __len__(self) -> int:
        """Photos."""
        return len(self.photos)

    def __getitem__(self, index: int | tuple[int, int]) -> dict[str, np.ndarray]:
        number, photo = index if isinstance(index, tuple) else (index, index)
        turn, place = divmod(number, len(self.cartoons))
        cartoon = _permutation(len(self.cartoons), self.seed, CARTOONS, turn)[place]
        rng = np.random.default_rng((self.seed, WINDOWS, number))
        images = {"photo": self._window([self.photos[photo]], rng)[0]}
        stacks = {"cartoon": self.cartoons, **self.twins}
        images |= zip(stacks, self._window([stack[cartoon] for stack in stacks.values()], rng))
        return {name: to_network(image[None])[0] for name, image in images.items()}

    def _window(self, images: list[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
        """The same size x size window of each, [H, W, 3] all, and all mirrored or none."""
        free = np.array(images[0].shape[:2]) - self.size
        top, left = rng.integers(free + 1) if self.random_crop else free // 2
        step = -1 if self.flip and rng.random() < 0.5 else 1
        return [image[top : top + self.size, left : left + self.size][:, ::step] for image in images]


class DrawnCartoonDataset(UnpairedCartoonDataset):
    """The same from images drawn by code, for demonstrations.

    Args:
        count: photos, and as many cartoons.
        size: of all images, a multiple of 4.
        flip: mirror every other image.
        seed: of the images and their order.
    """

    def __init__(self, count: int, size: int, flip: bool = False, seed: int = 0) -> None:
        Dataset.__init__(self)
        self.size, self.random_crop, self.flip, self.seed = size, False, flip, seed
        seeds = range(seed * count, (seed + 1) * count)
        self.photos: Sequence[np.ndarray] = [draw_photo(s, size) for s in seeds]
        self.cartoons: Sequence[np.ndarray] = [draw_cartoon(s, size) for s in seeds]
        self.twins = {"smooth": [smooth_edges(cartoon) for cartoon in self.cartoons]}


def _files(key: str, folder: Path) -> list[Path]:
    try:
        return image_files(folder)
    except InputError as error:
        raise InputError(f"dataset.train.{key}: {error}; it is looked for in dataset.train.dataroot") from error


def _twins(key: str, cartoons: list[Path], folder: Path) -> list[Path]:
    try:
        return paired_files(cartoons, folder)
    except InputError as error:
        raise InputError(f"dataset.train.{key}: {error}; make them, or write {key}: null") from error


@lru_cache(maxsize=8)
def _permutation(count: int, seed: int, *stream: int) -> np.ndarray:
    return np.random.default_rng((seed, *stream)).permutation(count)


def epoch_order(count: int, used: int, seed: int, epoch: int) -> np.ndarray:
    """The numbers of the `used` photos of an epoch, shuffled; the others take turns, so that none is left out for long.

    Args:
        count: photos.
        used: of them in an epoch.
        seed: of the run.
        epoch: from 0.
    """
    left_out = (epoch * (count - used) + np.arange(count - used)) % count
    rest = np.delete(_permutation(count, seed, PHOTOS), left_out)
    return np.random.default_rng((seed, PHOTOS, epoch + 1)).permutation(rest)


class EpochSampler(BatchSampler):
    """Batches of (number, photo) for `UnpairedCartoonDataset`, one rank's part of each step, over all epochs.

    Every photo comes once an epoch, over all ranks, but for at most batch_size * ranks - 1 that rotate.

    Args:
        photos: how many there are.
        batch_size: of one rank.
        epochs: of the run.
        seed: of the run.
        rank: whose batches these are.
        ranks: processes that share each step.
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
        """Steps still to do."""
        return self.steps - self.start

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        joined = self.batch_size * self.ranks
        epoch_now, order = -1, None
        for step in range(self.start, self.steps):
            epoch, k = divmod(step, self.steps_per_epoch)
            if epoch != epoch_now:
                epoch_now, order = epoch, epoch_order(self.photos, self.steps_per_epoch * joined, self.seed, epoch)
            places = range(k * joined + self.rank * self.batch_size, k * joined + (self.rank + 1) * self.batch_size)
            first = epoch * self.steps_per_epoch * joined
            yield [(first + place, int(order[place])) for place in places]
