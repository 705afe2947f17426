"""The command line: `ppcartoon` and tools/infer.py."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from . import __version__
from .errors import InputError, OutputError

if TYPE_CHECKING:
    from .images import Picture
    from .plan import Job
    from .predictor import CartoonPredictor

DEMO_SIZE = 384  # the shipped style was trained on small crops: here its strokes are bold
ENGINES = ("auto", "onnx", "paddle", "paddle-dygraph")


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        "ppcartoon",
        description="Photos into cartoons with CartoonLossGAN. Without --input: a demonstration on sample photos, "
        f"at --max-size {DEMO_SIZE}.",
        epilog="Exit code: 0 all done, 1 some images failed and are named, 2 nothing could be done as asked.",
    )
    p.add_argument(
        "-i", "--input", nargs="+", action="extend", metavar="PATH", help="image files, folders, glob patterns"
    )
    p.add_argument("-r", "--recursive", action="store_true", help="go into subfolders of folders")
    p.add_argument(
        "-o", "--output", type=Path, default=Path("output"), metavar="PATH",
        help="folder for the cartoons, or a file name for a single image (default: output)",
    )  # fmt: skip
    style = p.add_mutually_exclusive_group()
    style.add_argument("-s", "--style", help="a shipped style (default: peppercarrot)")
    style.add_argument("-w", "--weights", type=Path, metavar="FILE", help="a .safetensors weights file of your own")
    p.add_argument("--list-styles", action="store_true", help="show the shipped styles and whose they are")
    p.add_argument("--suffix", default="", metavar="TEXT", help="append to each file name, before its ending")
    p.add_argument(
        "--ext", choices=("auto", "png", "jpg", "webp"), default="auto",
        help="file format; auto: the input's where it can be written, else png (default: auto)",
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
    p.add_argument("--engine", choices=ENGINES, default="auto", help="auto: onnx on a CPU, paddle on a GPU")
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


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    args = parser().parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that temporary files are removed
    warnings.filterwarnings("ignore", module="PIL")  # damaged metadata that do not matter
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
    from .plan import plan
    from .predictor import DEFAULT_STYLE, CartoonPredictor

    demo = args.input is None
    inputs = samples() if demo else args.input
    if demo and args.max_size is None:
        args.max_size = DEMO_SIZE
    flags = {name: getattr(args, name) for name in ("recursive", "suffix", "ext", "skip_existing")}
    jobs = plan(inputs, args.output, **flags)
    todo = [job for job in jobs if not job.skip]
    options = {"engine": args.engine, "device": args.device, "batch_size": args.batch_size}
    predictor = CartoonPredictor(
        DEFAULT_STYLE if args.style is None else args.style, weights_file=args.weights, **options
    )
    start = time.perf_counter()
    failed = run(predictor, todo, args)
    seconds = time.perf_counter() - start

    made = len(todo) - failed
    words = [f"{made} cartoon{'s' * (made != 1)} in {args.output}"]
    if len(todo) < len(jobs):
        words.append(f"{len(jobs) - len(todo)} skipped, there already")
    if failed:
        words.append(f"{failed} failed")
    if demo and failed < len(jobs):
        words.append(f"all beside their photos in {overview(jobs, args)}")
    print(f"{', '.join(words)}; {seconds:.1f} s, {made / seconds:.2f} images/s, {predictor.engine.description}")
    return 1 if failed else 0


def run(predictor: CartoonPredictor, jobs: list[Job], args: argparse.Namespace) -> int:
    """Reads, cartoonizes and writes each image; names those that fail, and gives their number.

    Raises:
        OutputError: a cartoon cannot be written.
    """
    from tqdm import tqdm

    from . import images

    failed = 0

    def fail(job: Job, error: InputError) -> None:
        nonlocal failed
        failed += 1
        bar.write(f"ppcartoon: {job.source}: {error}", file=sys.stderr)

    with tqdm(total=len(jobs), unit="image", disable=None) as bar:
        for start in range(0, len(jobs), args.batch_size):
            batch: list[tuple[Job, Picture]] = []
            for job in jobs[start : start + args.batch_size]:
                try:
                    photo = images.read(job.source)
                    if args.max_size:
                        photo = images.shrink(photo, args.max_size)
                    predictor.check_memory(*photo.rgb.shape[:2])
                    batch.append((job, photo))
                except InputError as error:
                    fail(job, error)
            try:
                cartoons = predictor([photo.rgb for _, photo in batch])
            except InputError as error:
                for job, _ in batch:
                    fail(job, error)
                cartoons = []
            for (job, photo), rgb in zip(batch, cartoons):
                cartoon = images.Picture(rgb, photo.alpha)
                try:
                    images.write(
                        job.target, images.beside(photo, cartoon) if args.side_by_side else cartoon, args.quality
                    )
                except OutputError:
                    raise
                except InputError as error:
                    fail(job, error)
            bar.update(min(args.batch_size, len(jobs) - start))
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
