"""Schema of a config: its keys are constructor arguments, in sections named as in ppgan, with types and limits."""

from __future__ import annotations

import inspect
from typing import Annotated, Any, ClassVar, Literal

import pydantic
from pydantic import ConfigDict, Field, PlainValidator, SerializeAsAny, create_model, field_validator, model_validator

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Width = Annotated[int, Field(ge=1, le=1024)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Side = Annotated[int, Field(ge=32, multiple_of=4)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0, le=1)]
Loss = Literal["cartoonloss", "animegan"]
Text = Annotated[str, Field(min_length=1)]
Momentum = Annotated[float, Field(ge=0, lt=1)]
PoolSize = Annotated[int, Field(ge=0, le=1000)]
VggLayer = Annotated[str, Field(pattern=r"^conv([12]_[12]|[345]_[1-4])$")]


class Section(pydantic.BaseModel):
    """A mapping without unknown keys or type conversions."""

    model_config = ConfigDict(extra="forbid", strict=True, serialize_by_alias=True)


class Generator(Section):
    name: Literal["CartoonLossGenerator"]
    in_channels: Width
    channels: Annotated[int, Field(ge=2, le=1024, multiple_of=2)]
    depthwise: bool = False


def any_generator(value: Any) -> Section:
    """The paper's generator, or another of `networks.GENERATORS`, with its constructor's arguments as keys."""
    name = value.get("name") if isinstance(value, dict) else None
    if not isinstance(name, str) or name == "CartoonLossGenerator":
        return Generator.model_validate(value)
    from ..models.networks import GENERATORS  # imports Paddle, which the paper's generator does not need here

    if name not in GENERATORS:
        raise ValueError(f"{name}: unknown; ppcartoon/models/networks.py has {', '.join(sorted(GENERATORS))}")
    fields: dict[str, Any] = {"name": (Literal[name], ...)}
    for key, parameter in inspect.signature(GENERATORS[name], eval_str=True).parameters.items():
        kind = Annotated[int, Field(ge=0, le=1024)] if parameter.annotation is int else bool
        fields[key] = (kind, ... if parameter.default is parameter.empty else parameter.default)
    return create_model(name, __base__=Section, **fields).model_validate(value)


class Discriminator(Section):
    name: Literal["CartoonLossDiscriminator", "CartoonLossNLayerDiscriminator"]
    channels: Width

    def features(self) -> int:
        """Number of channels of the encoder's features."""
        return self.channels * (4 if self.name == "CartoonLossDiscriminator" else 2)


class Model(Section):
    """Base of the models.

    Attributes:
        NETS: the networks that each optimizer updates.
    """

    NETS: ClassVar[dict[str, list[str]]] = {"optimizer_D": ["netD"], "optimizer_G": ["netG"]}

    def losses(self) -> set[str]:
        """Names of the losses that are on in stage "cartoon"."""
        raise NotImplementedError


class CartoonLossGANModel(Model):
    name: Literal["CartoonLossGANModel"]
    generator: Annotated[SerializeAsAny[Section], PlainValidator(any_generator)]
    discriminator: Discriminator
    reuse_encoder: bool
    gan_mode: Literal["vanilla", "saturating", "lsgan"]
    adv_loss: Loss = "cartoonloss"
    style_loss: Loss = "cartoonloss"
    color_loss: Loss = "cartoonloss"
    init_epochs: Count
    adv_weight: Weight
    content_weight: Weight
    gray_weight: Weight
    color_weight: Weight
    tv_weight: Weight
    edge_weight: Weight
    additional_losses: dict[str, Weight] = Field(default_factory=dict)
    huber_delta: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    vgg_layer: VggLayer
    vgg_path: Text | None
    amp: Literal["auto", "float16", "bfloat16"] | None
    # Saved configs of older runs lack these keys, so each has a default, which is off.
    own_encoder_norm: bool = False
    # Not in the paper:
    init_steps: Count | None = None
    huber_slope: Literal["paper", "unit"] = "paper"
    chroma_weight: Weight = 0.0
    luma_weight: Weight = 0.0
    match_tint: Annotated[float, Field(ge=0, le=1)] = 0.0
    diffaugment: Literal["color"] | None = None
    color_head: Weight = 0.0
    photo_negatives: Weight = 0.0
    pool_size: PoolSize = 0
    d_steps: Annotated[int, Field(ge=1, le=10)] = 1
    encoder_ema_decay: Momentum = 0.0
    ema_decay: Momentum = 0.0

    @field_validator("additional_losses")
    @classmethod
    def names_are_known(cls, weights: dict[str, float]) -> dict[str, float]:
        if weights:
            from ..models.losses import ADDITIONAL  # imports Paddle, which the paper's losses do not need here

            for name in weights.keys() - ADDITIONAL.keys():
                raise ValueError(
                    f"{name}: unknown; ppcartoon/models/losses.py has {', '.join(sorted(ADDITIONAL)) or 'none'}"
                )
        return weights

    @model_validator(mode="after")
    def is_consistent(self) -> CartoonLossGANModel:
        channels = self.discriminator.features()
        if self.generator.in_channels != channels:
            raise ValueError(f"generator.in_channels must be {channels}, the channels of the encoder's features")
        key = "init_epochs" if self.init_steps is None else "init_steps"
        if getattr(self, key) and not self.content_weight:
            raise ValueError(f"content_weight must be above 0, as stage init has no other loss; or set {key}: 0")
        if self.encoder_ema_decay and not self.reuse_encoder:
            raise ValueError("encoder_ema_decay must be 0, as with reuse_encoder: false G does not read D's encoder")
        if self.losses() == {"d_loss", "g_loss"}:
            raise ValueError("all losses of the generator have weight 0; set one above 0")
        return self

    def losses(self) -> set[str]:
        terms = ("adv", "content", "gray", "color", "tv", "chroma", "luma")
        ours = {f"g_{term}" for term in terms if getattr(self, f"{term}_weight")}
        additional = {f"g_{name}" for name, weight in self.additional_losses.items() if weight}
        return {"d_loss", "g_loss"} | ours | additional


class AnimeGenerator(Section):
    name: Literal["AnimeGenerator"]


class AnimeDiscriminator(Section):
    name: Literal["AnimeDiscriminator"]
    channel: Annotated[int, Field(ge=2, le=1024, multiple_of=2)]
    nblocks: Annotated[int, Field(ge=1, le=5)]


class AnimeGANBaseline(Model):
    name: Literal["AnimeGANBaseline"]
    generator: AnimeGenerator
    discriminator: AnimeDiscriminator
    gan_mode: Literal["vanilla", "lsgan"]
    init_epochs: Count
    g_adv_weight: Weight
    d_adv_weight: Weight
    con_weight: Weight
    sty_weight: Weight
    color_weight: Weight
    tv_weight: Weight
    vgg_layer: VggLayer
    vgg_path: Text | None
    amp: ClassVar[None] = None

    def losses(self) -> set[str]:
        return {"d_loss", "g_loss", "g_adv", "g_content", "g_gray", "g_color", "g_tv"}


class ResnetGenerator(Section):
    name: Literal["ResnetGenerator"]
    input_nc: Literal[3]
    output_nc: Literal[3]
    ngf: Annotated[int, Field(ge=1, le=128)]
    n_blocks: Annotated[int, Field(ge=0, le=16)]


class PatchDiscriminator(Section):
    name: Literal["NLayerDiscriminator"]
    input_nc: Literal[3]
    ndf: Annotated[int, Field(ge=1, le=128)]
    n_layers: Annotated[int, Field(ge=1, le=5)]


class CycleGANBaseline(Model):
    name: Literal["CycleGANBaseline"]
    generator: ResnetGenerator
    discriminator: PatchDiscriminator
    gan_mode: Literal["vanilla", "lsgan"]
    cycle_weight: Weight
    identity_weight: Weight
    pool_size: PoolSize
    init_epochs: ClassVar[int] = 0
    amp: ClassVar[None] = None
    vgg_path: ClassVar[None] = None
    NETS: ClassVar[dict[str, list[str]]] = {
        "optimizer_D": ["netD_A", "netD_B"],
        "optimizer_G": ["netG_A", "netG_B"],
    }

    def losses(self) -> set[str]:
        return {"d_loss", "g_loss"}


class CartoonGANGenerator(Section):
    name: Literal["CartoonGANGenerator"]
    channels: Annotated[int, Field(ge=1, le=128)]
    blocks: Annotated[int, Field(ge=0, le=16)]


class CartoonGANDiscriminator(Section):
    name: Literal["CartoonGANDiscriminator"]
    channels: Annotated[int, Field(ge=1, le=128)]


class CartoonGANModel(Model):
    name: Literal["CartoonGANModel"]
    generator: CartoonGANGenerator
    discriminator: CartoonGANDiscriminator
    gan_mode: Literal["vanilla", "lsgan"]
    init_epochs: Count
    content_weight: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    vgg_layer: VggLayer
    vgg_path: Text | None
    amp: ClassVar[None] = None

    def losses(self) -> set[str]:
        return {"d_loss", "g_loss", "g_adv", "g_content"}


class Loader(Section):
    batch_size: Positive
    num_workers: Count
    flip: bool
    seed: Seed = 0  # filled in: the run's
    other_cartoons: Annotated[int, Field(ge=0, le=9)] = 0  # filled in: the model's d_steps - 1


class UnpairedCartoonDataset(Loader):
    name: Literal["UnpairedCartoonDataset"]
    dataroot: Text
    photos: Text
    cartoons: Text
    smooth: Text | None
    size: Side
    load_size: Annotated[int, Field(ge=32)] | None
    random_crop: bool
    recursive: bool = False
    cache_dir: Text | None

    @model_validator(mode="after")
    def is_consistent(self) -> UnpairedCartoonDataset:
        if self.load_size is not None and self.load_size < self.size:
            raise ValueError(f"load_size {self.load_size} is less than size {self.size}")
        return self


class DrawnCartoonDataset(Loader):
    name: Literal["DrawnCartoonDataset"]
    count: Positive
    size: Side


class Dataset(Section):
    train: Annotated[UnpairedCartoonDataset | DrawnCartoonDataset, Field(discriminator="name")]
    test: Annotated[UnpairedCartoonDataset | DrawnCartoonDataset, Field(discriminator="name")] | None = None  # ppgan's


class FinalLinearDecay(Section):
    name: Literal["FinalLinearDecay"]
    learning_rate: Rate
    decay_epochs: Count
    init_learning_rate: Rate | None = None
    init_epochs: Count = 0  # filled in: the model's
    init_steps: Count | None = None  # filled in: the model's
    start_epoch: Count = 0  # filled in: epochs - decay_epochs
    iters_per_epoch: Positive = 1  # filled in when the data are loaded


class Adam(Section):
    name: Literal["Adam"]
    net_names: list[str]
    beta1: Momentum
    beta2: Momentum
    lr_mult: Annotated[float, Field(gt=0, le=1000)] = 1.0  # factor on lr_scheduler's learning rate


class Optimizer(Section):
    optimizer_D: Adam
    optimizer_G: Adam


class LogConfig(Section):
    interval: Positive
    visiual_interval: Positive  # ppgan's spelling


class SnapshotConfig(Section):
    interval: Positive
    keep: Positive
    best: Text | None = None  # filled in: see `Validate.best`, or g_loss


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

    def distances(self) -> list[str]:
        """Names of the distances in the logs."""
        return [f"{name}_{side}" for name in self.metrics for side in ("cartoon", "content")]

    def best(self) -> str:
        """Name of the distance that tells the best epoch: to the cartoons, the first KID or else the first metric."""
        kids = [name for name, metric in self.metrics.items() if metric.name == "CartoonKID"]
        return f"{[*kids, *self.metrics][0]}_cartoon"


class Export(Section):
    style: Text
    attribution: Text
    licence: Text


class Config(Section):
    epochs: Positive | None  # with `total_iters` filled in when the data are loaded
    total_iters: Positive | None = None
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
    validation: Validate | None = Field(None, alias="validate")  # `validate` is a method of pydantic's models
    export: Export

    def for_ppgan(self) -> dict:
        """The config with all keys, as mappings, with `validate` also as `dataset.test` for ppgan's trainer."""
        train, validate = self.dataset.train, self.validation
        if validate and not self.dataset.test:
            self = self.model_copy(deep=True)
            self.dataset.test = UnpairedCartoonDataset(
                name="UnpairedCartoonDataset",
                dataroot=".",
                photos=validate.photos,
                cartoons=validate.cartoons,
                smooth=None,
                size=train.size,
                load_size=None,
                random_crop=False,
                flip=False,
                cache_dir=getattr(train, "cache_dir", None),
                batch_size=validate.batch_size,
                num_workers=train.num_workers,
            )
        return self.model_dump()

    @model_validator(mode="after")
    def resolve(self) -> Config:
        """Checks keys against each other and fills in those that follow from others."""
        init_steps = getattr(self.model, "init_steps", None)
        decay_epochs = self.lr_scheduler.decay_epochs
        if self.total_iters:
            self.epochs = None  # not used; ppgan's trainer uses `total_iters` only with null
        elif self.epochs is None:
            raise ValueError("epochs: null needs total_iters")
        elif init_steps is None and self.model.init_epochs > self.epochs:
            raise ValueError(f"model.init_epochs {self.model.init_epochs} is more than epochs {self.epochs}")
        elif decay_epochs > self.epochs:
            raise ValueError(f"lr_scheduler.decay_epochs {decay_epochs} is more than epochs {self.epochs}")
        for name, nets in self.model.NETS.items():
            if getattr(self.optimizer, name).net_names != nets:
                raise ValueError(f"optimizer: net_names must be [{', '.join(nets)}] for {name}")
        if self.snapshot_config.best is None:
            self.snapshot_config.best = self.validation.best() if self.validation else "g_loss"
        best, names = self.snapshot_config.best, sorted(self.model.losses())
        names += self.validation.distances() if self.validation else []
        if best not in names:
            what = "losses and distances" if self.validation else "losses"
            raise ValueError(f"snapshot_config.best: {best} is not among the {what}: {', '.join(names)}")
        self.lr_scheduler.init_epochs, self.lr_scheduler.init_steps = self.model.init_epochs, init_steps
        self.lr_scheduler.start_epoch = self.epochs - decay_epochs if self.epochs else 0
        self.dataset.train.seed = self.seed
        self.dataset.train.other_cartoons = getattr(self.model, "d_steps", 1) - 1
        return self
