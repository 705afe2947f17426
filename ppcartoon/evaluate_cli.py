"""The command line of tools/evaluate.py."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import os
import signal
import sys
import warnings
from pathlib import Path

from .engines import of_paddle
from .errors import InputError
from .threads import cores


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        description="Measures cartoons and compares them, as the paper does.",
        epilog="Exit code: 0 all done, 1 something failed and is named, 2 nothing could be done as asked.",
    )
    commands = p.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _fid(commands.add_parser("fid", help="FID and KID of two folders of images"))
    return p


def _fid(p: argparse.ArgumentParser) -> None:
    p.set_defaults(run=fid)
    what = "folder of images, or statistics .npz as pytorch-fid writes them"
    p.add_argument("a", type=Path, metavar="A", help=what)
    p.add_argument("b", type=Path, nargs="?", metavar="B", help=f"{what}; may be left out with --save")
    p.add_argument("--save", type=_npz, metavar="NPZ", help="write the statistics of A, which may stand for it later")
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


def _npz(text: str) -> Path:
    if Path(text).suffix != ".npz":
        raise argparse.ArgumentTypeError(f"{text} does not end in .npz")
    return Path(text)


def _positive(text: str) -> int:
    if (value := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return value


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
                of_paddle.paddle()
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # which Paddle took; so temporary files are removed
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
    except KeyboardInterrupt:
        print("evaluate: interrupted", file=sys.stderr)
        return 130


def fid(args: argparse.Namespace) -> int:
    from .evaluation.comparing import Features, compare

    asked = Features(args.features, args.weights_file, args.batch_size, not args.no_cache)
    print("\n".join(compare(args.a, args.b, asked, args.save)))
    return 0
