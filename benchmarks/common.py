"""Shared by the benchmarks: the measured style, number formats, test images, test videos and reference networks."""

from __future__ import annotations

import importlib.util
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from PIL import Image, ImageOps

from ppcartoon import images, weights
from ppcartoon.data.samples import sample_photos
from ppcartoon.errors import InputError
from ppcartoon.inference.engines import paddle_engines

if TYPE_CHECKING:
    from ppcartoon.inference.engines import Network
    from ppcartoon.inference.predictor import CartoonPredictor

PLAIN, PADDLEGAN = "plain ONNX Runtime", "PaddleGAN's AnimeGANPredictor network"
NOISE = 4.0  # standard deviation of camera noise, for pixel values of 0 to 255
STILL, PAN, FADE = "still", "slow pan", "fade"
FPS = 25
SHIFT = 0.4  # pixels per frame that the pan moves to the left
DARKEST = 0.4  # brightness at the end of the fade
EDGE = 8  # pixels at the borders that comparisons ignore


class Style(NamedTuple):
    """The measured style, which each process loads itself.

    Attributes:
        name: a shipped style.
        weights_file: a weights file to use instead.
    """

    name: str
    weights_file: Path | None = None

    def load(self) -> weights.Weights:
        """Loads the weights.

        Raises:
            InputError: they cannot be loaded.
        """
        return weights.load(self.weights_file) if self.weights_file else weights.load_style(self.name)

    def predictor(
        self, threads: int, tile: int | str = "auto", working_size: int | Literal["auto"] = 0, **engine: str
    ) -> CartoonPredictor:
        """A predictor on the CPU, by default with the default engine and at full resolution."""
        from ppcartoon.inference.predictor import CartoonPredictor

        options = {"device": "cpu", "threads": threads, "tile": tile, "working_size": working_size, **engine}
        return CartoonPredictor(self.name, weights_file=self.weights_file, **options)

    def infer_options(self) -> list[str]:
        """The options of tools/infer.py that choose this style."""
        return ["--weights", str(self.weights_file)] if self.weights_file else ["--style", self.name]


def format_number(value: float) -> str:
    """Formats with three significant digits, or with all digits before the decimal point."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:#.3g}".rstrip(".")


def median_range(values: Sequence[float]) -> str:
    """Formats as "median (minimum to maximum)"."""
    return f"{format_number(statistics.median(values))} ({format_number(min(values))} to {format_number(max(values))})"


def ratio_range(numerators: Sequence[float], denominators: Sequence[float]) -> str:
    """Median and range of the ratios within each round."""
    return median_range([numerator / denominator for numerator, denominator in zip(numerators, denominators)])


def photos(count: int, height: int, width: int) -> list[np.ndarray]:
    """Cropped and resized sample photos, RGB uint8 [height, width, 3]; from the fifth on, mirrored copies.

    Raises:
        InputError: scikit-image is not installed.
    """
    sources = [Image.fromarray(images.read(path).rgb) for path in sample_photos()]
    result = []
    for i in range(count):
        copy, index = divmod(i, len(sources))
        photo = ImageOps.fit(sources[index], (width, height))
        if copy % 2:
            photo = ImageOps.mirror(photo)
        if copy // 2 % 2:
            photo = ImageOps.flip(photo)
        result.append(np.array(photo))
    return result


def mosaic(cells: int, side: int) -> np.ndarray:
    """A square uint8 image of cells x cells parts of photos, mirrored and of different brightness."""
    step, rng = math.ceil(side / cells), np.random.default_rng(0)
    sources = photos(16, 2 * step, 2 * step)
    image = np.empty((step * cells, step * cells, 3), np.uint8)
    for y in range(0, step * cells, step):
        for x in range(0, step * cells, step):
            top, left = rng.integers(0, step, 2)
            part = sources[rng.integers(16)][top : top + step, left : left + step]
            image[y : y + step, x : x + step] = part * rng.uniform(0.2, 1)
    return np.ascontiguousarray(image[:side, :side])


def add_noise(rgb: np.ndarray, seed: int) -> np.ndarray:
    """Adds camera noise to a uint8 image, 256 rows at a time to save memory."""
    rng, result = np.random.default_rng(seed), np.empty_like(rgb)
    for top in range(0, len(rgb), 256):
        rows = rgb[top : top + 256]
        noise = NOISE * rng.standard_normal(rows.shape, np.float32)
        result[top : top + 256] = (rows + noise).clip(0, 255) + 0.5
    return result


def video_frames(kind: str, count: int, height: int, width: int) -> list[np.ndarray]:
    """Frames of a test video with camera noise, RGB uint8 [height, width, 3]; `kind` is STILL, PAN or FADE."""
    (photo,) = photos(1, height, width + 2 * EDGE + int(SHIFT * count))
    frames = []
    for i in range(count):
        frame = shift_left(photo, EDGE + (i * SHIFT if kind == PAN else 0))[:, :width]
        if kind == FADE:
            frame = frame * (1 - (1 - DARKEST) * i / (count - 1))
        frames.append(add_noise(np.uint8(frame.clip(0, 255) + 0.5), i))
    return frames


def shift_left(image: np.ndarray, pixels: float) -> np.ndarray:
    """The image as float32, moved to the left."""
    import cv2

    matrix, size = np.float32([[1, 0, -pixels], [0, 1, 0]]), image.shape[1::-1]
    return cv2.warpAffine(np.float32(image), matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def write_video(file: Path, frames: list[np.ndarray]) -> None:
    """Writes frames, RGB uint8 [H, W, 3], as an H.264 video."""
    import av

    with av.open(str(file), "w") as out:
        stream = out.add_stream("libx264", FPS)
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], "yuv420p"
        for rgb in frames:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(rgb)))
        out.mux(stream.encode(None))


def write_onnx(style: Style, folder: Path) -> Path:
    """Exports the style as tools/export.py does; returns the ONNX file."""
    from ppcartoon.inference.export import export

    return export(style.load(), folder, ["onnx"])[0].path


def plain_onnx_runtime(file: Path, threads: int) -> Network:
    """An ONNX file in a session with default options, except for the number of threads."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(file, options)
    return lambda images: session.run(None, {"image": images})[0]


def paddlegan_network() -> Network:
    """The network of PaddleGAN's AnimeGANPredictor, with random weights, run as that predictor runs it.

    It runs eagerly and with gradients enabled, on one image at a time, at the size to which the predictor resizes.

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

    def run(image: np.ndarray) -> np.ndarray:
        size = ResizeToScale.reduce_to_scale(image.shape[1:], (256, 256), 32)
        tensor = paddle.to_tensor(image[None])
        if size != image.shape[1:]:
            tensor = paddle.nn.functional.interpolate(tensor, size, mode="bilinear")
        return network(tensor)[0].numpy()

    return lambda images: np.stack([run(image) for image in images])
