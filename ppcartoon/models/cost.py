"""Floating-point operations and memory of a training step, computed without running it."""

from __future__ import annotations

from typing import Any, NamedTuple

import paddle
from paddle import Tensor, nn

SIDE = 64  # pixels; costs are counted on SIDE x SIDE images and scaled by area
FLOAT_BYTES = 4
INPUT_NOT_KEPT = (nn.ReLU, nn.Upsample)
OUTPUT_NOT_KEPT = (nn.Conv2D, nn.LeakyReLU, nn.Upsample)


class Cost(NamedTuple):
    """Cost of one training step.

    Attributes:
        flops: floating-point operations of the convolutions, which dominate; a multiplication and its addition are 2.
        bytes: peak memory.
    """

    flops: float
    bytes: float


class StepImages(NamedTuple):
    """Images that each network processes in a step, per photo of the batch.

    Attributes:
        generated: by G, and by E if G reuses it.
        judged: by D in each of its own steps.
        judged_for_g: by D in G's step.
        d_steps: steps of D for each step of G.
        vgg_targets: by VGG19 without a gradient.
        vgg_outputs: by VGG19 with a gradient.
    """

    generated: int
    judged: int
    judged_for_g: int
    d_steps: int
    vgg_targets: int
    vgg_outputs: int


class Forward(NamedTuple):
    """Cost of one call of a network. The backward pass costs `flops` for the weights and `flops` for the inputs.

    Attributes:
        flops: floating-point operations of the convolutions.
        first: those of the first convolution, which the backward pass saves if the network's input is constant.
        kept: bytes of the activations that the backward pass needs.
        output: the network's output.
    """

    flops: int
    first: int
    kept: int
    output: Tensor


@paddle.no_grad()
def forward_cost(net: nn.Layer, *inputs: Tensor) -> Forward:
    """Runs the network once, in eval mode, and counts at each layer without sublayers.

    Knows which activations convolution, GroupNorm, ReLU, LeakyReLU, MaxPool and Upsample keep. Of any other layer it
    counts inputs and outputs. Operations outside layers are not counted.
    """
    flops: list[int] = []
    kept: dict[int, Tensor] = {}  # by identity, as two layers may keep the same tensor

    def count(layer: nn.Layer, inputs: tuple, output: Tensor) -> None:
        if isinstance(layer, nn.Conv2D):
            flops.append(2 * output.size * layer.weight.size // layer.weight.shape[0])
        tensors = [] if isinstance(layer, INPUT_NOT_KEPT) else [x for x in inputs if isinstance(x, Tensor)]
        tensors += [] if isinstance(layer, OUTPUT_NOT_KEPT) else [output]
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
    return Forward(sum(flops), flops[0], sum(FLOAT_BYTES * tensor.size for tensor in kept.values()), output)


def forwards(model: Any) -> tuple[Forward, Forward, Forward, Forward | None]:
    """E, G, D and VGG19 (or None) of a `CartoonLossGANModel` on one image of SIDE x SIDE."""
    image = paddle.zeros([1, 3, SIDE, SIDE])
    e = forward_cost(model.nets["netD"].encoder, image)
    g = forward_cost(model.nets["netG"], e.output if model.reuse_encoder else image)
    d = forward_cost(model.nets["netD"], image)
    return e, g, d, forward_cost(model.vgg, image) if model.vgg else None


def step_cost(model: Any, batch_size: int, size: int) -> Cost:
    """Cost of one step of stage "cartoon" in float32.

    Memory includes parameters, gradients, Adam's two moments, VGG19 and the activations kept for the backward passes:
    those of G live through the step; those of D's step are freed before G's step runs D and VGG19. Running averages and
    the image pool are included. It excludes Paddle itself, the workspace of its convolutions (on a CPU both add a fifth
    to a half) and the allocator's reserve; and as small, the color head and all changes of color.

    Args:
        model: a `CartoonLossGANModel`; a loss with weight 0 costs nothing.
        batch_size: photos per step, and as many cartoons.
        size: height and width in pixels.
    """
    e, g, d, vgg = forwards(model)
    images: StepImages = model.step_images()

    flops = images.generated * (3 * g.flops - g.first)
    flops += images.d_steps * images.judged * (3 * d.flops - d.first) + images.judged_for_g * 2 * d.flops
    if model.reuse_encoder:
        flops += images.generated * e.flops
    if vgg:
        flops += (images.vgg_targets + 2 * images.vgg_outputs) * vgg.flops

    parameters_d, parameters_g = _parameter_bytes(model.nets["netD"]), _parameter_bytes(model.nets["netG"])
    permanent = 3 * (parameters_d + parameters_g)  # parameters and moments
    permanent += sum(_parameter_bytes(average.net) for average in model.averages.values())
    permanent += FLOAT_BYTES * model.pool.pool_size * 3 * size**2
    activations_g_step = images.judged_for_g * d.kept
    if vgg:
        permanent += _parameter_bytes(model.vgg)
        activations_g_step += images.vgg_outputs * vgg.kept
    scale = batch_size * (size / SIDE) ** 2
    d_step = scale * images.judged * d.kept + parameters_d  # activations and gradients
    g_step = scale * activations_g_step + parameters_g
    return Cost(scale * flops, permanent + scale * images.generated * g.kept + max(d_step, g_step))


def _parameter_bytes(net: nn.Layer) -> int:
    return FLOAT_BYTES * sum(parameter.size for parameter in net.parameters())
