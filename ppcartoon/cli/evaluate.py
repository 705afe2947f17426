"""`ppcartoon evaluate`: distances, the paper's tables and figures, and other methods."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import os
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError, printable
from ..evaluation import figures
from ..utils.threads import cores
from . import common

if TYPE_CHECKING:
    from ..inference.jobs import Job

PROGRAM = "ppcartoon evaluate"
EXAMPLES = """
ppcartoon evaluate fid photos cartoons
ppcartoon evaluate table --style shinkai --methods CartoonLossGAN=output/cartoonloss_shinkai
ppcartoon evaluate figure 9 --photos a.jpg b.jpg --methods CartoonLossGAN=mine.safetensors -o fig9.png
"""


def parser() -> argparse.ArgumentParser:
    """Gives `command`, and what belongs to it."""
    p = common.parser(PROGRAM, "Measures cartoons and compares them, as the paper does.", EXAMPLES)
    commands = p.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _fid(commands.add_parser("fid", help="FID and KID of two folders of images"))
    _table(commands.add_parser("table", help="Tables I and II: distances to cartoons and to photos, with the paper's"))
    _figure(commands.add_parser("figure", help="Figs. 4 to 10: photos, and what weights and methods make of them"))
    _run(commands.add_parser("run", help="the cartoons that any weights make of photos, a baseline's or ours"))
    _gatys(commands.add_parser("gatys", help="photos in the style of an image, by optimization (Gatys et al.)"))
    return p


def _run(p: argparse.ArgumentParser) -> None:
    p.add_argument("-w", "--weights", type=Path, required=True, metavar="FILE", help="a .safetensors weights file")
    p.add_argument(
        "-i", "--input", nargs="+", action="extend", required=True, metavar="PATH",
        help="photos, folders, glob patterns",
    )  # fmt: skip
    p.add_argument("-r", "--recursive", action="store_true", help="go into subfolders of folders")
    p.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="folder for the cartoons")
    p.add_argument("--ext", choices=("png", "jpg", "webp"), default="png", help="their format (default: png)")
    p.add_argument(
        "--max-size",
        type=common.whole_number(1),
        metavar="N",
        help="reduce photos so that no side is longer, in pixels",
    )
    p.add_argument("--skip-existing", action="store_true", help="leave out photos whose cartoon is there already")
    p.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto", help="(default: auto)")


def _fid(p: argparse.ArgumentParser) -> None:
    what = "folder of images, or statistics .npz as pytorch-fid writes them"
    p.add_argument("a", type=Path, metavar="A", help=what)
    p.add_argument("b", type=Path, nargs="?", metavar="B", help=f"{what}; may be left out with --save")
    p.add_argument(
        "--save",
        type=common.file_ending(".npz"),
        metavar="NPZ",
        help="write the statistics of A, which may stand for it later",
    )
    _features(p)


def _table(p: argparse.ArgumentParser) -> None:
    p.add_argument("--style", required=True, help="shinkai and paprika have the paper's values beside ours")
    p.add_argument("--photos", type=Path, metavar="DIR", help="(default: the paper's test photos in data/dataset)")
    p.add_argument("--cartoons", type=Path, metavar="DIR", help="(default: those of the style in data/dataset)")
    _methods(p)
    p.add_argument(
        "-o", "--output", type=Path, default=Path("output/tables"), metavar="DIR",
        help="for STYLE.md, STYLE.csv and the outputs of weights (default: output/tables)",
    )  # fmt: skip
    _features(p)


def _figure(p: argparse.ArgumentParser) -> None:
    shown = "; ".join(f"{number}: {', '.join(figures.takes(number))}" for number in figures.FIGURES)
    others = [str(number) for number, each in figures.FIGURES.items() if each.others]
    p.epilog = (
        f"Methods by figure: {shown}. Those not given are left out; figures {', '.join(others)} take others as well."
    )
    p.add_argument("number", type=int, choices=figures.FIGURES, help="of the figure in the paper")
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
        "--size",
        type=common.whole_number(1),
        default=256,
        metavar="N",
        help="longer side of the panels, in pixels (default: 256)",
    )
    p.add_argument(
        "-o", "--output", type=common.file_ending(".png"), required=True, metavar="PNG",
        help="outputs of weights are kept in the folder outputs beside it",
    )  # fmt: skip


def _methods(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--methods", nargs="+", action="extend", required=True, metavar="NAME=PATH",
        help="PATH: folder of outputs with the photos' names, weights file, or a run's folder",
    )  # fmt: skip


def _features(p: argparse.ArgumentParser) -> None:
    """The flags that say what is compared of an image: `args.features` and `args.weights_file`, and how."""
    p.add_argument(
        "--features", default="inception", metavar="NETWORK",
        help="inception, which makes it FID, or vgg19:LAYER like vgg19:conv3_4, which does not (default: inception)",
    )  # fmt: skip
    p.add_argument(
        "--weights-file", type=Path, metavar="FILE",
        help="of that network; random for VGG19 on trial (default: downloaded once, and verified)",
    )  # fmt: skip
    p.add_argument(
        "--batch-size", type=common.whole_number(1), default=16, metavar="N", help="images at once (default: 16)"
    )
    p.add_argument("--no-cache", action="store_true", help="neither use features kept from before nor keep any")


def _gatys(p: argparse.ArgumentParser) -> None:
    p.add_argument("photo", metavar="PHOTO", help="image, folder or pattern; each gets the same style")
    p.add_argument("style", type=Path, metavar="STYLE", help="the image that has the style")
    p.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="folder, or file for a single photo")
    p.add_argument(
        "--max-size", type=common.whole_number(1), default=400, metavar="PIXELS", help="longer side (default: 400)"
    )
    p.add_argument("--skip-existing", action="store_true", help="go on after an interruption")
    p.add_argument("--vgg", metavar="FILE", help="like vgg19_no_fc.npy; random on trial (default: downloaded once)")
    optimization = p.add_argument_group("optimization", argument_default=argparse.SUPPRESS)
    add = optimization.add_argument
    add("--iterations", type=common.whole_number(1), metavar="N", help="of L-BFGS, at most (default: 1000)")
    add("--init", choices=("content", "noise", "style"), help="what to start from (default: content, the photo)")
    add("--seed", type=common.whole_number(0), metavar="N", help="of the noise (default: 0)")
    add("--content-layer", metavar="LAYER", help="of VGG19 (default: conv4_2)")
    add("--style-layers", nargs="+", metavar="LAYER", help="(default: conv1_1 conv2_1 conv3_1 conv4_1 conv5_1)")
    add("--content-weight", type=common.number(0), metavar="W", help="(default: 100000)")
    add(
        "--style-weight",
        type=common.number(0),
        metavar="W",
        help="(default: 30000; 1000 suits noise, and 10 the style)",
    )
    add("--tv-weight", type=common.number(0), metavar="W", help="of the total variation (default: 1)")


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    args = parser().parse_args(argv)
    os.environ.setdefault("OMP_NUM_THREADS", str(cores()))  # Paddle would take one thread
    warnings.filterwarnings("ignore", r"\s*Non compatible API")  # Paddle's, of no interest here
    return common.run(PROGRAM, lambda: _command(args), "what training needs, see README.md")


def _command(args: argparse.Namespace) -> int:
    from ..inference.engines import paddle_engines

    if importlib.util.find_spec("paddle"):
        with contextlib.redirect_stderr(io.StringIO()):  # it warns of more threads than one
            paddle_engines.paddle()
    common.end_by_sigterm()  # Paddle has taken the signal for itself
    return COMMANDS[args.command](args)


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
    from ..evaluation import outputs

    known = figures.takes(args.number)
    given = outputs.named(args.methods, known)
    options = {name: getattr(args, name) for name in ("boxes", "references", "size")}
    picture = figures.make(args.number, args.photos, given, args.output.parent / "outputs", **options)
    images.write(args.output, images.Picture(picture))
    if missing := [name for name in known if name not in given]:
        common.tell(PROGRAM, f"figure {args.number}: not given: {', '.join(missing)}")
    print(args.output)
    return 0


def run(args: argparse.Namespace) -> int:
    from ..baselines.predictor import open_weights
    from ..inference.batch import BatchOptions, cartoonize_files
    from ..inference.jobs import plan

    jobs = plan(args.input, args.output, recursive=args.recursive, ext=args.ext, skip_existing=args.skip_existing)
    todo = _photos(jobs)
    predictor = open_weights(args.weights, args.device)
    failed = cartoonize_files(predictor, todo, BatchOptions(args.max_size))
    return _report(args.output, jobs, failed, predictor.engine.description)


def gatys(args: argparse.Namespace) -> int:
    from ..baselines import gatys
    from ..inference.jobs import plan

    jobs = plan([args.photo], args.output, skip_existing=args.skip_existing)
    todo = _photos(jobs)
    names = [name for name in gatys.GatysOptions._fields if hasattr(args, name)]
    options = gatys.GatysOptions(**{name: getattr(args, name) for name in names})
    start = time.perf_counter()
    failed = gatys.stylize_files(todo, args.style, options, args.vgg, args.max_size)
    return _report(args.output, jobs, failed, f"{time.perf_counter() - start:.1f} s")


def _photos(jobs: list[Job]) -> list[Job]:
    """Those that are still to be done.

    Raises:
        InputError: one of the jobs is a film.
    """
    for job in jobs:
        if job.is_video:
            raise InputError(f"{job.source}: a film; photos are expected here")
    return [job for job in jobs if not job.skip]


def _report(output: Path, jobs: list[Job], failed: int, remark: str) -> int:
    """Says what became of the jobs; gives the exit code."""
    skipped = sum(job.skip for job in jobs)
    parts = [f"{len(jobs) - skipped - failed} cartoons in {printable(output)}"]
    if skipped:
        parts.append(f"{skipped} skipped, there already")
    if failed:
        parts.append(f"{failed} failed")
    print(f"{', '.join(parts)}; {remark}")
    return 1 if failed else 0


COMMANDS = {command.__name__: command for command in (fid, table, figure, run, gatys)}
