"""Where the time of a training step goes."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import paddle
from paddle import Tensor

REST = "all else"
D_STEP, LOSSES = "D's step, without Adam", "losses"
BACK_TO_G, BACK_IN_G = "backward through VGG, D and losses", "G, backward"


class Stopwatch:
    """Divides the time among the calls it watches: within one of them, the innermost has the clock."""

    def __init__(self) -> None:
        self._labels = [REST]

    def time(self, call: Callable[[], Any]) -> dict[str, float]:
        """Makes the call; seconds by part, whose sum is the whole."""
        self._seconds: dict[str, float] = defaultdict(float)
        self._since = time.perf_counter()
        call()
        self._tick()
        rest = self._seconds.pop(REST)
        return {**self._seconds, REST: rest}

    @property
    def label(self) -> str:
        return self._labels[-1]

    def _tick(self) -> None:
        """Gives the time since the last tick to the current label."""
        now = time.perf_counter()
        self._seconds[self.label] += now - self._since
        self._since = now

    def relabel(self, label: str) -> None:
        """The rest of the innermost call goes by this name."""
        self._tick()
        self._labels[-1] = label

    def watch(self, owner: object, method: str, label: Callable[..., str]) -> None:
        """From now on the calls of a method go by the name that `label` makes of their arguments."""
        call = getattr(owner, method)

        def timed(*args: Any) -> Any:
            self._tick()
            self._labels.append(label(*args))
            try:
                return call(*args)
            finally:
                self._tick()
                self._labels.pop()

        setattr(owner, method, timed)


def watch_step(model: Any) -> Stopwatch:
    """Watches the parts of `train_iter` of a `models.CartoonLossGANModel`, in the order in which they come."""
    watch = Stopwatch()

    def backward_in_g(outputs: Tensor) -> None:
        outputs.register_hook(lambda gradient: watch.relabel(BACK_IN_G))  # comes when all losses have passed theirs

    watch.watch(model, "encode", lambda images: "E, without gradient")
    watch.watch(model.nets["netG"], "forward", lambda z: "G, forward")
    model.nets["netG"].register_forward_post_hook(lambda net, z, outputs: backward_in_g(outputs))
    watch.watch(model, "discriminator_losses", lambda: D_STEP)
    watch.watch(model, "_descend", lambda loss, optimizers, name: D_STEP if name == "optimizer_D" else BACK_TO_G)
    for optimizer in model.optimizers.values():
        watch.watch(optimizer, "step", lambda: "Adam, D's and G's")
    watch.watch(model, "generator_losses", lambda: LOSSES)
    watch.watch(model.vgg, "forward", lambda x: f"VGG, {'forward' if paddle.is_grad_enabled() else 'without gradient'}")
    watch.watch(model.nets["netD"], "forward", lambda x: "D, forward in G's step" if watch.label == LOSSES else D_STEP)
    return watch
