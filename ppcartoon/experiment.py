"""What a run trains: data, model, optimizers and schedule of a config, and their state in checkpoints."""

from __future__ import annotations

import ctypes
import json
import math
import signal
import sys
from pathlib import Path

import numpy as np
import paddle
from paddle.distributed import ParallelEnv

from . import register, weights  # noqa: F401  `register` fills ppgan's registries

# isort: split
from ppgan.datasets.builder import DATASETS
from ppgan.models.builder import build_model

from . import checkpoints, images
from .cost import step_cost
from .data.stack import center, image_files
from .datasets import EpochSampler, UnpairedCartoonDataset
from .errors import InputError
from .models import CartoonLossGANModel
from .runs import Start
from .schema import Config

FOR_THE_LOADER = {"name", "batch_size", "num_workers", "use_shared_memory"}


class Experiment:
    """Data, model, optimizers and schedule, as the config has them and the checkpoint left them.

    Args:
        start: config, folder and checkpoint of the run.
        command: the command line, for the record.

    Raises:
        InputError: the data, VGG19 or the checkpoint do not fit.
    """

    def __init__(self, start: Start, command: str) -> None:
        self.config, self.folder, self.command = start.config, start.folder, command
        self.rank, self.ranks = ParallelEnv().rank, ParallelEnv().nranks
        if self.config.model.amp == "auto":
            self.config.model.amp = "bfloat16" if paddle.amp.is_bfloat16_supported() else "float16"
        train = self.config.dataset.train
        self.data: UnpairedCartoonDataset = DATASETS.get(train.name)(**train.model_dump(exclude=FOR_THE_LOADER))
        self.panel = sample_photos(self.config, self.data)
        self.sampler = EpochSampler(
            len(self.data), train.batch_size, self.config.epochs, self.config.seed, self.rank, self.ranks
        )
        self.steps_per_epoch, self.steps = self.sampler.steps_per_epoch, self.sampler.steps
        self.config.lr_scheduler.iters_per_epoch = self.steps_per_epoch
        paddle.seed(self.config.seed)
        self.model: CartoonLossGANModel = build_model(self.config.model.model_dump())
        self.schedule = self.model.setup_lr_schedulers(self.config.lr_scheduler.model_dump())
        self.model.setup_optimizers(self.schedule, self.config.optimizer.model_dump())
        self.sums: dict[str, float] = {}  # of the losses of stage "cartoon" since the last epoch's end, and their count
        self.best: dict[str, float] = {}  # step and value
        self.last_checkpoint = "none"
        if start.state:
            self._restore(start.tensors, start.state)

    def loader(self) -> paddle.io.DataLoader:
        """The batches of the steps that are still to do."""
        self.sampler.start = self.model.steps
        train = self.config.dataset.train
        return paddle.io.DataLoader(
            self.data,
            batch_sampler=self.sampler,
            num_workers=train.num_workers,
            use_shared_memory=train.use_shared_memory,
            worker_init_fn=_end_with_the_run,
        )

    def save(self) -> None:
        """Writes a checkpoint, prunes older ones, and writes weights for inference.

        Raises:
            OutputError: they cannot be written; the checkpoints before are whole.
        """
        step, snapshot, folder = self.model.steps, self.config.snapshot_config, self.folder / "checkpoints"
        epoch, rest = divmod(step, self.steps_per_epoch)
        if self.sums and rest == 0:
            value = self.sums[snapshot.best] / self.sums["count"]
            if value < self.best.get("value", math.inf):
                self.best = {"step": step, "value": value}
            self.sums = {}
        state = {"step": step, "steps_per_epoch": self.steps_per_epoch, "sums": self.sums, "best": self.best}
        state |= {"config": self.config.model_dump(), "scalers": self.model.scaler_states()}
        path = checkpoints.path_of(folder, step)
        checkpoints.save(path, checkpoints.capture(self.model), state)
        self.last_checkpoint = str(path)
        checkpoints.prune(folder, snapshot.keep, self.best.get("step"))
        self.export(self.folder / "weights.safetensors")
        if rest == 0:
            self.export(self.folder / "weights" / f"epoch_{epoch:04d}.safetensors")

    def export(self, path: Path) -> None:
        """Writes weights that `CartoonPredictor` takes, with the config inside."""
        texts = {**self.config.export.model_dump(), "command": self.command}
        texts["config"] = json.dumps(self.config.model_dump())
        weights.save(path, weights.Weights(self.model.export(), self.model.network, **texts))

    def _restore(self, tensors: dict[str, np.ndarray], state: dict) -> None:
        if state["steps_per_epoch"] != self.steps_per_epoch:
            raise InputError(
                f"the checkpoint counts {state['steps_per_epoch']} steps an epoch, this run {self.steps_per_epoch}: "
                "resume with the number of photos, the batch_size and the number of processes that it was trained with"
            )
        checkpoints.restore(self.model, tensors)
        self.model.set_scaler_states(state["scalers"])
        self.model.steps, self.sums, self.best = state["step"], state["sums"], state["best"]
        self.schedule.step(state["step"])
        self.last_checkpoint = str(checkpoints.path_of(self.folder / "checkpoints", state["step"]))

    def summary(self) -> list[str]:
        """What would be trained on what, line by line."""
        train, model = self.config.dataset.train, self.model
        parameters = {name: sum(math.prod(p.shape) for p in net.parameters()) for name, net in model.nets.items()}
        rates = self.config.lr_scheduler
        cost = step_cost(model, train.batch_size, train.size)
        end = self.steps - rates.decay_epochs * self.steps_per_epoch
        return [
            f"run         {self.folder}, {self.model.steps} of {self.steps} steps done",
            f"data        {len(self.data)} photos, {len(self.data.cartoons)} cartoons, {train.size}x{train.size}",
            f"parameters  D {parameters['netD']:,} of which E is shared with G, G {parameters['netG']:,}",
            f"epoch       {self.steps_per_epoch} steps of {train.batch_size} pairs on each of {self.ranks} device(s)",
            f"stage 1     init, epochs 1 to {model.init_epochs}, steps 1 to {model.init_steps}: Eq. 6 and content loss",
            f"stage 2     cartoon, to epoch {self.config.epochs}, step {self.steps}: Eqs. 1 to 5",
            f"rate        {rates.learning_rate:g}"
            + (f", falling from step {end + 1} on" if rates.decay_epochs else ""),
            f"cost        about {cost.flops / 1e9:,.0f} GFLOP a step, {cost.bytes / 1e9:.2f} GB of memory",
        ]


def _end_with_the_run(_: int) -> None:
    """In a worker of the loader: Linux ends it when the run is killed; it would wait for ever."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def sample_photos(config: Config, data: UnpairedCartoonDataset) -> list[np.ndarray]:
    """The photos of the panel, uint8 [size, size, 3] each.

    Raises:
        InputError: the folder of sample photos, or one of them, cannot be read.
    """
    samples, size = config.samples, config.dataset.train.size
    if samples.folder is None:
        photos = [data.photos[i] for i in range(min(samples.count, len(data)))]
    else:
        photos = [_read(path) for path in _files(Path(samples.folder))[: samples.count]]
    return [center(photo, size) for photo in photos]


def _files(folder: Path) -> list[Path]:
    try:
        return image_files(folder)
    except InputError as error:
        raise InputError(f"samples.folder: {error}") from error


def _read(path: Path) -> np.ndarray:
    try:
        return images.read(path).rgb
    except InputError as error:
        raise InputError(f"samples.folder: {path}: {error}") from error
