"""CartoonLossGANModel: the paper's training algorithm, both stages, for ppgan's trainer or `training.trainer`."""

from __future__ import annotations

import inspect

import numpy as np
import paddle
from paddle import Tensor, nn

from .. import ppgan_compat  # noqa: F401  before ppgan, which it makes importable

# isort: split
from ppgan.models.animeganv2_model import AnimeGANV2Model
from ppgan.models.discriminators.builder import build_discriminator
from ppgan.models.generators.builder import build_generator

from ..errors import InputError
from ..weights import fold
from . import augment, losses
from .average import RunningAverage
from .base import TrainableModel, training_mode, unwrap
from .cost import Cost, StepImages, step_cost
from .image_pool import ImagePool
from .networks import DEFAULT_GENERATOR, Cartoonizer
from .renamed import current_loss
from .vgg import VGG19

PAPER_INIT_STEPS = 3328  # 2 epochs of 6656 photos, 4 in a batch
SHORT_INIT_STEPS = 1000
COLOR_HEAD_LR_MULT = 5  # times D's learning rate


class CartoonLossGANModel(TrainableModel):
    """CartoonLossGAN (Dong et al., 2021): G decodes the features of E, the encoder of D, which D's step alone trains.

    One generator, one discriminator, no cycle (Fig. 3). A weight of 0 switches a loss off, with all computations that
    only this loss needs. The arguments from `init_steps` on are not in the paper; all of them are off by default.

    Args:
        generator: name and arguments of G in ppgan's registry.
        discriminator: name and arguments of D, which has the attributes `encoder` and `classifier`.
        reuse_encoder: whether G decodes the features of D's encoder; False gives G its own encoder of the same shape,
            trained in G's step.
        own_encoder_norm: whether G's own encoder has spectral normalization, as D's has.
        gan_mode: "vanilla", "saturating" or "lsgan", see `losses.adversarial_loss`.
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
        init_steps: length of stage "init" in steps, in place of `init_epochs`; None for `init_epochs`.
        huber_slope: "paper" or "unit", see `losses.color_style_loss`.
        chroma_weight: weight of `losses.chroma_loss`.
        luma_weight: weight of `losses.luma_loss`.
        match_tint: strength in [0, 1] with which cartoons get the tint of the photos beside them.
        diffaugment: "color" for random colors on all that D sees, each image its own; None for none.
        color_head: weight of the loss of a 1x1 convolution that reads U and V out of E's features in D's step, so that
            E does not forget colors that D has no use for.
        photo_negatives: weight of photos as another kind of negative in D's step.
        pool_size: images in the pool of earlier outputs that D sees besides the current ones; 0 for no pool.
        d_steps: steps of D for each step of G in stage "cartoon". The batch must have `d_steps - 1` other cartoons for
            each photo.
        encoder_ema_decay: decay of the running average of E that G reads, in training and in use; 0 for E itself.
        ema_decay: decay of the running averages of G and of what it reads, which make samples and weights; 0 for none.

    Raises:
        InputError: VGG19 cannot be loaded.
    """

    def __init__(
        self,
        generator: dict,
        discriminator: dict,
        reuse_encoder: bool = True,
        own_encoder_norm: bool = True,
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
        init_steps: int | None = None,
        huber_slope: str = "paper",
        chroma_weight: float = 0.0,
        luma_weight: float = 0.0,
        match_tint: float = 0.0,
        diffaugment: str | None = None,
        color_head: float = 0.0,
        photo_negatives: float = 0.0,
        pool_size: int = 0,
        d_steps: int = 1,
        encoder_ema_decay: float = 0.0,
        ema_decay: float = 0.0,
    ) -> None:
        super().__init__()
        self.network = {"encoder": dict(discriminator), "generator": dict(generator)}
        if generator.get("name") == DEFAULT_GENERATOR:  # weights files omit it
            del self.network["generator"]["name"]
        self.nets["netD"] = build_discriminator(discriminator)
        own = Cartoonizer(**self.network, normalized=own_encoder_norm) if not reuse_encoder else None
        self.nets["netG"] = own or build_generator(generator)
        if color_head:
            self.nets["color_head"] = nn.Conv2D(generator["in_channels"], 2, 1)
        self.reuse_encoder, self.own_encoder_norm, self.gan_mode = reuse_encoder, own_encoder_norm, gan_mode
        self.init_epochs, self.init_steps = init_epochs, init_steps
        self.adv_loss = current_loss("adv_loss", adv_loss)
        self.style_loss = current_loss("style_loss", style_loss)
        self.color_loss = current_loss("color_loss", color_loss)
        self.adv_weight, self.content_weight, self.gray_weight = adv_weight, content_weight, gray_weight
        self.color_weight, self.tv_weight, self.edge_weight = color_weight, tv_weight, edge_weight
        self.huber_delta, self.huber_slope, self.amp = huber_delta, huber_slope, amp
        self.chroma_weight, self.luma_weight, self.color_head = chroma_weight, luma_weight, color_head
        self.match_tint, self.diffaugment, self.photo_negatives = match_tint, diffaugment, photo_negatives
        self.pool, self.d_steps = ImagePool(pool_size), d_steps
        self.parallel = not (pool_size or color_head)  # each process would have its own
        self.averages = self._new_averages(encoder_ema_decay, ema_decay)
        self.additional_losses = {name: weight for name, weight in (additional_losses or {}).items() if weight}
        self.vgg = VGG19(vgg_layer, vgg_path) if content_weight or gray_weight else None
        loss_scaling = amp == "float16"
        self.scalers = {name: paddle.amp.GradScaler(enable=loss_scaling) for name in ("optimizer_D", "optimizer_G")}

    def _new_averages(self, encoder_decay: float, decay: float) -> dict[str, RunningAverage]:
        """Running averages: "reader" of E, which G reads; "encoder" of what G reads, and "generator" of G, for use."""
        averages = {}
        if encoder_decay:
            averages["reader"] = RunningAverage(self.nets["netD"].encoder, encoder_decay)
        if decay:
            averages["encoder"] = RunningAverage(self.nets["netD"].encoder, decay)
            averages["generator"] = RunningAverage(self.nets["netG"], decay)
        return averages

    def setup_optimizers(self, lr: paddle.optimizer.lr.LRScheduler, cfg: dict[str, dict]) -> dict:
        """As in the base class; D's optimizer trains the color head too, at a higher learning rate."""
        if self.color_head:
            cfg = {**cfg, "optimizer_D": {**cfg["optimizer_D"], "net_names": ["netD", "color_head"]}}
            for parameter in self.nets["color_head"].parameters():
                parameter.optimize_attr["learning_rate"] *= COLOR_HEAD_LR_MULT
        return super().setup_optimizers(lr, cfg)

    def setup_input(self, input: dict[str, Tensor]) -> None:
        """As in the base class; `other_cartoons` has the cartoons and smoothed cartoons of D's further steps."""
        pairs = [(input["cartoon"], input["smooth"])]
        if self.d_steps > 1 and "other_cartoons" in input:  # not in a test batch of ppgan's trainer
            pairs += zip(input["other_cartoons"].unbind(1), input["other_smooth"].unbind(1))
        if self.match_tint:
            pairs = [augment.match_tint(input["photo"], *pair, self.match_tint) for pair in pairs]
        (cartoon, smooth), *self.other_cartoons = pairs
        super().setup_input({"photo": input["photo"], "cartoon": cartoon, "smooth": smooth})
        self.pool.fit(self.photo)

    def train_iter(self, optims: dict | None = None) -> None:
        """One step on the batch (Fig. 1): D, then G. `losses` gets the weighted terms of both by name."""
        optimizers = optims or self.optimizers
        self.forward()
        with training_mode(self.nets["netD"]):
            d_losses = self.discriminator_losses()
            self._descend(d_losses["d_loss"], optimizers, "optimizer_D")
            self._further_discriminator_steps(optimizers)
        self._follow("reader", unwrap(self.nets["netD"]).encoder)
        g_losses = self.generator_losses()
        self._descend(g_losses["g_loss"], optimizers, "optimizer_G")
        self._follow("encoder", self._reader())
        self._follow("generator", unwrap(self.nets["netG"]))
        self.losses = {name: loss.detach() for name, loss in {**d_losses, **g_losses}.items()}
        self.steps += 1

    def train_iter_amp(self, optims: dict | None = None, scalers: list | None = None, amp_level: str = "O1") -> None:
        """A step for `--amp` of PaddleGAN's later trainers, in the precision `amp`, or else in float16.

        Args:
            optims: the optimizers.
            scalers: loss scaling of each; not used if `amp` is set.
            amp_level: "O1".

        Raises:
            InputError: the level is another.
        """
        if amp_level != "O1":
            raise InputError(f"--amp_level {amp_level}: use O1; spectral normalization needs float32 weights")
        if self.amp is None:
            self.amp, self.scalers = "float16", dict(zip(self.scalers, scalers))
        self.train_iter(optims)

    def forward(self) -> None:
        """fake = G(E(p)) and, for Eq. 4, c_g = G(E(c)), in one call of G; E's features are constants."""
        self.nets["netD"].eval()
        self.nets["netG"].train()
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
            return self._reader()(images)

    def _follow(self, average: str, net: nn.Layer) -> None:
        """A step of a running average, if there is one."""
        if average in self.averages:
            self.averages[average].follow(net)

    def _reader(self) -> nn.Layer:
        """The encoder that G reads: E or its running average."""
        return self.averages["reader"].net if "reader" in self.averages else unwrap(self.nets["netD"]).encoder

    def discriminator_losses(self) -> dict[str, Tensor]:
        """Eq. 6 in stage "init", Eq. 1 or AnimeGAN's in stage "cartoon", in one call of D."""
        fake = self.fake.detach()
        if self.stage == "init":
            return self._judge(self.photo, None, fake, bool(self.color_head))
        return self._judge(self.cartoon, self.smooth, self.pool.query(fake), bool(self.color_head))

    def _further_discriminator_steps(self, optimizers: dict) -> None:
        """Steps 2 to `d_steps` of D in stage "cartoon", on other cartoons, and outputs from the pool if it is on."""
        for cartoon, smooth in self.other_cartoons if self.stage == "cartoon" else ():
            fake = self.pool.draw(len(self.fake)) if self.pool.images else self.fake.detach()
            self._descend(self._judge(cartoon, smooth, fake)["d_loss"], optimizers, "optimizer_D")

    def _judge(self, real: Tensor, smooth: Tensor | None, fake: Tensor, color_head: bool = False) -> dict[str, Tensor]:
        """D's losses, with photos as negatives and the color head's loss if they are on.

        Args:
            real: cartoons, or in stage "init" photos.
            smooth: smoothed cartoons; None in stage "init".
            fake: G's outputs.
            color_head: whether to train the color head.
        """
        init = smooth is None
        animegan = self.adv_loss == "animegan" and not init
        images = [real, fake]
        if animegan:
            images.append(losses.gray(real))
        if self.edge_weight and not init:
            images.append(losses.gray(smooth) if animegan else smooth)
        judged = len(images)
        if not init and (self.photo_negatives or color_head):
            images.append(self.photo)
        shown = self._augmented(paddle.concat(images))
        netD = self.nets["netD"]
        with self._autocast():
            z = netD.encoder(shown) if color_head else None
            logits = paddle.split(netD(shown) if z is None else netD.classifier(z), len(images))
        if init:
            terms = losses.initial_discriminator_loss(*logits, mode=self.gan_mode)
        else:
            loss = losses.animegan_discriminator_loss if animegan else losses.discriminator_loss
            terms = loss(*logits[:judged], omega=self.edge_weight, mode=self.gan_mode)
        added = {}
        if self.photo_negatives and not init:
            added["d_photo"] = self.photo_negatives * losses.photo_negative_loss(logits[-1], self.gan_mode)
        if color_head:
            photos = slice(0, len(real)) if init else slice(-len(real), None)
            predicted = self.nets["color_head"](losses.full(z[photos]))
            added["d_color_head"] = self.color_head * losses.color_head_loss(predicted, shown[photos])
        return {**terms, **added, "d_loss": sum(added.values(), terms["d_loss"])}

    def _augmented(self, images: Tensor) -> Tensor:
        """What D sees of images."""
        return augment.change_colors(images, augment.draw_colors(len(images))) if self.diffaugment else images

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
            fake = self._augmented(self.fake)
            with self._autocast():
                logits = unwrap(self.nets["netD"])(fake)
            terms["g_adv"] = self.adv_weight * losses.adversarial_loss(logits, self.gan_mode)
        if self.color_weight:
            terms["g_color"] = self.color_weight * self._color_loss()
        if self.tv_weight:
            terms["g_tv"] = self.tv_weight * AnimeGANV2Model.variation_loss(self.fake)
        if self.chroma_weight:
            terms["g_chroma"] = self.chroma_weight * losses.chroma_loss(self.fake, self.photo)
        if self.luma_weight:
            terms["g_luma"] = self.luma_weight * losses.luma_loss(self.fake, self.photo)
        for name, weight in self.additional_losses.items():
            loss = losses.ADDITIONAL[name]
            images = [getattr(self, image) for image in inspect.signature(loss).parameters]
            terms[f"g_{name}"] = weight * loss(*images)
        return terms

    def _color_loss(self) -> Tensor:
        if self.color_loss == "animegan":
            return losses.animegan_color_loss(self.fake, self.photo, self.huber_delta, self.huber_slope)
        (output,) = self.reconstructed
        return losses.color_style_loss(output, self.cartoon, self.huber_delta, self.huber_slope)

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

    def extra_state(self) -> dict[str, np.ndarray]:
        """The running averages and the image pool."""
        tensors = {
            f"{name}/{key}": value for name, average in self.averages.items() for key, value in average.state().items()
        }
        return tensors | ({"pool": self.pool.state()} if self.pool.images else {})

    def load_extra_state(self, tensors: dict[str, np.ndarray]) -> None:
        """As in the base class; averages that the checkpoint lacks start with the weights of their networks."""
        encoder, generator = unwrap(self.nets["netD"]).encoder, unwrap(self.nets["netG"])
        for name, average in self.averages.items():
            state = {key.removeprefix(f"{name}/"): v for key, v in tensors.items() if key.startswith(f"{name}/")}
            if state:
                average.load(state)
            else:
                average.restart(generator if name == "generator" else encoder)
        self.pool.load(tensors.get("pool"))

    def step_images(self) -> StepImages:
        """Images per photo that each network processes in a step of stage "cartoon", with the losses that are on."""
        judged, targets = 2, 0
        if self.edge_weight:
            judged += 1
        if self.photo_negatives or self.color_head:
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
            d_steps=self.d_steps,
            vgg_targets=targets,
            vgg_outputs=min(targets, 1) if self.style_loss == "animegan" else targets,
        )

    def warnings(self) -> list[str]:
        if not 0 < self.init_steps < SHORT_INIT_STEPS:
            return []
        return [
            f"stage init has {self.init_steps} steps, the paper's {PAPER_INIT_STEPS}: after fewer than "
            f"{SHORT_INIT_STEPS} the cartoons may collapse to one color; set model.init_steps"
        ]

    def cost(self, batch_size: int, size: int) -> Cost:
        return step_cost(self, batch_size, size)

    @paddle.no_grad()
    def cartoonize(self, photos: Tensor) -> Tensor:
        """Photos [N, 3, H, W] in [-1, 1] -> G(E(photos)), same shape and range; changes no state."""
        for net in self.nets.values():
            net.eval()
        encoder, generator = self._in_use()
        return generator(encoder(photos) if self.reuse_encoder else photos)

    def _in_use(self) -> tuple[nn.Layer, nn.Layer]:
        """What G reads and G, as samples and weights use them: running averages if there are any."""
        encoder, generator = (self.averages.get(name) for name in ("encoder", "generator"))
        return encoder.net if encoder else self._reader(), generator.net if generator else unwrap(self.nets["netG"])

    def compute_visuals(self) -> None:
        self.visual_items = {"photo": self.photo, "cartoon": self.fake}

    def export(self) -> dict[str, np.ndarray]:
        """The float32 tensors of a weights file, with spectral normalization folded in."""
        encoder, generator = ({key: value.numpy() for key, value in net.state_dict().items()} for net in self._in_use())
        if self.reuse_encoder:
            return fold({f"encoder.{key}": value for key, value in encoder.items()}, generator)
        decoder = {k.removeprefix("generator."): v for k, v in generator.items() if k.startswith("generator.")}
        return fold(generator, decoder)
