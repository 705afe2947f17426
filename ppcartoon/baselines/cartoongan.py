"""CartoonGAN (Chen et al., CVPR 2018) in Paddle: the networks of its Fig. 2, its losses and both stages.

What the paper leaves open follows the authors' Torch code, so that their published weights fit (`cartoongan_weights`):
github.com/FlyingGoblin/CartoonGAN, models/architectures.lua, `defineG_convresnet_nblocks` and `defineD_n_layers`. Norm
is instance normalization with scale and shift, biased variance and epsilon 1e-5; G uses reflection padding in its 7x7
convolutions and residual blocks, and zero padding elsewhere; LReLU has slope 0.2; all convolutions have a bias; weights
are initialized from N(0, 0.02).

Where that code differs from the paper, this module follows the paper. The code uses least squares for Eq. 3 (here
`gan_mode: lsgan`), a learning rate of 1e-5 after the initialization, generated images from a pool of 50 in D's step,
VGG19 on images resized to 224x224, biases set to 0 before each step, normalization scales initialized from U(0, 1)
instead of 1, and by default 16 residual blocks; the published weights have 8.

Images are float32 [N, 3, H, W] in [-1, 1], RGB, H and W multiples of 4, at least 8.
"""

from __future__ import annotations

import paddle
from paddle import Tensor, nn

from ..models import losses
from ..models.base import TrainableModel, training_mode, unwrap
from ..models.networks import lrelu
from ..models.vgg import VGG19

# isort: split
from ppgan.models.discriminators.builder import build_discriminator
from ppgan.models.generators.builder import build_generator


def conv(cin: int, cout: int, k: int = 3, s: int = 1, padding: str = "zeros") -> nn.Conv2D:
    """k x k convolution with stride s; stride 1 keeps the size."""
    return nn.Conv2D(cin, cout, k, s, k // 2, padding_mode=padding, weight_attr=nn.initializer.Normal(0.0, 0.02))


def up(cin: int, cout: int) -> nn.Conv2DTranspose:
    """The "stride 1/2" of Fig. 2: doubles height and width."""
    return nn.Conv2DTranspose(cin, cout, 3, 2, 1, output_padding=1, weight_attr=nn.initializer.Normal(0.0, 0.02))


class ResidualBlock(nn.Layer):
    """x + norm(conv(relu(norm(conv(x)))))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        c = channels
        self.body = nn.Sequential(
            conv(c, c, padding="reflect"), nn.InstanceNorm2D(c), nn.ReLU(),
            conv(c, c, padding="reflect"), nn.InstanceNorm2D(c),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class Generator(nn.Layer):
    """G of Fig. 2: photo -> cartoon.

    Args:
        channels: width of the first convolution, the paper's n64; the others are multiples of it.
        blocks: residual blocks, the paper's 8.
    """

    def __init__(self, channels: int = 64, blocks: int = 8) -> None:
        super().__init__()
        c = channels
        self.body = nn.Sequential(
            conv(3, c, 7, padding="reflect"), nn.InstanceNorm2D(c), nn.ReLU(),
            conv(c, 2 * c, s=2), conv(2 * c, 2 * c), nn.InstanceNorm2D(2 * c), nn.ReLU(),  # [N, 2c, H/2, W/2]
            conv(2 * c, 4 * c, s=2), conv(4 * c, 4 * c), nn.InstanceNorm2D(4 * c), nn.ReLU(),  # [N, 4c, H/4, W/4]
            *[ResidualBlock(4 * c) for _ in range(blocks)],
            up(4 * c, 2 * c), conv(2 * c, 2 * c), nn.InstanceNorm2D(2 * c), nn.ReLU(),  # [N, 2c, H/2, W/2]
            up(2 * c, c), conv(c, c), nn.InstanceNorm2D(c), nn.ReLU(),  # [N, c, H, W]
            conv(c, 3, 7, padding="reflect"), nn.Tanh(),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Image [N, 3, H, W] -> cartoon of the same shape and range."""
        return self.body(x)


class Discriminator(nn.Layer):
    """D of Fig. 2, a patch discriminator.

    Args:
        channels: width of the first convolution, the paper's n32; the others are multiples of it.
    """

    def __init__(self, channels: int = 32) -> None:
        super().__init__()
        c = channels
        self.body = nn.Sequential(
            conv(3, c), lrelu(),
            conv(c, 2 * c, s=2), lrelu(), conv(2 * c, 4 * c), nn.InstanceNorm2D(4 * c), lrelu(),
            conv(4 * c, 4 * c, s=2), lrelu(), conv(4 * c, 8 * c), nn.InstanceNorm2D(8 * c), lrelu(),
            conv(8 * c, 8 * c), nn.InstanceNorm2D(8 * c), lrelu(),
            conv(8 * c, 1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Image [N, 3, H, W] -> logits [N, 1, H/4, W/4]."""
        return self.body(x)


class CartoonGANModel(TrainableModel):
    """Training of CartoonGAN: min over G, max over D of L_adv + omega L_con (its Eqs. 1 and 2).

    Stage "init" trains G to reconstruct photos, by the content loss alone; D does not change.

    Args:
        generator: name and arguments of G in ppgan's registry.
        discriminator: name and arguments of D.
        gan_mode: "vanilla" (Eq. 3; non-saturating for G) or "lsgan".
        init_epochs: length of stage "init"; all other epochs are stage "cartoon".
        content_weight: omega.
        vgg_layer: l of Eq. 4, "conv1_1" to "conv5_4".
        vgg_path: see `vgg.VGG19`.

    Raises:
        InputError: VGG19 is not available.
    """

    def __init__(
        self,
        generator: dict,
        discriminator: dict,
        gan_mode: str = "vanilla",
        init_epochs: int = 10,
        content_weight: float = 10.0,
        vgg_layer: str = "conv4_4",
        vgg_path: str | None = None,
    ) -> None:
        super().__init__()
        self.network = {"generator": dict(generator)}
        self.nets["netD"] = build_discriminator(discriminator)
        self.nets["netG"] = build_generator(generator)
        self.gan_mode, self.init_epochs, self.content_weight = gan_mode, init_epochs, content_weight
        self.vgg = VGG19(vgg_layer, vgg_path)

    def train_iter(self, optims: dict | None = None) -> None:
        """One step on the batch: of D, except in stage "init", and of G; sets `losses` to their weighted terms."""
        optimizers = optims or self.optimizers
        self.forward()
        d_losses = {}
        if self.stage == "cartoon":
            with training_mode(self.nets["netD"]):
                d_losses = self.discriminator_losses()
                _optimizer_step(d_losses["d_loss"], optimizers["optimizer_D"])
        g_losses = self.generator_losses()
        _optimizer_step(g_losses["g_loss"], optimizers["optimizer_G"])
        self.losses = {name: loss.detach() for name, loss in {**d_losses, **g_losses}.items()}
        self.steps += 1

    def forward(self) -> None:
        self.fake = self.nets["netG"](self.photo)

    def discriminator_losses(self) -> dict[str, Tensor]:
        """Eq. 3 for D, the edge-promoting adversarial loss: -[log D(c) + log(1 - D(e)) + log(1 - D(G(p)))]."""
        images = paddle.concat([self.cartoon, self.fake.detach(), self.smooth])
        return losses.discriminator_loss(*paddle.split(self.nets["netD"](images), 3), omega=1.0, mode=self.gan_mode)

    def generator_losses(self) -> dict[str, Tensor]:
        """The terms of Eq. 2 and their sum `g_loss`: omega times Eq. 4 and, in stage "cartoon", Eq. 3."""
        with paddle.no_grad():
            target = self.vgg(self.photo)
        terms = {"g_content": self.content_weight * losses.content_loss(self.vgg(self.fake), target)}
        if self.stage == "cartoon":
            terms["g_adv"] = losses.adversarial_loss(unwrap(self.nets["netD"])(self.fake), self.gan_mode)
        return {"g_loss": sum(terms.values()), **terms}


def _optimizer_step(loss: Tensor, optimizer: paddle.optimizer.Optimizer) -> None:
    loss.backward()
    optimizer.step()
    optimizer.clear_grad(set_to_zero=False)
