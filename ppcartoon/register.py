"""Importing this module registers ppcartoon's classes and losses with ppgan, so that YAML files can name them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial

from . import ppgan_compat  # noqa: F401  before ppgan, which it makes importable

# isort: split
from ppgan.datasets.builder import DATASETS
from ppgan.metrics.builder import METRICS
from ppgan.models.builder import MODELS
from ppgan.models.criterions.builder import CRITERIONS
from ppgan.models.discriminators.builder import DISCRIMINATORS
from ppgan.models.generators.builder import GENERATORS
from ppgan.solver.builder import LRSCHEDULERS

from .baselines import cartoongan
from .baselines.animegan import AnimeGANBaseline
from .baselines.cyclegan import CycleGANBaseline
from .data.datasets import DrawnCartoonDataset, UnpairedCartoonDataset
from .evaluation.metrics import CartoonFID, CartoonKID
from .models import losses, networks
from .models.cartoonlossgan import CartoonLossGANModel
from .models.lr_scheduler import FinalLinearDecay
from .models.networks import Discriminator, NLayerDiscriminator


def _with_options(loss: Callable) -> Callable:
    """Factory that ppgan calls with the options of a criterion; returns the loss with the options bound."""

    def criterion(**options: object) -> Callable:
        inspect.signature(loss).bind_partial(**options)  # reports an unknown option now, not in the first step
        return partial(loss, **options)

    criterion.__name__ = loss.__name__
    return criterion


for name, network in networks.GENERATORS.items():
    GENERATORS.register(network, name=name)
DISCRIMINATORS.register(Discriminator, name="CartoonLossDiscriminator")
DISCRIMINATORS.register(NLayerDiscriminator, name="CartoonLossNLayerDiscriminator")
GENERATORS.register(cartoongan.Generator, name="CartoonGANGenerator")
DISCRIMINATORS.register(cartoongan.Discriminator, name="CartoonGANDiscriminator")
for model in (CartoonLossGANModel, AnimeGANBaseline, CycleGANBaseline, cartoongan.CartoonGANModel):
    MODELS.register(model)
DATASETS.register(UnpairedCartoonDataset)
DATASETS.register(DrawnCartoonDataset)
LRSCHEDULERS.register(FinalLinearDecay)
METRICS.register(CartoonFID)
METRICS.register(CartoonKID)
for name, loss in {
    "EdgePromotingDiscriminatorLoss": losses.discriminator_loss,
    "GrayscaleDiscriminatorLoss": losses.animegan_discriminator_loss,
    "InitialDiscriminatorLoss": losses.initial_discriminator_loss,
    "AdversarialLoss": losses.adversarial_loss,
    "ContentLoss": losses.content_loss,
    "GrayStyleLoss": losses.gray_style_loss,
    "GrayscaleStyleLoss": losses.animegan_style_loss,
    "ColorStyleLoss": losses.color_style_loss,
    "ColorReconstructionLoss": losses.animegan_color_loss,
}.items():
    CRITERIONS.register(_with_options(loss), name=name)
