"""The networks of CartoonLossGAN (Fig. 2 of the paper) in Paddle.

Images are float32 [N, 3, H, W] in [-1, 1], H and W multiples of 4. LN is the paper's layer normalization over
[C, H, W] of each image, LReLU has slope 0.2, and no convolution has a bias. Weights are initialized from N(0, 0.02).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn
from paddle.nn.utils import spectral_norm


class Statistics:
    """Mean and variance of every LN in one forward pass, in the order of execution.

    Without arguments each LN measures its input, as in training. All tiles of an image use the same given statistics.
    Statistics of video frames should change slowly, so those of each frame are blended with the previous ones.

    Args:
        given: float32 [N or 1, L, 2], mean and variance of the L norms, for example what `used()` returned.
        share: in [0, 1]; each LN normalizes by `share` times its input's statistics plus `1 - share` times `given`;
            None uses `given` alone.
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
        """The statistics that each LN normalized by, [N, L, 2]."""
        return paddle.stack(self._rows, axis=1)


def _measure(x: Tensor) -> Tensor:
    """Mean and variance of each image, [N, C, H, W] -> [N, 2]."""
    mean = _mean(x)
    return paddle.stack([mean, _mean((x - mean.reshape([-1, 1, 1, 1])).square())], axis=1)


def _mean(x: Tensor) -> Tensor:
    """[N, C, H, W] -> [N], axis by axis: one float32 sum over all axes has an error of percents on large images."""
    return x.mean(3).mean(2).mean(1)


class LayerNorm(nn.GroupNorm):
    """LN: one mean and variance per image, one scale and shift per channel; can use given `Statistics`."""

    def __init__(self, channels: int) -> None:
        super().__init__(1, channels)

    def forward(self, x: Tensor, statistics: Statistics | None = None) -> Tensor:
        if statistics is None:
            return nn.GroupNorm.forward(self, x)  # super() breaks to_static on Paddle 2.6
        mean, variance = statistics.of(x)
        scale = self.weight.reshape([1, -1, 1, 1]) * (variance + self._epsilon).rsqrt()
        return x * scale + (self.bias.reshape([1, -1, 1, 1]) - mean * scale)


DEFAULT_GENERATOR = "CartoonLossGenerator"
GENERATORS: dict[str, type[nn.Layer]] = {}  # by their names in configs


def generator(network: type[nn.Layer]) -> type[nn.Layer]:
    """Class decorator: configs can use this generator, as `model.generator: {name: NAME, in_channels: ..., ...}`.

    Args:
        network: maps E's features [N, in_channels, H/4, W/4] to images [N, 3, H, W] in [-1, 1], the same in train and
            eval mode. Its constructor takes `in_channels` and other arguments of type int or bool.

    Raises:
        TypeError: the constructor has other arguments.
    """
    parameters = inspect.signature(network, eval_str=True).parameters
    if "in_channels" not in parameters or not {p.annotation for p in parameters.values()} <= {int, bool}:
        raise TypeError(f"{network.__name__}: a generator takes in_channels, and other arguments that are int or bool")
    GENERATORS[network.__name__] = network
    return network


class Sequential(nn.Sequential):
    """nn.Sequential that passes `statistics` to the layers that accept them."""

    def forward(self, x: Tensor, statistics: Statistics | None = None) -> Tensor:
        for layer in self:
            x = layer(x, statistics) if isinstance(layer, (LayerNorm, Sequential, InvertedResidual)) else layer(x)
        return x


def conv(cin: int, cout: int, k: int = 3, s: int = 1, p: int | None = None, groups: int = 1) -> nn.Conv2D:
    """Convolution k x k, stride s, without a bias; padding p, by default k // 2, which keeps the size at stride 1."""
    weight = nn.initializer.Normal(0.0, 0.02)
    padding = k // 2 if p is None else p
    return nn.Conv2D(cin, cout, k, s, padding, groups=groups, weight_attr=weight, bias_attr=False)


def lrelu() -> nn.LeakyReLU:
    return nn.LeakyReLU(0.2)


def conv_norm_lrelu(cin: int, cout: int, k: int = 3, groups: int = 1) -> Sequential:
    return Sequential(conv(cin, cout, k, groups=groups), LayerNorm(cout), lrelu())


def separable_norm_lrelu(cin: int, cout: int) -> Sequential:
    """As `conv_norm_lrelu`, with a depthwise separable convolution: 3x3 per channel, then 1x1 across channels."""
    return Sequential(Sequential(conv(cin, cin, groups=cin), conv(cin, cout, 1)), LayerNorm(cout), lrelu())


class InvertedResidual(nn.Layer):
    """1x1 expansion, 3x3, linear 1x1; the input is added if both widths are equal.

    Args:
        cin: input channels; the layers between the 1x1 convolutions have twice as many.
        cout: output channels.
        depthwise: whether the 3x3 convolution is depthwise, as MobileNetV2's does (Sandler et al. 2018).
    """

    def __init__(self, cin: int, cout: int, depthwise: bool = False) -> None:
        super().__init__()
        mid = 2 * cin
        self.body = Sequential(
            conv_norm_lrelu(cin, mid, 1),
            conv_norm_lrelu(mid, mid, groups=mid if depthwise else 1),
            conv(mid, cout, 1), LayerNorm(cout),
        )  # fmt: skip
        self.residual = cin == cout

    def forward(self, x: Tensor, statistics: Statistics | None = None) -> Tensor:
        y = self.body(x, statistics)
        return x + y if self.residual else y


def encoder(channels: int = 32, wrap: Callable = spectral_norm) -> Sequential:
    """E of Fig. 2: [N, 3, H, W] -> features [N, 4 * channels, H/4, W/4]; `wrap` wraps each convolution."""
    c = channels
    return Sequential(
        wrap(conv(3, c)), lrelu(),
        wrap(conv(c, 2 * c, s=2)), lrelu(),
        wrap(conv(2 * c, 4 * c)), LayerNorm(4 * c), lrelu(),
        wrap(conv(4 * c, 4 * c, s=2)), lrelu(),
    )  # fmt: skip


def n_layer_encoder(channels: int = 64, wrap: Callable = spectral_norm) -> Sequential:
    """The first layers of CycleGAN's discriminator: [N, 3, H, W] -> [N, 2 * channels, H/4, W/4]."""
    c = channels
    return Sequential(
        wrap(conv(3, c, 4, 2, 1)), lrelu(),
        wrap(conv(c, 2 * c, 4, 2, 1)), LayerNorm(2 * c), lrelu(),
    )  # fmt: skip


class Discriminator(nn.Layer):
    """D = classifier(encoder(x)) with spectral normalization in every convolution; G reuses the encoder E.

    Args:
        channels: width of the first convolution, the paper's c32; the others are multiples of it.
    """

    def __init__(self, channels: int = 32) -> None:
        super().__init__()
        c = channels
        self.encoder = encoder(c)
        self.classifier = Sequential(
            spectral_norm(conv(4 * c, 8 * c)), LayerNorm(8 * c), lrelu(),
            spectral_norm(conv(8 * c, 8 * c)), LayerNorm(8 * c), lrelu(),
            spectral_norm(conv(8 * c, 1)),
        )  # fmt: skip
        warm_up_spectral_norm(self)

    def forward(self, x: Tensor) -> Tensor:
        """Image [N, 3, H, W] -> logits [N, 1, H/4, W/4]."""
        return self.classifier(self.encoder(x))


class NLayerDiscriminator(nn.Layer):
    """The paper's "n layer discriminator of CycleGAN", split into encoder and classifier like `Discriminator`.

    Args:
        channels: width of the first convolution, CycleGAN's c64; the others are multiples of it.
    """

    def __init__(self, channels: int = 64) -> None:
        super().__init__()
        c = channels
        self.encoder = n_layer_encoder(c)
        self.classifier = Sequential(
            spectral_norm(conv(2 * c, 4 * c, 4, 2, 1)), LayerNorm(4 * c), lrelu(),
            spectral_norm(conv(4 * c, 8 * c, 4, 1, 1)), LayerNorm(8 * c), lrelu(),
            spectral_norm(conv(8 * c, 1, 4, 1, 1)),
        )  # fmt: skip
        warm_up_spectral_norm(self)

    def forward(self, x: Tensor) -> Tensor:
        """Image [N, 3, H, W], sides at least 24 -> logits [N, 1, H/8 - 2, W/8 - 2]."""
        return self.classifier(self.encoder(x))


def warm_up_spectral_norm(network: nn.Layer, iterations: int = 20) -> None:
    """Runs the power iteration until sigma is close to the largest singular value, as eval mode needs."""
    with paddle.no_grad():
        for _ in range(iterations):
            network(paddle.zeros([1, 3, 32, 32]))


class Generator(nn.Layer):
    """G of Fig. 2: E's features -> cartoon. Only a decoder; the encoder is part of the discriminator.

    Args:
        in_channels: channels of E's features, 4 times `Discriminator.channels`.
        channels: width, the paper's c64; the widest layers have 8 times as many channels.
        depthwise: whether every 3x3 convolution is depthwise separable, which the paper rejects (III-A).
    """

    def __init__(self, in_channels: int = 128, channels: int = 64, depthwise: bool = False) -> None:
        super().__init__()
        c, conv3 = channels, separable_norm_lrelu if depthwise else conv_norm_lrelu
        self.body = Sequential(
            InvertedResidual(in_channels, 4 * c, depthwise),
            *[InvertedResidual(4 * c, 4 * c, depthwise) for _ in range(3)],
            conv3(4 * c, 2 * c),
        )
        self.up1 = Sequential(upsample(), conv3(2 * c, 2 * c), conv3(2 * c, 2 * c))
        self.up2 = Sequential(upsample(), conv3(2 * c, c), conv3(c, c), conv_norm_lrelu(c, c // 2, 7))
        self.out = conv(c // 2, 3, 1)

    def forward(self, z: Tensor, statistics: Statistics | None = None) -> Tensor:
        """Features [N, in_channels, H/4, W/4] -> image [N, 3, H, W] in [-1, 1]."""
        x = self.body(z, statistics)  # [N, 2c, H/4, W/4]
        x = self.up1(x, statistics)  # [N, 2c, H/2, W/2]
        x = self.up2(x, statistics)  # [N, c/2, H, W]
        return F.tanh(self.out(x))


def upsample() -> nn.Upsample:
    return nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)


class Cartoonizer(nn.Layer):
    """G(E(x)) for inference: plain convolutions with spectral normalization folded in (`ppcartoon.weights.fold`).

    The names and shapes of its `state_dict()` are those of a weights file, unless the encoder is to be trained.

    Args:
        encoder: `name`, a key of `ENCODERS`, and the arguments of that encoder.
        generator: arguments of `Generator`, or `name`, a key of `GENERATORS`, and the arguments of that generator.
        normalized: whether the encoder has spectral normalization, for training.
    """

    def __init__(self, encoder: dict, generator: dict, normalized: bool = False) -> None:
        super().__init__()
        encoder, generator = dict(encoder), {"name": DEFAULT_GENERATOR, **generator}
        make_encoder, make_generator = ENCODERS[encoder.pop("name")], GENERATORS[generator.pop("name")]
        decoder = make_generator(**generator)  # before the encoder: a seed gives the same weights as a lone generator
        self.encoder = make_encoder(**encoder, wrap=spectral_norm if normalized else lambda layer: layer)
        self.generator = decoder
        if normalized:
            warm_up_spectral_norm(self.encoder)
        self.eval()

    def forward(self, image: Tensor, statistics: Statistics | None = None) -> Tensor:
        """Image [N, 3, H, W] in [-1, 1] -> cartoon of the same shape and range."""
        if statistics is None:
            return self.generator(self.encoder(image))
        return self.generator(self.encoder(image, statistics), statistics)


class WithStatistics(nn.Layer):
    """A Cartoonizer with LN statistics as input and output, in a form that Paddle can save.

    Args:
        cartoonizer: the network.
    """

    def __init__(self, cartoonizer: Cartoonizer) -> None:
        super().__init__()
        self.cartoonizer = cartoonizer
        self.eval()

    def forward(self, image: Tensor, given: Tensor | None = None, share: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Image and the arguments of `Statistics`, with share as [1] -> cartoon and the statistics used."""
        statistics = Statistics(given, share)
        return self.cartoonizer(image, statistics), statistics.used()


GENERATORS[DEFAULT_GENERATOR] = Generator
ENCODERS = {"CartoonLossDiscriminator": encoder, "CartoonLossNLayerDiscriminator": n_layer_encoder}
