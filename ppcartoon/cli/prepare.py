"""`ppcartoon prepare`: downloads, extracts, selects, smooths and checks training data."""

from __future__ import annotations

import argparse
import math
import sys
import warnings
from pathlib import Path

from ..errors import InputError, OutputError, printable
from . import common

PROGRAM = "ppcartoon prepare"
NAMED = 4  # files named for a reason to leave them out, at most
EXAMPLES = """
ppcartoon prepare frames video.mp4 -o data/custom/cartoons
ppcartoon prepare select drawings -o data/custom/cartoons
ppcartoon prepare smooth data/custom/cartoons    -> data/custom/smooth
ppcartoon prepare check data/custom              report problems before training
ppcartoon prepare download                       the paper's data set -> data/dataset
"""


def parser() -> argparse.ArgumentParser:
    p = common.parser(
        PROGRAM,
        "Prepares training data from a video, a folder or the paper's data set. Running an interrupted command again "
        "resumes it; finished work is not repeated.",
        EXAMPLES,
    )
    commands = p.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _download(
        commands.add_parser("download", help="download AnimeGAN's data set, or the weights of VGG19 and Inception")
    )
    _frames(commands.add_parser("frames", help="extract key frames of videos as cartoons or photos"))
    _select(commands.add_parser("select", help="keep the cartoons with clear drawing and fair light"))
    _smooth(commands.add_parser("smooth", help="write the edge-smoothed files of cartoons"))
    _check(commands.add_parser("check", help="check a folder of training data"))
    for name in ("frames", "select", "smooth", "check"):
        commands.choices[name].add_argument(
            "--jobs", type=common.whole_number(1), metavar="N", help="threads (default: one per core)"
        )
    return p


def _download(p: argparse.ArgumentParser) -> None:
    p.set_defaults(run=download)
    p.add_argument("what", nargs="*", default=["dataset"], metavar="WHAT", help="dataset (default), vgg19, inception")
    p.add_argument(
        "-o", "--output", type=Path, metavar="DIR",
        help="target folder (default: data for the data set, which becomes data/dataset; ppgan's cache for weights)",
    )  # fmt: skip
    p.add_argument("--url", help="address of a mirror; or a file that is there already, as a path or file://")
    p.add_argument("--checksum", metavar="sha256:HEX", help="expected checksum of dataset.zip; none was published")


def _frames(p: argparse.ArgumentParser) -> None:
    p.set_defaults(run=frames)
    p.add_argument("videos", nargs="+", type=Path, metavar="VIDEO", help="any video that FFmpeg reads")
    p.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="folder for the frames")
    pick = p.add_mutually_exclusive_group()
    pick.add_argument(
        "--scenes", dest="pick", action="store_const", const="scenes", default="keyframes",
        help="the first frame of every scene (a second later where it fades in) instead of every I-frame; slower",
    )  # fmt: skip
    pick.add_argument(
        "--every", dest="pick", type=common.number(0.001), metavar="SECONDS", help="one frame per interval"
    )
    p.add_argument("--start", type=common.time, default=0, metavar="TIME", help="first time: seconds, m:ss or h:mm:ss")
    p.add_argument("--end", type=common.time, default=math.inf, metavar="TIME", help="last time, as --start")
    p.add_argument(
        "--count", type=common.whole_number(1), metavar="N", help="maximum number of frames per video, spread over it"
    )
    p.add_argument(
        "--size", type=common.whole_number(16), default=256, metavar="N", help="height and width (default: 256)"
    )
    p.add_argument(
        "--fit", choices=("crop", "resize"), default="crop",
        help="the center square, or the whole frame squeezed into a square (default: crop)",
    )  # fmt: skip
    p.add_argument("--overwrite", action="store_true", help="replace the frames of these videos in the folder")


def _select(p: argparse.ArgumentParser) -> None:
    p.set_defaults(run=select)
    p.add_argument("cartoons", type=Path, metavar="DIR", help="folder of cartoons; not modified")
    p.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="folder for the images that are kept"
    )
    p.add_argument(
        "--min-luma", type=common.number(), default=108, metavar="N",
        help="least mean luma, of 255; leaves out dark images (default: 108)",
    )  # fmt: skip
    p.add_argument(
        "--min-edges", type=common.number(), default=0.03, metavar="SHARE",
        help="least share of the pixels that are Canny edges; leaves out empty images (default: 0.03)",
    )  # fmt: skip
    p.add_argument(
        "--max-edges", type=common.number(), default=0.16, metavar="SHARE",
        help="largest share of the same; leaves out crowded images (default: 0.16)",
    )  # fmt: skip
    p.add_argument(
        "--max-grain", type=common.number(), default=1.55, metavar="N",
        help="median difference of luma, of 255, from blurred luma away from edges, at most; leaves out images with "
        "paint texture or noise (default: 1.55)",
    )  # fmt: skip
    p.add_argument(
        "--min-contrast", type=common.number(), default=30, metavar="N",
        help="least standard deviation of luma, of 255; leaves out pale images (default: 30)",
    )  # fmt: skip
    p.add_argument(
        "--even-out", action="store_true",
        help="move the mean color of each image 60%% of the way to gray, and its luma to the full range (default: "
        "images are written unchanged)",
    )  # fmt: skip


def _smooth(p: argparse.ArgumentParser) -> None:
    p.set_defaults(run=smooth)
    p.add_argument("cartoons", type=Path, metavar="DIR", help="folder of cartoons")
    p.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="target folder (default: smooth, beside the folder)"
    )


def _check(p: argparse.ArgumentParser) -> None:
    p.set_defaults(run=check)
    p.add_argument(
        "root", type=Path, metavar="DIR",
        help="contains photos and cartoons, or train_photo and STYLE/style, or is such a STYLE; names of test folders "
        "begin with test",
    )  # fmt: skip
    p.add_argument(
        "-r", "--recursive", action="store_true",
        help="also check the photos in subfolders, which training takes with dataset.train.recursive=true",
    )  # fmt: skip
    p.add_argument(
        "-c", "--config-file", type=Path, metavar="YAML", help="read folders, image size and batch size from a config"
    )
    p.add_argument(
        "-o", "--output", type=common.file_ending(".png"), default=Path("output/check.png"), metavar="PNG",
        help="histograms of brightness (default: output/check.png)",
    )  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    args = parser().parse_args(argv)
    for quiet in ({"module": "PIL"}, {"message": "Glyph .* missing"}):  # damaged metadata; characters without a glyph
        warnings.filterwarnings("ignore", **quiet)
    return common.run(PROGRAM, lambda: args.run(args), "training data", "; run the same command again to resume")


def download(args: argparse.Namespace) -> int:
    from ..data import download
    from ..utils.tables import markdown_table

    if unknown := [name for name in args.what if name not in download.SOURCES]:
        raise InputError(f"{unknown[0]}: unknown; choose from {', '.join(download.SOURCES)}")
    if args.url and len(args.what) > 1:
        raise InputError("--url: give one file only")
    code = 0
    for name in args.what:
        if name != "dataset":
            print(download.download(name, args.output, args.url))
            continue
        dataset = download.download_dataset(args.output or Path("data"), args.url, args.checksum)
        counts = download.count_images(dataset)
        rows = [(folder, number, download.PAPER[folder]) for folder, number in counts.items()]
        print(dataset, *markdown_table(["folder", "images", "in the paper"], rows), sep="\n")
        if counts != download.PAPER:
            code = 1
            common.tell(
                PROGRAM, f"{dataset} does not have the paper's numbers of images; training uses those in the folder"
            )
    return code


def frames(args: argparse.Namespace) -> int:
    from ..data.keyframes import extract

    options = {name: getattr(args, name) for name in ("start", "end", "count", "size", "fit", "jobs", "overwrite")}
    names = [video.name for video in args.videos]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"{twice[0]}: two videos with the same name cannot share a folder; give each its own --output")
    failed = 0
    for video in args.videos:
        try:
            report = extract(video, args.output, args.pick, **options)
        except OutputError:
            raise
        except InputError as error:
            if len(args.videos) == 1:
                raise
            failed += 1
            common.tell(PROGRAM, error)
            continue
        sheet = f"; in {args.output}, all on {report.sheet}" if report.sheet else ""
        print(f"{video}: {report.summary()}{sheet}")
    return 1 if failed else 0


def select(args: argparse.Namespace) -> int:
    from ..data import selection
    from ..utils.tables import markdown_table

    limits = selection.Limits(*(getattr(args, name) for name in selection.Limits._fields))
    result = selection.select(args.cartoons, args.output, limits, args.even_out, args.jobs)
    common.tell_all(PROGRAM, [*result.failed.values()])
    kept, left_out = result.sheets
    print(f"{len(result.kept)} images kept{f', in {args.output}, shown on {kept}' if kept else ''}")
    if left_out:
        print(f"{result.number_left_out} images left out, shown on {left_out}; one image can have several reasons:\n")
        rows = [
            (reason, len(files), _names(files))
            for reason, files in sorted(result.left_out.items(), key=lambda row: -len(row[1]))
        ]
        print(*markdown_table(["left out for", "images", "files"], rows), sep="\n", end="")
    return 1 if result.failed else 0


def _names(files: list[Path]) -> str:
    """The names of the first files, and that there are more."""
    return ", ".join([printable(file.name) for file in files[:NAMED]] + ["..."] * (len(files) > NAMED))


def smooth(args: argparse.Namespace) -> int:
    from ..data.edge_smoothing import smooth_folder

    result = smooth_folder(args.cartoons, args.output, args.jobs)
    common.tell_all(PROGRAM, [*result.failed.values()])
    existing = f", {result.existing} were there" if result.existing else ""
    failed = f", {len(result.failed)} failed" if result.failed else ""
    print(f"{result.made} smoothed cartoons in {result.folder}{existing}{failed}")
    return 1 if failed else 0


def check(args: argparse.Namespace) -> int:
    from ..data import check as dataset

    if not args.root.is_dir():
        raise InputError(f"{args.root}: no such folder")
    folders, options = _configured(args) if args.config_file else (dataset.layout(args.root), {})
    result = dataset.check(folders, **options, jobs=args.jobs, recursive=args.recursive)
    print("\n".join(dataset.table(result)))
    for lines in (result.notes, result.few, result.warnings):
        common.tell_all(PROGRAM, lines, stream=sys.stdout)
    common.tell_all(PROGRAM, result.failures)
    few = "Training would start, with few images." if result.few else "Training would find all it needs."
    print("Training would fail." if result.failures else few)
    dataset.histogram(result, args.output)
    print(f"Brightness: {args.output}")
    return 1 if result.failures else 0


def _configured(args: argparse.Namespace) -> tuple:
    """The folders that a config names, with its image size and batch size."""
    from ..config import loading
    from ..data.check import DatasetLayout, test_folders

    train = loading.load(args.config_file).dataset.train
    if train.name != "UnpairedCartoonDataset":
        raise InputError(f"{args.config_file}: its images are drawn by code, there is nothing to check")
    style = {key: args.root / name for key in ("cartoons", "smooth") if (name := getattr(train, key))}
    folders = DatasetLayout(args.root / train.photos, [style], test_folders(args.root))
    args.recursive |= train.recursive
    return folders, {"load_size": train.load_size or train.size, "batch_size": train.batch_size}
