"""Gatys et al., "Image Style Transfer Using Convolutional Neural Networks" (CVPR 2016): optimisation of an image.

Normalisation and weights of the losses are those of the code that the paper compares with,
github.com/gordicaleksa/pytorch-neural-style-transfer (neural_style_transfer.py, utils/utils.py), and so are the layers,
all after their ReLU. (That code calls conv4_2 the layer before it, but torchvision's ReLU then works in place.) The
differences: VGG19 is Caffe's and not torchvision's; the style image is brought to the photo's longer side instead of
its height; L-BFGS is SciPy's with a memory of 10 steps instead of PyTorch's with 100.
"""

from __future__ import annotations

import os
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
from ..errors import InputError, Interrupted, OutputError, printable
from ..images import Picture
from ..inference.jobs import Job
from ..models import losses
from ..models.vgg import VGG19
from ..utils.signals import graceful_interrupt

NOISE = 90.0  # standard deviation in gray levels, about mid-gray
BYTES_PER_PIXEL = 6000  # that the features and their gradients take


class Options(NamedTuple):
    """What is optimised, and how.

    Attributes:
        content_layer: of VGG19, "conv1_1" to "conv5_4".
        style_layers: likewise, each as important as the others.
        content_weight: alpha of Eq. 7.
        style_weight: beta of Eq. 7.
        tv_weight: of the total variation, which the paper of Gatys et al. lacks.
        init: what it starts from: "content", the photo; "noise"; "style", the style image in the photo's shape.
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


def open_vgg(options: Options, path: str | None = None) -> VGG19:
    """VGG19 up to the deepest layer that the options name.

    Args:
        options: they name layers.
        path: see `vgg.VGG19`.

    Raises:
        InputError: the file cannot be had, or lacks a layer.
    """
    try:
        vgg = VGG19(max(options.layers), path)
    except InputError as error:
        raise InputError(f"{error} (here: --vgg, --content-layer and --style-layers)") from error
    if unknown := options.layers - set(vgg.names):
        raise InputError(f"--content-layer, --style-layers: {min(unknown)} is no layer of VGG19")
    return vgg


class Objective:
    """The loss of an image, Eq. 7 and the total variation.

    Args:
        photo: [1, 3, H, W] in [-1, 1], RGB.
        style: [1, 3, H', W'], likewise.
        vgg: goes at least to the deepest layer.
        options: layers and weights.
    """

    def __init__(self, photo: Tensor, style: Tensor, vgg: VGG19, options: Options) -> None:
        self.vgg, self.options = vgg, options
        with paddle.no_grad():
            self.content = vgg.after_relu(photo, {options.content_layer})[options.content_layer]
            features = vgg.after_relu(style, options.style_layers)
            self.grams = {layer: losses.gram(features[layer]) for layer in options.style_layers}

    def __call__(self, image: Tensor) -> Tensor:
        """alpha mean((F - P)^2) + beta / L sum_l sum((G_l - A_l)^2) + TV, in gray levels, of [1, 3, H, W] in [-1, 1].

        F and P are the features of the image and the photo (Eq. 1), G_l and A_l the Gram matrices of the image and the
        style (Eqs. 3 to 5), here divided by C H W.
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

    def in_levels(self, levels: np.ndarray, *shape: int) -> tuple[float, np.ndarray]:
        """The same and its gradient, float64, of flat gray levels that make an image [1, 3, H, W]."""
        image = paddle.to_tensor(np.float32(levels / 127.5 - 1).reshape(shape), stop_gradient=False)
        loss = self(image)
        loss.backward()
        return float(loss), np.float64(image.grad.numpy().ravel()) / 127.5


def stylize(
    photo: np.ndarray,
    style: np.ndarray,
    vgg: VGG19,
    options: Options,
    stop: Callable[[float], bool] = lambda loss: False,
) -> np.ndarray:
    """Optimises an image, and shows how far it is.

    Args:
        photo: RGB uint8 [H, W, 3].
        style: RGB uint8 [H', W', 3].
        vgg: from `open_vgg` with the same options.
        options: see there.
        stop: asked after each iteration, with the loss; True ends it with the image as it is.

    Returns:
        RGB uint8 [H, W, 3]; the same for the same arguments.

    Raises:
        InputError: the photo or the style image is too small for the layers, or the photo too large for the memory.
    """
    style = _at_size(style, max(photo.shape[:2]) / max(style.shape[:2]))
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
            objective.in_levels, _start(photo, style, options), shape, method="L-BFGS-B", jac=True,
            callback=after_iteration, options={"maxiter": options.iterations, "maxfun": 10 * options.iterations},
        )  # fmt: skip
    return images.from_network(np.float32(found.x / 127.5 - 1).reshape(shape))[0]


def _start(photo: np.ndarray, style: np.ndarray, options: Options) -> np.ndarray:
    """Gray levels in the order [3, H, W], flat."""
    if options.init == "noise":
        return np.random.default_rng(options.seed).normal(127.5, NOISE, photo.size)
    if options.init == "style":
        photo = np.asarray(Image.fromarray(style).resize(photo.shape[1::-1], Image.Resampling.BICUBIC))
    return np.float64(photo.transpose(2, 0, 1).ravel())


def _at_size(image: np.ndarray, scale: float) -> np.ndarray:
    size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))


def _check_sizes(photo: np.ndarray, style: np.ndarray, options: Options) -> None:
    least = 2 ** (int(max(options.layers)[4]) - 1)  # the poolings before the deepest block halve the sides
    for name, image in (("photo", photo), ("style image", style)):
        if min(image.shape[:2]) < least:
            height, width = image.shape[:2]
            raise InputError(f"the {name} has {width}x{height} pixels, and {max(options.layers)} needs {least} a side")
    needed = BYTES_PER_PIXEL * photo.shape[0] * photo.shape[1]
    if needed > 0.9 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"):
        raise InputError(f"needs about {needed / 1e9:.0f} GB of memory: use a smaller --max-size")


def stylize_files(jobs: list[Job], style: Path, options: Options, vgg: str | None, max_size: int) -> int:
    """Makes the images of all jobs, names those that fail, and gives their number.

    Args:
        jobs: photos.
        style: the image that has the style.
        options: see there.
        vgg: path, see `vgg.VGG19`.
        max_size: pixels of the longer side, to which larger photos are brought.

    Raises:
        InputError: VGG19 or the style image cannot be had.
        OutputError: an image cannot be written, and no other could be.
        Interrupted: by Ctrl-C or SIGTERM; the image that was in work is written as it was.
    """
    network = open_vgg(options, vgg)
    try:
        reference = images.shrink(images.read(style), max_size)
    except InputError as error:
        raise InputError(f"{style}: {error}") from error
    failed = 0
    with graceful_interrupt(lambda: print("stopping after this iteration", file=sys.stderr)) as stop:
        for job in jobs:
            try:
                photo = images.shrink(images.read(job.source), max_size)
                rgb = stylize(photo.rgb, reference.rgb, network, options, lambda _: bool(stop))
                images.write(job.target, Picture(rgb, photo.alpha))
            except OutputError:
                raise
            except InputError as error:
                failed += 1
                print(f"{printable(job.source)}: {error}", file=sys.stderr)
            if stop:
                raise Interrupted(
                    f"interrupted; {job.target} is as far as it came, --skip-existing would keep it so", stop.number
                )
    return failed
