"""The training loop: watched, interruptible at any moment, and resumed bit by bit."""

from __future__ import annotations

import logging
import math
import random
import sys
import time

import numpy as np
import paddle
import yaml
from tqdm import tqdm

from .. import images
from ..errors import InputError, Interrupted
from ..utils.files import atomic
from ..utils.signals import Stop, end_workers, graceful_interrupt
from . import run_folder
from .experiment import Experiment
from .monitor import TrainingLogger

log = logging.getLogger("ppcartoon")


class Trainer:
    """Runs an experiment to its end, and tells of it on rank 0.

    Args:
        experiment: where it stands.
        notes: to log before the first step.
    """

    def __init__(self, experiment: Experiment, notes: list[str]) -> None:
        self.experiment, self.notes = experiment, notes
        self.config, self.model, self.ranks = experiment.config, experiment.model, experiment.ranks
        self.monitor: TrainingLogger | None = None
        self.stop = Stop()

    def train(self) -> None:
        """Trains.

        Raises:
            Interrupted: on Ctrl-C or SIGTERM, after a checkpoint.
            InputError: a loss is not finite, or a file cannot be written; the last good checkpoint is named.
        """
        if self.ranks > 1:
            paddle.distributed.init_parallel_env()
            for name, net in self.model.nets.items():
                self.model.nets[name] = paddle.DataParallel(net)
            self._agree()
        try:
            if self.experiment.rank == 0:
                self._open()
            quiet = None if self.monitor else True  # None: where there is no terminal
            with (
                graceful_interrupt() as self.stop,
                tqdm(initial=self.model.steps, total=self.experiment.steps, disable=quiet) as self.bar,
            ):
                self._loop()
        finally:
            end_workers()
            if self.monitor:
                self.monitor.close()

    def _agree(self) -> None:
        """Waits until every rank has read its checkpoint, which must be the same.

        Raises:
            InputError: it is not.
        """
        steps = paddle.to_tensor([self.model.steps, -self.model.steps])
        paddle.distributed.all_reduce(steps, paddle.distributed.ReduceOp.MAX)
        most, least = steps.tolist()
        if most != -least:
            raise InputError(f"processes start after steps {-least} to {most}: give all of them the same run folder")

    def _loop(self) -> None:
        experiment, every, pending = self.experiment, self.config.log_config, []
        waited, since = 0.0, time.perf_counter()
        batches = iter(experiment.loader())
        for step in range(self.model.steps + 1, experiment.steps + 1):
            seed_generators(self.config.seed, experiment.rank, step)
            asked = time.perf_counter()
            self.model.setup_input(next(batches))
            waited += time.perf_counter() - asked
            stage = self.model.stage
            self.model.train_iter()
            pending.append((step, stage, self.model.losses))
            self.bar.update()
            epoch, rest = divmod(step, experiment.steps_per_epoch)
            last, stopping = step == experiment.steps, self._stopping(step)
            if step % every.interval == 0 or rest == 0 or stopping:
                losses = self._settle(pending)
                seconds = time.perf_counter() - since
                values = self._report(step, stage, losses, seconds / len(pending), waited / seconds)
                shown = [name for name in ("d_loss", "g_loss", "images_per_second") if name in values]
                self.bar.set_postfix({"stage": stage, **{name: f"{values[name]:.3g}" for name in shown}})
                pending, waited, since = [], 0.0, time.perf_counter()
            experiment.schedule.step()
            paused = time.perf_counter()
            if rest == 0:
                experiment.close_epoch()
            if step % every.visiual_interval == 0 or last:
                self._sample(step)
            if experiment.validation and rest == 0 and not stopping:
                experiment.validation.after(epoch, self.model, self.monitor, lambda: bool(self.stop))
            if self.monitor and (stopping or last or (rest == 0 and epoch % self.config.snapshot_config.interval == 0)):
                self.monitor.flush()
                experiment.save()
            since += time.perf_counter() - paused  # samples and checkpoints are no part of the steps' time
            if stopping and not last:
                raise Interrupted(
                    f"stopped after step {step}; --resume auto goes on from {experiment.last_checkpoint}",
                    self.stop.number,
                )

    def _settle(self, pending: list[tuple[int, str, dict]]) -> dict[str, float]:
        """Fetches the losses of the steps since the last time; returns the newest.

        Raises:
            InputError: one is not finite.
        """
        sums = self.experiment.sums
        for step, stage, losses in pending:
            values = dict(zip(losses, paddle.stack(list(losses.values())).tolist()))
            for name, value in values.items():
                if not math.isfinite(value):
                    raise InputError(
                        f"step {step}: {name} is {value}; last good checkpoint: {self.experiment.last_checkpoint}; "
                        "a lower lr_scheduler.learning_rate, or a lower weight of this loss, may help"
                    )
            if stage == "cartoon":
                for name, value in {**values, "count": 1}.items():
                    sums[name] = sums.get(name, 0) + value
        return values

    def _stopping(self, step: int) -> bool:
        """Whether to stop after this step; with several ranks, all of them at the same one."""
        if self.ranks > 1 and step % self.config.log_config.interval == 0:
            number = paddle.to_tensor(self.stop.number)
            paddle.distributed.all_reduce(number, paddle.distributed.ReduceOp.MAX)
            self.stop.number = int(number)
            return bool(self.stop)
        return self.ranks == 1 and bool(self.stop)

    def _open(self) -> None:
        """Makes the run's folder fit to go on, and writes the config into it."""
        folder = self.experiment.folder
        self.lock = run_folder.lock(folder)
        for left_over in folder.rglob(".*.safetensors"):  # by a killed writer
            left_over.unlink()
        self.monitor = TrainingLogger(folder, self.model.steps, self.config.enable_visualdl)
        text = yaml.safe_dump(self.config.model_dump(), sort_keys=False, allow_unicode=True)
        with atomic(folder / run_folder.CONFIG) as temporary:
            temporary.write_text(text, encoding="utf-8")
        for note in self.notes + run_folder.set_aside_later(folder / "checkpoints", self.model.steps):
            log.info(note)
        if self.config.model.vgg_path == "random":
            log.info("VGG19 has seeded random weights (model.vgg_path: random): for trials, not for cartoons")
        if self.config.model.amp and not paddle.get_device().startswith("gpu"):
            log.info("mixed precision has no effect on a CPU")
        verbatim = f"    {text}".replace("\n", "\n    ")  # in Markdown
        self.monitor.text(self.model.steps, "config", verbatim)
        if self.experiment.validation:
            self.experiment.validation.prepare()
        if self.model.steps == 0:
            self._sample(0)

    def _report(
        self, step: int, stage: str, losses: dict[str, float], seconds: float, waiting: float
    ) -> dict[str, float]:
        """Writes what there is to know of a step, and returns it.

        Args:
            step: its number, from 1.
            stage: "init" or "cartoon".
            losses: by name.
            seconds: that a step took lately.
            waiting: share of the time that went by until the data were there.
        """
        values = {**losses, "learning_rate": self.experiment.schedule.last_lr}
        values["images_per_second"] = self.config.dataset.train.batch_size * self.ranks / seconds
        if paddle.get_device().startswith("gpu"):
            values["gpu_memory_mb"] = paddle.device.cuda.max_memory_allocated() / 1e6
        if not self.monitor:
            return values
        epoch = (step - 1) // self.experiment.steps_per_epoch + 1
        self.monitor.scalars(step, values, epoch=epoch, stage=stage, data_share=round(waiting, 4))
        left = tqdm.format_interval((self.experiment.steps - step) * seconds)
        terms = " ".join(f"{name} {value:.4g}" for name, value in values.items())
        log.log(
            logging.DEBUG if sys.stderr.isatty() else logging.INFO,  # on a terminal the progress bar tells it
            f"epoch {epoch}/{self.config.epochs} step {step}/{self.experiment.steps} {stage} {terms} eta {left}",
        )
        return values

    def _sample(self, step: int) -> None:
        """Cartoonizes the sample photos."""
        if self.monitor:
            photos = [paddle.to_tensor(images.to_network(photo[None])) for photo in self.experiment.sample_photos]
            cartoons = [images.from_network(self.model.cartoonize(photo).numpy())[0] for photo in photos]
            self.monitor.samples(step, self.experiment.sample_photos, cartoons)


def seed_generators(seed: int, rank: int, step: int) -> None:
    """Makes the random numbers of a step depend on nothing but these: a resumed run needs no generator's state."""
    number = int(np.random.SeedSequence((seed, rank, step)).generate_state(1)[0])
    random.seed(number)
    np.random.seed(number)
    paddle.seed(number)
