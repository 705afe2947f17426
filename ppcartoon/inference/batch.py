"""Many photos into cartoons: one is read and one written while another is in the network."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import NamedTuple

from tqdm import tqdm

from .. import images
from ..errors import InputError, OutputError, printable
from ..images import Picture
from ..utils.threads import prefetch, write_behind
from .jobs import Job
from .predictor import CartoonPredictor


class Options(NamedTuple):
    """What is wanted of the cartoons.

    Attributes:
        max_size: pixels of the longer side at most; None for what the photo has.
        side_by_side: put each photo next to its cartoon.
        quality: 1 to 100, of JPEG and WebP.
    """

    max_size: int | None = None
    side_by_side: bool = False
    quality: int = 95


def cartoonize(predictor: CartoonPredictor, jobs: list[Job], options: Options) -> int:
    """Makes the cartoons of photos, shows how far it is, and names those that fail; gives their number.

    Raises:
        OutputError: a cartoon cannot be written, and no other could be.
    """
    failed = 0

    def fail(job: Job, error: InputError) -> None:
        nonlocal failed
        failed += 1
        bar.write(f"ppcartoon: {printable(job.source)}: {error}", file=sys.stderr)

    def write(done: tuple[Job, Picture, Picture]) -> None:
        job, photo, cartoon = done
        try:
            picture = images.side_by_side(photo, cartoon) if options.side_by_side else cartoon
            images.write(job.target, picture, options.quality)
        except OutputError:
            raise
        except InputError as error:
            fail(job, error)
        bar.update()

    with (
        tqdm(total=len(jobs), unit="image", disable=None) as bar,
        write_behind(write, 2 * predictor.batch_size - 1) as write_later,
        prefetch(_read(predictor, jobs, options.max_size), 1) as batches,
    ):
        for batch in batches:
            photos = [(job, photo) for job, photo in batch if isinstance(photo, Picture)]
            for job, error in batch:
                if isinstance(error, InputError):
                    fail(job, error)
            try:
                cartoons = predictor([photo.rgb for _, photo in photos])
            except InputError as error:
                for job, _ in photos:
                    fail(job, error)
                cartoons = []
            for (job, photo), rgb in zip(photos, cartoons):
                write_later((job, photo, Picture(rgb, photo.alpha)))
            bar.update(len(batch) - len(cartoons))
    return failed


def _read(
    predictor: CartoonPredictor, jobs: list[Job], max_size: int | None
) -> Iterator[list[tuple[Job, Picture | InputError]]]:
    """Batches of photos, or of why they cannot be had."""
    for start in range(0, len(jobs), predictor.batch_size):
        batch: list[tuple[Job, Picture | InputError]] = []
        for job in jobs[start : start + predictor.batch_size]:
            try:
                photo = images.read(job.source)
                photo = images.shrink(photo, max_size) if max_size else photo
                predictor.tile_size(*photo.rgb.shape[:2])  # refuses what is too large
                batch.append((job, photo))
            except InputError as error:
                batch.append((job, error))
        yield batch
