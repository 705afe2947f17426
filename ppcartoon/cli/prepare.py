"""The command line of tools/prepare_data.py."""

from __future__ import annotations

import argparse
import math
import signal
import sys
import warnings
from pathlib import Path
from typing import TextIO

from ..errors import InputError
from ..utils.timecode import parse_time

SHOWN = 20  # failures in full


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        description="From a film, a folder or the paper's data set to what tools/train.py reads.",
        epilog="Whatever was interrupted goes on when it is started again; what is done is not done twice. "
        "Exit code: 0 all done, 1 something failed and is named, 2 nothing could be done as asked.",
    )
    commands = p.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _download(commands.add_parser("download", help="AnimeGAN's data set, and the weights of VGG19 and Inception"))
    _frames(commands.add_parser("frames", help="key frames of films as cartoons or photos"))
    _smooth(commands.add_parser("smooth", help="the edge-smoothed twins of cartoons"))
    _check(commands.add_parser("check", help="what training would find in a folder"))
    for name in ("frames", "smooth", "check"):
        commands.choices[name].add_argument(
            "--jobs", type=_number(int, 1), metavar="N", help="threads (default: as many as cores)"
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
    pick.add_argument("--every", dest="pick", type=_number(float, 0.001), metavar="SECONDS", help="a frame so often")
    p.add_argument("--start", type=_clock, default=0, metavar="TIME", help="seconds, m:ss or h:mm:ss")
    p.add_argument("--end", type=_clock, default=math.inf, metavar="TIME", help="as --start")
    p.add_argument("--count", type=_number(int, 1), metavar="N", help="keep at most so many of a film, spread over it")
    p.add_argument("--size", type=_number(int, 16), default=256, metavar="N", help="height and width (default: 256)")
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
        "-o", "--output", type=_png, default=Path("output/check.png"), metavar="PNG",
        help="for the brightness of the images (default: output/check.png)",
    )  # fmt: skip


def _number(kind: type, least: float) -> type:
    def number(text: str) -> float:
        if not least <= kind(text) < math.inf:
            raise argparse.ArgumentTypeError(f"{text} is not at least {least}")
        return kind(text)

    return number


def _png(text: str) -> Path:
    if Path(text).suffix.lower() != ".png":
        raise argparse.ArgumentTypeError(f"{text} does not end in .png")
    return Path(text)


def _clock(text: str) -> float:
    try:
        return parse_time(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    args = parser().parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that temporary files are removed
    for quiet in ({"module": "PIL"}, {"message": "Glyph .* missing"}):  # damaged metadata, signs that no font has
        warnings.filterwarnings("ignore", **quiet)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not in notebooks
            stream.reconfigure(errors="backslashreplace")  # file names may be any bytes
    try:
        return args.run(args)
    except InputError as error:
        print(f"prepare_data: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        print(f"prepare_data: {error.name} is not installed; this needs: pip install '.[train]'", file=sys.stderr)
        return 2
    except OSError as error:  # of names too long, say, or a reader who left
        if not isinstance(error, BrokenPipeError):
            print(f"prepare_data: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("prepare_data: interrupted; the same command goes on from there", file=sys.stderr)
        return 130


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
        for folder, number in download.count(dataset).items():
            print(f"| {folder} | {number} | {download.PAPER[folder]} |")
            code = code if number == download.PAPER[folder] else 1
        if code:
            print(
                f"prepare_data: {dataset} does not have the paper's images; training takes what is there",
                file=sys.stderr,
            )
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
            print(f"prepare_data: {error}", file=sys.stderr)
            continue
        sheet = f"; in {args.output}, all on {report.sheet}" if report.sheet else ""
        print(f"{film}: {report.summary()}{sheet}")
    return 1 if failed else 0


def smooth(args: argparse.Namespace) -> int:
    from ..data.edge_smoothing import smooth_folder

    done = smooth_folder(args.cartoons, args.output, args.jobs)
    _name([f"{file}: {reason}" for file, reason in done.failed.items()], sys.stderr)
    there = f", {done.there} were there" if done.there else ""
    print(f"{done.made} smoothed cartoons in {done.folder}{there}" + f", {len(done.failed)} failed" * bool(done.failed))
    return 1 if done.failed else 0


def _name(lines: list[str], stream: TextIO) -> None:
    for line in lines[:SHOWN]:
        print(f"prepare_data: {line}", file=stream)
    if len(lines) > SHOWN:
        print(f"prepare_data: and {len(lines) - SHOWN} more like these", file=stream)


def check(args: argparse.Namespace) -> int:
    from ..data import check as dataset

    if not args.root.is_dir():
        raise InputError(f"{args.root}: no such folder")
    places, options = _configured(args) if args.config_file else (dataset.layout(args.root), {})
    found = dataset.check(places, **options, jobs=args.jobs)
    print("\n".join(dataset.table(found)))
    _name(found.remarks, sys.stdout)
    _name(found.failures, sys.stderr)
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
