"""Photos of files in the style of another image, one after the other, by the method of Gatys et al."""

from __future__ import annotations

import sys
from pathlib import Path

from .. import images
from ..errors import InputError, Interrupted, OutputError, printable
from ..images import Picture
from ..inference.jobs import Job
from ..utils.signals import graceful_interrupt
from . import gatys


def stylize(jobs: list[Job], style: Path, options: gatys.Options, vgg: str | None, max_size: int) -> int:
    """Makes the images of all jobs, names those that fail, and gives their number.

    Args:
        jobs: photos.
        style: the image that has the style.
        options: see there.
        vgg: path, see `vgg.VGG19`.
        max_size: pixels of the longer side, to which larger photos are brought.

    Raises:
        InputError: VGG19 or the style image cannot be had.
        OutputError: an image cannot be written, and no other could be.
        Interrupted: by Ctrl-C or SIGTERM; the image that was in work is written as it was.
    """
    network = gatys.open_vgg(options, vgg)
    try:
        reference = images.shrink(images.read(style), max_size)
    except InputError as error:
        raise InputError(f"{style}: {error}") from error
    failed = 0
    with graceful_interrupt(lambda: print("evaluate: stopping after this iteration", file=sys.stderr)) as came:
        for job in jobs:
            try:
                photo = images.shrink(images.read(job.source), max_size)
                rgb = gatys.stylize(photo.rgb, reference.rgb, network, options, lambda _: came.is_set())
                images.write(job.target, Picture(rgb, photo.alpha))
            except OutputError:
                raise
            except InputError as error:
                failed += 1
                print(f"evaluate: {printable(job.source)}: {error}", file=sys.stderr)
            if came.is_set():
                raise Interrupted(f"interrupted; {job.target} is as far as it came, --skip-existing would keep it so")
    return failed
