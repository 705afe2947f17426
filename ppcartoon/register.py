"""Importing this module puts ppcartoon's parts into ppgan's registries, so that its YAML files can name them."""

from __future__ import annotations

from . import compat  # noqa: F401  before ppgan, which it makes importable

# isort: split
from ppgan.models.discriminators.builder import DISCRIMINATORS
from ppgan.models.generators.builder import GENERATORS

from .networks import Discriminator, Generator, NLayerDiscriminator

GENERATORS.register(Generator, name="CartoonLossGenerator")
DISCRIMINATORS.register(Discriminator, name="CartoonLossDiscriminator")
DISCRIMINATORS.register(NLayerDiscriminator, name="CartoonLossNLayerDiscriminator")
