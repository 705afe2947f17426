"""Layer normalisation (LN, Fig. 2) over [C, H, W] of each image, whose statistics can come from outside."""

from __future__ import annotations

import paddle
from paddle import Tensor, nn


class Statistics:
    """Mean and variance of every LN on one way through a network, in the order in which they run.

    Without arguments each LN measures its input, as in training. Tiles of an image are to be normalised alike, by
    statistics that are given; and those of a film are to change slowly, so there a share of each frame's is mixed in.

    Args:
        given: float32 [N or 1, L, 2], mean and variance of the L norms; what `used()` returned, say.
        share: each LN normalises by `share` times its input's statistics plus `1 - share` times those given, with
            share in [0, 1]; by what is given alone if None.
    """

    def __init__(self, given: Tensor | None = None, share: Tensor | float | None = None) -> None:
        self.given, self.share = given, share
        self._rows: list[Tensor] = []

    def of(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance, each [N or 1, 1, 1, 1], for the next LN, whose input is x [N, C, H, W]."""
        given = None if self.given is None else self.given[:, len(self._rows)]
        if given is None:
            row = _measure(x)
        elif self.share is None:
            row = given
        else:
            row = self.share * _measure(x) + (1 - self.share) * given
        self._rows.append(row)
        mean, variance = row.reshape([-1, 2, 1, 1, 1]).unbind(1)
        return mean, variance

    def used(self) -> Tensor:
        """The statistics that each LN normalised by, [N, L, 2]."""
        return paddle.stack(self._rows, axis=1)


def _measure(x: Tensor) -> Tensor:
    """Mean and variance of each image, [N, C, H, W] -> [N, 2]."""
    mean = _mean(x)
    return paddle.stack([mean, _mean((x - mean.reshape([-1, 1, 1, 1])).square())], axis=1)


def _mean(x: Tensor) -> Tensor:
    """[N, C, H, W] -> [N], axis by axis: a float32 sum over all three at once is percents off on large images."""
    return x.mean(3).mean(2).mean(1)


class LayerNorm(nn.GroupNorm):
    """LN: one mean and variance an image, a scale and a shift a channel."""

    def __init__(self, channels: int) -> None:
        super().__init__(1, channels)

    def forward(self, x: Tensor, statistics: Statistics | None = None) -> Tensor:
        if statistics is None:
            return nn.GroupNorm.forward(self, x)  # super() breaks to_static on Paddle 2.6
        mean, variance = statistics.of(x)
        scale = self.weight.reshape([1, -1, 1, 1]) * (variance + self._epsilon).rsqrt()
        return x * scale + (self.bias.reshape([1, -1, 1, 1]) - mean * scale)
