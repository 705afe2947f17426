"""`ppcartoon evaluate`: FID and KID, the paper's tables and figures, and the methods it compares with."""

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
from ..utils.machine import cores
from . import common

if TYPE_CHECKING:
    from ..evaluation.compare import FeatureOptions
    from ..inference.jobs import Job

PROGRAM = "ppcartoon evaluate"
EXAMPLES = """
ppcartoon evaluate fid photos cartoons
ppcartoon evaluate pictures photos --methods before=old.safetensors after=new.safetensors
ppcartoon evaluate table --style shinkai --methods CartoonLossGAN=output/cartoonloss_shinkai
ppcartoon evaluate figure 9 --photos a.jpg b.jpg --methods CartoonLossGAN=mine.safetensors -o fig9.png
"""

MEASURES = """\
  Fréchet distance  between VGG19 conv3_4 features of the outputs and of the style's images or the photos, where each
                    image gives the means of 4x4 cells as 16 samples; not FID
  chroma error      mean absolute difference from the photo in U and V, of 255
  flat surface      share of the pixels around which luma deviates by less than 2 of 255 in 5x5 pixels
  edge sharpness    mean gradient of luma where the photo's is in its top tenth, over the photo's
  contrast kept     standard deviation of luma, over the photo's
  mean luma moved   absolute difference between the mean lumas of output and photo, of 255"""


def parser() -> argparse.ArgumentParser:
    """The parser of the command line; sets `command` and the arguments of that command."""
    p = common.parser(PROGRAM, "Measures and compares cartoons as the paper does.", EXAMPLES)
    commands = p.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_fid(commands.add_parser("fid", help="FID and KID between two folders of images"))
    _add_table(
        commands.add_parser("table", help="Tables I and II: distances to cartoons and photos, with the paper's values")
    )
    _add_figure(commands.add_parser("figure", help="Figs. 4 to 10: photos next to the outputs of weights and methods"))
    _add_pictures(
        commands.add_parser(
            "pictures",
            help="colors, flat surface, edges and contrast of cartoons, next to their photos",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    _add_run(commands.add_parser("run", help="cartoonize photos with the weights of a baseline or of CartoonLossGAN"))
    _add_gatys(commands.add_parser("gatys", help="stylize photos by optimization (Gatys et al.)"))
    return p


def _add_run(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "-w", "--weights", type=Path, required=True, metavar="FILE", help="a weights file, .safetensors or .pdparams"
    )
    p.add_argument(
        "-i", "--input", nargs="+", action="extend", required=True, metavar="PATH",
        help="photos, folders, glob patterns",
    )  # fmt: skip
    p.add_argument("-r", "--recursive", action="store_true", help="include subfolders")
    p.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="folder for the cartoons")
    p.add_argument("--ext", choices=("png", "jpg", "webp"), default="png", help="output format (default: png)")
    p.add_argument(
        "--max-size", type=common.whole_number(1), metavar="N", help="reduce larger photos to N pixels per side"
    )
    p.add_argument("--skip-existing", action="store_true", help="skip photos whose cartoon exists")
    p.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto", help="(default: auto)")


def _add_fid(p: argparse.ArgumentParser) -> None:
    side = "folder of images, or .npz file of statistics as pytorch-fid writes it"
    p.add_argument("a", type=Path, metavar="A", help=side)
    p.add_argument("b", type=Path, nargs="?", metavar="B", help=f"{side}; optional with --save")
    p.add_argument(
        "--save", type=common.file_ending(".npz"), metavar="NPZ",
        help="write the statistics of A, to be used in its place later",
    )  # fmt: skip
    _add_features(p)


def _add_table(p: argparse.ArgumentParser) -> None:
    p.add_argument("--style", required=True, help="for shinkai and paprika the paper's values are shown as well")
    p.add_argument(
        "--photos", type=Path, metavar="DIR", help="(default: data/dataset/test/test_photo256, the paper's test images)"
    )
    p.add_argument("--cartoons", type=Path, metavar="DIR", help="(default: those of the style in data/dataset)")
    _add_methods(p)
    p.add_argument(
        "-o", "--output", type=Path, default=Path("output/tables"), metavar="DIR",
        help="folder for STYLE.md, STYLE.csv and the outputs of weights (default: output/tables)",
    )  # fmt: skip
    _add_features(p)


def _add_figure(p: argparse.ArgumentParser) -> None:
    names = "; ".join(f"{number}: {', '.join(figures.method_names(number))}" for number in figures.FIGURES)
    others = ", ".join(str(number) for number, figure in figures.FIGURES.items() if figure.others)
    p.epilog = f"Methods by figure: {names}. Missing methods are left out; figures {others} show others as well."
    p.add_argument("number", type=int, choices=figures.FIGURES, help="number of the figure in the paper")
    p.add_argument("--photos", type=Path, nargs="+", required=True, metavar="FILE")
    _add_methods(p)
    p.add_argument(
        "--boxes", nargs="+", default=[], metavar="[PHOTO=]LEFT,TOP,RIGHT,BOTTOM",
        help="red boxes on the photo of that name (without extension) or on all photos, in pixels, or in fractions of "
        "the photo if no number is above 1",
    )  # fmt: skip
    p.add_argument(
        "--references", type=Path, nargs="+", default=[], metavar="FILE",
        help="style images to show in the corner of Gatys' results: one for each photo, or one for all",
    )  # fmt: skip
    p.add_argument(
        "--size", type=common.whole_number(1), default=256, metavar="N",
        help="longer side of the panels, in pixels (default: 256)",
    )  # fmt: skip
    p.add_argument(
        "-o", "--output", type=common.file_ending(".png"), required=True, metavar="PNG",
        help="the figure; the outputs of weights are kept in the folder outputs next to it",
    )  # fmt: skip


def _add_pictures(p: argparse.ArgumentParser) -> None:
    p.description = f"Each measure is the mean over the photos:\n{MEASURES}"
    p.add_argument("photos", type=Path, metavar="PHOTOS", help="folder of photos")
    _add_methods(p)
    p.add_argument(
        "--size", type=common.whole_number(16), default=256, metavar="N",
        help="longer side at which photos and outputs are measured, and at which weights see the photos; smaller ones "
        "are not enlarged (default: 256)",
    )  # fmt: skip
    p.add_argument(
        "--cartoons", type=Path, metavar="DIR", help="folder of the style's images: adds the Fréchet distances"
    )
    p.add_argument(
        "--weights-file", type=Path, metavar="FILE",
        help="vgg19_no_fc.npy for the Fréchet distances; random for a trial (default: downloaded once and verified)",
    )  # fmt: skip
    p.add_argument(
        "-o", "--output", type=Path, default=Path("output/pictures"), metavar="DIR",
        help="folder for pictures.md, pictures.csv and the outputs of weights (default: output/pictures)",
    )  # fmt: skip


def _add_methods(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--methods", nargs="+", action="extend", required=True, metavar="NAME=PATH",
        help="PATH is a folder of outputs named like the photos, a weights file, or a run folder",
    )  # fmt: skip


def _add_features(p: argparse.ArgumentParser) -> None:
    """Adds the options that `_feature_options` reads."""
    p.add_argument(
        "--features", default="inception", metavar="NETWORK",
        help="inception for FID and KID, or vgg19:LAYER such as vgg19:conv3_4 for other distances (default: inception)",
    )  # fmt: skip
    p.add_argument(
        "--weights-file", type=Path, metavar="FILE",
        help="weights of that network; random for a trial with VGG19 (default: downloaded once and verified)",
    )  # fmt: skip
    p.add_argument(
        "--batch-size", type=common.whole_number(1), default=16, metavar="N", help="images per batch (default: 16)"
    )
    p.add_argument("--no-cache", action="store_true", help="neither read nor write cached features")


def _feature_options(args: argparse.Namespace) -> FeatureOptions:
    from ..evaluation.compare import FeatureOptions

    return FeatureOptions(args.features, args.weights_file, args.batch_size, not args.no_cache)


def _add_gatys(p: argparse.ArgumentParser) -> None:
    p.add_argument("photo", metavar="PHOTO", help="photo, folder or glob pattern")
    p.add_argument("style", type=Path, metavar="STYLE", help="the style image")
    p.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="folder, or file for a single photo")
    p.add_argument(
        "--max-size", type=common.whole_number(1), default=400, metavar="PIXELS", help="longer side (default: 400)"
    )
    p.add_argument("--skip-existing", action="store_true", help="skip photos whose result exists")
    p.add_argument("--vgg", metavar="FILE", help="vgg19_no_fc.npy; random for a trial (default: downloaded once)")
    optimization = p.add_argument_group("optimization", argument_default=argparse.SUPPRESS)
    add = optimization.add_argument
    add("--iterations", type=common.whole_number(1), metavar="N", help="L-BFGS iterations, at most (default: 1000)")
    add("--init", choices=("content", "noise", "style"), help="initial image (default: content, the photo)")
    add("--seed", type=common.whole_number(0), metavar="N", help="seed of the noise (default: 0)")
    add("--content-layer", metavar="LAYER", help="layer of VGG19 (default: conv4_2)")
    add("--style-layers", nargs="+", metavar="LAYER", help="(default: conv1_1 conv2_1 conv3_1 conv4_1 conv5_1)")
    add("--content-weight", type=common.number(0), metavar="W", help="(default: 100000)")
    add(
        "--style-weight", type=common.number(0), metavar="W",
        help="(default: 30000; 1000 is better with --init noise, and 10 with --init style)",
    )  # fmt: skip
    add("--tv-weight", type=common.number(0), metavar="W", help="weight of the total variation (default: 1)")


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    args = parser().parse_args(argv)
    os.environ.setdefault("OMP_NUM_THREADS", str(cores()))  # Paddle's default is one thread
    warnings.filterwarnings("ignore", r"\s*Non compatible API")  # from Paddle, about APIs that are not used here
    return common.run(PROGRAM, lambda: _command(args), "evaluation")


def _command(args: argparse.Namespace) -> int:
    from ..inference.engines import paddle_engines

    if importlib.util.find_spec("paddle"):
        with contextlib.redirect_stderr(io.StringIO()):  # Paddle warns of OMP_NUM_THREADS above 1
            paddle_engines.paddle()
    common.end_by_sigterm()  # importing Paddle replaces the handler
    return COMMANDS[args.command](args)


def fid(args: argparse.Namespace) -> int:
    from ..evaluation.compare import compare

    print("\n".join(compare(args.a, args.b, _feature_options(args), args.save)))
    return 0


def table(args: argparse.Namespace) -> int:
    from ..evaluation import outputs, tables

    methods = outputs.parse_methods(args.methods, tables.MODELS)
    photos, cartoons = args.photos or tables.test_photos(), args.cartoons or tables.cartoons_of(args.style)
    print(tables.write(args.style, photos, cartoons, methods, args.output, _feature_options(args)))
    return 0


def pictures(args: argparse.Namespace) -> int:
    from ..evaluation import outputs, pictures

    if args.weights_file and not args.cartoons:
        raise InputError("--weights-file: is for the Fréchet distances; give --cartoons as well")
    methods = outputs.parse_methods(args.methods, [])
    features = pictures.vgg_features(args.cartoons, args.weights_file) if args.cartoons else None
    print(pictures.write(args.photos, methods, args.output, args.size, features))
    return 0


def figure(args: argparse.Namespace) -> int:
    from .. import images
    from ..evaluation import outputs

    known = figures.method_names(args.number)
    methods = outputs.parse_methods(args.methods, known)
    options = {name: getattr(args, name) for name in ("boxes", "references", "size")}
    drawing = figures.draw(args.number, args.photos, methods, args.output.parent / "outputs", **options)
    images.write(args.output, images.Picture(drawing))
    if missing := [name for name in known if name not in methods]:
        common.tell(PROGRAM, f"figure {args.number}: not given: {', '.join(missing)}")
    print(args.output)
    return 0


def run(args: argparse.Namespace) -> int:
    from ..baselines.predictor import open_weights
    from ..inference.batch import BatchOptions, cartoonize_files
    from ..inference.jobs import plan

    jobs = plan(args.input, args.output, recursive=args.recursive, ext=args.ext, skip_existing=args.skip_existing)
    todo = _unfinished(jobs)
    predictor = open_weights(args.weights, args.device)
    failed = cartoonize_files(predictor, todo, BatchOptions(args.max_size))
    return _report(args.output, jobs, failed, predictor.engine.description)


def gatys(args: argparse.Namespace) -> int:
    from ..baselines import gatys
    from ..inference.jobs import plan

    jobs = plan([args.photo], args.output, skip_existing=args.skip_existing)
    todo = _unfinished(jobs)
    names = [name for name in gatys.GatysOptions._fields if hasattr(args, name)]
    options = gatys.GatysOptions(**{name: getattr(args, name) for name in names})
    start = time.perf_counter()
    failed = gatys.stylize_files(todo, args.style, options, args.vgg, args.max_size)
    return _report(args.output, jobs, failed, f"{time.perf_counter() - start:.1f} s")


def _unfinished(jobs: list[Job]) -> list[Job]:
    """The jobs that are not skipped.

    Raises:
        InputError: an input is a video.
    """
    for job in jobs:
        if job.is_video:
            raise InputError(f"{job.source}: a video or an animation; this command takes photos")
    return [job for job in jobs if not job.skip]


def _report(output: Path, jobs: list[Job], failed: int, remark: str) -> int:
    """Prints the number of cartoons; returns the exit code."""
    skipped = sum(job.skip for job in jobs)
    parts = [f"{len(jobs) - skipped - failed} cartoons in {printable(output)}"]
    if skipped:
        parts.append(f"{skipped} skipped, there already")
    if failed:
        parts.append(f"{failed} failed")
    print(f"{', '.join(parts)}; {remark}")
    return 1 if failed else 0


COMMANDS = {command.__name__: command for command in (fid, table, figure, pictures, run, gatys)}
