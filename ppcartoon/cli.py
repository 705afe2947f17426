"""The command line: `ppcartoon` and tools/infer.py."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from . import __version__
from .clock import parse_time
from .encoding import CODECS
from .errors import InputError, Interrupted, OutputError, printable

if TYPE_CHECKING:
    from .plan import Job
    from .predictor import CartoonPredictor

DEMO_SIZE = 384  # the shipped style was trained on small crops: here its strokes are bold
ENGINES = ("auto", "openvino", "onnx", "paddle", "tensorrt", "paddle-dygraph")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
ENDINGS = ("auto", "png", "jpg", "webp", "mp4", "mkv", "mov", "webm", "gif")


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        "ppcartoon",
        description="Photos and films into cartoons with CartoonLossGAN. Without --input: a demonstration on sample "
        f"photos, at --max-size {DEMO_SIZE}.",
        epilog="Exit code: 0 all done, 1 some files failed and are named, 2 nothing could be done as asked.",
    )
    p.add_argument(
        "-i",
        "--input",
        nargs="+",
        action="extend",
        metavar="PATH",
        help="images, films, folders, glob patterns, and numbered images like frames/%%05d.png as a film",
    )
    p.add_argument("-r", "--recursive", action="store_true", help="go into subfolders of folders")
    p.add_argument(
        "-o", "--output", type=Path, default=Path("output"), metavar="PATH",
        help="folder for the cartoons, or a name for a single one (default: output)",
    )  # fmt: skip
    style = p.add_mutually_exclusive_group()
    style.add_argument("-s", "--style", help="a shipped style (default: peppercarrot)")
    style.add_argument("-w", "--weights", type=Path, metavar="FILE", help="a .safetensors weights file of your own")
    p.add_argument("--list-styles", action="store_true", help="show the shipped styles and whose they are")
    p.add_argument("--suffix", default="", metavar="TEXT", help="append to each file name, before its ending")
    p.add_argument(
        "--ext", choices=ENDINGS, default="auto",
        help="format, of photos or of films; auto: the input's where it can be written, else png or mp4",
    )  # fmt: skip
    p.add_argument(
        "--quality", type=_integer(1, 100), default=95, metavar="1-100", help="of jpg and webp (default: 95)"
    )
    p.add_argument(
        "--max-size", type=_integer(1), metavar="N", help="reduce images so that no side is longer, in pixels"
    )
    p.add_argument(
        "--batch-size", type=_integer(1), default=1, metavar="N", help="images at once, for GPUs (default: 1)"
    )
    p.add_argument("--skip-existing", action="store_true", help="leave out images whose cartoon is there already")
    p.add_argument("--side-by-side", action="store_true", help="write photo and cartoon next to each other")
    p.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto", help="(default: auto)")
    p.add_argument(
        "--engine", choices=ENGINES, default="auto", help="auto: the fastest that works, which is then named"
    )
    p.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="auto",
        help="auto: bf16 where the CPU has it and it holds, else fp32",
    )
    p.add_argument("--threads", type=_integer(1), metavar="N", help="of the CPU (default: its cores)")
    p.add_argument(
        "--tile", type=_tile, default="auto", metavar="N|auto|0",
        help="make larger images of tiles of N pixels a side; 0: never; auto: where memory would run short",
    )  # fmt: skip
    film = p.add_argument_group("films")
    film.add_argument("--start", type=_time, default=0, metavar="TIME", help="leave out what comes before, like 1:30")
    film.add_argument("--duration", type=_time, metavar="TIME", help="take no more than this, in seconds or like 0:10")
    film.add_argument("--codec", choices=CODECS, help="(default: what is usual in the file's format)")
    film.add_argument("--crf", type=_integer(0, 63), metavar="N", help="compression, from 0 for the best")
    film.add_argument("--fps", type=_positive, metavar="N", help="images a second, of numbered ones (default: 25)")
    p.add_argument("--version", action="version", version=__version__)
    return p


def _integer(least: int, most: int | None = None) -> Callable[[str], int]:
    def integer(text: str) -> int:
        value = int(text)
        if value < least or (most is not None and value > most):
            raise argparse.ArgumentTypeError(
                f"{text} is not " + (f"at least {least}" if most is None else f"in {least}-{most}")
            )
        return value

    return integer


def _tile(text: str) -> int | str:
    return text if text == "auto" else int(text)


def _time(text: str) -> float:
    try:
        return parse_time(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(error) from error


def _positive(text: str) -> float:
    if not 0 < (value := float(text)) < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not more than 0")
    return value


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
    from . import weights

    for style in weights.manifest():
        print(f"{style}: {(loaded := weights.load_style(style)).attribution} ({loaded.licence})")
    return 0


def infer(args: argparse.Namespace) -> int:
    """Cartoonizes what the arguments name, and sums up in a line.

    Raises:
        InputError: nothing can be done as asked.
    """
    from .photos import Options, cartoonize
    from .plan import plan
    from .predictor import DEFAULT_STYLE, CartoonPredictor

    demo = args.input is None
    inputs = samples() if demo else args.input
    if demo and args.max_size is None:
        args.max_size = DEMO_SIZE
    flags = {name: getattr(args, name) for name in ("recursive", "suffix", "ext", "skip_existing")}
    jobs = plan(inputs, args.output, **flags)
    todo = [job for job in jobs if not job.skip]
    names = ("engine", "device", "precision", "threads", "batch_size", "tile")
    style = DEFAULT_STYLE if args.style is None else args.style
    predictor = CartoonPredictor(style, weights_file=args.weights, **{name: getattr(args, name) for name in names})
    start = time.perf_counter()
    options = Options(args.max_size, args.side_by_side, args.quality)
    failed = cartoonize(predictor, [job for job in todo if not job.film], options)
    failed += films(predictor, [job for job in todo if job.film], args)
    seconds = time.perf_counter() - start

    made = len(todo) - failed
    words = [f"{made} cartoon{'s' * (made != 1)} in {printable(args.output)}"]
    if len(todo) < len(jobs):
        words.append(f"{len(jobs) - len(todo)} skipped, there already")
    if failed:
        words.append(f"{failed} failed")
    if demo and failed < len(jobs):
        words.append(f"all beside their photos in {printable(overview(jobs, args))}")
    words[-1] += f"; {seconds:.1f} s"
    if not any(job.film for job in todo):
        words.append(f"{made / seconds:.2f} images/s")
    print(f"{', '.join(words)}, {predictor.engine.description}")
    return 1 if failed else 0


def films(predictor: CartoonPredictor, jobs: list[Job], args: argparse.Namespace) -> int:
    """Cartoonizes films, tells what is wrong with any, and gives the number of those.

    Raises:
        InputError: a library that films need is missing.
        OutputError: a cartoon cannot be written.
        Interrupted: the user has ended it.
    """
    if not jobs:
        return 0
    from . import video
    from .steady import Steady

    names = ("start", "duration", "max_size", "side_by_side", "codec", "crf", "fps", "quality")
    options = video.Options(**{name: getattr(args, name) for name in names})
    failed = 0
    for job in jobs:
        try:
            faults = video.cartoonize(job.source, job.target, Steady(predictor), options).faults
        except OutputError:
            raise
        except InputError as error:
            faults = [str(error)]
        failed += bool(faults)
        for fault in faults:
            print(f"ppcartoon: {printable(fault)}", file=sys.stderr)
    return failed


def samples() -> list[str]:
    """The photos of the demonstration, from scikit-image.

    Raises:
        InputError: scikit-image is not installed.
    """
    try:
        from skimage import data
    except ImportError as error:
        raise InputError(
            'the sample photos need scikit-image: pip install "ppcartoon[demo]", or use --input'
        ) from error
    names = ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png")
    return [str(Path(data.data_dir) / name) for name in names]


def overview(jobs: list[Job], args: argparse.Namespace) -> Path:
    """Writes all photos and their cartoons as one picture, and gives its path."""
    from . import images

    path = args.output / "overview.png"
    pairs = [images.read(path) for job in jobs if job.target.exists() for path in (job.source, job.target)]
    images.write(path, images.sheet(pairs, columns=1 if args.side_by_side else 4))
    return path
