"""A reference implementation of the training step, written in the way of ppgan's models."""

from __future__ import annotations

from typing import Any

import numpy as np
import paddle
from paddle import Tensor

from ppcartoon import register  # noqa: F401  adds the networks to ppgan's registries
from ppcartoon.models import cost, losses
from ppcartoon.models.cartoonlossgan import CartoonLossGANModel


class ReferenceModel(CartoonLossGANModel):
    """The training step in the way of ppgan's AnimeGANV2Model: one call per kind of image, and nothing is frozen.

    VGG19 and, in G's step, D compute gradients that are not used. All losses are on.
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


def reference_flops(model: CartoonLossGANModel, batch_size: int, size: int) -> float:
    """Floating-point operations of the convolutions in a step of `ReferenceModel`, counted like `cost.step_cost`."""
    e, g, d, vgg = cost.forwards(model)
    flops = 2 * e.flops + 2 * (3 * g.flops - g.first) + 3 * (3 * d.flops - d.first) + 3 * d.flops
    flops += 4 * 3 * vgg.flops - 2 * vgg.first  # the photo and the gray cartoon are constant
    return flops * batch_size * (size / cost.SIDE) ** 2


def build(
    model_class: type[CartoonLossGANModel], batch_size: int, size: int, channels: int, layer: str
) -> CartoonLossGANModel:
    """A model with optimizers and a random batch, identical for both classes, and D always in eval mode.

    In train mode, each call of D advances the power iteration of spectral normalization, and the two models call D
    a different number of times.

    Args:
        model_class: `CartoonLossGANModel` or `ReferenceModel`.
        batch_size: number of photos and of cartoons.
        size: height and width in pixels.
        channels: width of G, 64 in the paper; D has half as many.
        layer: layer of VGG19, which has random weights.
    """
    paddle.seed(0)
    model = model_class(
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
