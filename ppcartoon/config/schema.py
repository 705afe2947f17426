"""The keys of a config, their types and limits: constructor arguments, section by section as ppgan names them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .of_models import AnimeGANBaseline, CartoonGANModel, CartoonLossGANModel, CycleGANBaseline
from .section import Count, Momentum, Positive, Rate, Section, Seed, Side, Text


class Loader(Section):
    batch_size: Positive
    num_workers: Count
    use_shared_memory: bool = True
    flip: bool
    seed: Seed = 0  # the run's


class UnpairedCartoonDataset(Loader):
    name: Literal["UnpairedCartoonDataset"]
    dataroot: Text
    photos: Text
    cartoons: Text
    smooth: Text | None
    gray: Text | None
    size: Side
    load_size: Annotated[int, Field(ge=32)] | None
    random_crop: bool
    cache_dir: Text | None

    @model_validator(mode="after")
    def possible(self) -> UnpairedCartoonDataset:
        if self.load_size is not None and self.load_size < self.size:
            raise ValueError(f"load_size {self.load_size} is less than size {self.size}")
        return self


class DrawnCartoonDataset(Loader):
    name: Literal["DrawnCartoonDataset"]
    count: Positive
    size: Side


class Dataset(Section):
    train: Annotated[UnpairedCartoonDataset | DrawnCartoonDataset, Field(discriminator="name")]


class FinalLinearDecay(Section):
    name: Literal["FinalLinearDecay"]
    learning_rate: Rate
    decay_epochs: Count
    init_learning_rate: Rate | None = None
    init_epochs: Count = 0  # the model's
    start_epoch: Count = 0  # epochs - decay_epochs
    iters_per_epoch: Positive = 1  # filled in when the data are there


class Adam(Section):
    name: Literal["Adam"]
    net_names: list[str]
    beta1: Momentum
    beta2: Momentum
    rate: Annotated[float, Field(gt=0, le=1000)] = 1.0  # times lr_scheduler's


class Optimizer(Section):
    optimizer_D: Adam
    optimizer_G: Adam


class LogConfig(Section):
    interval: Positive
    visiual_interval: Positive  # ppgan's spelling


class SnapshotConfig(Section):
    interval: Positive
    keep: Positive
    best: Text


class Samples(Section):
    folder: Text | None
    count: Positive


class Metric(Section):
    name: Literal["CartoonFID", "CartoonKID"]
    features: Text = "inception"
    weights_file: Text | None = None


class Validate(Section):
    interval: Positive
    photos: Text
    cartoons: Text
    batch_size: Positive
    metrics: Annotated[dict[Annotated[str, Field(pattern=r"^\w+$")], Metric], Field(min_length=1)]


class Export(Section):
    style: Text
    attribution: Text
    licence: Text


class Config(Section):
    epochs: Positive
    seed: Seed
    output_dir: Text
    enable_visualdl: bool
    model: Annotated[
        CartoonLossGANModel | AnimeGANBaseline | CycleGANBaseline | CartoonGANModel, Field(discriminator="name")
    ]
    dataset: Dataset
    lr_scheduler: FinalLinearDecay
    optimizer: Optimizer
    log_config: LogConfig
    snapshot_config: SnapshotConfig
    samples: Samples
    validation: Validate | None = Field(None, alias="validate")  # pydantic's models have a method `validate`
    export: Export

    @model_validator(mode="after")
    def resolve(self) -> Config:
        if self.model.init_epochs > self.epochs:
            raise ValueError(f"model.init_epochs {self.model.init_epochs} is more than epochs {self.epochs}")
        if self.lr_scheduler.decay_epochs > self.epochs:
            raise ValueError(
                f"lr_scheduler.decay_epochs {self.lr_scheduler.decay_epochs} is more than epochs {self.epochs}"
            )
        for name, nets in self.model.NETS.items():
            if getattr(self.optimizer, name).net_names != nets:
                raise ValueError(f"optimizer: net_names must be [{', '.join(nets)}] for {name}")
        best, losses = self.snapshot_config.best, self.model.losses()
        if best not in losses:
            raise ValueError(f"snapshot_config.best: {best} is not among the losses: {', '.join(sorted(losses))}")
        self.lr_scheduler.init_epochs = self.model.init_epochs
        self.lr_scheduler.start_epoch = self.epochs - self.lr_scheduler.decay_epochs
        self.dataset.train.seed = self.seed
        return self
