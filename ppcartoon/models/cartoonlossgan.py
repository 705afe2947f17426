"""CartoonLossGANModel: the paper's training algorithm, both stages, for ppgan's trainer or `training.trainer`."""

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
from .cost import Cost, StepImages, step_cost
from .networks import DEFAULT_GENERATOR, Cartoonizer
from .renamed import current_loss
from .vgg import VGG19


class CartoonLossGANModel(TrainableModel):
    """CartoonLossGAN (Dong et al., 2021): G decodes the features of E, the encoder of D, which D's step alone trains.

    One generator, one discriminator, no cycle (Fig. 3). A weight of 0 switches a loss off, with all computations that
    only this loss needs.

    Args:
        generator: name and arguments of G in ppgan's registry.
        discriminator: name and arguments of D, which has the attributes `encoder` and `classifier`.
        reuse_encoder: whether G decodes the features of D's encoder; False gives G its own encoder of the same shape,
            trained in G's step.
        gan_mode: "vanilla" (Eq. 1 as written) or "lsgan".
        adv_loss: "cartoonloss" (Eq. 1) or "animegan" (`losses.animegan_discriminator_loss`).
        style_loss: "cartoonloss" (Eq. 3) or "animegan" (`losses.animegan_style_loss`).
        color_loss: "cartoonloss" (Eq. 4) or "animegan" (`losses.animegan_color_loss`).
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
        additional_losses: weights of losses added to Eq. 5, by their names in `losses.ADDITIONAL`.
        amp: None for float32; "float16" (with loss scaling) or "bfloat16" for mixed precision O1, on GPUs.

    Raises:
        InputError: VGG19 cannot be loaded.
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
        self.network = {"encoder": dict(discriminator), "generator": dict(generator)}
        if generator.get("name") == DEFAULT_GENERATOR:  # weights files omit it
            del self.network["generator"]["name"]
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
        loss_scaling = amp == "float16"
        self.scalers = {name: paddle.amp.GradScaler(enable=loss_scaling) for name in ("optimizer_D", "optimizer_G")}

    def train_iter(self, optims: dict | None = None) -> None:
        """One step on the batch (Fig. 1): D, then G. `losses` gets the weighted terms of both by name."""
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
        images = [self.photo]
        if self.stage == "cartoon" and self._reconstructs_cartoons():
            images.append(self.cartoon)
        with self._autocast():
            outputs = self.nets["netG"](self.encode(paddle.concat(images)))
        self.fake, *self.reconstructed = paddle.split(losses.full(outputs), len(images))

    def _reconstructs_cartoons(self) -> bool:
        """Whether the color loss of stage "cartoon" needs G(E(c))."""
        return bool(self.color_weight) and self.color_loss == "cartoonloss"

    def encode(self, images: Tensor) -> Tensor:
        """The input of G: z = E(images) without a gradient, or the images if G has its own encoder."""
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
        """lambda 2 times Eq. 2 in stage "init", the terms of Eq. 5 in stage "cartoon"; and their sum `g_loss`."""
        cartoon = self.stage == "cartoon"
        terms = self._feature_losses(gray=cartoon and bool(self.gray_weight))
        if cartoon:
            terms |= self._adversarial_and_image_losses()
        return {"g_loss": sum(terms.values()), **terms}

    def _adversarial_and_image_losses(self) -> dict[str, Tensor]:
        """The terms of stage "cartoon" that need no VGG19."""
        terms = {}
        if self.adv_weight:
            with self._autocast():
                logits = unwrap(self.nets["netD"])(self.fake)
            terms["g_adv"] = self.adv_weight * losses.adversarial_loss(logits, self.gan_mode)
        if self.color_weight:
            terms["g_color"] = self.color_weight * self._color_loss()
        if self.tv_weight:
            terms["g_tv"] = self.tv_weight * AnimeGANV2Model.variation_loss(self.fake)
        for name, weight in self.additional_losses.items():
            loss = losses.ADDITIONAL[name]
            images = [getattr(self, image) for image in inspect.signature(loss).parameters]
            terms[f"g_{name}"] = weight * loss(*images)
        return terms

    def _color_loss(self) -> Tensor:
        if self.color_loss == "animegan":
            return losses.animegan_color_loss(self.fake, self.photo, self.huber_delta)
        (output,) = self.reconstructed
        return losses.color_style_loss(output, self.cartoon, self.huber_delta)

    def _feature_losses(self, gray: bool) -> dict[str, Tensor]:
        """Eq. 2 and, if `gray`, Eq. 3 or AnimeGAN's, in one call of VGG19 with a gradient and one without."""
        content, animegan = bool(self.content_weight), self.style_loss == "animegan"
        if not content and not gray:
            return {}
        outputs, targets = [], []
        with self._autocast():
            if content:
                outputs.append(self.fake)
                targets.append(self.photo)
            if gray:
                targets.append(self.gray_cartoon)
                if not animegan:
                    outputs.append(losses.gray(self.fake))
                elif not content:  # otherwise both losses use the same features
                    outputs.append(self.fake)
            with paddle.no_grad():
                target_features = self._features(targets)
            features = self._features(outputs)
        terms = {}
        if content:
            terms["g_content"] = self.content_weight * losses.content_loss(features[0], target_features[0])
        if gray:
            loss = losses.animegan_style_loss if animegan else losses.gray_style_loss
            terms["g_gray"] = self.gray_weight * loss(features[-1], target_features[-1])
        return terms

    def _features(self, images: list[Tensor]) -> list[Tensor]:
        return paddle.split(self.vgg(paddle.concat(images)), len(images))

    def _descend(self, loss: Tensor, optimizers: dict, name: str) -> None:
        scaler, optimizer = self.scalers[name], optimizers[name]
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.clear_grad(set_to_zero=False)

    def _autocast(self) -> paddle.amp.auto_cast:
        """Convolutions in half precision; matrix products of spectral norm in float32, as u and v are saved."""
        float32_ops = {"matmul", "matmul_v2"}
        dtype = self.amp or "float16"
        return paddle.amp.auto_cast(self.amp is not None, custom_black_list=float32_ops, level="O1", dtype=dtype)

    def scaler_states(self) -> dict[str, dict]:
        """State of loss scaling as JSON values; empty without loss scaling."""
        return {
            name: {key: np.asarray(value).tolist() for key, value in scaler.state_dict().items()}
            for name, scaler in self.scalers.items()
        }

    def set_scaler_states(self, states: dict[str, dict]) -> None:
        """Restores what `scaler_states` returned; a scaler with an empty state keeps its initial one."""
        for name, state in states.items():
            if state:
                self.scalers[name].load_state_dict(state)

    def step_images(self) -> StepImages:
        """Images per photo that each network processes in a step of stage "cartoon", with the losses that are on."""
        judged, targets = 2, 0
        if self.edge_weight:
            judged += 1
        if self.adv_loss == "animegan":
            judged += 1
        if self.content_weight:
            targets += 1
        if self.gray_weight:
            targets += 1
        return StepImages(
            generated=2 if self._reconstructs_cartoons() else 1,
            judged=judged,
            judged_for_g=1 if self.adv_weight else 0,
            vgg_targets=targets,
            vgg_outputs=min(targets, 1) if self.style_loss == "animegan" else targets,
        )

    def cost(self, batch_size: int, size: int) -> Cost:
        return step_cost(self, batch_size, size)

    @paddle.no_grad()
    def cartoonize(self, photos: Tensor) -> Tensor:
        """Photos [N, 3, H, W] in [-1, 1] -> G(E(photos)), same shape and range; changes no state."""
        self.nets["netD"].eval()
        return unwrap(self.nets["netG"])(self.encode(photos))

    def compute_visuals(self) -> None:
        self.visual_items = {"photo": self.photo, "cartoon": self.fake}

    def export(self) -> dict[str, np.ndarray]:
        """The float32 tensors of a weights file, with spectral normalization folded in."""
        states = {
            name: {key: value.numpy() for key, value in unwrap(net).state_dict().items()}
            for name, net in self.nets.items()
        }
        return fold(states["netD"], states["netG"]) if self.reuse_encoder else states["netG"]
