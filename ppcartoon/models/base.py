"""What our trainer trains: a model of ppgan that has stages, can be resumed, and exports weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import paddle
from paddle import Tensor, nn

from .. import ppgan_compat  # noqa: F401  before ppgan, which it makes importable

# isort: split
from ppgan.models.base_model import BaseModel
from ppgan.solver import build_lr_scheduler

from . import losses
from .cost import Cost
from .renamed import current_names
from .vgg import VGG19


class TrainableModel(BaseModel):
    """A model that trains in one stage or two, on batches of `UnpairedCartoonDataset`.

    A subclass fills `nets`, sets `network`, and whatever of the following differs; `train_iter` does a step, leaves its
    losses, detached, in `losses`, where `d_loss` and `g_loss` are D's and G's, and adds 1 to `steps`.

    Attributes:
        network: how a weights file tells the network: parts by name, each with its arguments.
        cartoonizer: which of `nets` makes cartoons of photos; a model where it takes more overrides `cartoonize` and
            `export`.
        init_epochs: length of stage "init"; all other epochs are stage "cartoon".
        init_steps: the same in steps; known when the length of an epoch is.
        steps: done so far.
        optimized: the names of the networks that an optimizer changes, by the optimizer's name.
        amp: None for float32; "float16" or "bfloat16" for mixed precision.
        vgg: the frozen feature extractor; None where there is none.
        parallel: whether several processes may train it together.
    """

    network: dict[str, dict]
    cartoonizer = "netG"
    init_epochs = 0
    init_steps = 0
    steps = 0
    amp: str | None = None
    vgg: VGG19 | None = None
    parallel = True

    @property
    def stage(self) -> str:
        """Of the next step: "init" or "cartoon"."""
        return "init" if self.steps < self.init_steps else "cartoon"

    def setup_lr_schedulers(self, cfg: dict) -> paddle.optimizer.lr.LRScheduler:
        self.init_steps = self.init_epochs * cfg["iters_per_epoch"]
        self.lr_scheduler = build_lr_scheduler(cfg)
        return self.lr_scheduler

    def setup_optimizers(self, lr: paddle.optimizer.lr.LRScheduler, cfg: dict[str, dict]) -> dict:
        """As ppgan's; an optimizer may have an `lr_mult`, a factor on the schedule's learning rate."""
        self.optimized = {name: options["net_names"] for name, options in cfg.items()}
        cfg = current_names({"optimizer": cfg}, type(self).__name__)["optimizer"]
        for options in cfg.values():
            lr_mult = options.pop("lr_mult", 1.0)
            for parameter in (p for name in options["net_names"] for p in self.nets[name].parameters()):
                parameter.optimize_attr["learning_rate"] *= lr_mult
        return super().setup_optimizers(lr, cfg)

    def setup_input(self, input: dict[str, Tensor]) -> None:
        """Takes a batch of `UnpairedCartoonDataset`: photo, cartoon, smooth and perhaps gray."""
        self.photo, self.cartoon, self.smooth = input["photo"], input["cartoon"], input["smooth"]
        self.gray_cartoon = input["gray"] if "gray" in input else losses.gray(self.cartoon)

    def cost(self, batch_size: int, size: int) -> Cost | None:
        """What a step of stage "cartoon" costs, at `size` x `size` pixels; None where nobody counted it."""
        return None

    @paddle.no_grad()
    def cartoonize(self, photos: Tensor) -> Tensor:
        """[N, 3, H, W] in [-1, 1] -> their cartoons, same shape and range; changes nothing."""
        return unwrap(self.nets[self.cartoonizer])(photos)

    def export(self) -> dict[str, np.ndarray]:
        """The tensors of a weights file, float32, of the network that `network` tells."""
        return {name: value.numpy() for name, value in unwrap(self.nets[self.cartoonizer]).state_dict().items()}

    def extra_state(self) -> dict[str, np.ndarray]:
        """What a resumed run needs besides networks and optimizers, by name; most models: nothing."""
        return {}

    def load_extra_state(self, tensors: dict[str, np.ndarray]) -> None:
        """Undoes `extra_state`."""

    def scaler_states(self) -> dict[str, dict]:
        """Of loss scaling, as JSON has it; empty where there is none."""
        return {}

    def set_scaler_states(self, states: dict[str, dict]) -> None:
        """Undoes `scaler_states`."""


def unwrap(net: nn.Layer) -> nn.Layer:
    """The network under the wrapper of multi-GPU training, which hides its parts."""
    return net._layers if isinstance(net, paddle.DataParallel) else net


@contextmanager
def training_mode(net: nn.Layer) -> Iterator[None]:
    """Inside, the network is in train mode and its parameters take gradients; afterwards neither."""
    net.train()
    for parameter in net.parameters():
        parameter.stop_gradient = False
    try:
        yield
    finally:
        net.eval()
        for parameter in net.parameters():
            parameter.stop_gradient = True
