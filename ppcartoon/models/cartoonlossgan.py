"""CartoonLossGANModel: the paper's algorithm, both stages, as a model for ppgan's or our trainer."""

from __future__ import annotations

import inspect

import numpy as np
import paddle
from paddle import Tensor

from .. import ppgan_compat  # noqa: F401  before ppgan, which it makes importable

# isort: split
from ppgan.models.animeganv2_model import AnimeGANV2Model
from ppgan.models.discriminators.builder import build_discriminator
from ppgan.models.generators.builder import build_generator

from ..weights import fold
from . import losses
from .base import TrainableModel, training_mode, unwrap
from .cost import Cost, step_cost
from .networks import OURS, Cartoonizer
from .renamed import current_loss
from .vgg import VGG19


class CartoonLossGANModel(TrainableModel):
    """CartoonLossGAN (Dong et al., 2021): G decodes the features of E, the encoder of D, which D's step alone trains.

    There is one generator and one discriminator (Fig. 3), and no cycle. A weight of 0 switches its loss off, with all
    that only this loss needs.

    Args:
        generator: name and arguments of G in ppgan's registry.
        discriminator: name and arguments of D, which has the parts `encoder` and `classifier`.
        reuse_encoder: whether G decodes the features of D's encoder; False gives G an encoder of its own, of the same
            shape, which G's step trains.
        gan_mode: "vanilla" (Eq. 1 as it stands) or "lsgan".
        adv_loss: "cartoonloss" (Eq. 1) or "animegan".
        style_loss: "cartoonloss" (Eq. 3) or "animegan".
        color_loss: "cartoonloss" (Eq. 4) or "animegan".
        init_epochs: length of stage "init"; all other epochs are stage "cartoon".
        adv_weight: lambda 1.
        content_weight: lambda 2.
        gray_weight: lambda 3.
        color_weight: lambda 4.
        tv_weight: lambda 5.
        edge_weight: omega.
        huber_delta: where the Huber loss of Eq. 4 turns linear.
        vgg_layer: l of Eqs. 2 and 3, "conv1_1" to "conv5_4".
        vgg_path: see `vgg.VGG19`.
        additional_losses: weights of losses that Eq. 5 has besides, by their names in `losses.ADDITIONAL`.
        amp: None for float32; "float16" (with loss scaling) or "bfloat16" for mixed precision O1, on GPUs.

    Raises:
        InputError: VGG19 cannot be had.
    """

    def __init__(
        self,
        generator: dict,
        discriminator: dict,
        reuse_encoder: bool = True,
        gan_mode: str = "vanilla",
        adv_loss: str = "cartoonloss",
        style_loss: str = "cartoonloss",
        color_loss: str = "cartoonloss",
        init_epochs: int = 2,
        adv_weight: float = 300.0,
        content_weight: float = 1.5,
        gray_weight: float = 2.5,
        color_weight: float = 100.0,
        tv_weight: float = 1.0,
        edge_weight: float = 0.1,
        huber_delta: float = 1.0,
        vgg_layer: str = "conv4_4",
        vgg_path: str | None = None,
        additional_losses: dict[str, float] | None = None,
        amp: str | None = None,
    ) -> None:
        super().__init__()
        told = {key: value for key, value in generator.items() if (key, value) != ("name", OURS)}
        self.network = {"encoder": dict(discriminator), "generator": told}  # as a weights file has it
        self.nets["netD"] = build_discriminator(discriminator)
        self.nets["netG"] = build_generator(generator) if reuse_encoder else Cartoonizer(**self.network)
        self.nets["netG"].train()
        self.reuse_encoder, self.gan_mode, self.init_epochs = reuse_encoder, gan_mode, init_epochs
        self.adv_loss = current_loss("adv_loss", adv_loss)
        self.style_loss = current_loss("style_loss", style_loss)
        self.color_loss = current_loss("color_loss", color_loss)
        self.adv_weight, self.content_weight, self.gray_weight = adv_weight, content_weight, gray_weight
        self.color_weight, self.tv_weight, self.edge_weight = color_weight, tv_weight, edge_weight
        self.huber_delta, self.amp = huber_delta, amp
        self.additional_losses = {name: weight for name, weight in (additional_losses or {}).items() if weight}
        self.vgg = VGG19(vgg_layer, vgg_path) if content_weight or gray_weight else None
        scaled = amp == "float16"
        self.scalers = {name: paddle.amp.GradScaler(enable=scaled) for name in ("optimizer_D", "optimizer_G")}

    def train_iter(self, optims: dict | None = None) -> None:
        """One step on the batch (Fig. 1): first D's, then G's; `losses` has the terms of both, weighted, by name."""
        optimizers = optims or self.optimizers
        self.forward()
        with training_mode(self.nets["netD"]):
            d_losses = self.discriminator_losses()
            self._descend(d_losses["d_loss"], optimizers, "optimizer_D")
        g_losses = self.generator_losses()
        self._descend(g_losses["g_loss"], optimizers, "optimizer_G")
        self.losses = {name: loss.detach() for name, loss in {**d_losses, **g_losses}.items()}
        self.steps += 1

    def forward(self) -> None:
        """fake = G(E(p)) and, for Eq. 4, c_g = G(E(c)), in one call of G; E's features are constants."""
        self.nets["netD"].eval()
        colored = self.stage == "cartoon" and self.color_weight and self.color_loss == "cartoonloss"
        images = [self.photo, self.cartoon] if colored else [self.photo]
        with self._autocast():
            outputs = self.nets["netG"](self.encode(paddle.concat(images)))
        self.fake, *self.reconstructed = paddle.split(losses.full(outputs), len(images))

    def encode(self, images: Tensor) -> Tensor:
        """What G takes: z = E(images) without a gradient, or the images where G has an encoder of its own."""
        if not self.reuse_encoder:
            return images
        with paddle.no_grad():
            return unwrap(self.nets["netD"]).encoder(images)

    def discriminator_losses(self) -> dict[str, Tensor]:
        """Eq. 6 in stage "init", Eq. 1 or AnimeGAN's in stage "cartoon", in one call of D."""
        init = self.stage == "init"
        animegan = self.adv_loss == "animegan" and not init
        images = [self.photo if init else self.cartoon, self.fake.detach()]
        if animegan:
            images.append(self.gray_cartoon)
        if self.edge_weight and not init:
            images.append(losses.gray(self.smooth) if animegan else self.smooth)
        with self._autocast():
            logits = paddle.split(self.nets["netD"](paddle.concat(images)), len(images))
        if init:
            return losses.initial_discriminator_loss(*logits, mode=self.gan_mode)
        loss = losses.animegan_discriminator_loss if animegan else losses.discriminator_loss
        return loss(*logits, omega=self.edge_weight, mode=self.gan_mode)

    def generator_losses(self) -> dict[str, Tensor]:
        """lambda 2 times Eq. 2 in stage "init", the terms of Eq. 5 in stage "cartoon", and their sum `g_loss`."""
        init = self.stage == "init"
        terms = self._feature_losses(gray=not init and bool(self.gray_weight))
        if not init and self.adv_weight:
            with self._autocast():
                logits = unwrap(self.nets["netD"])(self.fake)
            terms["g_adv"] = self.adv_weight * losses.adversarial_loss(logits, self.gan_mode)
        if not init and self.color_weight:
            terms["g_color"] = self.color_weight * self._color_loss()
        if not init and self.tv_weight:
            terms["g_tv"] = self.tv_weight * AnimeGANV2Model.variation_loss(self.fake)
        if not init:
            terms |= self._additional_losses()
        return {"g_loss": sum(terms.values()), **terms}

    def _additional_losses(self) -> dict[str, Tensor]:
        terms = {}
        for name, weight in self.additional_losses.items():
            loss = losses.ADDITIONAL[name]
            terms[f"g_{name}"] = weight * loss(*(getattr(self, image) for image in inspect.signature(loss).parameters))
        return terms

    def _color_loss(self) -> Tensor:
        if self.color_loss == "animegan":
            return losses.animegan_color_loss(self.fake, self.photo, self.huber_delta)
        (output,) = self.reconstructed
        return losses.color_style_loss(output, self.cartoon, self.huber_delta)

    def _feature_losses(self, gray: bool) -> dict[str, Tensor]:
        """Eqs. 2 and 3, or AnimeGAN's in its place, from one call of VGG19 with a gradient and one without."""
        names = ["g_content"] * bool(self.content_weight) + ["g_gray"] * gray
        if not names:
            return {}
        animegan = self.style_loss == "animegan"
        moving = {"g_content": lambda: self.fake, "g_gray": lambda: losses.gray(self.fake)}
        fixed = {"g_content": self.photo, "g_gray": self.gray_cartoon}
        with self._autocast():
            with paddle.no_grad():
                targets = self._features([fixed[name] for name in names])
            if animegan:  # both losses look at the same image
                features = [self.vgg(self.fake)] * len(names)
            else:
                features = self._features([moving[name]() for name in names])
        weighted = {
            "g_content": (self.content_weight, losses.content_loss),
            "g_gray": (self.gray_weight, losses.animegan_style_loss if animegan else losses.gray_style_loss),
        }
        return {n: weighted[n][0] * weighted[n][1](f, target) for n, f, target in zip(names, features, targets)}

    def _features(self, images: list[Tensor]) -> list[Tensor]:
        return paddle.split(self.vgg(paddle.concat(images)), len(images))

    def _descend(self, loss: Tensor, optimizers: dict, name: str) -> None:
        scaler, optimizer = self.scalers[name], optimizers[name]
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.clear_grad(set_to_zero=False)

    def _autocast(self) -> paddle.amp.auto_cast:
        """Convolutions in half precision; the matrix products of spectral norm, whose u and v are kept, in float32."""
        precise = {"matmul", "matmul_v2"}
        dtype = self.amp or "float16"
        return paddle.amp.auto_cast(self.amp is not None, custom_black_list=precise, level="O1", dtype=dtype)

    def scaler_states(self) -> dict[str, dict]:
        """Of loss scaling, as JSON has it; empty where there is none."""
        return {
            name: {key: np.asarray(value).tolist() for key, value in scaler.state_dict().items()}
            for name, scaler in self.scalers.items()
        }

    def set_scaler_states(self, states: dict[str, dict]) -> None:
        """Undoes `scaler_states`; loss scaling that was not there before starts afresh."""
        for name, state in states.items():
            if state:
                self.scalers[name].load_state_dict(state)

    def cost(self, batch_size: int, size: int) -> Cost:
        return step_cost(self, batch_size, size)

    @paddle.no_grad()
    def cartoonize(self, photos: Tensor) -> Tensor:
        """[N, 3, H, W] in [-1, 1] -> G(E(photos)), same shape and range; changes nothing."""
        self.nets["netD"].eval()
        return unwrap(self.nets["netG"])(self.encode(photos))

    def compute_visuals(self) -> None:
        self.visual_items = {"photo": self.photo, "cartoon": self.fake}

    def export(self) -> dict[str, np.ndarray]:
        """The tensors of a weights file, float32, spectral normalisation folded in."""
        states = {
            name: {key: value.numpy() for key, value in unwrap(net).state_dict().items()}
            for name, net in self.nets.items()
        }
        return fold(states["netD"], states["netG"]) if self.reuse_encoder else states["netG"]
