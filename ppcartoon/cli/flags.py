"""The flags of the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from .. import __version__
from ..utils.timecode import parse_time
from ..video.formats import CODECS
from .completion import SHELLS, PrintCompletion

DEMO_SIZE = 384  # the shipped style was trained on small crops: here its strokes are bold
ENGINES = ("auto", "openvino", "onnx", "paddle", "tensorrt", "paddle-dygraph")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
ENDINGS = ("auto", "png", "jpg", "webp", "mp4", "mkv", "mov", "webm", "gif")


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        "ppcartoon",
        description="Photos and films into cartoons with CartoonLossGAN. Without --input: a demonstration on sample "
        f"photos, at --max-size {DEMO_SIZE}. `ppcartoon demo` serves a page in the browser instead.",
        epilog="Exit code: 0 all done, 1 some files failed and are named, 2 nothing could be done as asked.",
    )
    p.add_argument(
        "-i",
        "--input",
        nargs="+",
        action="extend",
        metavar="PATH",
        help="images, films, folders, glob patterns, and numbered images like frames/%%05d.png as a film; with --ray "
        "also URIs, and @FILE with a path or URI a line",
    )
    p.add_argument("-r", "--recursive", action="store_true", help="go into subfolders of folders")
    p.add_argument(
        "-o", "--output", default="output", metavar="PATH",
        help="folder for the cartoons, or a name for a single one (default: output)",
    )  # fmt: skip
    style = p.add_mutually_exclusive_group()
    style.add_argument("-s", "--style", help="a shipped style (default: peppercarrot)")
    style.add_argument("-w", "--weights", type=Path, metavar="FILE", help="a .safetensors weights file of your own")
    p.add_argument("--list-styles", action="store_true", help="show the shipped styles and whose they are")
    p.add_argument("--suffix", default="", metavar="TEXT", help="append to each file name, before its ending")
    p.add_argument(
        "--ext", choices=ENDINGS, default="auto",
        help="format, of photos or of films; auto: the input's where it can be written, else png or mp4",
    )  # fmt: skip
    p.add_argument("--quality", type=bounded(1, 100), default=95, metavar="1-100", help="of jpg and webp (default: 95)")
    p.add_argument(
        "--max-size", type=bounded(1), metavar="N", help="reduce images so that no side is longer, in pixels"
    )
    p.add_argument(
        "--batch-size", type=bounded(1), default=1, metavar="N", help="images at once, for GPUs (default: 1)"
    )
    p.add_argument("--skip-existing", action="store_true", help="leave out images whose cartoon is there already")
    p.add_argument("--side-by-side", action="store_true", help="write photo and cartoon next to each other")
    p.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto", help="(default: auto)")
    p.add_argument(
        "--engine", choices=ENGINES, default="auto", help="auto: the fastest that works, which is then named"
    )
    p.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="auto",
        help="auto: bf16 where the CPU has it and it holds, else fp32",
    )
    p.add_argument("--threads", type=bounded(1), metavar="N", help="of the CPU (default: its cores)")
    p.add_argument(
        "--tile", type=_tile, default="auto", metavar="N|auto|0",
        help="make larger images of tiles of N pixels a side; 0: never; auto: where memory would run short",
    )  # fmt: skip
    p.add_argument("--ray", metavar="ADDRESS", help="work on a Ray cluster: auto, local or host:port")
    film = p.add_argument_group("films")
    film.add_argument("--start", type=_time, default=0, metavar="TIME", help="leave out what comes before, like 1:30")
    film.add_argument("--duration", type=_time, metavar="TIME", help="take no more than this, in seconds or like 0:10")
    film.add_argument("--codec", choices=CODECS, help="(default: what is usual in the file's format)")
    film.add_argument("--crf", type=bounded(0, 63), metavar="N", help="compression, from 0 for the best")
    film.add_argument("--fps", type=_positive, metavar="N", help="images a second, of numbered ones (default: 25)")
    p.add_argument("--version", action="version", version=__version__)
    p.add_argument(
        "--print-completion", choices=SHELLS, action=PrintCompletion,
        help='what makes a shell complete this command; in bash and zsh: eval "$(ppcartoon --print-completion bash)"',
    )  # fmt: skip
    return p


def bounded(least: int, most: int | None = None) -> Callable[[str], int]:
    """What argparse takes for an integer from `least` to `most`."""

    def integer(text: str) -> int:
        value = int(text)
        if value < least or (most is not None and value > most):
            raise argparse.ArgumentTypeError(
                f"{text} is not " + (f"at least {least}" if most is None else f"in {least}-{most}")
            )
        return value

    return integer


def _tile(text: str) -> int | str:
    return text if text == "auto" else int(text)


def _time(text: str) -> float:
    try:
        return parse_time(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(error) from error


def _positive(text: str) -> float:
    if not 0 < (value := float(text)) < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not more than 0")
    return value
