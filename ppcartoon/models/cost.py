"""What a training step costs, counted and not measured: floating point operations and memory."""

from __future__ import annotations

from typing import Any, NamedTuple

import paddle
from paddle import Tensor, nn

SIDE = 64  # pixels of the image on which everything is counted; the rest is in proportion to the area
FLOAT = 4  # bytes
INPUT_NOT_KEPT = (nn.ReLU, nn.Upsample)
OUTPUT_NOT_KEPT = (nn.Conv2D, nn.LeakyReLU, nn.Upsample)


class Cost(NamedTuple):
    """Of one training step.

    Attributes:
        flops: floating point operations of the convolutions, which dominate: 2 a multiplication with its addition.
        bytes: memory at its fullest.
    """

    flops: float
    bytes: float


class Forward(NamedTuple):
    """One call of a network. The backward pass costs `flops` for the weights and `flops` for the inputs.

    Attributes:
        flops: floating point operations of the convolutions.
        first: those of the first convolution, which a backward pass saves where the network's input is constant.
        kept: bytes of the activations that the backward pass needs.
        output: what the network returned.
    """

    flops: int
    first: int
    kept: int
    output: Tensor


@paddle.no_grad()
def forward_cost(net: nn.Layer, *inputs: Tensor) -> Forward:
    """Runs the network once, in eval mode, and counts at each layer that has no layers of its own.

    Of the activations it counts what layers keep that it knows (convolution, GroupNorm, ReLU, LeakyReLU, MaxPool,
    Upsample); of any other layer all that goes in and comes out, and nothing of what happens outside layers.
    """
    flops: list[int] = []
    kept: dict[int, Tensor] = {}  # by identity, as two layers may keep the same

    def count(layer: nn.Layer, taken: tuple, given: Tensor) -> None:
        if isinstance(layer, nn.Conv2D):
            flops.append(2 * given.size * layer.weight.size // layer.weight.shape[0])
        tensors = [] if isinstance(layer, INPUT_NOT_KEPT) else [x for x in taken if isinstance(x, Tensor)]
        tensors += [] if isinstance(layer, OUTPUT_NOT_KEPT) else [given]
        kept.update({id(tensor): tensor for tensor in tensors})

    hooks = [layer.register_forward_post_hook(count) for layer in net.sublayers(True) if not list(layer.children())]
    training = net.training
    net.eval()
    try:
        output = net(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
        if training:
            net.train()
    return Forward(sum(flops), flops[0], sum(FLOAT * tensor.size for tensor in kept.values()), output)


def forwards(model: Any) -> tuple[Forward, Forward, Forward, Forward | None]:
    """E, G, D and VGG (where there is one) of a `models.CartoonLossGANModel` on one image of SIDE x SIDE."""
    image = paddle.zeros([1, 3, SIDE, SIDE])
    e = forward_cost(model.nets["netD"].encoder, image)
    g = forward_cost(model.nets["netG"], e.output if model.reuse_encoder else image)
    d = forward_cost(model.nets["netD"], image)
    return e, g, d, forward_cost(model.vgg, image) if model.vgg else None


def step_cost(model: Any, batch_size: int, size: int) -> Cost:
    """One step of stage "cartoon" in float32.

    The memory is that of parameters, gradients, Adam's two moments, VGG and the activations kept for the backward
    passes: those of G live through the step, those of D's step end before those of G's step through D and VGG begin.
    It leaves out the library itself, the workspace of its convolutions (on a CPU they add a fifth to a half) and what
    its allocator holds in reserve.

    Args:
        model: a `models.CartoonLossGANModel`; a loss whose weight is 0 costs nothing.
        batch_size: photos, and as many cartoons.
        size: height and width in pixels.
    """
    e, g, d, vgg = forwards(model)
    decoded = 1 + bool(model.color_weight and model.color_loss == "cartoonloss")  # G's images for each photo
    judged = 2 + bool(model.edge_weight) + (model.adv_loss == "animegan")  # D's, in its own step
    adversarial = bool(model.adv_weight)
    compared = bool(model.content_weight) + bool(model.gray_weight)  # VGG's without a gradient
    seen = min(compared, 1) if model.style_loss == "animegan" else compared  # and with one

    flops = decoded * (3 * g.flops - g.first) + judged * (3 * d.flops - d.first) + adversarial * 2 * d.flops
    flops += decoded * e.flops if model.reuse_encoder else 0
    flops += (compared + 2 * seen) * vgg.flops if vgg else 0

    in_d, in_g = (FLOAT * sum(p.size for p in model.nets[name].parameters()) for name in ("netD", "netG"))
    always = 3 * (in_d + in_g) + (FLOAT * sum(p.size for p in model.vgg.parameters()) if vgg else 0)
    images = batch_size * (size / SIDE) ** 2
    d_step = images * judged * d.kept + in_d
    g_step = images * (adversarial * d.kept + (seen * vgg.kept if vgg else 0)) + in_g
    return Cost(images * flops, always + images * decoded * g.kept + max(d_step, g_step))
