"""What one would run instead: the exported file in ONNX Runtime as it comes, and PaddleGAN's network in its manner."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ppcartoon.errors import InputError
from ppcartoon.inference.engines import paddle_engines

from .subject import Subject

if TYPE_CHECKING:
    from ppcartoon.inference.engines import Network

PLAIN, PADDLEGAN = "plain ONNX Runtime", "PaddleGAN's AnimeGANPredictor network"


def write_onnx(subject: Subject, folder: Path, _: int) -> Path:
    """The file that tools/export.py writes."""
    from ppcartoon.inference.export import export

    return export(subject.weights(), folder, ["onnx"])[0].path


def plain(file: Path, threads: int) -> Network:
    """An ONNX file in a session for which nothing is set but the threads."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(file, options)
    return lambda images: session.run(None, {"image": images})[0]


def paddlegan() -> Network:
    """The network with random weights in the manner of ppgan's predictor: eagerly, keeping what gradients would need,
    image by image, at the size to which it resizes.

    Raises:
        InputError: Paddle or ppgan is not installed.
    """
    if not (importlib.util.find_spec("paddle") and importlib.util.find_spec("ppgan")):
        raise InputError("engine paddlegan: Paddle or ppgan is not installed; choose others with --engines")
    paddle = paddle_engines.paddle()
    from ppcartoon import ppgan_compat  # noqa: F401  before ppgan, which it makes importable

    # isort: split
    from ppgan.datasets.preprocess.transforms import ResizeToScale
    from ppgan.models.generators import AnimeGenerator

    paddle.set_device("cpu")
    network = AnimeGenerator()
    network.eval()

    def one(image: np.ndarray) -> np.ndarray:
        size = ResizeToScale.reduce_to_scale(image.shape[1:], (256, 256), 32)
        tensor = paddle.to_tensor(image[None])
        if size != image.shape[1:]:
            tensor = paddle.nn.functional.interpolate(tensor, size, mode="bilinear")
        return network(tensor)[0].numpy()

    return lambda images: np.stack([one(image) for image in images])
