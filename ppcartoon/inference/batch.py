"""Batch inference with overlapped reading, inference and writing."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from .. import images
from ..errors import DiskFullError, InputError, OutputError, naming
from ..images import Picture
from ..utils.threads import prefetch, write_behind
from .jobs import Job
from .predictor import CartoonPredictor


class BatchOptions(NamedTuple):
    """How cartoons are made and written.

    Attributes:
        max_size: largest longer side of the cartoons in pixels; larger photos are reduced first. None: no limit.
        side_by_side: write each photo next to its cartoon.
        quality: of JPEG and WebP, 1 to 100.
    """

    max_size: int | None = None
    side_by_side: bool = False
    quality: int = 95


def cartoonize_files(predictor: CartoonPredictor, jobs: list[Job], options: BatchOptions) -> int:
    """Cartoonizes photo files with a progress bar; reports failures on stderr and returns their number.

    Of an animation or a document of several pages, the first frame is used, and the number of the others is reported.
    If those are damaged, that counts as a failure, but the cartoon is written. A full disk is reported and ends it; all
    photos without a cartoon then count as failures.

    Raises:
        OutputError: a cartoon cannot be written for another reason, and neither could the others.
    """
    made = failed = 0

    def fail(error: InputError) -> None:
        nonlocal failed
        failed += 1
        bar.write(f"ppcartoon: {error}", file=sys.stderr)

    def show_tile(done: int, total: int) -> None:
        bar.set_postfix_str(f"tile {done} of {total}" if done < total else "")

    def write(result: tuple[Job, Picture, Picture]) -> None:
        nonlocal made
        job, photo, cartoon = result
        try:
            with naming(job.source):
                picture = images.side_by_side(photo, cartoon) if options.side_by_side else cartoon
                images.write(job.target, picture, options.quality)
            made += 1
        except OutputError:
            raise
        except InputError as error:
            fail(error)
        bar.update()

    @contextmanager
    def until_full() -> Iterator[None]:
        nonlocal failed
        try:
            yield
        except DiskFullError as error:
            fail(error)
            failed = len(jobs) - made

    def check_frames(source: Path) -> None:
        try:
            if remark := images.left_out(source):
                bar.write(f"ppcartoon: {source}: {remark}", file=sys.stderr)
        except InputError:
            fail(InputError(f"{source}: the first frame is used, the others are damaged"))

    predictor = copy.copy(predictor)
    predictor.progress = show_tile
    with (
        tqdm(total=len(jobs), unit="image", disable=None) as bar,
        until_full(),
        write_behind(write, 2 * predictor.batch_size - 1) as write_later,
        prefetch(_read(predictor, jobs, options.max_size), 1) as batches,
    ):
        for batch in batches:
            photos = [(job, photo) for job, photo in batch if isinstance(photo, Picture)]
            for _, error in batch:
                if isinstance(error, InputError):
                    fail(error)
            try:
                cartoons = predictor([photo.rgb for _, photo in photos])
            except InputError as error:
                for job, _ in photos:
                    fail(InputError(f"{job.source}: {error}"))
                cartoons = []
            for (job, photo), rgb in zip(photos, cartoons):
                check_frames(job.source)
                write_later((job, photo, Picture(rgb, photo.alpha)))
            bar.update(len(batch) - len(cartoons))
    return failed


def _read(
    predictor: CartoonPredictor, jobs: list[Job], max_size: int | None
) -> Iterator[list[tuple[Job, Picture | InputError]]]:
    """Batches of jobs, each with its photo or the error in reading it."""
    for start in range(0, len(jobs), predictor.batch_size):
        batch: list[tuple[Job, Picture | InputError]] = []
        for job in jobs[start : start + predictor.batch_size]:
            try:
                photo = images.read(job.source)
                photo = images.shrink(photo, max_size) if max_size else photo
                with naming(job.source):
                    predictor.tile_size(*photo.rgb.shape[:2])  # raises InputError if the photo is too large
                batch.append((job, photo))
            except InputError as error:
                batch.append((job, error))
        yield batch
