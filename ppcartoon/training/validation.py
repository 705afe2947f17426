"""Validation during training: distances (FID, KID) of a run's cartoons to real cartoons and to the photos."""

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
from ..errors import naming
from ..evaluation.features import Extractor, decoded_batches, folder_features, missing_file
from ..models.base import TrainableModel
from .monitor import TrainingLogger

log = logging.getLogger("ppcartoon")


class Validation:
    """Both columns of the paper's Tables I and II, logged as `*_cartoon` and `*_content`.

    Args:
        settings: section `validate` of the config.
        dry_run: whether nothing will be measured; then nothing is downloaded.

    Attributes:
        missing: in a dry run, the weights files of features that do not exist.

    Raises:
        InputError: a folder is missing or empty, or the features are unknown.
    """

    def __init__(self, settings: Validate, dry_run: bool = False) -> None:
        self.interval, self.batch_size = settings.interval, settings.batch_size
        self.folders = {"cartoon": Path(settings.cartoons).expanduser(), "content": Path(settings.photos).expanduser()}
        for key, folder in zip(("cartoons", "photos"), self.folders.values()):
            with naming(f"validate.{key}"):
                image_files(folder)
        wanted = settings.metrics.values()
        files = [missing_file(metric.features, metric.weights_file) for metric in wanted] if dry_run else []
        self.missing = {file for file in files if file}
        self.metrics = {
            name: build_metric(metric.model_dump()) for name, metric in settings.metrics.items() if not self.missing
        }
        self.extractors = {metric.extractor for metric in self.metrics.values()}

    def prepare(self) -> None:
        """Computes or loads the features of cartoons and photos, and logs the distances between the two folders.

        Raises:
            InputError: a file is not an image, or there are too few.
        """
        self.references = {
            (extractor, side): folder_features(folder, extractor, batch_size=self.batch_size)
            for extractor in self.extractors
            for side, folder in self.folders.items()
        }
        photos = {extractor: self.references[extractor, "content"] for extractor in self.extractors}
        log.info(f"unchanged photos: {in_one_line(self._distances(photos, ['cartoon']))}")

    def after(
        self, epoch: int, model: TrainableModel, monitor: TrainingLogger, stopping: Callable[[], bool]
    ) -> dict[str, float]:
        """Measures the model and logs the distances, if due after this epoch; does not change the model.

        Args:
            epoch: number of the epoch, from 1.
            model: makes the cartoons.
            monitor: the run's logger.
            stopping: called before each batch; True cancels the validation.

        Returns:
            The distances by name; none if not due or cancelled.

        Raises:
            InputError: a photo cannot be read.
            OutputError: the log cannot be written.
        """
        if epoch % self.interval:
            return {}
        values = self.measure(model, stopping)
        if not values:
            return {}
        monitor.scalars(model.steps, values, epoch=epoch)
        log.info(f"epoch {epoch} {in_one_line(values)}")
        return values

    def measure(self, model: TrainableModel, stopping: Callable[[], bool] = lambda: False) -> dict[str, float]:
        """The distances of the model's cartoons, by their names in the logs; none if cancelled. Call `prepare` before.

        Args:
            model: makes the cartoons.
            stopping: called before each batch; True cancels the validation.

        Raises:
            InputError: a photo cannot be read.
        """
        files, features = image_files(self.folders["content"]), {extractor: [] for extractor in self.extractors}
        with (
            decoded_batches(files, self.batch_size) as batches,
            tqdm(desc="validation", total=len(files), unit="image", leave=False, disable=None) as bar,
        ):
            for batch in batches:
                if stopping():
                    return {}
                cartoons = cartoonize(model, batch)
                for extractor, batches_of_features in features.items():
                    batches_of_features.append(extractor(cartoons))
                bar.update(len(batch))
        all_features = {extractor: np.concatenate(parts) for extractor, parts in features.items()}
        return self._distances(all_features, list(self.folders))

    def _distances(self, features: dict[Extractor, np.ndarray], sides: list[str]) -> dict[str, float]:
        """Distances of features to the references of some sides, by their names in the logs."""
        return {
            f"{name}_{side}{ending}": value
            for name, metric in self.metrics.items()
            for side in sides
            for ending, value in metric.measure(
                features[metric.extractor], self.references[metric.extractor, side]
            ).items()
        }


def in_one_line(values: dict[str, float]) -> str:
    return " ".join(f"{name} {value:.4g}" for name, value in values.items())


def cartoonize(model: TrainableModel, photos: list[np.ndarray]) -> list[np.ndarray]:
    """A model's cartoons of photos of any sizes; RGB uint8 [H, W, 3] each."""
    cartoons = list(photos)
    for indices in images.by_shape(photos):
        height, width = photos[indices[0]].shape[:2]
        padded = np.stack([images.pad(photos[i]) for i in indices])
        outputs = images.from_network(model.cartoonize(paddle.to_tensor(images.to_network(padded))).numpy())
        for i, output in zip(indices, outputs):
            cartoons[i] = output[:height, :width]
    return cartoons
