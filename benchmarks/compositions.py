"""Two compositions of the same training step: `models.CartoonLossGANModel`, and one as ppgan's models write theirs."""

from __future__ import annotations

from typing import Any

import numpy as np
import paddle
from paddle import Tensor

from ppcartoon import register  # noqa: F401  the registries know the networks
from ppcartoon.models import cost, losses
from ppcartoon.models.cartoonlossgan import CartoonLossGANModel


class Straightforward(CartoonLossGANModel):
    """The step as ppgan's AnimeGANV2Model composes it: a call for each kind of image, and nothing is frozen.

    VGG and, in G's step, D gather gradients that nobody uses. All losses are on.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        for parameter in self.vgg.parameters():
            parameter.stop_gradient = False

    def train_iter(self, optims: dict | None = None) -> None:
        optimizers = optims or self.optimizers
        self.forward()
        d_losses = self.discriminator_losses()
        self._descend(d_losses["d_loss"], optimizers, "optimizer_D")
        g_losses = self.generator_losses()
        self._descend(g_losses["g_loss"], optimizers, "optimizer_G")
        self.losses = {**d_losses, **g_losses}

    def forward(self) -> None:
        netG = self.nets["netG"]
        self.fake = netG(self.encode(self.photo))
        self.reconstructed = [netG(self.encode(self.cartoon))]

    def discriminator_losses(self) -> dict[str, Tensor]:
        logits = [self.nets["netD"](images) for images in (self.cartoon, self.fake.detach(), self.smooth)]
        return losses.discriminator_loss(*logits, omega=self.edge_weight, mode=self.gan_mode)

    def _feature_losses(self, gray: bool) -> dict[str, Tensor]:
        content = losses.content_loss(self.vgg(self.fake), self.vgg(self.photo))
        style = losses.gray_style_loss(self.vgg(losses.gray(self.fake)), self.vgg(self.gray_cartoon))
        return {"g_content": self.content_weight * content, "g_gray": self.gray_weight * style}

    def _descend(self, loss: Tensor, optimizers: dict, name: str) -> None:
        optimizers[name].clear_grad()
        loss.backward()
        optimizers[name].step()


def straightforward_flops(model: CartoonLossGANModel, batch_size: int, size: int) -> float:
    """Those of the convolutions in a step of `Straightforward`, counted as `cost.step_cost` does."""
    e, g, d, vgg = cost.forwards(model)
    flops = 2 * e.flops + 2 * (3 * g.flops - g.first) + 3 * (3 * d.flops - d.first) + 3 * d.flops
    flops += 4 * 3 * vgg.flops - 2 * vgg.first  # the photo and the gray cartoon are constant
    return flops * batch_size * (size / cost.SIDE) ** 2


def build(
    kind: type[CartoonLossGANModel], batch_size: int, size: int, channels: int, layer: str
) -> CartoonLossGANModel:
    """The model with its optimizers and a random batch, the same for both kinds; D always in eval mode.

    In train mode each call of D would move spectral norm's power iteration on, and the two call it unequally often.

    Args:
        kind: `CartoonLossGANModel` or `Straightforward`.
        batch_size: photos, and as many cartoons.
        size: height and width in pixels.
        channels: width of G, the paper's 64; D has half of it.
        layer: of VGG19, whose weights are random.
    """
    paddle.seed(0)
    model = kind(
        generator={"name": "CartoonLossGenerator", "in_channels": 2 * channels, "channels": channels},
        discriminator={"name": "CartoonLossDiscriminator", "channels": channels // 2},
        vgg_layer=layer,
        vgg_path="random",
    )
    netD, netG = model.nets["netD"], model.nets["netG"]
    netD.train = netD.eval
    netD.eval()
    for name, net in (("optimizer_D", netD), ("optimizer_G", netG)):
        model.optimizers[name] = paddle.optimizer.Adam(2e-4, beta1=0.5, parameters=net.parameters())
    random = np.random.default_rng(0)
    images = random.uniform(-1, 1, (3, batch_size, 3, size, size)).astype(np.float32)
    model.setup_input({name: paddle.to_tensor(x) for name, x in zip(("photo", "cartoon", "smooth"), images)})
    return model
