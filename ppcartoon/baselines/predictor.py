"""Weights files of any kind as predictors: ours, and those of the baselines and of other generators."""

from __future__ import annotations

import os
import tempfile
import threading
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from .. import weights
from ..errors import InputError
from ..inference.engines import paddle_engines
from ..inference.predictor import MEMORY, CartoonPredictor
from ..utils.threads import cores
from ..weights import Weights

SMALLEST = 5  # pixels of a side: some generators reflect at H/4
LEAN = "3.2."  # the Paddle whose oneDNN does not unfold whole images for their 7x7 convolutions
BYTES = {True: 55, False: 210}  # of memory at its peak, for each pixel and channel of the width: there, and elsewhere


def open_weights(path: str | os.PathLike, device: str = "auto", precision: str = "auto") -> CartoonPredictor:
    """The predictor of a weights file, whichever network it is of.

    Args:
        path: the file.
        device: "auto", "cpu" or "gpu".
        precision: of ours, see `CartoonPredictor`; baselines run in fp32.

    Raises:
        InputError: the file is not to be trusted, or what runs it is not here.
    """
    loaded = weights.load(Path(path))
    if loaded.generator_name:
        return BaselinePredictor(loaded, device)
    return CartoonPredictor(weights_file=path, device=device, precision=precision)


class BaselinePredictor(CartoonPredictor):
    """Cartoonizes images whole: baselines normalise over all of an image, and have no statistics for tiles to share.

    Args:
        loaded: weights of another generator than the paper's.
        device: "auto" (a GPU where Paddle sees one), "cpu" or "gpu".

    Raises:
        InputError: Paddle or the GPU is not there, or the tensors are not the network's.
        ModuleNotFoundError: ppgan is not installed.
    """

    smaller = "a smaller --max-size"

    def __init__(self, loaded: Weights, device: str = "auto") -> None:
        self.weights, self.engine = loaded, Generator(loaded, device)
        self.batch_size, self.tile = 1, 0

    def tile_size(self, height: int, width: int) -> int:
        """0: made whole.

        Raises:
            InputError: the image is too small for the network, or takes more memory than this machine has.
        """
        if min(height, width) < SMALLEST:
            raise InputError(f"{width}x{height} is too small: this network takes {SMALLEST} pixels a side and more")
        return super().tile_size(height, width)

    def _pixels(self, memory: float = MEMORY) -> float:
        return memory / self.engine.bytes_per_pixel


class Generator:
    """The network of such weights, in Paddle Inference; as much of `engines.Engine` as images made whole need."""

    name = "paddle"

    def __init__(self, loaded: Weights, device: str) -> None:
        if not find_spec("paddle"):
            raise InputError(f"{loaded.generator_name} runs on Paddle: pip install paddlepaddle==3.2.2, or the GPU build")
        if device == "gpu" and not paddle_engines.gpu():
            raise InputError(paddle_engines.NO_GPU)
        version, self._lock = paddle_engines.paddle().__version__, threading.Lock()
        from .generators import generator

        device = "gpu" if device != "cpu" and paddle_engines.gpu() else "cpu"
        with tempfile.TemporaryDirectory() as folder:
            program = paddle_engines.save(generator(loaded), Path(folder) / "model", **paddle_engines.IMAGE)
            self._program = paddle_engines.Program(program, device, cores())
        width = max((v for v in loaded.network["generator"].values() if isinstance(v, int)), default=64)
        self.bytes_per_pixel = BYTES[version.startswith(LEAN)] * max(width, 16)
        self.description = f"{loaded.generator_name}, {self._program.description}"

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """float32 [N, 3, H, W] in [-1, 1], H and W multiples of 4 -> the cartoons, likewise."""
        with self._lock:
            return self._program(images)[0]
