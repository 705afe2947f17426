"""Base class of the models that `training.trainer` trains: two stages, resumable, exportable."""

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

from ..errors import InputError
from . import losses
from .cost import Cost
from .renamed import current_names
from .vgg import VGG19


class TrainableModel(BaseModel):
    """A model that trains in one or two stages, on batches of `UnpairedCartoonDataset`.

    A subclass fills `nets`, sets `network`, and overrides what differs of the following. `train_iter` runs one step,
    stores the detached losses in `losses` (`d_loss` and `g_loss` are the totals of D and G), and adds 1 to `steps`.

    Attributes:
        network: the network as a weights file describes it: parts by name, each with its arguments.
        cartoonizer: key in `nets` of the network that maps photos to cartoons; a model that needs more than one
            network overrides `cartoonize` and `export`.
        init_epochs: length of stage "init"; all other epochs are stage "cartoon".
        init_steps: the same in steps; if None, `setup_lr_schedulers` computes it from `init_epochs`.
        steps: steps done so far.
        fake: G's cartoons of the photos of the last step; None if the model does not keep them.
        optimized: names of the networks that each optimizer updates, by the optimizer's name.
        amp: None for float32; "float16" or "bfloat16" for mixed precision.
        vgg: the frozen feature extractor, if the model has one.
        parallel: whether several processes can train it together.
    """

    network: dict[str, dict]
    cartoonizer = "netG"
    init_epochs = 0
    init_steps: int | None = None
    steps = 0
    fake: Tensor | None = None
    amp: str | None = None
    vgg: VGG19 | None = None
    parallel = True
    lr_scheduler: paddle.optimizer.lr.LRScheduler | None = None

    @property
    def stage(self) -> str:
        """Stage of the next step: "init" or "cartoon"."""
        return "init" if self.steps < (self.init_steps or 0) else "cartoon"

    def setup_lr_schedulers(self, cfg: dict) -> paddle.optimizer.lr.LRScheduler:
        if self.init_steps is None:
            self.init_steps = self.init_epochs * cfg["iters_per_epoch"]
        self.lr_scheduler = build_lr_scheduler(cfg)
        return self.lr_scheduler

    def setup_optimizers(self, lr: paddle.optimizer.lr.LRScheduler, cfg: dict[str, dict]) -> dict:
        """As in ppgan, but an optimizer may have `lr_mult`, a factor on the scheduled learning rate."""
        self.optimized = {name: options["net_names"] for name, options in cfg.items()}
        cfg = current_names({"optimizer": cfg}, type(self).__name__)["optimizer"]
        for options in cfg.values():
            lr_mult = options.pop("lr_mult", 1.0)
            for name in options["net_names"]:
                for parameter in self.nets[name].parameters():
                    parameter.optimize_attr["learning_rate"] *= lr_mult
        return super().setup_optimizers(lr, cfg)

    def setup_train_mode(self, is_train: bool) -> None:
        """For ppgan's trainer, which calls it before it trains or tests, and may have loaded networks and optimizers.

        Before the first step, sets `steps` to the step of the learning rate, and starts averages with the networks.
        """
        super().setup_train_mode(is_train)
        if not self.losses:
            self.steps = self.lr_scheduler.last_epoch if self.lr_scheduler else 0
            self.load_extra_state({})

    def setup_input(self, input: dict[str, Tensor]) -> None:
        """Sets the batch of the next step: photo, cartoon and smooth."""
        self.photo, self.cartoon, self.smooth = input["photo"], input["cartoon"], input["smooth"]
        self.gray_cartoon = losses.gray(self.cartoon)

    def test_iter(self, metrics: dict[str, paddle.metric.Metric] | None = None) -> None:
        """For ppgan's trainer: adds the cartoons of a batch, and its real cartoons, to the metrics."""
        self.fake = self.cartoonize(self.photo)
        self.visual_items = {"photo": self.photo, "cartoon": self.fake}
        for metric in (metrics or {}).values():
            metric.update(self.fake, self.cartoon)

    def train_iter_amp(self, optims: dict | None = None, scalers: list | None = None, amp_level: str = "O1") -> None:
        """A step for `--amp` of PaddleGAN's later trainers.

        Raises:
            InputError: the model has no mixed precision.
        """
        raise InputError(f"--amp: {type(self).__name__} trains in float32 only")

    def export_model(self, *_: object, **__: object) -> None:
        """Not for PaddleGAN's tools/export_model.py, which would export G alone, without E.

        Raises:
            InputError: always; names the command that exports the whole network.
        """
        raise InputError("tools/export_model.py exports single networks; use ppcartoon export --weights FILE.pdparams")

    def warnings(self) -> list[str]:
        """Lines on settings that are likely to fail; empty for most models."""
        return []

    def cost(self, batch_size: int, size: int) -> Cost | None:
        """Cost of a step of stage "cartoon" on `size` x `size` pixels; None if unknown."""
        return None

    @paddle.no_grad()
    def cartoonize(self, photos: Tensor) -> Tensor:
        """Photos [N, 3, H, W] in [-1, 1] -> cartoons of the same shape and range; changes no state."""
        return unwrap(self.nets[self.cartoonizer])(photos)

    def export(self) -> dict[str, np.ndarray]:
        """The float32 tensors of a weights file, for the network in `network`."""
        return {name: value.numpy() for name, value in unwrap(self.nets[self.cartoonizer]).state_dict().items()}

    def extra_state(self) -> dict[str, np.ndarray]:
        """Arrays by name that a resumed run needs besides networks and optimizers; empty for most models."""
        return {}

    def load_extra_state(self, tensors: dict[str, np.ndarray]) -> None:
        """Restores what `extra_state` returned."""

    def scaler_states(self) -> dict[str, dict]:
        """State of loss scaling as JSON values; empty without loss scaling."""
        return {}

    def set_scaler_states(self, states: dict[str, dict]) -> None:
        """Restores what `scaler_states` returned."""


def unwrap(net: nn.Layer) -> nn.Layer:
    """The network inside the wrapper of multi-GPU training, which hides its submodules."""
    return net._layers if isinstance(net, paddle.DataParallel) else net


@contextmanager
def training_mode(net: nn.Layer) -> Iterator[None]:
    """Train mode with gradients for the parameters inside the block; eval mode without gradients after it."""
    net.train()
    for parameter in net.parameters():
        parameter.stop_gradient = False
    try:
        yield
    finally:
        net.eval()
        for parameter in net.parameters():
            parameter.stop_gradient = True
