"""Validation of a run while it trains: distances of its cartoons of photos to cartoons and to the photos."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import paddle
from tqdm import tqdm

from .. import images, register  # noqa: F401  `register` fills ppgan's registries

# isort: split
from ppgan.metrics.builder import build_metric

from ..config.schema import Validate
from ..data.image_folder import image_files
from ..errors import InputError
from ..evaluation.features import Extractor, decoded, of_folder, of_one_shape
from ..models.base import TrainableModel
from .monitor import TrainingLogger

log = logging.getLogger("ppcartoon")


class Validation:
    """What a run is measured by: both columns of the paper's Tables I and II, `*_cartoon` and `*_content`.

    Args:
        settings: section `validate` of the config.

    Raises:
        InputError: a folder is missing or empty, or there are no such features.
    """

    def __init__(self, settings: Validate) -> None:
        self.interval, self.batch_size = settings.interval, settings.batch_size
        self.folders = {"cartoon": Path(settings.cartoons).expanduser(), "content": Path(settings.photos).expanduser()}
        for key, folder in zip(("cartoons", "photos"), self.folders.values()):
            try:
                image_files(folder)
            except InputError as error:
                raise InputError(f"validate.{key}: {error}") from error
        self.metrics = {name: build_metric(metric.model_dump()) for name, metric in settings.metrics.items()}
        self.extractors = {metric.extractor for metric in self.metrics.values()}

    def prepare(self) -> None:
        """Makes the features of cartoons and photos, for the user's cache as well, and logs how far apart they are.

        Raises:
            InputError: a file is no image, or there are too few.
        """
        self.references = {
            (extractor, side): of_folder(folder, extractor, batch_size=self.batch_size)
            for extractor in self.extractors
            for side, folder in self.folders.items()
        }
        untouched = {extractor: self.references[extractor, "content"] for extractor in self.extractors}
        log.info(f"photos as they are: {_told(self._distances(untouched, ['cartoon']))}")

    def after(self, epoch: int, model: TrainableModel, monitor: TrainingLogger, stopping: Callable[[], bool]) -> None:
        """Measures the model, if it is due after this epoch, and lets the monitor know; the model stays as it is.

        Args:
            epoch: from 1.
            model: makes the cartoons.
            monitor: of the run.
            stopping: whether to give up, asked before each batch.

        Raises:
            InputError: a photo is gone.
            OutputError: the disk is full, say.
        """
        if epoch % self.interval:
            return
        files, features = image_files(self.folders["content"]), {extractor: [] for extractor in self.extractors}
        with (
            decoded(files, self.batch_size) as batches,
            tqdm(desc="validation", total=len(files), unit="image", leave=False, disable=None) as bar,
        ):
            for batch in batches:
                if stopping():
                    return
                cartoons = cartoonize(model, batch)
                for extractor, found in features.items():
                    found.append(extractor(cartoons))
                bar.update(len(batch))
        joined = {extractor: np.concatenate(found) for extractor, found in features.items()}
        values = self._distances(joined, list(self.folders))
        monitor.scalars(model.steps, values, epoch=epoch)
        log.info(f"epoch {epoch} {_told(values)}")

    def _distances(self, features: dict[Extractor, np.ndarray], sides: list[str]) -> dict[str, float]:
        """By their names in logs."""
        return {
            f"{name}_{side}{ending}": value
            for name, metric in self.metrics.items()
            for side in sides
            for ending, value in metric.measure(
                features[metric.extractor], self.references[metric.extractor, side]
            ).items()
        }


def _told(values: dict[str, float]) -> str:
    return " ".join(f"{name} {value:.4g}" for name, value in values.items())


def cartoonize(model: TrainableModel, photos: list[np.ndarray]) -> list[np.ndarray]:
    """The cartoons of photos by a model in training, RGB uint8 [H, W, 3] each."""
    cartoons = list(photos)
    for alike in of_one_shape(photos):
        height, width = photos[alike[0]].shape[:2]
        padded = np.stack([images.pad(photos[i]) for i in alike])
        outputs = images.from_network(model.cartoonize(paddle.to_tensor(images.to_network(padded))).numpy())
        for i, output in zip(alike, outputs):
            cartoons[i] = output[:height, :width]
    return cartoons
