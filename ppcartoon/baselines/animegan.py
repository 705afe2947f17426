"""AnimeGANv2 (Chen et al., ISICA 2019, second version): ppgan's AnimeGANV2Model in our trainer.

Networks and losses are ppgan's. They differ from the authors' (github.com/TachibanaYoshino/AnimeGANv2):

- inverted residual blocks of G compute the sum with their input, but return the branch without it;
- convolutions use zero padding instead of reflection; those blocks pad before the 1x1 instead of the 3x3 convolution;
- G is initialized from N(0, 0.02) instead of He's method, and D by Paddle's default, because `init_weights` skips
  convolutions with spectral normalization;
- D's losses of color, gray, generated and smoothed images have weights 1.2, 1.2, 1.2 and 0.8 in every style, the
  authors' for Hayao (Shinkai: 1.7, 1.7, 1.7, 1.0; Paprika: 1.0, 1.0, 1.0, 0.005);
- the total variation is the mean of absolute differences instead of half the mean of squared differences;
- Adam's moments are kept from stage "init" to stage "cartoon".

D is always in train mode, as in ppgan: its spectral normalization does a power iteration in G's step as well.
"""

from __future__ import annotations

from paddle import Tensor, nn

from ..models import losses
from ..models.base import TrainableModel
from ..models.vgg import VGG19

# isort: split
from ppgan.models.animeganv2_model import AnimeGANV2Model, AnimeGANV2PreTrainModel
from ppgan.models.base_model import BaseModel
from ppgan.models.criterions.builder import build_criterion
from ppgan.models.discriminators.builder import build_discriminator
from ppgan.models.generators.builder import build_generator
from ppgan.modules.init import init_weights

LOSS_NAMES = {  # ppgan's name -> name in the logs
    "d_loss": "d_loss",
    "d_real_loss": "d_real",
    "d_fake_loss": "d_fake",
    "d_gray_loss": "d_gray",
    "d_blur_loss": "d_smooth",
    "g_loss": "g_loss",
    "c_loss": "g_content",
    "s_loss": "g_gray",
    "col_loss": "g_color",
    "tv_loss": "g_tv",
}


class AnimeGANBaseline(TrainableModel, AnimeGANV2Model):
    """ppgan's AnimeGANV2Model, with its AnimeGANV2PreTrainModel as stage "init": the content loss alone.

    Args:
        generator: name of G in ppgan's registry.
        discriminator: name and arguments of D.
        gan_mode: "lsgan" or "vanilla".
        init_epochs: length of stage "init"; all other epochs are stage "cartoon".
        g_adv_weight: weight of G's adversarial loss.
        d_adv_weight: weight of D's adversarial loss.
        con_weight: weight of the content loss.
        sty_weight: weight of the grayscale style loss.
        color_weight: weight of the color reconstruction loss.
        tv_weight: weight of the total variation.
        vgg_layer: layer of content and style, "conv1_1" to "conv5_4".
        vgg_path: see `vgg.VGG19`.

    Raises:
        InputError: VGG19 is not available.
    """

    def __init__(
        self,
        generator: dict,
        discriminator: dict,
        gan_mode: str = "lsgan",
        init_epochs: int = 10,
        g_adv_weight: float = 300.0,
        d_adv_weight: float = 300.0,
        con_weight: float = 1.5,
        sty_weight: float = 2.5,
        color_weight: float = 10.0,
        tv_weight: float = 1.0,
        vgg_layer: str = "conv4_4",
        vgg_path: str | None = None,
    ) -> None:
        BaseModel.__init__(self)  # AnimeGANV2Model's would unpickle any VGG19 file that it finds
        self.network = {"generator": dict(generator)}
        self.nets["netG"] = build_generator(generator)
        self.nets["netD"] = build_discriminator(discriminator)
        for net in self.nets.values():
            init_weights(net)
        self.init_epochs = init_epochs
        self.g_adv_weight, self.d_adv_weight = g_adv_weight, d_adv_weight
        self.con_weight, self.sty_weight = con_weight, sty_weight
        self.color_weight, self.tv_weight = color_weight, tv_weight
        self.pretrained = self.vgg = VGG19(vgg_layer, vgg_path)
        self.criterionGAN = build_criterion({"name": "GANLoss", "gan_mode": gan_mode})
        self.criterionL1, self.criterionHub = nn.L1Loss(), nn.SmoothL1Loss()

    def setup_input(self, input: dict[str, Tensor]) -> None:
        super().setup_input(input)
        self.real, self.anime = self.photo, self.cartoon
        self.anime_gray, self.smooth_gray = self.gray_cartoon, losses.gray(self.smooth)

    def train_iter(self, optims: dict | None = None) -> None:
        """One step on the batch: in stage "init" of G by the content loss, else of D and G."""
        self.losses = {}
        if self.stage == "init":
            self._init_step()
        else:
            super().train_iter(optims)
            named = {LOSS_NAMES[name]: loss.detach() for name, loss in self.losses.items()}
            terms = ("g_content", "g_gray", "g_color", "g_tv")
            adversarial = named["g_loss"] - sum(named[term] for term in terms)  # ppgan does not store it
            self.losses = {**named, "g_adv": adversarial}
        self.steps += 1

    def _init_step(self) -> None:
        self.forward()
        AnimeGANV2PreTrainModel.backward_G(self)
        self.optimizers["optimizer_G"].step()
        self.optimizers["optimizer_G"].clear_grad()
        loss = self.con_weight * self.losses["init_c_loss"].detach()
        self.losses = {"g_loss": loss, "g_content": loss}
