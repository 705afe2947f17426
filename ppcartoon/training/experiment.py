"""Data, model, optimizers and learning rate schedule of a run, built from its config and saved in checkpoints."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path

import numpy as np
import paddle
from paddle.distributed import ParallelEnv

from .. import register, weights  # noqa: F401  `register` fills ppgan's registries

# isort: split
from ppgan.datasets.builder import DATASETS
from ppgan.models.builder import build_model

from .. import images
from ..config.schema import Config
from ..data.cache import center
from ..data.datasets import EpochSampler, UnpairedCartoonDataset
from ..data.download import weights_folder
from ..data.image_folder import image_files
from ..errors import InputError, naming
from ..models.base import TrainableModel
from ..models.vgg import RANDOM, missing_file
from ..utils.signals import start_worker
from . import checkpoints
from .device import describe
from .fine_tuning import start_from
from .meters import LossMeter
from .run_folder import Start
from .validation import Validation

log = logging.getLogger("ppcartoon")

NOT_FOR_DATASET = {"name", "batch_size", "num_workers"}  # keys that its constructor does not have


class Experiment:
    """All that a run trains, new or restored from a checkpoint.

    Args:
        start: config, folder and checkpoint of the run.
        command: the command line, stored in weights files.
        dry_run: whether only `summary` is needed; nothing is then downloaded, and a missing VGG19 is replaced by a
            random one of the same size.

    Raises:
        InputError: the data, VGG19 or the checkpoint do not fit, or the model cannot train in several processes.
    """

    def __init__(self, start: Start, command: str, dry_run: bool = False) -> None:
        self.config, self.folder, self.command = start.config, start.folder, command
        self.source = start.state.get("source", str(start.source) if start.source else None)
        self.rank, self.ranks = ParallelEnv().rank, ParallelEnv().nranks
        if self.config.model.amp == "auto":
            self.config.model.amp = "bfloat16" if paddle.amp.is_bfloat16_supported() else "float16"
        self.device = f"device      {describe(self.config.model.amp)}"
        self.missing_vgg = None
        if dry_run and "vgg_path" in type(self.config.model).model_fields:
            self.missing_vgg = missing_file(self.config.model.vgg_path)
            if self.missing_vgg:
                self.config.model.vgg_path = RANDOM
        train = self.config.dataset.train
        self.data: UnpairedCartoonDataset = DATASETS.get(train.name)(**train.model_dump(exclude=NOT_FOR_DATASET))
        self.sample_photos = sample_photos(self.config, self.data)
        self.sampler = EpochSampler(
            len(self.data), train.batch_size, self.config.epochs or 1, self.config.seed, self.rank, self.ranks
        )
        if self.config.total_iters:
            self._set_total_iters(self.config.total_iters)
        self.steps_per_epoch, self.steps = self.sampler.steps_per_epoch, self.sampler.steps
        self.config.lr_scheduler.iters_per_epoch = self.steps_per_epoch
        paddle.seed(self.config.seed)
        self.model: TrainableModel = build_model(self.config.model.model_dump())
        if self.ranks > 1 and not self.model.parallel:
            raise InputError(
                f"model {self.config.model.name}: trains in one process, on one device, because of its image pool or "
                "color head; start it without a launcher"
            )
        self.schedule = self.model.setup_lr_schedulers(self.config.lr_scheduler.model_dump())
        if self.model.init_steps > self.steps:
            raise InputError(
                f"model.init_steps {self.model.init_steps} is more than the run's {self.steps} steps; "
                f"raise {self._length_key}"
            )
        self.model.setup_optimizers(self.schedule, self.config.optimizer.model_dump())
        self.losses = LossMeter()
        self.means: dict[str, float] = {}  # of the losses, over the last epoch
        self.best: dict[str, float] = {}  # step and value of the best epoch
        self.last_checkpoint = "none"
        validate = self.config.validation
        self.validation = Validation(validate, dry_run) if validate and self.rank == 0 else None
        if start.state:
            self._restore(start)
        elif start.source:
            start_from(start.source, self.model)

    @property
    def _length_key(self) -> str:
        return "total_iters" if self.config.total_iters else "epochs"

    def _set_total_iters(self, steps: int) -> None:
        """Sets the length of the run in steps, and `epochs` to those that it begins."""
        schedule = self.config.lr_scheduler
        self.sampler.steps, self.config.epochs = steps, math.ceil(steps / self.sampler.steps_per_epoch)
        schedule.start_epoch = self.config.epochs - schedule.decay_epochs
        if schedule.start_epoch < 0:
            raise InputError(f"lr_scheduler.decay_epochs {schedule.decay_epochs} is more than total_iters {steps} make")

    def loader(self) -> paddle.io.DataLoader:
        """The batches of the remaining steps."""
        self.sampler.start = self.model.steps
        train = self.config.dataset.train
        return paddle.io.DataLoader(
            self.data,
            batch_sampler=self.sampler,
            num_workers=train.num_workers,
            worker_init_fn=start_worker,
        )

    def end_epoch(self) -> None:
        """Computes the mean losses of the epoch."""
        self.means = self.losses.end_epoch()

    def is_best(self, values: dict[str, float]) -> bool:
        """Whether the epoch that has ended is the best so far; notes it for the next checkpoint.

        Args:
            values: losses or distances by name; without that of `snapshot_config.best` the answer is no.
        """
        name = self.config.snapshot_config.best
        value = values.get(name, math.inf)
        if not value < self.best.get("value", math.inf):
            return False
        self.best = {"step": self.model.steps, "value": value}
        log.info(f"best epoch so far: {self.model.steps // self.steps_per_epoch}, {name} {value:.4g}")
        return True

    def save(self) -> None:
        """Writes weights for inference, then a checkpoint. A run that stops in between writes the weights again.

        Raises:
            InputError: a value is not finite; nothing was written.
            OutputError: a file cannot be written; earlier checkpoints are intact.
        """
        step, snapshot, folder = self.model.steps, self.config.snapshot_config, self.folder / "checkpoints"
        tensors = checkpoints.state_dict(self.model)
        for name, tensor in tensors.items():
            if not np.isfinite(tensor).all():
                raise InputError(f"step {step}: {name} is not finite; last good checkpoint: {self.last_checkpoint}")
        epoch, rest = divmod(step, self.steps_per_epoch)
        if rest == 0:
            self.is_best(self.means)
            self.export(self.folder / "weights" / f"epoch_{epoch:04d}.safetensors")
        self.export(self.folder / "weights.safetensors")
        state = {"step": step, "steps_per_epoch": self.steps_per_epoch, "sums": self.losses.sums, "best": self.best}
        state |= {"config": self.config.model_dump(), "scalers": self.model.scaler_states(), "source": self.source}
        path = checkpoints.path_of(folder, step)
        checkpoints.save(path, tensors, state)
        self.last_checkpoint = str(path)
        checkpoints.prune(folder, snapshot.keep, self.best.get("step"))

    def export(self, path: Path) -> None:
        """Writes weights for `CartoonPredictor`, with the config inside."""
        texts = {**self.config.export.model_dump(), "command": self.command}
        texts["config"] = json.dumps(self.config.model_dump())
        weights.save(path, weights.Weights(self.model.export(), self.model.network, **texts))

    def _restore(self, start: Start) -> None:
        state, now = start.state, self.config.model_dump()
        if state["steps_per_epoch"] != self.steps_per_epoch:
            raise InputError(
                f"the checkpoint has {state['steps_per_epoch']} steps per epoch, this run {self.steps_per_epoch}; "
                "resume with the same number of photos, batch_size and number of processes"
            )
        if state["step"] > self.steps:
            raise InputError(
                f"the checkpoint has {state['step']} steps, this run {self.steps}; raise {self._length_key}"
            )
        checkpoints.load_state_dict(self.model, start.tensors)
        self.model.set_scaler_states(state["scalers"])
        self.model.steps = state["step"]
        self.schedule.step(state["step"])
        self.last_checkpoint = str(start.checkpoint)
        if all(state["config"][key] == now[key] for key in ("model", "snapshot_config")):  # losses are comparable
            self.losses.sums, self.best = state["sums"], state["best"]

    def summary(self) -> list[str]:
        """Lines about the data, networks, steps and cost."""
        train, model = self.config.dataset.train, self.model
        parameters = [
            f"{name.removeprefix('net')} {sum(math.prod(p.shape) for p in net.parameters()):,}"
            for name, net in model.nets.items()
        ]
        schedule = self.config.lr_scheduler
        cost = model.cost(train.batch_size, train.size)
        rate = f"{schedule.learning_rate:g}"
        if schedule.init_learning_rate:
            rate += f", {schedule.init_learning_rate:g} in stage init"
        if schedule.decay_epochs:
            rate += f", falling from step {schedule.start_epoch * self.steps_per_epoch + 1} on"
        lines = [
            self.device,
            f"run         {self.folder}, {self.model.steps} of {self.steps} steps done",
            f"data        {len(self.data)} photos, {len(self.data.cartoons)} cartoons, {train.size}x{train.size}",
            f"parameters  {', '.join(parameters)}",
            f"epoch       {self.steps_per_epoch} steps of {train.batch_size} pairs on each of {self.ranks} device(s)",
            f"stage 1     init, {self._epochs(model.init_steps)} epochs, {model.init_steps} steps",
            f"stage 2     cartoon, {self._epochs(self.steps - model.init_steps)} epochs, to step {self.steps}",
            f"rate        {rate}",
        ]
        if cost:
            lines.append(
                f"cost        about {cost.flops / 1e9:,.1f} GFLOP per step, {cost.bytes / 1e6:,.0f} MB of memory"
            )
        missing = {self.missing_vgg} if self.missing_vgg and model.vgg else set()
        if self.validation:
            missing |= self.validation.missing
        for file in sorted(missing):
            verb = "downloads" if file.parent == weights_folder() else "needs"
            lines.append(f"missing     {file}, which training {verb}; all numbers are as if it were there")
        return lines + [f"warning     {line}" for line in model.warnings()]

    def _epochs(self, steps: int) -> str:
        """A number of steps in epochs, such as "2" or "1.5"."""
        return f"{steps / self.steps_per_epoch:.3g}"


def sample_photos(config: Config, data: UnpairedCartoonDataset) -> list[np.ndarray]:
    """The photos of the sample grid, RGB uint8 [size, size, 3] each.

    Raises:
        InputError: the folder `samples.folder` or a photo in it cannot be read.
    """
    samples, size = config.samples, config.dataset.train.size
    if samples.folder is None:
        photos = [data.photos[i] for i in range(min(samples.count, len(data)))]
    else:
        with naming("samples.folder"):
            photos = [images.read(path).rgb for path in image_files(Path(samples.folder).expanduser())[: samples.count]]
    return [center(photo, size) for photo in photos]
