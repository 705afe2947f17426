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
from .errors import InputError, printable
from .evaluation import layouts
from .threads import cores


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        description="Measures cartoons and compares them, as the paper does.",
        epilog="Exit code: 0 all done, 1 something failed and is named, 2 nothing could be done as asked.",
    )
    commands = p.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _fid(commands.add_parser("fid", help="FID and KID of two folders of images"))
    _table(commands.add_parser("table", help="Tables I and II: distances to cartoons and to photos, with the paper's"))
    _figure(commands.add_parser("figure", help="Figs. 4 to 10: photos, and what weights and methods make of them"))
    _run(commands.add_parser("run", help="the cartoons that any weights make of photos, a baseline's or ours"))
    return p


def _run(p: argparse.ArgumentParser) -> None:
    p.set_defaults(run=run)
    p.add_argument("-w", "--weights", type=Path, required=True, metavar="FILE", help="a .safetensors weights file")
    p.add_argument(
        "-i", "--input", nargs="+", action="extend", required=True, metavar="PATH",
        help="photos, folders, glob patterns",
    )  # fmt: skip
    p.add_argument("-r", "--recursive", action="store_true", help="go into subfolders of folders")
    p.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="folder for the cartoons")
    p.add_argument("--ext", choices=("png", "jpg", "webp"), default="png", help="their format (default: png)")
    p.add_argument("--max-size", type=_positive, metavar="N", help="reduce photos so that no side is longer, in pixels")
    p.add_argument("--skip-existing", action="store_true", help="leave out photos whose cartoon is there already")
    p.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto", help="(default: auto)")


def _fid(p: argparse.ArgumentParser) -> None:
    p.set_defaults(run=fid)
    what = "folder of images, or statistics .npz as pytorch-fid writes them"
    p.add_argument("a", type=Path, metavar="A", help=what)
    p.add_argument("b", type=Path, nargs="?", metavar="B", help=f"{what}; may be left out with --save")
    p.add_argument("--save", type=_npz, metavar="NPZ", help="write the statistics of A, which may stand for it later")
    add_features(p)


def _table(p: argparse.ArgumentParser) -> None:
    p.set_defaults(run=table)
    p.add_argument("--style", required=True, help="shinkai and paprika have the paper's values beside ours")
    p.add_argument("--photos", type=Path, metavar="DIR", help="(default: the paper's test photos in data/dataset)")
    p.add_argument("--cartoons", type=Path, metavar="DIR", help="(default: those of the style in data/dataset)")
    _methods(p)
    p.add_argument(
        "-o", "--output", type=Path, default=Path("output/tables"), metavar="DIR",
        help="for STYLE.md, STYLE.csv, STYLE.png, and outputs of weights (default: output/tables)",
    )  # fmt: skip
    add_features(p)


def _figure(p: argparse.ArgumentParser) -> None:
    p.set_defaults(run=figure)
    shown = "; ".join(f"{number}: {', '.join(layouts.takes(number))}" for number in layouts.FIGURES)
    others = [str(number) for number, each in layouts.FIGURES.items() if each.others]
    p.epilog = (
        f"Methods by figure: {shown}. Those not given are left out; figures {', '.join(others)} take others as well."
    )
    p.add_argument("number", type=int, choices=layouts.FIGURES, help="of the figure in the paper")
    p.add_argument("--photos", type=Path, nargs="+", required=True, metavar="FILE")
    _methods(p)
    p.add_argument(
        "--boxes", nargs="+", default=[], metavar="[PHOTO=]LEFT,TOP,RIGHT,BOTTOM",
        help="red boxes on the photo of that name (without ending) or on all, in pixels, or up to 1 in fractions of it",
    )  # fmt: skip
    p.add_argument(
        "--references", type=Path, nargs="+", default=[], metavar="FILE",
        help="cartoons for the corner of Gatys' results: one for each photo, or one for all",
    )  # fmt: skip
    p.add_argument(
        "--size", type=_positive, default=256, metavar="N", help="longer side of the panels, in pixels (default: 256)"
    )
    p.add_argument(
        "-o", "--output", type=_png, required=True, metavar="PNG",
        help="outputs of weights are kept in the folder outputs beside it",
    )  # fmt: skip


def _methods(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--methods", "--runs", nargs="+", action="extend", required=True, metavar="NAME=PATH",
        help="PATH: folder of outputs with the photos' names, weights file, or a run's folder",
    )  # fmt: skip


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


def _png(text: str) -> Path:
    if Path(text).suffix.lower() != ".png":
        raise argparse.ArgumentTypeError(f"{text} does not end in .png")
    return Path(text)


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


def table(args: argparse.Namespace) -> int:
    from .evaluation import methods, tables
    from .evaluation.comparing import Features

    given = methods.named(args.methods, tables.MODELS)
    photos, cartoons = args.photos or tables.PHOTOS, args.cartoons or tables.cartoons_of(args.style)
    asked = Features(args.features, args.weights_file, args.batch_size, not args.no_cache)
    print(tables.make(args.style, photos, cartoons, given, args.output, asked))
    return 0


def figure(args: argparse.Namespace) -> int:
    from . import images
    from .evaluation import figures, methods

    known = layouts.takes(args.number)
    given = methods.named(args.methods, known)
    options = {name: getattr(args, name) for name in ("boxes", "references", "size")}
    picture = figures.make(args.number, args.photos, given, args.output.parent / "outputs", **options)
    images.write(args.output, images.Picture(picture))
    if missing := [name for name in known if name not in given]:
        print(f"evaluate: figure {args.number}: not given: {', '.join(missing)}", file=sys.stderr)
    print(args.output)
    return 0


def run(args: argparse.Namespace) -> int:
    from .baselines.predictor import open_weights
    from .photos import Options, cartoonize
    from .plan import plan

    jobs = plan(args.input, args.output, recursive=args.recursive, ext=args.ext, skip_existing=args.skip_existing)
    for job in jobs:
        if job.film:
            raise InputError(f"{job.source}: a film; photos are expected here")
    todo = [job for job in jobs if not job.skip]
    predictor = open_weights(args.weights, args.device)
    failed = cartoonize(predictor, todo, Options(args.max_size))
    words = [f"{len(todo) - failed} cartoons in {printable(args.output)}"]
    words += [f"{len(jobs) - len(todo)} skipped, there already"] * (len(todo) < len(jobs))
    words += [f"{failed} failed"] * (failed > 0)
    print(f"{', '.join(words)}; {predictor.engine.description}")
    return 1 if failed else 0
