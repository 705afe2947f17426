"""`ppcartoon prepare`: training data."""

from __future__ import annotations

import argparse
import math
import sys
import warnings
from pathlib import Path

from ..errors import InputError
from . import common

PROGRAM = "ppcartoon prepare"
EXAMPLES = """
ppcartoon prepare frames video.mp4 -o data/custom/cartoons
ppcartoon prepare smooth data/custom/cartoons    -> data/custom/smooth
ppcartoon prepare check data/custom              what training would find
ppcartoon prepare download                       the paper's data set -> data/dataset
"""


def parser() -> argparse.ArgumentParser:
    p = common.parser(
        PROGRAM,
        "From a video, a folder or the paper's data set to what training reads. Interrupted work continues when the "
        "same command is started again; finished work is not repeated.",
        EXAMPLES,
    )
    commands = p.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _download(commands.add_parser("download", help="AnimeGAN's data set, and the weights of VGG19 and Inception"))
    _frames(commands.add_parser("frames", help="key frames of films as cartoons or photos"))
    _smooth(commands.add_parser("smooth", help="the edge-smoothed twins of cartoons"))
    _check(commands.add_parser("check", help="what training would find in a folder"))
    for name in ("frames", "smooth", "check"):
        commands.choices[name].add_argument(
            "--jobs", type=common.whole_number(1), metavar="N", help="threads (default: as many as cores)"
        )
    return p


def _download(p: argparse.ArgumentParser) -> None:
    p.set_defaults(run=download)
    p.add_argument("what", nargs="*", default=["dataset"], metavar="WHAT", help="dataset (default), vgg19, inception")
    p.add_argument(
        "-o", "--output", type=Path, metavar="DIR",
        help="where it goes (default: data, where the data set becomes data/dataset, and ppgan's cache for weights)",
    )  # fmt: skip
    p.add_argument("--url", help="of a mirror")
    p.add_argument("--checksum", metavar="sha256:HEX", help="that dataset.zip must have; none was ever published")


def _frames(p: argparse.ArgumentParser) -> None:
    p.set_defaults(run=frames)
    p.add_argument("films", nargs="+", type=Path, metavar="FILM", help="any video that FFmpeg reads")
    p.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="folder for the pictures")
    pick = p.add_mutually_exclusive_group()
    pick.add_argument(
        "--scenes", dest="pick", action="store_const", const="scenes", default="keyframes",
        help="the first frame of every scene (a second later where it fades in), instead of every I-frame; slower",
    )  # fmt: skip
    pick.add_argument("--every", dest="pick", type=common.number(0.001), metavar="SECONDS", help="a frame so often")
    p.add_argument("--start", type=common.time, default=0, metavar="TIME", help="seconds, m:ss or h:mm:ss")
    p.add_argument("--end", type=common.time, default=math.inf, metavar="TIME", help="as --start")
    p.add_argument(
        "--count", type=common.whole_number(1), metavar="N", help="keep at most so many of a film, spread over it"
    )
    p.add_argument(
        "--size", type=common.whole_number(16), default=256, metavar="N", help="height and width (default: 256)"
    )
    p.add_argument(
        "--fit", choices=("crop", "resize"), default="crop",
        help="the square in the middle, or the whole picture squeezed into a square (default: crop)",
    )  # fmt: skip
    p.add_argument("--overwrite", action="store_true", help="replace the pictures of these films in the folder")


def _smooth(p: argparse.ArgumentParser) -> None:
    p.set_defaults(run=smooth)
    p.add_argument("cartoons", type=Path, metavar="DIR", help="folder of cartoons")
    p.add_argument("-o", "--output", type=Path, metavar="DIR", help="(default: smooth, beside the folder)")


def _check(p: argparse.ArgumentParser) -> None:
    p.set_defaults(run=check)
    p.add_argument(
        "root", type=Path, metavar="DIR",
        help="has photos and cartoons in it, or train_photo and STYLE/style; test folders are told by their names",
    )  # fmt: skip
    p.add_argument("-c", "--config-file", type=Path, metavar="YAML", help="take folders, size and batch from a config")
    p.add_argument(
        "-o", "--output", type=common.file_ending(".png"), default=Path("output/check.png"), metavar="PNG",
        help="for the brightness of the images (default: output/check.png)",
    )  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    args = parser().parse_args(argv)
    for quiet in ({"module": "PIL"}, {"message": "Glyph .* missing"}):  # damaged metadata; characters that no font has
        warnings.filterwarnings("ignore", **quiet)
    return common.run(
        PROGRAM, lambda: args.run(args), "pip install '.[train]'", "; the same command goes on from there"
    )


def download(args: argparse.Namespace) -> int:
    from ..data import download

    if unknown := [what for what in args.what if what not in download.SOURCES]:
        raise InputError(f"{unknown[0]}: unknown; there are {', '.join(download.SOURCES)}")
    if args.url and len(args.what) > 1:
        raise InputError("--url is for one file at a time")
    code = 0
    for what in args.what:
        if what != "dataset":
            print(download.download(what, args.output, args.url))
            continue
        dataset = download.download_dataset(args.output or Path("data"), args.url, args.checksum)
        print(f"{dataset}\n| folder | images | in the paper |\n|---|---|---|")
        for folder, number in download.count_images(dataset).items():
            print(f"| {folder} | {number} | {download.PAPER[folder]} |")
            code = code if number == download.PAPER[folder] else 1
        if code:
            common.tell(PROGRAM, f"{dataset} does not have the paper's images; training takes what is there")
    return code


def frames(args: argparse.Namespace) -> int:
    from ..data.keyframes import extract

    options = {name: getattr(args, name) for name in ("start", "end", "count", "size", "fit", "jobs", "overwrite")}
    names = [film.name for film in args.films]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"{twice[0]}: two films of one name cannot share a folder; take an --output for each")
    failed = 0
    for film in args.films:
        try:
            report = extract(film, args.output, args.pick, **options)
        except InputError as error:
            if len(args.films) == 1:
                raise
            failed += 1
            common.tell(PROGRAM, error)
            continue
        sheet = f"; in {args.output}, all on {report.sheet}" if report.sheet else ""
        print(f"{film}: {report.summary()}{sheet}")
    return 1 if failed else 0


def smooth(args: argparse.Namespace) -> int:
    from ..data.edge_smoothing import smooth_folder

    done = smooth_folder(args.cartoons, args.output, args.jobs)
    common.tell_all(PROGRAM, [f"{file}: {reason}" for file, reason in done.failed.items()])
    there = f", {done.there} were there" if done.there else ""
    print(f"{done.made} smoothed cartoons in {done.folder}{there}" + f", {len(done.failed)} failed" * bool(done.failed))
    return 1 if done.failed else 0


def check(args: argparse.Namespace) -> int:
    from ..data import check as dataset

    if not args.root.is_dir():
        raise InputError(f"{args.root}: no such folder")
    places, options = _configured(args) if args.config_file else (dataset.layout(args.root), {})
    found = dataset.check(places, **options, jobs=args.jobs)
    print("\n".join(dataset.table(found)))
    common.tell_all(PROGRAM, found.remarks, stream=sys.stdout)
    common.tell_all(PROGRAM, found.failures)
    print("Training would fail." if found.failures else "Training would find all it needs.")
    dataset.histogram(found, args.output)
    print(f"Brightness: {args.output}")
    return 1 if found.failures else 0


def _configured(args: argparse.Namespace) -> tuple:
    """The places that a config names, and the size and batch that it asks for."""
    from ..config import loading
    from ..data.check import Layout, test_folders

    train = loading.load(args.config_file).dataset.train
    if train.name != "UnpairedCartoonDataset":
        raise InputError(f"{args.config_file}: its images are drawn, there is nothing to check")
    style = {key: args.root / name for key in ("cartoons", "smooth", "gray") if (name := getattr(train, key))}
    places = Layout(args.root / train.photos, [style], test_folders(args.root))
    return places, {"load_size": train.load_size or train.size, "batch_size": train.batch_size}
