"""Features of images, by which sets of images are compared: Inception-V3's, which make FID, or VGG19's."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
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
from ..models.vgg import RANDOM, VGG19
from ..utils.files import atomic
from ..utils.threads import cores, prefetch, threads
from . import inception

VERSION = 1  # of what is made of a file
BATCH = 16  # images at once unless told otherwise
PIXELS = 1 << 20  # that VGG19 takes at once; a larger image goes alone
SMALLEST = 16  # a side, in pixels, for its four poolings


class Extractor(Protocol):
    """Makes features of images.

    Attributes:
        name: for people, like "Inception-V3 pool3" or "VGG19 conv3_4".
        dimensions: D.
        is_fid: whether the Fréchet distance of these features is what everybody calls FID.
        key: tells its weights from others.
    """

    name: str
    dimensions: int
    is_fid: bool
    key: str

    def __call__(self, batch: Sequence[np.ndarray]) -> np.ndarray:
        """RGB uint8 [H, W, 3] each, of any sizes -> float32 [N, D]."""


def extractor(name: str = "inception", path: Path | None = None) -> Extractor:
    """An extractor by name.

    Args:
        name: "inception", or "vgg19:conv3_4" and so on for VGG19 at a convolution.
        path: of its weights; None for the published ones, downloaded once and verified; "random" for a VGG19 on trial.

    Raises:
        InputError: there is no such network or layer, or its weights cannot be had.
    """
    kind, _, layer = name.partition(":")
    if name == "inception":
        return InceptionFeatures(path)
    if kind == "vgg19" and layer:
        return VGGFeatures(layer, path)
    raise InputError(f"features {name!r}: unknown; inception is there, and vgg19:LAYER like vgg19:conv3_4")


class InceptionFeatures:
    """Those of FID: Inception-V3's 2048 behind its last pooling, as pytorch-fid computes them."""

    name, dimensions, is_fid = "Inception-V3 pool3", inception.FEATURES, True

    def __init__(self, path: Path | None = None) -> None:
        network = inception.load(path or download.download("inception"))
        self.key = _key(network)
        self._run = _runner(network, [None, 3, inception.SIDE, inception.SIDE])

    def __call__(self, batch: Sequence[np.ndarray]) -> np.ndarray:
        return self._run(np.stack([inception.to_inception(image) for image in batch]))


class VGGFeatures:
    """VGG19's at a convolution, before its ReLU, averaged over the image: where Inception cannot be had."""

    is_fid = False

    def __init__(self, layer: str, path: Path | None = None) -> None:
        network = _Averaged(VGG19(layer, path and str(path)))
        self.name = f"VGG19 {layer} with random weights" if str(path) == RANDOM else f"VGG19 {layer}"
        self.dimensions = network.vgg.parameters()[-1].shape[0]
        self.key = _key(network)
        self._run = _runner(network, [None, 3, None, None])

    def __call__(self, batch: Sequence[np.ndarray]) -> np.ndarray:
        if small := [image.shape for image in batch if min(image.shape[:2]) < SMALLEST]:
            raise InputError(f"an image of {small[0][1]}x{small[0][0]}: VGG19 needs {SMALLEST} pixels a side")
        found = np.empty((len(batch), self.dimensions), np.float32)
        for alike in images.by_shape(batch):
            step = max(1, PIXELS // batch[alike[0]][..., 0].size)
            for part in (alike[i : i + step] for i in range(0, len(alike), step)):
                found[part] = self._run(images.to_network(np.stack([batch[i] for i in part])))
        return found


class _Averaged(nn.Layer):
    """[N, 3, H, W] in [-1, 1] -> features [N, C] on that scale; VGG19's own is that of [0, 255]."""

    def __init__(self, vgg: VGG19) -> None:
        super().__init__()
        self.vgg = vgg
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(self.vgg(x), 1).flatten(1) / 127.5


def of_folder(folder: Path, extractor: Extractor, *, batch_size: int = BATCH, cache: bool = True) -> np.ndarray:
    """The features of all images of a folder, in the order of their names, float32 [N, D].

    Args:
        folder: of images.
        extractor: what makes them.
        batch_size: images at once.
        cache: whether to keep them in the user's cache, and to use what is kept there of the same files and weights.

    Raises:
        InputError: there is no such folder, no image in it, or a file that is none.
    """
    files = image_files(folder)
    key = hashlib.sha256(json.dumps([VERSION, extractor.key, fingerprint(files)]).encode()).hexdigest()
    path = cache_folder().with_name("features") / f"{key[:32]}.npy"
    if cache and (kept := _kept(path, (len(files), extractor.dimensions))) is not None:
        return kept
    parts = []
    with (
        decoded(files, batch_size) as batches,
        tqdm(desc=folder.name, total=len(files), unit="image", leave=False, disable=None) as bar,
    ):
        for batch in batches:
            parts.append(extractor(batch))
            bar.update(len(batch))
    found = np.concatenate(parts)
    if cache:
        with suppress(OutputError), atomic(path) as temporary:  # it would only have saved time
            np.save(temporary, found)
    return found


def _kept(path: Path, shape: tuple[int, int]) -> np.ndarray | None:
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):  # there is none, or it is damaged
        return None
    return found if (found.shape, found.dtype) == (shape, np.float32) else None


@contextmanager
def decoded(files: list[Path], batch_size: int) -> Iterator[Iterator[list[np.ndarray]]]:
    """Gives the images, RGB uint8 [H, W, 3], in batches; the next is decoded by all cores while one is in use.

    Raises:
        InputError: a file is no image.
    """
    with threads() as pool:
        batches = (pool.map(_read, files[i : i + batch_size]) for i in range(0, len(files), batch_size))
        with prefetch(batches, 1) as ready:
            yield ready


def _read(file: Path) -> np.ndarray:
    try:
        return images.read(file).rgb
    except InputError as error:
        raise InputError(f"{file}: {error}; mend or remove it") from error


def _key(network: nn.Layer) -> str:
    digest = hashlib.sha256(type(network).__name__.encode())
    for name, value in network.state_dict().items():
        digest.update(f"{name} {value.shape}".encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()


def _runner(network: nn.Layer, shape: list[int | None]) -> Callable[[np.ndarray], np.ndarray]:
    """The network on arrays: by Paddle Inference on a CPU, where it is several times as fast, and eagerly on a GPU."""
    if paddle.get_device() == "cpu":
        with tempfile.TemporaryDirectory() as folder:
            path = save(network, Path(folder) / "network", image=shape)
            program = Program(path, "cpu", int(os.environ.get("OMP_NUM_THREADS", cores())))
        return lambda batch: program(batch)[0]

    def run(batch: np.ndarray) -> np.ndarray:
        with paddle.no_grad():
            return network(paddle.to_tensor(batch)).numpy()

    return run
