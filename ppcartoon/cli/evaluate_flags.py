"""The flags of tools/evaluate.py."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from ..evaluation import layouts


def parser() -> argparse.ArgumentParser:
    """Gives `command`, and what belongs to it."""
    p = argparse.ArgumentParser(
        description="Measures cartoons and compares them, as the paper does.",
        epilog="Exit code: 0 all done, 1 something failed and is named, 2 nothing could be done as asked.",
    )
    commands = p.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _fid(commands.add_parser("fid", help="FID and KID of two folders of images"))
    _table(commands.add_parser("table", help="Tables I and II: distances to cartoons and to photos, with the paper's"))
    _figure(commands.add_parser("figure", help="Figs. 4 to 10: photos, and what weights and methods make of them"))
    _run(commands.add_parser("run", help="the cartoons that any weights make of photos, a baseline's or ours"))
    _gatys(commands.add_parser("gatys", help="photos in the style of an image, by optimisation (Gatys et al.)"))
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
    p.add_argument("--max-size", type=_positive, metavar="N", help="reduce photos so that no side is longer, in pixels")
    p.add_argument("--skip-existing", action="store_true", help="leave out photos whose cartoon is there already")
    p.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto", help="(default: auto)")


def _fid(p: argparse.ArgumentParser) -> None:
    what = "folder of images, or statistics .npz as pytorch-fid writes them"
    p.add_argument("a", type=Path, metavar="A", help=what)
    p.add_argument("b", type=Path, nargs="?", metavar="B", help=f"{what}; may be left out with --save")
    p.add_argument("--save", type=_npz, metavar="NPZ", help="write the statistics of A, which may stand for it later")
    _features(p)


def _table(p: argparse.ArgumentParser) -> None:
    p.add_argument("--style", required=True, help="shinkai and paprika have the paper's values beside ours")
    p.add_argument("--photos", type=Path, metavar="DIR", help="(default: the paper's test photos in data/dataset)")
    p.add_argument("--cartoons", type=Path, metavar="DIR", help="(default: those of the style in data/dataset)")
    _methods(p)
    p.add_argument(
        "-o", "--output", type=Path, default=Path("output/tables"), metavar="DIR",
        help="for STYLE.md, STYLE.csv, STYLE.png, and outputs of weights (default: output/tables)",
    )  # fmt: skip
    _features(p)


def _figure(p: argparse.ArgumentParser) -> None:
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
    p.add_argument("--batch-size", type=_positive, default=16, metavar="N", help="images at once (default: 16)")
    p.add_argument("--no-cache", action="store_true", help="neither use features kept from before nor keep any")


def _gatys(p: argparse.ArgumentParser) -> None:
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
