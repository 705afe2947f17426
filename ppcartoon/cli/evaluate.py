"""The command line of tools/evaluate.py."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import os
import signal
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError, printable
from ..evaluation import layouts
from ..inference.engines import paddle_engines
from ..utils.threads import cores
from .evaluate_flags import parser

if TYPE_CHECKING:
    from ..inference.jobs import Job


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    args = parser().parse_args(argv)
    os.environ.setdefault("OMP_NUM_THREADS", str(cores()))  # Paddle would take one thread
    warnings.filterwarnings("ignore", r"\s*Non compatible API")  # Paddle's, of no interest here
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not in notebooks
            stream.reconfigure(errors="backslashreplace")  # file names may be any bytes
    try:
        if importlib.util.find_spec("paddle"):
            with contextlib.redirect_stderr(io.StringIO()):  # it warns of more threads than one
                paddle_engines.paddle()
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # which Paddle took; so temporary files are removed
        return COMMANDS[args.command](args)
    except InputError as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        print(f"evaluate: {error.name} is not installed; it needs what training needs: README.md", file=sys.stderr)
        return 2
    except OSError as error:  # of names too long, say, or a reader who left
        if not isinstance(error, BrokenPipeError):
            print(f"evaluate: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as error:
        print(f"evaluate: {error or 'interrupted'}", file=sys.stderr)
        return 130


def fid(args: argparse.Namespace) -> int:
    from ..evaluation.compare import Features, compare

    asked = Features(args.features, args.weights_file, args.batch_size, not args.no_cache)
    print("\n".join(compare(args.a, args.b, asked, args.save)))
    return 0


def table(args: argparse.Namespace) -> int:
    from ..evaluation import outputs, tables
    from ..evaluation.compare import Features

    given = outputs.named(args.methods, tables.MODELS)
    photos, cartoons = args.photos or tables.PHOTOS, args.cartoons or tables.cartoons_of(args.style)
    asked = Features(args.features, args.weights_file, args.batch_size, not args.no_cache)
    print(tables.make(args.style, photos, cartoons, given, args.output, asked))
    return 0


def figure(args: argparse.Namespace) -> int:
    from .. import images
    from ..evaluation import figures, outputs

    known = layouts.takes(args.number)
    given = outputs.named(args.methods, known)
    options = {name: getattr(args, name) for name in ("boxes", "references", "size")}
    picture = figures.make(args.number, args.photos, given, args.output.parent / "outputs", **options)
    images.write(args.output, images.Picture(picture))
    if missing := [name for name in known if name not in given]:
        print(f"evaluate: figure {args.number}: not given: {', '.join(missing)}", file=sys.stderr)
    print(args.output)
    return 0


def run(args: argparse.Namespace) -> int:
    from ..baselines.predictor import open_weights
    from ..inference.batch import Options, cartoonize
    from ..inference.jobs import plan

    jobs = plan(args.input, args.output, recursive=args.recursive, ext=args.ext, skip_existing=args.skip_existing)
    todo = _photos(jobs)
    predictor = open_weights(args.weights, args.device)
    failed = cartoonize(predictor, todo, Options(args.max_size))
    return _report(args.output, jobs, failed, predictor.engine.description)


def gatys(args: argparse.Namespace) -> int:
    from ..baselines import gatys, gatys_files
    from ..inference.jobs import plan

    jobs = plan([args.photo], args.output, skip_existing=args.skip_existing)
    todo = _photos(jobs)
    options = gatys.Options(**{name: getattr(args, name) for name in gatys.Options._fields if hasattr(args, name)})
    start = time.perf_counter()
    failed = gatys_files.stylize(todo, args.style, options, args.vgg, args.max_size)
    return _report(args.output, jobs, failed, f"{time.perf_counter() - start:.1f} s")


def _photos(jobs: list[Job]) -> list[Job]:
    """Those that are still to be done.

    Raises:
        InputError: one of the jobs is a film.
    """
    for job in jobs:
        if job.film:
            raise InputError(f"{job.source}: a film; photos are expected here")
    return [job for job in jobs if not job.skip]


def _report(output: Path, jobs: list[Job], failed: int, remark: str) -> int:
    """Says what became of the jobs; gives the exit code."""
    skipped = sum(job.skip for job in jobs)
    words = [f"{len(jobs) - skipped - failed} cartoons in {printable(output)}"]
    words += [f"{skipped} skipped, there already"] * (skipped > 0)
    words += [f"{failed} failed"] * (failed > 0)
    print(f"{', '.join(words)}; {remark}")
    return 1 if failed else 0


COMMANDS = {command.__name__: command for command in (fid, table, figure, run, gatys)}
