"""Changes of color in a training batch: random ones on all that D sees, and the photos' tint on the cartoons."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import paddle
from paddle import Tensor

from . import losses

GAMMA = 2.2  # between the values of an image and light
YUV_TO_RGB = np.linalg.inv(losses.RGB_TO_YUV).astype(np.float32)
LIMITS = {  # of the random numbers of `ColorDraws`
    "shift": (-0.35, 0.35),
    "saturation": (0.2, 1.8),
    "hue": (-math.pi, math.pi),
    "cast_u": (-0.15, 0.15),
    "cast_v": (-0.15, 0.15),
    "contrast": (0.6, 1.4),
}


class ColorDraws(NamedTuple):
    """Random numbers of `change_colors`, each float32 [N, 1, 1, 1].

    Attributes:
        shift: added to all channels.
        saturation: factor on the distance of each pixel from its gray.
        hue: angle in radians by which U and V are turned.
        cast_u: added to U.
        cast_v: added to V.
        contrast: factor on the distance of each value from the mean of its image.
    """

    shift: Tensor
    saturation: Tensor
    hue: Tensor
    cast_u: Tensor
    cast_v: Tensor
    contrast: Tensor


def draw_colors(count: int) -> ColorDraws:
    """Draws for `count` images, uniform within `LIMITS`, from Paddle's random generator."""
    return ColorDraws(
        **{name: paddle.uniform([count, 1, 1, 1], min=low, max=high) for name, (low, high) in LIMITS.items()}
    )


def change_colors(images: Tensor, draws: ColorDraws) -> Tensor:
    """DiffAugment's color policy (Zhao et al. 2020), with hue and a color cast as well; gradients pass through.

    Args:
        images: [N, 3, H, W] in [-1, 1].
        draws: of N images.

    Returns:
        Images of the same shape, which may leave the range.
    """
    x = images + draws.shift
    gray = x.mean(1, keepdim=True)
    x = (x - gray) * draws.saturation + gray
    y, u, v = paddle.split(paddle.einsum("kc,nchw->nkhw", paddle.to_tensor(losses.RGB_TO_YUV), x), 3, axis=1)
    cos, sin = draws.hue.cos(), draws.hue.sin()
    yuv = paddle.concat([y, cos * u - sin * v + draws.cast_u, sin * u + cos * v + draws.cast_v], axis=1)
    x = paddle.einsum("kc,nchw->nkhw", paddle.to_tensor(YUV_TO_RGB), yuv)
    mean = x.mean([1, 2, 3], keepdim=True)
    return (x - mean) * draws.contrast + mean


def match_tint(photo: Tensor, cartoon: Tensor, smooth: Tensor, strength: float) -> tuple[Tensor, Tensor]:
    """Gives each cartoon, and its smoothed version, the tint of the photo beside it.

    The tint of an image are the means of its channels in linear light, divided by their mean. Each channel of a cartoon
    is multiplied by the ratio of the two tints, which is limited to [1/2, 2], to the power of `strength`.

    Args:
        photo: p, [N, 3, H, W] in [-1, 1].
        cartoon: c, of the same shape.
        smooth: e, of the same shape.
        strength: in [0, 1]; 0 changes nothing.
    """
    light = [(image * 0.5 + 0.5).clip(1e-3, 1) ** GAMMA for image in (photo, cartoon, smooth)]
    gain = (_tint(light[0]) / _tint(light[1])).clip(0.5, 2) ** strength
    cartoon, smooth = ((x * gain).clip(0, 1) ** (1 / GAMMA) * 2 - 1 for x in light[1:])
    return cartoon, smooth


def _tint(light: Tensor) -> Tensor:
    means = light.mean([2, 3], keepdim=True)
    return means / means.mean(1, keepdim=True)
