"""Gatys et al., "Image Style Transfer Using Convolutional Neural Networks" (CVPR 2016): style by optimizing an image.

Normalization, weights of the losses and layers are those of the code that the paper compares with,
github.com/gordicaleksa/pytorch-neural-style-transfer (neural_style_transfer.py, utils/utils.py). All layers are taken
after their ReLU. (That code names conv4_2 before it, but torchvision's ReLU then works in place.) Differences: VGG19 is
Caffe's instead of torchvision's; the style image is resized to the photo's longer side instead of its height; L-BFGS is
SciPy's with a history of 10 steps instead of PyTorch's with 100.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import paddle
from paddle import Tensor
from PIL import Image
from scipy.optimize import OptimizeResult, minimize
from tqdm import tqdm

from .. import images
from ..errors import InputError, Interrupted, OutputError, naming
from ..images import Picture
from ..inference.jobs import Job
from ..models import losses
from ..models.vgg import VGG19
from ..utils import machine
from ..utils.signals import graceful_interrupt

NOISE = 90.0  # standard deviation around mid-gray, in gray levels
BYTES_PER_PIXEL = 6000  # memory of features and their gradients


class GatysOptions(NamedTuple):
    """Loss and optimization.

    Attributes:
        content_layer: of VGG19, "conv1_1" to "conv5_4".
        style_layers: of VGG19, all with the same weight.
        content_weight: alpha of Eq. 7.
        style_weight: beta of Eq. 7.
        tv_weight: weight of the total variation, which the paper of Gatys et al. does not have.
        init: initial image: "content" (the photo), "noise", or "style" (the style image in the photo's shape).
        iterations: of L-BFGS, at most.
        seed: of the noise.
    """

    content_layer: str = "conv4_2"
    style_layers: tuple[str, ...] = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
    content_weight: float = 1e5
    style_weight: float = 3e4
    tv_weight: float = 1.0
    init: Literal["content", "noise", "style"] = "content"
    iterations: int = 1000
    seed: int = 0

    @property
    def layers(self) -> set[str]:
        return {self.content_layer, *self.style_layers}


def open_vgg(options: GatysOptions, path: str | None = None) -> VGG19:
    """VGG19 up to the deepest layer that the options name.

    Args:
        options: name the layers.
        path: see `vgg.VGG19`.

    Raises:
        InputError: the file is not available, or lacks a layer.
    """
    try:
        vgg = VGG19(max(options.layers), path)
    except InputError as error:
        raise InputError(f"{error} (here: --vgg, --content-layer and --style-layers)") from error
    if unknown := options.layers - set(vgg.names):
        raise InputError(f"--content-layer, --style-layers: {min(unknown)} is no layer of VGG19")
    return vgg


class Objective:
    """The loss of an image: Eq. 7 and the total variation.

    Args:
        photo: [1, 3, H, W] in [-1, 1], RGB.
        style: [1, 3, H', W'] in [-1, 1], RGB.
        vgg: up to the deepest layer of the options, or deeper.
        options: layers and weights.
    """

    def __init__(self, photo: Tensor, style: Tensor, vgg: VGG19, options: GatysOptions) -> None:
        self.vgg, self.options = vgg, options
        with paddle.no_grad():
            self.content = vgg.after_relu(photo, {options.content_layer})[options.content_layer]
            features = vgg.after_relu(style, options.style_layers)
            self.grams = {layer: losses.gram(features[layer]) for layer in options.style_layers}

    def __call__(self, image: Tensor) -> Tensor:
        """alpha mean((F - P)^2) + beta / L sum_l sum((G_l - A_l)^2) + TV, in gray levels, of [1, 3, H, W] in [-1, 1].

        F and P are features of the image and the photo (Eq. 1), G_l and A_l Gram matrices of the image and the style
        (Eqs. 3 to 5), here divided by C H W.
        """
        options = self.options
        features = self.vgg.after_relu(image, options.layers)
        content = (features[options.content_layer] - self.content).square().mean()
        style = sum((losses.gram(features[layer]) - gram).square().sum() for layer, gram in self.grams.items())
        across, down = image[:, :, :, 1:] - image[:, :, :, :-1], image[:, :, 1:] - image[:, :, :-1]
        variation = 127.5 * (across.abs().sum() + down.abs().sum())
        return (
            options.content_weight * content
            + options.style_weight / len(self.grams) * style
            + options.tv_weight * variation
        )

    def with_gradient(self, levels: np.ndarray, *shape: int) -> tuple[float, np.ndarray]:
        """The loss and its gradient, float64, by the gray levels of an image, flattened from `shape` [1, 3, H, W]."""
        image = paddle.to_tensor(np.float32(levels / 127.5 - 1).reshape(shape), stop_gradient=False)
        loss = self(image)
        loss.backward()
        return float(loss), np.float64(image.grad.numpy().ravel()) / 127.5


def stylize(
    photo: np.ndarray,
    style: np.ndarray,
    vgg: VGG19,
    options: GatysOptions,
    stop: Callable[[float], bool] = lambda loss: False,
) -> np.ndarray:
    """Optimizes an image, with a progress bar.

    Args:
        photo: RGB uint8 [H, W, 3].
        style: RGB uint8 [H', W', 3].
        vgg: from `open_vgg` with the same options.
        options: layers, weights and optimization.
        stop: called with the loss after each iteration; True stops and returns the current image.

    Returns:
        RGB uint8 [H, W, 3]; deterministic.

    Raises:
        InputError: the photo or the style image is too small for the layers, or the photo too large for the memory.
    """
    style = _resized(style, max(photo.shape[:2]) / max(style.shape[:2]))
    _check_sizes(photo, style, options)
    shape = (1, 3, *photo.shape[:2])
    objective = Objective(*(paddle.to_tensor(images.to_network(image[None])) for image in (photo, style)), vgg, options)

    def after_iteration(intermediate_result: OptimizeResult) -> None:
        bar.set_postfix(loss=f"{intermediate_result.fun:.4g}", refresh=False)
        bar.update()
        if stop(intermediate_result.fun):
            raise StopIteration

    with tqdm(total=options.iterations, unit="iteration", disable=None, leave=False) as bar:
        found = minimize(
            objective.with_gradient, _initial_levels(photo, style, options), shape, method="L-BFGS-B", jac=True,
            callback=after_iteration, options={"maxiter": options.iterations, "maxfun": 10 * options.iterations},
        )  # fmt: skip
    return images.from_network(np.float32(found.x / 127.5 - 1).reshape(shape))[0]


def _initial_levels(photo: np.ndarray, style: np.ndarray, options: GatysOptions) -> np.ndarray:
    """Gray levels of the initial image, flattened from [3, H, W]."""
    if options.init == "noise":
        return np.random.default_rng(options.seed).normal(127.5, NOISE, photo.size)
    if options.init == "style":
        photo = np.asarray(Image.fromarray(style).resize(photo.shape[1::-1], Image.Resampling.BICUBIC))
    return np.float64(photo.transpose(2, 0, 1).ravel())


def _resized(image: np.ndarray, scale: float) -> np.ndarray:
    size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))


def _check_sizes(photo: np.ndarray, style: np.ndarray, options: GatysOptions) -> None:
    least = 2 ** (int(max(options.layers)[4]) - 1)  # each pooling before the deepest block halves the sides
    for name, image in (("photo", photo), ("style image", style)):
        if min(image.shape[:2]) < least:
            height, width = image.shape[:2]
            raise InputError(
                f"the {name} has {width}x{height} pixels; {max(options.layers)} needs at least {least} a side"
            )
    needed = BYTES_PER_PIXEL * photo.shape[0] * photo.shape[1]
    if needed > 0.9 * machine.memory():
        raise InputError(f"needs about {needed / 1e9:.0f} GB of memory: use a smaller --max-size")


def stylize_files(jobs: list[Job], style: Path, options: GatysOptions, vgg: str | None, max_size: int) -> int:
    """Stylizes the photos of all jobs. Prints a line for each that fails; returns their number.

    Args:
        jobs: photos and output paths.
        style: path of the style image.
        options: layers, weights and optimization.
        vgg: path, see `vgg.VGG19`.
        max_size: longer side in pixels; larger photos are reduced to it.

    Raises:
        InputError: VGG19 or the style image is not available.
        OutputError: an image cannot be written.
        Interrupted: by Ctrl-C or SIGTERM; the current image is written as it is.
    """
    network = open_vgg(options, vgg)
    reference = images.shrink(images.read(style), max_size)
    failed = 0
    with graceful_interrupt(lambda: print("stopping after this iteration", file=sys.stderr)) as stop:
        for job in jobs:
            try:
                photo = images.shrink(images.read(job.source), max_size)
                with naming(job.source):
                    rgb = stylize(photo.rgb, reference.rgb, network, options, lambda _: bool(stop))
                    images.write(job.target, Picture(rgb, photo.alpha))
            except OutputError:
                raise
            except InputError as error:
                failed += 1
                print(error, file=sys.stderr)
            if stop:
                raise Interrupted(
                    f"interrupted; {job.target} is unfinished, and --skip-existing would keep it", stop.number
                )
    return failed
