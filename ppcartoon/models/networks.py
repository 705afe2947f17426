"""The networks of CartoonLossGAN (Fig. 2 of the paper) in Paddle.

Images are float32 [N, 3, H, W] in [-1, 1], H and W multiples of 4. LN is the paper's layer normalisation over
[C, H, W] of each image, LReLU has slope 0.2, and no convolution has a bias. Weights start from N(0, 0.02).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn
from paddle.nn.utils import spectral_norm


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


OURS = "CartoonLossGenerator"
GENERATORS: dict[str, type[nn.Layer]] = {}  # by the names that configs have for them


def generator(network: type[nn.Layer]) -> type[nn.Layer]:
    """Lets configs name a generator: `model.generator: {name: its name, in_channels: ..., ...}`.

    Args:
        network: maps E's features [N, in_channels, H/4, W/4] to images [N, 3, H, W] in [-1, 1], and behaves alike in
            training and afterwards. Its constructor takes `in_channels` and other whole numbers and switches.
    """
    parameters = inspect.signature(network, eval_str=True).parameters
    if "in_channels" not in parameters or not {p.annotation for p in parameters.values()} <= {int, bool}:
        raise TypeError(f"{network.__name__}: a generator takes in_channels, and other arguments that are int or bool")
    GENERATORS[network.__name__] = network
    return network


class Sequential(nn.Sequential):
    """nn.Sequential that hands `statistics` on to the layers that take them."""

    def forward(self, x: Tensor, statistics: Statistics | None = None) -> Tensor:
        for layer in self:
            x = layer(x, statistics) if isinstance(layer, (LayerNorm, Sequential, InvertedResidual)) else layer(x)
        return x


def conv(cin: int, cout: int, k: int = 3, s: int = 1, p: int | None = None, groups: int = 1) -> nn.Conv2D:
    """Convolution k x k, stride s, without a bias, padded so that stride 1 keeps the size unless p says otherwise."""
    weight = nn.initializer.Normal(0.0, 0.02)
    padding = k // 2 if p is None else p
    return nn.Conv2D(cin, cout, k, s, padding, groups=groups, weight_attr=weight, bias_attr=False)


def lrelu() -> nn.LeakyReLU:
    return nn.LeakyReLU(0.2)


def conv_norm_lrelu(cin: int, cout: int, k: int = 3, groups: int = 1) -> Sequential:
    return Sequential(conv(cin, cout, k, groups=groups), LayerNorm(cout), lrelu())


def separable_norm_lrelu(cin: int, cout: int) -> Sequential:
    """The same with a depthwise separable convolution, 3x3 in each channel and 1x1 across them."""
    return Sequential(Sequential(conv(cin, cin, groups=cin), conv(cin, cout, 1)), LayerNorm(cout), lrelu())


class InvertedResidual(nn.Layer):
    """1x1 expansion, 3x3, linear 1x1; the input is added where the widths match.

    Args:
        cin: channels that come in; between the 1x1 convolutions there are twice as many.
        cout: channels that go out.
        depthwise: whether the 3x3 convolution stays within each channel, as MobileNetV2's does (Sandler et al. 2018).
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
    """E of Fig. 2: [N, 3, H, W] -> features [N, 4 * channels, H/4, W/4]; `wrap` is applied to each convolution."""
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
    """D = classifier(encoder(x)), spectrally normalised throughout; G reuses the encoder E.

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
    """The paper's "n layer discriminator of CycleGAN", cut into encoder and classifier like `Discriminator`.

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


def warm_up_spectral_norm(discriminator: nn.Layer, iterations: int = 20) -> None:
    """Runs the power iteration until sigma means something in eval mode too."""
    with paddle.no_grad():
        for _ in range(iterations):
            discriminator(paddle.zeros([1, 3, 32, 32]))


class Generator(nn.Layer):
    """G of Fig. 2: E's features -> cartoon. A decoder only: the encoder is the discriminator's.

    Args:
        in_channels: channels of E's features, 4 times `Discriminator.channels`.
        channels: width, the paper's c64; the widest layers have 8 times as many channels.
        depthwise: whether every 3x3 convolution is depthwise separable, which the paper decides against (III-A).
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
    """G(E(x)) for inference: plain convolutions, spectral normalisation folded in (`ppcartoon.weights.fold`).

    The names and shapes of its `state_dict()` are those of a weights file.

    Args:
        encoder: whose encoder, {"name": a key of `ENCODERS`, and its arguments}.
        generator: arguments of `Generator`; or those of another one with its `name`, a key of `GENERATORS`.
    """

    def __init__(self, encoder: dict, generator: dict) -> None:
        super().__init__()
        arguments = {k: v for k, v in encoder.items() if k != "name"}
        decoder = {"name": OURS, **generator}
        decoder = GENERATORS[decoder.pop("name")](**decoder)  # first, so that its weights are those of one on its own
        self.encoder = ENCODERS[encoder["name"]](**arguments, wrap=lambda layer: layer)
        self.generator = decoder
        self.eval()

    def forward(self, image: Tensor, statistics: Statistics | None = None) -> Tensor:
        """Image [N, 3, H, W] in [-1, 1] -> cartoon of the same shape and range."""
        if statistics is None:
            return self.generator(self.encoder(image))
        return self.generator(self.encoder(image, statistics), statistics)


class WithStatistics(nn.Layer):
    """A Cartoonizer that tells its LN statistics, and can be given some, as a network that can be saved.

    Args:
        cartoonizer: it.
    """

    def __init__(self, cartoonizer: Cartoonizer) -> None:
        super().__init__()
        self.cartoonizer = cartoonizer
        self.eval()

    def forward(self, image: Tensor, given: Tensor | None = None, share: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Image, and what `Statistics` takes, share as [1] -> cartoon, and the statistics that were used."""
        statistics = Statistics(given, share)
        return self.cartoonizer(image, statistics), statistics.used()


GENERATORS[OURS] = Generator
ENCODERS = {"CartoonLossDiscriminator": encoder, "CartoonLossNLayerDiscriminator": n_layer_encoder}
