"""The command line of tools/evaluate.py."""

from __future__ import annotations

import argparse
import math
import os
import signal
import sys
import time
import warnings
from pathlib import Path

from .errors import InputError, printable
from .threads import cores


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        description="Measures cartoons and compares them, as the paper does.",
        epilog="Exit code: 0 all done, 1 something failed and is named, 2 nothing could be done as asked.",
    )
    commands = p.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _fid(commands.add_parser("fid", help="FID and KID of two folders of images"))
    _gatys(commands.add_parser("gatys", help="photos in the style of an image, by optimisation (Gatys et al.)"))
    return p


def _fid(p: argparse.ArgumentParser) -> None:
    p.set_defaults(run=fid)
    what = "folder of images, or statistics .npz as pytorch-fid writes them"
    p.add_argument("a", type=Path, metavar="A", help=what)
    p.add_argument("b", type=Path, nargs="?", metavar="B", help=f"{what}; may be left out with --save")
    p.add_argument("--save", type=Path, metavar="NPZ", help="write the statistics of A, which may stand for it later")
    add_features(p)


def add_features(p: argparse.ArgumentParser) -> None:
    """The flags that say what is compared of an image: `args.features` and `args.weights_file`, and how."""
    p.add_argument(
        "--features", default="inception", metavar="NETWORK",
        help="inception, which makes it FID, or vgg19:LAYER like vgg19:conv3_4, which does not (default: inception)",
    )  # fmt: skip
    p.add_argument(
        "--weights-file", type=Path, metavar="FILE",
        help="of that network; random for VGG19 on trial (default: downloaded once, and verified)",
    )  # fmt: skip
    p.add_argument("--batch-size", type=_positive, default=16, metavar="N", help="images at once (default: 16)")
    p.add_argument("--no-cache", action="store_true", help="neither use features kept from before nor keep any")


def _gatys(p: argparse.ArgumentParser) -> None:
    p.set_defaults(run=gatys)
    p.add_argument("photo", metavar="PHOTO", help="image, folder or pattern; each gets the same style")
    p.add_argument("style", type=Path, metavar="STYLE", help="the image that has the style")
    p.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="folder, or file for a single photo")
    p.add_argument("--max-size", type=_positive, default=400, metavar="PIXELS", help="longer side (default: 400)")
    p.add_argument("--skip-existing", action="store_true", help="go on after an interruption")
    p.add_argument("--vgg", metavar="FILE", help="like vgg19_no_fc.npy; random on trial (default: downloaded once)")
    optimisation = p.add_argument_group("optimisation", argument_default=argparse.SUPPRESS)
    add = optimisation.add_argument
    add("--iterations", type=_positive, metavar="N", help="of L-BFGS, at most (default: 1000)")
    add("--init", choices=("content", "noise", "style"), help="what to start from (default: content, the photo)")
    add("--seed", type=_natural, metavar="N", help="of the noise (default: 0)")
    add("--content-layer", metavar="LAYER", help="of VGG19 (default: conv4_2)")
    add("--style-layers", nargs="+", metavar="LAYER", help="(default: conv1_1 conv2_1 conv3_1 conv4_1 conv5_1)")
    add("--content-weight", type=_weight, metavar="W", help="(default: 100000)")
    add("--style-weight", type=_weight, metavar="W", help="(default: 30000; 1000 suits noise, and 10 the style)")
    add("--tv-weight", type=_weight, metavar="W", help="of the total variation (default: 1)")


def _natural(text: str) -> int:
    if (value := int(text)) < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return value


def _weight(text: str) -> float:
    if not 0 <= (value := float(text)) < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is no weight")
    return value


def _positive(text: str) -> int:
    if (value := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return value


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    args = parser().parse_args(argv)
    os.environ.setdefault("OMP_NUM_THREADS", str(cores()))  # Paddle would take one thread
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that temporary files are removed
    for noise in ("No ccache found", r"\s*Non compatible API"):  # Paddle's, of no interest here
        warnings.filterwarnings("ignore", noise)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not in notebooks
            stream.reconfigure(errors="backslashreplace")  # file names may be any bytes
    try:
        return args.run(args)
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
    from .evaluation.comparing import compare

    lines = compare(args.a, args.b, args.features, args.weights_file, args.batch_size, not args.no_cache, args.save)
    print("\n".join(lines))
    return 0


def gatys(args: argparse.Namespace) -> int:
    from .baselines import gatys, gatys_files
    from .plan import plan

    jobs = plan([args.photo], args.output, skip_existing=args.skip_existing)
    todo = [job for job in jobs if not job.skip]
    options = gatys.Options(**{name: getattr(args, name) for name in gatys.Options._fields if hasattr(args, name)})
    start = time.perf_counter()
    failed = gatys_files.stylize(todo, args.style, options, args.vgg, args.max_size)
    words = [f"{len(todo) - failed} images in {printable(args.output)}"]
    if len(todo) < len(jobs):
        words.append(f"{len(jobs) - len(todo)} skipped, there already")
    if failed:
        words.append(f"{failed} failed")
    print(f"{', '.join(words)}; {time.perf_counter() - start:.1f} s")
    return 1 if failed else 0
