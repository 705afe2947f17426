"""A model small enough to train in a test, with random VGG19 features by default."""

import numpy as np
import paddle

import ppcartoon.register  # noqa: F401
from ppcartoon.models.cartoonlossgan import CartoonLossGANModel

ADAM = {"name": "Adam", "beta1": 0.5, "beta2": 0.999}
OPTIMIZERS = {f"optimizer_{x}": {**ADAM, "net_names": [f"net{x}"]} for x in "DG"}
SCHEDULE = {"name": "FinalLinearDecay", "start_epoch": 9, "decay_epochs": 0}


def model(width=2, in_channels=8, channels=2, init_epochs=0, discriminator="CartoonLossDiscriminator", **options):
    """A model before its first step; an epoch has one step."""
    generator = {"name": "CartoonLossGenerator", "in_channels": in_channels, "channels": channels}
    options = {"vgg_layer": "conv1_2", "vgg_path": "random", "init_epochs": init_epochs, **options}
    made = CartoonLossGANModel(generator, {"name": discriminator, "channels": width}, **options)
    schedule = made.setup_lr_schedulers({**SCHEDULE, "learning_rate": 0.01, "iters_per_epoch": 1})
    made.setup_optimizers(schedule, OPTIMIZERS)
    return made


def batch(size=32, count=2, seed=0):
    rng = np.random.default_rng(seed)
    images = {key: rng.uniform(-1, 1, (count, 3, size, size)) for key in ("photo", "cartoon", "smooth")}
    return {key: paddle.to_tensor(value, "float32") for key, value in images.items()}


def state(net):
    return {name: value.numpy().copy() for name, value in net.state_dict().items()}


def differing(a, b):
    """Names of the tensors that are not equal bit for bit."""
    assert a.keys() == b.keys()
    return [name for name in a if not np.array_equal(a[name], b[name])]


def relative(a, b):
    return np.linalg.norm(np.asarray(a) - b) / max(np.linalg.norm(b), 1e-12)
