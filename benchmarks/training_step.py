"""Time of a training step in stage "cartoon", compared with a reference implementation in the way of ppgan's models."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import paddle
from paddle import Tensor

from ppcartoon.errors import InputError
from ppcartoon.utils.tables import markdown_table

from . import harness
from .common import median_range

OTHER = "other"
D_STEP, LOSSES = "D's step, without Adam", "losses"
BACKWARD_TO_G, BACKWARD_IN_G = "backward through losses, VGG19 and D", "backward through G"
PPCARTOON, REFERENCE = "ppcartoon", "separate calls, nothing frozen"
WARM_UP = 2  # steps, whose losses are compared
TOLERANCE = 1e-4  # relative


class Stopwatch:
    """Divides the time of a call among the watched calls in it; nested calls are counted for the innermost."""

    def __init__(self) -> None:
        self._labels = [OTHER]

    def time(self, call: Callable[[], Any]) -> dict[str, float]:
        """Makes the call and returns the seconds of each part; their sum is the total."""
        self._seconds: dict[str, float] = defaultdict(float)
        self._since = time.perf_counter()
        call()
        self._tick()
        other = self._seconds.pop(OTHER)
        return {**self._seconds, OTHER: other}

    @property
    def label(self) -> str:
        return self._labels[-1]

    def _tick(self) -> None:
        """Adds the time since the last tick to the current label."""
        now = time.perf_counter()
        self._seconds[self.label] += now - self._since
        self._since = now

    def relabel(self, label: str) -> None:
        """Counts the rest of the innermost call under another label."""
        self._tick()
        self._labels[-1] = label

    def watch(self, owner: object, method: str, label: Callable[..., str]) -> None:
        """Watches a method; `label` computes the label of a call from its arguments."""
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
    """A stopwatch for the parts of `CartoonLossGANModel.train_iter`, in the order in which they run."""
    watch = Stopwatch()

    def label_backward(net: Any, inputs: Any, outputs: Tensor) -> None:
        # The hook runs when the gradients of all losses have reached the outputs of G.
        outputs.register_hook(lambda gradient: watch.relabel(BACKWARD_IN_G))

    watch.watch(model, "encode", lambda images: "E, without gradient")
    watch.watch(model.nets["netG"], "forward", lambda z: "G, forward")
    model.nets["netG"].register_forward_post_hook(label_backward)
    watch.watch(model, "discriminator_losses", lambda: D_STEP)
    watch.watch(model, "_descend", lambda loss, optimizers, name: D_STEP if name == "optimizer_D" else BACKWARD_TO_G)
    for optimizer in model.optimizers.values():
        watch.watch(optimizer, "step", lambda: "Adam of D and G")
    watch.watch(model, "generator_losses", lambda: LOSSES)
    watch.watch(
        model.vgg, "forward", lambda x: f"VGG19, {'forward' if paddle.is_grad_enabled() else 'without gradient'}"
    )
    watch.watch(model.nets["netD"], "forward", lambda x: "D, forward in G's step" if watch.label == LOSSES else D_STEP)
    return watch


class StepInfo(NamedTuple):
    """What a variant's process reports before the measurements.

    Attributes:
        losses: by name, for each warm-up step.
        flops: counted floating-point operations of a step.
    """

    losses: list[dict[str, float]]
    flops: float


class Row(NamedTuple):
    """The results of one variant.

    Attributes:
        name: the label of the variant.
        parts: seconds of each part, for each round.
        flops: counted floating-point operations of a step.
        peak_bytes: peak resident memory of the variant's process.
    """

    name: str
    parts: list[dict[str, float]]
    flops: float
    peak_bytes: int

    @property
    def seconds(self) -> list[float]:
        """Seconds of the step, for each round."""
        return [sum(parts.values()) for parts in self.parts]


def measure(
    size: int, batch_size: int, channels: int, layer: str, rounds: int, threads: int
) -> tuple[list[Row], float]:
    """Measures one step of each variant per round, from the same weights and on the same random batch.

    Args:
        size: height and width in pixels.
        batch_size: number of photos and of cartoons.
        channels: width of G, 64 in the paper; D has half as many.
        layer: layer of VGG19, which has random weights.
        rounds: measurements of each variant.
        threads: threads of Paddle.

    Returns:
        The rows of ppcartoon and of the reference, and the largest relative difference of their losses.

    Raises:
        InputError: an argument is out of range.
        RuntimeError: the losses of the first steps differ.
    """
    if min(rounds, threads, batch_size) < 1 or size < 16 or size % 4 or channels < 2 or channels % 2:
        raise InputError(
            "--rounds, --threads and --batch-size must be at least 1, --channels even, "
            "--size a multiple of 4 and at least 16"
        )
    names = [PPCARTOON, REFERENCE]
    results = harness.run(_prepare, [(name, batch_size, size, channels, layer) for name in names], rounds, threads)
    ours, reference = (result.info.losses for result in results)
    differences = [abs(a[key] - b[key]) / abs(b[key]) for a, b in zip(ours, reference) for key in b]
    if not max(differences) <= TOLERANCE:  # also true for NaN
        raise RuntimeError(f"the two variants compute different losses: {ours} and {reference}")
    rows = [Row(name, r.measurements, r.info.flops, r.peak_bytes) for name, r in zip(names, results)]
    return rows, max(differences)


def _prepare(
    name: str, batch_size: int, size: int, channels: int, layer: str
) -> tuple[StepInfo, Callable[[], dict[str, float]]]:
    """Returns information about a variant and a function that measures the parts of one step."""
    from ppcartoon.models import cost

    from . import compositions

    model_class = compositions.CartoonLossGANModel if name == PPCARTOON else compositions.ReferenceModel
    model = compositions.build(model_class, batch_size, size, channels, layer)
    losses = []
    for _ in range(WARM_UP):
        model.train_iter()
        losses.append({key: float(loss) for key, loss in model.losses.items()})
    if name == PPCARTOON:
        flops = cost.step_cost(model, batch_size, size).flops
        watch = watch_step(model)
    else:
        flops = compositions.reference_flops(model, batch_size, size)
        watch = Stopwatch()
    return StepInfo(losses, flops), lambda: watch.time(model.train_iter)


def report(rows: list[Row], difference: float) -> Iterator[str]:
    """The results of `measure` as lines of Markdown."""
    yield f"The losses of the first {WARM_UP} steps agree within {difference:.0e} (relative)."
    yield ""
    yield from step_table(rows)
    yield from parts_table(rows[0])


def step_table(rows: list[Row]) -> Iterator[str]:
    """Lines of Markdown; speedups are over the last row."""
    cells = []
    for row in rows:
        speedups = [slow / fast for slow, fast in zip(rows[-1].seconds, row.seconds)]
        counted = rows[-1].flops / row.flops
        cells.append(
            [
                row.name,
                median_range(row.seconds),
                median_range(speedups),
                f"{counted:.2f}",
                f"{statistics.median(speedups) / counted:.2f}",
                f"{row.peak_bytes / 1e6:.0f} MB",
            ]
        )
    header = ["step", "s, median (range)", "speedup", "speedup by FLOPs", "measured / by FLOPs", "peak memory"]
    return markdown_table(header, cells)


def parts_table(row: Row) -> Iterator[str]:
    """Lines of Markdown: the median seconds of each part of a step."""
    medians = {part: statistics.median(step[part] for step in row.parts) for part in row.parts[0]}
    total = sum(medians.values())
    cells = ([part, f"{seconds:.3f}", f"{seconds / total:.1%}"] for part, seconds in medians.items())
    return markdown_table([f"part of {row.name}'s step", "s", "share"], cells)
