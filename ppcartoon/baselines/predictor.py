"""Predictors of any weights file: CartoonLossGAN's, a baseline's, or another generator's."""

from __future__ import annotations

import os
import tempfile
import threading
from pathlib import Path

import numpy as np

from .. import weights
from ..errors import InputError, naming
from ..inference.engines import paddle_engines
from ..inference.predictor import CartoonPredictor
from ..utils.machine import cores
from ..weights import Weights

MIN_SIDE = 5  # pixels: some generators pad by reflection at H/4
# Peak bytes of memory per pixel and channel of the first layer. Paddle 3.2's oneDNN needs less: it does not unfold
# whole images for 7x7 convolutions.
BYTES_ON_PADDLE_32, BYTES_ELSEWHERE = 55, 210


def open_weights(path: str | os.PathLike, device: str = "auto", precision: str = "auto") -> CartoonPredictor:
    """The predictor of a weights file of any network, at full resolution.

    Args:
        path: the weights file.
        device: "auto", "cpu" or "gpu".
        precision: of CartoonLossGAN, see `CartoonPredictor`; baselines run in fp32.

    Raises:
        InputError: the file is not valid, or Paddle or the GPU that it needs is missing.
    """
    loaded = weights.load(Path(path))
    if loaded.generator_name:
        return BaselinePredictor(loaded, device)
    return CartoonPredictor(weights_file=path, device=device, precision=precision, working_size=0)


class BaselinePredictor(CartoonPredictor):
    """Cartoonizes whole images: baselines normalize over the whole image, so tiling would change the result.

    Args:
        loaded: weights of a generator that is not the paper's.
        device: "auto" (a GPU if Paddle finds one), "cpu" or "gpu".

    Raises:
        InputError: Paddle or the GPU is missing, or the tensors do not fit the network.
        ModuleNotFoundError: ppgan is not installed.
    """

    smaller = "a smaller --max-size"

    def __init__(self, loaded: Weights, device: str = "auto") -> None:
        self.weights, self.engine = loaded, GeneratorEngine(loaded, device)
        self.batch_size, self.tile, self.sizes_used = 1, 0, set()
        self._set(working_size=0, keep_colors=0.0, strength=1.0)

    def tile_size(self, height: int, width: int) -> int:
        """0: images are not split into tiles.

        Raises:
            InputError: the image is too small for the network, or needs more memory than this machine has.
        """
        if min(height, width) < MIN_SIDE:
            raise InputError(f"{width}x{height} is too small: this network needs at least {MIN_SIDE} pixels a side")
        return super().tile_size(height, width)

    def _pixels(self, memory: float) -> float:
        return memory / self.engine.bytes_per_pixel


class GeneratorEngine:
    """A generator in Paddle Inference; the part of `engines.Engine` that whole images need."""

    name = "paddle"

    def __init__(self, loaded: Weights, device: str) -> None:
        with naming(loaded.generator_name):
            version, self._lock = paddle_engines.paddle().__version__, threading.Lock()
        if device == "gpu" and not paddle_engines.gpu():
            raise InputError(paddle_engines.NO_GPU)
        from .generators import load_generator

        device = "gpu" if device != "cpu" and paddle_engines.gpu() else "cpu"
        self.on_gpu = device == "gpu"
        with tempfile.TemporaryDirectory() as folder:
            program = paddle_engines.save(load_generator(loaded), Path(folder) / "model", **paddle_engines.IMAGE)
            self._program = paddle_engines.Program(program, device, cores())
        width = max((v for v in loaded.network["generator"].values() if isinstance(v, int)), default=64)
        bytes_per_channel = BYTES_ON_PADDLE_32 if version.startswith("3.2.") else BYTES_ELSEWHERE
        self.bytes_per_pixel = bytes_per_channel * max(width, 16)
        self.description = f"{loaded.generator_name}, {self._program.description}"

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """float32 [N, 3, H, W] in [-1, 1], H and W multiples of 4 -> cartoons of the same shape and range."""
        with self._lock:
            return self._program(images)[0]
