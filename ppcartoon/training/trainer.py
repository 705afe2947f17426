"""The training loop: logs, stops with a checkpoint on a signal, and resumes bit for bit."""

from __future__ import annotations

import logging
import math
import random
import shutil
import sys
from contextlib import nullcontext

import numpy as np
import paddle
import yaml
from tqdm import tqdm

from .. import images
from ..errors import InputError, Interrupted, OutputError, printable
from ..utils.files import atomic
from ..utils.signals import Stop, end_workers, graceful_interrupt
from . import checkpoints, run_folder
from .collapse import CollapseAlarm
from .experiment import Experiment
from .meters import StepTimer
from .monitor import TrainingLogger

log = logging.getLogger("ppcartoon")


class Trainer:
    """Runs an experiment to its last step; rank 0 writes logs, samples and checkpoints.

    Args:
        experiment: the run, new or restored from a checkpoint.
        notes: lines to log before the first step.
        profiler: see `profiling.create`; None for none.
    """

    def __init__(
        self, experiment: Experiment, notes: list[str], profiler: paddle.profiler.Profiler | None = None
    ) -> None:
        self.profiler = profiler
        self.experiment, self.notes = experiment, notes
        self.config, self.model, self.ranks = experiment.config, experiment.model, experiment.ranks
        self.monitor: TrainingLogger | None = None
        self.stop, self.alarm = Stop(), CollapseAlarm()

    def train(self) -> None:
        """Trains until the last step.

        Raises:
            Interrupted: Ctrl-C or a signal stopped the run, after a checkpoint.
            InputError: a loss is not finite, or a file cannot be written; names the last good checkpoint.
        """
        if self.ranks > 1:
            paddle.distributed.init_parallel_env()
            for name, net in self.model.nets.items():
                self.model.nets[name] = paddle.DataParallel(net)
            self._check_same_step()
        try:
            if self.experiment.rank == 0:
                self._open()
            hidden = None if self.monitor else True  # None: hidden unless on a terminal
            with (
                self.profiler or nullcontext(),
                graceful_interrupt() as self.stop,
                tqdm(initial=self.model.steps, total=self.experiment.steps, disable=hidden) as self.bar,
            ):
                self._loop()
        finally:
            end_workers()
            if self.monitor:
                self.monitor.close()

    def _check_same_step(self) -> None:
        """Waits until every rank has loaded its checkpoint.

        Raises:
            InputError: the checkpoints are of different steps.
        """
        steps = paddle.to_tensor([self.model.steps, -self.model.steps])
        paddle.distributed.all_reduce(steps, paddle.distributed.ReduceOp.MAX)
        most, least = steps.tolist()
        if most != -least:
            raise InputError(f"processes resume after steps {-least} to {most}; give all of them the same run folder")

    def _loop(self) -> None:
        experiment, timer, losses = self.experiment, StepTimer(), self.experiment.losses
        batches = iter(experiment.loader())
        for step in range(self.model.steps + 1, experiment.steps + 1):
            seed_generators(self.config.seed, experiment.rank, step)
            with timer.waiting():
                self.model.setup_input(next(batches))
            stage = self.model.stage
            self.model.train_iter()
            if self.profiler:
                self.profiler.step()
            losses.add(step, stage, self.model.losses)
            self.bar.update()
            stopping = self._stopping(step)
            if stopping or step % self.config.log_config.interval == 0 or step % experiment.steps_per_epoch == 0:
                rows = losses.fetch()
                seconds, waiting = timer.lap(len(rows))
                with timer.paused():
                    self._check_finite(rows)
                    self._report(step, stage, rows[-1][1], seconds, waiting)
            experiment.schedule.step()
            with timer.paused():
                self._after_step(step, stopping)
            if stopping and step < experiment.steps:
                raise Interrupted(
                    f"stopped after step {step}; --resume auto continues from {experiment.last_checkpoint}",
                    self.stop.number,
                )

    def _after_step(self, step: int, stopping: bool) -> None:
        """Samples, validation and checkpoint, if due after this step."""
        experiment, last = self.experiment, step == self.experiment.steps
        epoch, rest = divmod(step, experiment.steps_per_epoch)
        epoch_ended = rest == 0
        if epoch_ended:
            experiment.end_epoch()
        if last or epoch_ended or step % self.config.log_config.visiual_interval == 0:
            self._sample(step)
        checkpoint_due = epoch_ended and epoch % self.config.snapshot_config.interval == 0
        if self.monitor and (stopping or last or checkpoint_due):
            self._save()
        if experiment.validation and epoch_ended and not stopping:
            self._validate(epoch)

    def _save(self) -> None:
        self.monitor.flush()
        self.experiment.save()

    def _validate(self, epoch: int) -> None:
        """Validation, if due; if the epoch is the best by a distance, its checkpoint is written (again).

        A failure is a line in the log, as the training does not depend on it.
        """
        validation = self.experiment.validation
        try:
            distances = validation.after(epoch, self.model, self.monitor, lambda: bool(self.stop))
        except OutputError:
            raise
        except Exception as error:  # Paddle, NumPy and SciPy raise errors of many types
            reason = printable(" ".join(str(error).split())) or "not enough memory"
            log.warning(f"epoch {epoch} was not validated: {reason}")
            return
        if self.experiment.is_best(distances):
            self._save()

    def _check_finite(self, rows: list[tuple[int, dict[str, float]]]) -> None:
        """Raises InputError if a loss is not finite."""
        for step, losses in rows:
            for name, value in losses.items():
                if not math.isfinite(value):
                    raise InputError(
                        f"step {step}: {name} is {value}; last good checkpoint: {self.experiment.last_checkpoint}; "
                        "a lower lr_scheduler.learning_rate, or a lower weight of this loss, may help"
                    )

    def _stopping(self, step: int) -> bool:
        """Whether to stop after this step; several ranks agree on the same step."""
        if self.ranks > 1 and step % self.config.log_config.interval == 0:
            number = paddle.to_tensor(self.stop.number)
            paddle.distributed.all_reduce(number, paddle.distributed.ReduceOp.MAX)
            self.stop.number = int(number)
            return bool(self.stop)
        return self.ranks == 1 and bool(self.stop)

    def _open(self) -> None:
        """Locks the run's folder, removes partial files, opens the logs and writes the config."""
        folder = self.experiment.folder
        self.lock = run_folder.lock(folder)
        for partial in folder.rglob(".*.safetensors"):  # left by a killed process
            partial.unlink()
        for note in self.notes:
            log.info(note)
        validation = self.experiment.validation
        if validation:
            validation.prepare()  # if it refuses a photo, the folder is unchanged, and the same command works again
        self._own_checkpoint()
        self.monitor = TrainingLogger(folder, self.model.steps, self.config.enable_visualdl)
        text = yaml.safe_dump(self.config.model_dump(), sort_keys=False, allow_unicode=True)
        with atomic(folder / run_folder.CONFIG) as temporary:
            temporary.write_text(text, encoding="utf-8")
        for note in run_folder.rename_later_checkpoints(folder / "checkpoints", self.model.steps):
            log.info(note)
        for warning in self.model.warnings():
            log.warning(warning)
        if self.config.model.vgg_path == "random":
            log.info("VGG19 has seeded random weights (model.vgg_path: random): for trials, not for cartoons")
        if self.config.model.amp and not paddle.get_device().startswith("gpu"):
            log.info("mixed precision has no effect on a CPU")
        code_block = f"    {text}".replace("\n", "\n    ")  # of Markdown, by indentation
        self.monitor.text(self.model.steps, "config", code_block)
        if validation:
            epoch, rest = divmod(self.model.steps, self.experiment.steps_per_epoch)
            if epoch and not rest and self.monitor.at_start.isdisjoint(self.config.validation.distances()):
                self._validate(epoch)  # interrupted before
        if self.model.steps == 0:
            self._sample(0)

    def _own_checkpoint(self) -> None:
        """Copies the checkpoint of another run that this one continues, so that it can resume without that run."""
        own = checkpoints.path_of(self.experiment.folder / "checkpoints", self.model.steps)
        if self.model.steps and not own.exists():
            with atomic(own) as temporary:
                shutil.copyfile(self.experiment.last_checkpoint, temporary)
            self.experiment.last_checkpoint = str(own)

    def _report(self, step: int, stage: str, losses: dict[str, float], seconds: float, waiting: float) -> None:
        """Writes a step's values to the logs and the progress bar.

        Args:
            step: its number, from 1.
            stage: "init" or "cartoon".
            losses: by name.
            seconds: seconds per step.
            waiting: share of the time spent waiting for data, in [0, 1].
        """
        values = {**losses, "learning_rate": self.experiment.schedule.last_lr}
        values["images_per_second"] = self.config.dataset.train.batch_size * self.ranks / seconds
        if paddle.get_device().startswith("gpu"):
            values["gpu_memory_mb"] = paddle.device.cuda.max_memory_allocated() / 1e6
        shown = {name: values[name] for name in ("d_loss", "g_loss", "images_per_second") if name in values}
        self.bar.set_postfix({"stage": stage, **{name: f"{value:.3g}" for name, value in shown.items()}})
        if not self.monitor:
            return
        if stage == "cartoon" and self.model.fake is not None:
            left = self.alarm.add(self.model.photo, self.model.fake)
            if left is not None:
                log.warning(
                    f"step {step}: the cartoons hardly depend on their photos any more, {max(left, 0):.0%} of the "
                    "differences in brightness between photos are left; docs/dashboards.md, Collapse, says what to do"
                )
        epoch = (step - 1) // self.experiment.steps_per_epoch + 1
        self.monitor.scalars(step, values, epoch=epoch, stage=stage, data_share=round(waiting, 4))
        left = tqdm.format_interval((self.experiment.steps - step) * seconds)
        terms = " ".join(f"{name} {value:.4g}" for name, value in values.items())
        log.log(
            logging.DEBUG if sys.stderr.isatty() else logging.INFO,  # on a terminal the progress bar shows it
            f"epoch {epoch}/{self.config.epochs} step {step}/{self.experiment.steps} {stage} {terms} eta {left}",
        )

    def _sample(self, step: int) -> None:
        """Writes the sample photos with their cartoons."""
        if self.monitor:
            photos = [paddle.to_tensor(images.to_network(photo[None])) for photo in self.experiment.sample_photos]
            cartoons = [images.from_network(self.model.cartoonize(photo).numpy())[0] for photo in photos]
            self.monitor.samples(step, self.experiment.sample_photos, cartoons)


def seed_generators(seed: int, rank: int, step: int) -> None:
    """Seeds all random generators for a step, so that a resumed run does not need their states."""
    step_seed = int(np.random.SeedSequence((seed, rank, step)).generate_state(1)[0])
    random.seed(step_seed)
    np.random.seed(step_seed)
    paddle.seed(step_seed)
