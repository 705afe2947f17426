"""Importing this module registers ppcartoon's classes with ppgan, so that YAML files can name them."""

from __future__ import annotations

from . import ppgan_compat  # noqa: F401  before ppgan, which it makes importable

# isort: split
from ppgan.datasets.builder import DATASETS
from ppgan.metrics.builder import METRICS
from ppgan.models.builder import MODELS
from ppgan.models.discriminators.builder import DISCRIMINATORS
from ppgan.models.generators.builder import GENERATORS
from ppgan.solver.builder import LRSCHEDULERS

from .baselines import cartoongan
from .baselines.animegan import AnimeGANBaseline
from .baselines.cyclegan import CycleGANBaseline
from .data.datasets import DrawnCartoonDataset, UnpairedCartoonDataset
from .evaluation.metrics import CartoonFID, CartoonKID
from .models import networks
from .models.cartoonlossgan import CartoonLossGANModel
from .models.lr_scheduler import FinalLinearDecay
from .models.networks import Discriminator, NLayerDiscriminator

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
