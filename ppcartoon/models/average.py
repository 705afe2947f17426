"""Running averages of the weights of a network, for training and use."""

from __future__ import annotations

import copy

import numpy as np
import paddle
from paddle import nn


class RunningAverage:
    """A copy of a network that follows it: average = decay * average + (1 - decay) * network, tensor by tensor.

    u and v of spectral normalization are averaged like parameters.

    Args:
        net: the network; the copy starts with its weights.
        decay: in [0, 1).

    Attributes:
        net: the copy, in eval mode and without gradients.
    """

    def __init__(self, net: nn.Layer, decay: float) -> None:
        self.net, self.decay = copy.deepcopy(net), decay
        self.net.eval()
        for parameter in self.net.parameters():
            parameter.stop_gradient = True

    def follow(self, net: nn.Layer) -> None:
        """One step towards the network."""
        self._move(net, 1 - self.decay)

    def restart(self, net: nn.Layer) -> None:
        """Takes over the network's weights."""
        self._move(net, 1.0)

    @paddle.no_grad()
    def _move(self, net: nn.Layer, share: float) -> None:
        values = net.state_dict()
        for name, average in self.net.state_dict().items():
            average.set_value(paddle.lerp(average, values[name], share) if share < 1 else values[name])

    def state(self) -> dict[str, np.ndarray]:
        """Parameters and buffers by name."""
        return {name: value.numpy() for name, value in self.net.state_dict().items()}

    def load(self, state: dict[str, np.ndarray]) -> None:
        """Restores what `state` returned."""
        self.net.set_state_dict({name: paddle.to_tensor(value) for name, value in state.items()})
