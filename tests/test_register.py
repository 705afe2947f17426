"""ppgan's builders make our networks."""

import paddle

import ppcartoon.register  # noqa: F401
from ppcartoon import compat

# isort: split
from ppgan.models.discriminators.builder import build_discriminator
from ppgan.models.generators.builder import build_generator


@paddle.no_grad()
def test_the_registries_know_the_networks():
    image = paddle.zeros([1, 3, 32, 32])
    netD = build_discriminator({"name": "CartoonLossDiscriminator", "channels": 4})
    netN = build_discriminator({"name": "CartoonLossNLayerDiscriminator", "channels": 8})
    netG = build_generator({"name": "CartoonLossGenerator", "in_channels": 16, "channels": 4})
    assert netD(image).shape == [1, 1, 8, 8]
    assert netG(netD.encoder(image)).shape == netG(netN.encoder(image)).shape == [1, 3, 32, 32]


def test_ppgan_s_own_models_are_there_too():
    from ppgan.models.builder import MODELS

    assert MODELS.get("AnimeGANV2Model").__name__ == "AnimeGANV2Model"


def test_soft_relu_is_what_paddle_fluid_had():
    x = paddle.to_tensor([-50.0, 0.0, 1.0, 50.0])
    wanted = [4.2e-18, 0.6931, 1.3133, 40.0]
    assert paddle.allclose(compat.soft_relu(x), paddle.to_tensor(wanted), rtol=1e-3)
