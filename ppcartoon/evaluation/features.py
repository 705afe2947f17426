"""Computes image features with Inception-V3 (for FID and KID) or VGG19, and caches them."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn
from tqdm import tqdm

from .. import images
from ..data import download
from ..data.cache import cache_folder
from ..data.image_folder import fingerprint, image_files
from ..errors import InputError, OutputError
from ..inference.engines.paddle_engines import Program, save
from ..models import vgg
from ..models.vgg import RANDOM, VGG19
from ..utils.files import atomic
from ..utils.machine import cores
from ..utils.threads import prefetch, threads
from . import inception

VERSION = 1  # of the cached files; changes when the same image would give other features
BATCH = 16  # default batch size
MAX_PIXELS = 1 << 20  # in one batch of VGG19; a larger image is a batch of its own
MIN_SIDE = 16  # pixels that VGG19 needs per side for its four poolings


class Extractor(Protocol):
    """Computes features of images.

    Attributes:
        name: for messages, such as "Inception-V3 pool3" or "VGG19 conv3_4".
        dimensions: D, the number of features per image.
        is_fid: whether the Fréchet distance of these features is FID.
        key: checksum of the weights.
    """

    name: str
    dimensions: int
    is_fid: bool
    key: str

    def __call__(self, batch: Sequence[np.ndarray]) -> np.ndarray:
        """N images, RGB uint8 [H, W, 3] of any sizes -> float32 [N, D]."""


def extractor(name: str = "inception", path: Path | None = None) -> Extractor:
    """Opens an extractor.

    Args:
        name: "inception", or "vgg19:LAYER" for a convolution of VGG19, such as "vgg19:conv3_4".
        path: weights file; None for the published weights, which are downloaded once and verified; "random" for VGG19
            with random weights, as a trial.

    Raises:
        InputError: the network or layer is unknown, or its weights cannot be downloaded or read.
    """
    kind, _, layer = name.partition(":")
    if name == "inception":
        return InceptionFeatures(path)
    if kind == "vgg19" and layer:
        return VGGFeatures(layer, path)
    raise InputError(f"features {name!r}: unknown; use inception, or vgg19:LAYER such as vgg19:conv3_4")


def missing_file(name: str, path: str | None) -> Path | None:
    """The weights file of `extractor(name, path)` if it does not exist."""
    if name == "inception":
        return download.missing("inception", path)
    return vgg.missing_file(path) if name.startswith("vgg19:") else None


class InceptionFeatures:
    """The features of FID: 2048 per image, after the last pooling of Inception-V3, as pytorch-fid computes them."""

    name, dimensions, is_fid = "Inception-V3 pool3", inception.FEATURES, True

    def __init__(self, path: Path | None = None) -> None:
        network = inception.load(path or download.download("inception"))
        self.key = _checksum(network)
        self._run = _runner(network, [None, 3, inception.SIDE, inception.SIDE])

    def __call__(self, batch: Sequence[np.ndarray]) -> np.ndarray:
        return self._run(np.stack([inception.to_inception(image) for image in batch]))


class VGGFeatures:
    """The output of a convolution of VGG19 before its ReLU, averaged over the image; needs no Inception weights.

    Args:
        layer: "conv1_1" to "conv5_4".
        path: see `extractor`.
        cells: the output is averaged over the cells of a grid of `cells` rows and columns; the features are those of
            the first cell, then those of the next.
    """

    is_fid = False

    def __init__(self, layer: str, path: Path | None = None, cells: int = 1) -> None:
        network = _AveragedVGG(VGG19(layer, path and str(path)), cells)
        self.name = f"VGG19 {layer} with random weights" if str(path) == RANDOM else f"VGG19 {layer}"
        self.dimensions = cells**2 * network.vgg.parameters()[-1].shape[0]
        self.key = _checksum(network)
        self._run = _runner(network, [None, 3, None, None])

    def __call__(self, batch: Sequence[np.ndarray]) -> np.ndarray:
        features = np.empty((len(batch), self.dimensions), np.float32)
        for indices in images.by_shape(batch):
            height, width = batch[indices[0]].shape[:2]
            if min(height, width) < MIN_SIDE:
                raise InputError(f"an image of {width}x{height}: VGG19 needs {MIN_SIDE} pixels per side")
            step = max(1, MAX_PIXELS // (height * width))
            for part in (indices[i : i + step] for i in range(0, len(indices), step)):
                features[part] = self._run(images.to_network(np.stack([batch[i] for i in part])))
        return features


class _AveragedVGG(nn.Layer):
    """[N, 3, H, W] in [-1, 1] -> features [N, cells² C]; divided by 127.5, since VGG19 takes values in [0, 255]."""

    def __init__(self, vgg: VGG19, cells: int) -> None:
        super().__init__()
        self.vgg, self.cells = vgg, cells
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        means = F.adaptive_avg_pool2d(self.vgg(x), self.cells).flatten(2)  # [N, C, cells²]
        return means.transpose([0, 2, 1]).flatten(1) / 127.5


def folder_features(folder: Path, extractor: Extractor, *, batch_size: int = BATCH, cache: bool = True) -> np.ndarray:
    """The features of all images of a folder in the order of their names; see `file_features`.

    Raises:
        InputError: the folder is missing or contains no image, or a file cannot be read as an image.
    """
    return file_features(image_files(folder), extractor, batch_size=batch_size, cache=cache)


def file_features(
    files: list[Path], extractor: Extractor, *, size: int | None = None, batch_size: int = BATCH, cache: bool = True
) -> np.ndarray:
    """The features of image files, float32 [N, D].

    Args:
        files: image files of one folder.
        extractor: computes the features.
        size: pixels of the longer side to which larger images are reduced; None for no limit.
        batch_size: images per batch.
        cache: whether to read and write the user's cache, by the files' names, sizes and times and by the weights.

    Raises:
        InputError: a file cannot be read as an image.
    """
    parameters = [VERSION, extractor.key, extractor.dimensions, size, fingerprint(files)]
    key = hashlib.sha256(json.dumps(parameters).encode()).hexdigest()
    path = cache_folder().with_name("features") / f"{key[:32]}.npy"
    if cache and (cached := _cached(path, (len(files), extractor.dimensions))) is not None:
        return cached
    parts = []
    with (
        decoded_batches(files, batch_size, size) as batches,
        tqdm(desc=files[0].parent.name, total=len(files), unit="image", leave=False, disable=None) as bar,
    ):
        for batch in batches:
            parts.append(extractor(batch))
            bar.update(len(batch))
    features = np.concatenate(parts)
    if cache:
        with suppress(OutputError), atomic(path) as temporary:  # the cache only saves time
            np.save(temporary, features)
    return features


def _cached(path: Path, shape: tuple[int, int]) -> np.ndarray | None:
    try:
        features = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):  # missing or damaged
        return None
    return features if (features.shape, features.dtype) == (shape, np.float32) else None


@contextmanager
def decoded_batches(
    files: list[Path], batch_size: int, size: int | None = None
) -> Iterator[Iterator[list[np.ndarray]]]:
    """Yields batches of images, RGB uint8 [H, W, 3]; all cores decode the next batch while one is in use.

    Images whose longer side is above `size` are reduced.

    Raises:
        InputError: a file cannot be read as an image.
    """
    with threads() as pool:
        read = partial(_read, size=size)
        batches = (pool.map(read, files[i : i + batch_size]) for i in range(0, len(files), batch_size))
        with prefetch(batches, 1) as ready:
            yield ready


def _read(file: Path, size: int | None) -> np.ndarray:
    try:
        picture = images.read(file)
        return (images.shrink(picture, size) if size else picture).rgb
    except InputError as error:
        raise InputError(f"{error}; repair or remove it") from error


def _checksum(network: nn.Layer) -> str:
    digest = hashlib.sha256(type(network).__name__.encode())
    for name, value in network.state_dict().items():
        digest.update(f"{name} {value.shape}".encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()


def _runner(network: nn.Layer, shape: list[int | None]) -> Callable[[np.ndarray], np.ndarray]:
    """A function that runs the network on arrays, with Paddle Inference on a CPU, where it is several times faster."""
    if paddle.get_device() == "cpu":
        with tempfile.TemporaryDirectory() as folder:
            path = save(network, Path(folder) / "network", image=shape)
            program = Program(path, "cpu", int(os.environ.get("OMP_NUM_THREADS", cores())))
        return lambda batch: program(batch)[0]

    def run(batch: np.ndarray) -> np.ndarray:
        with paddle.no_grad():
            return network(paddle.to_tensor(batch)).numpy()

    return run
