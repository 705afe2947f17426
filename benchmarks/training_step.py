"""One whole training step of stage "cartoon", against the step that ppgan's models would write."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import paddle
from paddle import Tensor

from ppcartoon.errors import InputError

from . import harness
from .common import spread

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


OURS, STRAIGHTFORWARD = "ppcartoon", "separate calls, nothing frozen"
WARM_UP = 2  # steps, whose losses are compared
TOLERANCE = 1e-4  # relative


class Facts(NamedTuple):
    """What the process of a variant tells before its turns.

    Attributes:
        losses: by name, of each step of the warm-up.
        flops: of a step, counted.
    """

    losses: list[dict[str, float]]
    flops: float


class Row(NamedTuple):
    """One variant.

    Attributes:
        name: what it is.
        parts: seconds by part, of the step of each round.
        flops: of a step, counted.
        peak: resident memory at most, in bytes, of the variant's process.
    """

    name: str
    parts: list[dict[str, float]]
    flops: float
    peak: int

    @property
    def seconds(self) -> list[float]:
        """Of each round's step."""
        return [sum(parts.values()) for parts in self.parts]


def measure(
    size: int, batch_size: int, channels: int, layer: str, rounds: int, threads: int
) -> tuple[list[Row], float]:
    """Times a step of each composition once a round, from the same weights and on the same random batch.

    Args:
        size: height and width in pixels.
        batch_size: photos, and as many cartoons.
        channels: width of G, the paper's 64; D has half of it.
        layer: of VGG19, whose weights are random.
        rounds: steps timed.
        threads: that Paddle may use.

    Returns:
        A row for ours and one for the straightforward composition, and the largest relative difference of their losses.

    Raises:
        InputError: an argument is out of range.
        RuntimeError: the losses of the first steps differ.
    """
    if min(rounds, threads, batch_size) < 1 or size < 16 or size % 4 or channels < 2 or channels % 2:
        raise InputError(
            "--rounds, --threads and --batch-size are at least 1, --channels is even, --size a multiple of 4 from 16"
        )
    names = [OURS, STRAIGHTFORWARD]
    results = harness.take(_prepare, [(name, batch_size, size, channels, layer, threads) for name in names], rounds)
    ours, other = (result.facts.losses for result in results)
    differences = [abs(a[key] - b[key]) / abs(b[key]) for a, b in zip(ours, other) for key in b]
    if not max(differences) <= TOLERANCE:  # NaN differs, too
        raise RuntimeError(f"the two compositions compute different losses: {ours} and {other}")
    return [Row(n, r.turns, r.facts.flops, r.peak) for n, r in zip(names, results)], max(differences)


def _prepare(
    name: str, batch_size: int, size: int, channels: int, layer: str, threads: int
) -> tuple[Facts, Callable[[], dict[str, float]]]:
    """A variant's facts, and what times one step of it by parts."""
    from ppcartoon.models import cost

    from . import compositions

    kind = compositions.CartoonLossGANModel if name == OURS else compositions.Straightforward
    model = compositions.build(kind, batch_size, size, channels, layer)
    losses = []
    for _ in range(WARM_UP):
        model.train_iter()
        losses.append({key: float(loss) for key, loss in model.losses.items()})
    if name == OURS:
        flops = cost.step_cost(model, batch_size, size).flops
        watch = watch_step(model)
    else:
        flops = compositions.straightforward_flops(model, batch_size, size)
        watch = Stopwatch()
    return Facts(losses, flops), lambda: watch.time(model.train_iter)


def report(rows: list[Row], difference: float) -> Iterator[str]:
    """All lines of what `measure` found."""
    yield f"The losses of the first {WARM_UP} steps agree within {difference:.0e}, relatively."
    yield from ("", *table(rows), "", *parts_table(rows[0]))


def table(rows: list[Row]) -> Iterator[str]:
    """Lines of Markdown; ratios are to the last row, round by round: median (least to most)."""
    yield "| step | s, median (range) | times as fast | as counted in FLOPs | measured/counted | peak memory |"
    yield "|---|---|---|---|---|---|"
    for row in rows:
        ratios = [slow / fast for slow, fast in zip(rows[-1].seconds, row.seconds)]
        counted = rows[-1].flops / row.flops
        yield (
            f"| {row.name} | {spread(row.seconds)} | {spread(ratios)} | {counted:.2f} "
            f"| {statistics.median(ratios) / counted:.2f} | {row.peak / 1e6:.0f} MB |"
        )


def parts_table(row: Row) -> Iterator[str]:
    """Lines of Markdown: where the time of a step goes, medians over the rounds."""
    medians = {part: statistics.median(step[part] for step in row.parts) for part in row.parts[0]}
    yield f"| part of {row.name}'s step | s | share |"
    yield "|---|---|---|"
    for part, seconds in medians.items():
        yield f"| {part} | {seconds:.3f} | {seconds / sum(medians.values()):.1%} |"
