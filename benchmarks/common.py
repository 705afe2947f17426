"""What the sections share: the measured style, test photos and scenes, rivals, and tables of measured numbers."""

from __future__ import annotations

import importlib.util
import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image, ImageOps

from ppcartoon import images, weights
from ppcartoon.data.samples import sample_photos
from ppcartoon.errors import InputError
from ppcartoon.inference.engines import paddle_engines

if TYPE_CHECKING:
    from ppcartoon.inference.predictor import CartoonPredictor


class Subject(NamedTuple):
    """The weights, named so that each process loads them by itself.

    Attributes:
        style: a shipped one.
        weights_file: one's own instead.
    """

    style: str
    weights_file: Path | None = None

    def weights(self) -> weights.Weights:
        """Raises an InputError where they cannot be loaded."""
        return weights.load(self.weights_file) if self.weights_file else weights.load_style(self.style)

    def predictor(self, threads: int, tile: int | str = "auto") -> CartoonPredictor:
        """On the CPU, by the engine that is the default there."""
        from ppcartoon.inference.predictor import CartoonPredictor

        return CartoonPredictor(**self._asdict(), device="cpu", threads=threads, tile=tile)

    def options(self) -> list[str]:
        """For the command line of `infer.py`."""
        return ["--weights", str(self.weights_file)] if self.weights_file else ["--style", self.style]


def number(value: float) -> str:
    """Three digits, or all of those before the point."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:#.3g}".rstrip(".")


def spread(values: Sequence[float]) -> str:
    """median (least to most)"""
    return f"{number(statistics.median(values))} ({number(min(values))} to {number(max(values))})"


def ratios(numerators: Sequence[float], denominators: Sequence[float]) -> str:
    """The spread of ratios, taken round by round."""
    return spread([above / below for above, below in zip(numerators, denominators)])


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Lines of a table, and an empty one."""
    yield f"| {' | '.join(head)} |"
    yield "|---" * len(head) + "|"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


NOISE = 4.0  # of a camera, standard deviation in steps of 8 bits


def photos(count: int, height: int, width: int) -> list[np.ndarray]:
    """RGB uint8 [height, width, 3], cut and resized; from the fifth on, they come again in mirrors.

    Raises:
        InputError: scikit-image is not installed.
    """
    sources = [Image.fromarray(images.read(path).rgb) for path in sample_photos()]
    made = []
    for i in range(count):
        again, index = divmod(i, len(sources))
        rgb = np.asarray(ImageOps.fit(sources[index], (width, height)))
        made.append(np.ascontiguousarray(rgb[:: (1, -1)[again // 2 % 2], :: (1, -1)[again % 2]]))
    return made


def mosaic(cells: int, side: int) -> np.ndarray:
    """A square image of cells x cells parts of photos, in mirrors and of different brightness: uint8."""
    step, rng = math.ceil(side / cells), np.random.default_rng(0)
    sources = photos(16, 2 * step, 2 * step)
    image = np.empty((step * cells, step * cells, 3), np.uint8)
    for y in range(0, step * cells, step):
        for x in range(0, step * cells, step):
            top, left = rng.integers(0, step, 2)
            part = sources[rng.integers(16)][top : top + step, left : left + step]
            image[y : y + step, x : x + step] = np.uint8(part * rng.uniform(0.2, 1))
    return np.ascontiguousarray(image[:side, :side])


def noisy(rgb: np.ndarray, seed: int) -> np.ndarray:
    """The uint8 image with noise, made band by band."""
    rng, result = np.random.default_rng(seed), np.empty_like(rgb)
    for band, made in zip(_bands(rgb), _bands(result)):
        noise = NOISE * rng.standard_normal(band.shape, np.float32)
        made[:] = np.uint8((band + noise).clip(0, 255) + 0.5)
    return result


def _bands(rgb: np.ndarray) -> list[np.ndarray]:
    return [rgb[top : top + 256] for top in range(0, len(rgb), 256)]


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """In dB, of uint8 images; infinite where they are equal."""
    error = float(np.square(one.astype(np.float32) - other).mean())
    return 10 * math.log10(255**2 / error) if error else math.inf


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


STILL, PAN, FADE = "still", "slow pan", "fade"
FPS = 25
SHIFT = 0.4  # pixels to the left from frame to frame of the pan
DARKEST = 0.4  # brightness at the end of the fade
EDGE = 8  # pixels at the borders that comparisons leave out


def scene_frames(kind: str, count: int, height: int, width: int) -> list[np.ndarray]:
    """RGB uint8 [height, width, 3]."""
    (photo,) = photos(1, height, width + 2 * EDGE + int(SHIFT * count))
    made = []
    for i in range(count):
        frame = moved(photo, EDGE + (i * SHIFT if kind == PAN else 0))[:, :width]
        if kind == FADE:
            frame = frame * (1 - (1 - DARKEST) * i / (count - 1))
        made.append(noisy(np.uint8(frame.clip(0, 255) + 0.5), i))
    return made


def moved(image: np.ndarray, shift: float) -> np.ndarray:
    """float32, moved to the left by `shift` pixels."""
    import cv2

    matrix, size = np.float32([[1, 0, -shift], [0, 1, 0]]), image.shape[1::-1]
    return cv2.warpAffine(np.float32(image), matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def write_video(file: Path, pictures: list[np.ndarray]) -> None:
    """A video in H.264, of frames as above."""
    import av

    with av.open(str(file), "w") as out:
        stream = out.add_stream("libx264", FPS)
        stream.height, stream.width, stream.pix_fmt = *pictures[0].shape[:2], "yuv420p"
        for rgb in pictures:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(rgb)))
        out.mux(stream.encode(None))
