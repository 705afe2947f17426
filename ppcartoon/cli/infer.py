"""The command line: `ppcartoon` and tools/infer.py."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError, Interrupted, OutputError, printable
from .flags import DEMO_SIZE, parser

if TYPE_CHECKING:
    from ..inference.jobs import Job
    from ..inference.predictor import CartoonPredictor


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    args = parser().parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that temporary files are removed
    try:
        code = list_styles() if args.list_styles else infer(args)
        sys.stdout.flush()
        return code
    except InputError as error:
        print(f"ppcartoon: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if not isinstance(error, BrokenPipeError):  # for the reader of our output left, as `head` does
            print(f"ppcartoon: {error}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python would flush what is left, and fail
        return 1
    except Interrupted as error:
        print(f"ppcartoon: {error}", file=sys.stderr)
        return 130
    except KeyboardInterrupt:
        print("ppcartoon: interrupted; what was written is whole, --skip-existing goes on from there", file=sys.stderr)
        return 130


def list_styles() -> int:
    from .. import weights

    for style in weights.manifest():
        print(f"{style}: {(loaded := weights.load_style(style)).attribution} ({loaded.licence})")
    return 0


def infer(args: argparse.Namespace) -> int:
    """Cartoonizes what the arguments name, and sums up in a line.

    Raises:
        InputError: nothing can be done as asked.
    """
    from ..inference.batch import Options
    from ..inference.predictor import DEFAULT_STYLE

    names = ("engine", "device", "precision", "threads", "batch_size", "tile")
    predictor = {name: getattr(args, name) for name in names}
    predictor |= {"style": DEFAULT_STYLE if args.style is None else args.style, "weights_file": args.weights}
    where = {name: getattr(args, name) for name in ("recursive", "suffix", "ext", "skip_existing")}
    start = time.perf_counter()
    if args.ray is None:
        made, skipped, failed, remark = here(args, predictor, where)
    elif args.input is None:
        raise InputError("--ray: give --input; the demonstration runs on this machine")
    else:
        from ..inference.ray_cluster import run

        wanted = Options(args.max_size, args.side_by_side, args.quality)
        made, skipped, failures = run.run(args.input, args.output, args.ray, predictor, wanted, **where)
        failed, remark = len(failures), f"Ray at {args.ray}"
    seconds = time.perf_counter() - start

    words = [f"{made} cartoon{'s' * (made != 1)} in {printable(args.output)}"]
    if skipped:
        words.append(f"{skipped} skipped, there already")
    if failed:
        words.append(f"{failed} failed")
    print(f"{', '.join(words)}; {seconds:.1f} s, {made / seconds:.2f} a second, {remark}")
    return 1 if failed else 0


def here(args: argparse.Namespace, options: dict, where: dict) -> tuple[int, int, int, str]:
    """Does it on this machine; gives the numbers of files made, skipped and failed, and by what they were made.

    Raises:
        InputError: nothing can be done as asked.
    """
    from ..data.samples import sample_photos
    from ..inference.batch import Options, cartoonize
    from ..inference.jobs import plan
    from ..inference.predictor import CartoonPredictor

    demo = args.input is None
    if demo and args.max_size is None:
        args.max_size = DEMO_SIZE
    jobs = plan([str(path) for path in sample_photos()] if demo else args.input, Path(args.output), **where)
    todo = [job for job in jobs if not job.skip]
    predictor = CartoonPredictor(**options)
    wanted = Options(args.max_size, args.side_by_side, args.quality)
    failed = cartoonize(predictor, [job for job in todo if not job.film], wanted)
    failed += films(predictor, [job for job in todo if job.film], args)
    remark = predictor.engine.description
    if demo and failed < len(jobs):
        remark += f"; all beside their photos in {printable(overview(jobs, args))}"
    return len(todo) - failed, len(jobs) - len(todo), failed, remark


def films(predictor: CartoonPredictor, jobs: list[Job], args: argparse.Namespace) -> int:
    """Cartoonizes films, tells what is wrong with any, and gives the number of those.

    Raises:
        InputError: a library that films need is missing.
        OutputError: a cartoon cannot be written.
        Interrupted: the user has ended it.
    """
    if not jobs:
        return 0
    from ..video import pipeline
    from ..video.deflicker import Deflicker

    names = ("start", "duration", "max_size", "side_by_side", "codec", "crf", "fps", "quality")
    options = pipeline.Options(**{name: getattr(args, name) for name in names})
    failed = 0
    for job in jobs:
        try:
            warnings = pipeline.cartoonize(job.source, job.target, Deflicker(predictor), options).warnings
        except OutputError:
            raise
        except InputError as error:
            warnings = [str(error)]
        failed += bool(warnings)
        for fault in warnings:
            print(f"ppcartoon: {printable(fault)}", file=sys.stderr)
    return failed


def overview(jobs: list[Job], args: argparse.Namespace) -> Path:
    """Writes all photos and their cartoons as one picture, and gives its path."""
    from .. import images

    path = Path(args.output) / "overview.png"
    pairs = [images.read(path) for job in jobs if job.target.exists() for path in (job.source, job.target)]
    images.write(path, images.sheet(pairs, columns=1 if args.side_by_side else 4))
    return path
