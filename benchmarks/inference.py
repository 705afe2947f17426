"""The inference benchmarks, in sections."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from ppcartoon.errors import InputError

from . import engines, folder, memory, tiles, video, working_size
from .common import Style

SECTIONS = {
    "engines": lambda args, style: engines.measure(
        style, args.engines, args.sizes, args.batches, args.rounds, args.threads
    ),
    "folder": lambda args, style: folder.measure(style, args.rounds, args.threads),
    "tiles": lambda args, style: tiles.measure(style, args.megapixels, args.rounds, args.threads),
    "size": lambda args, style: working_size.measure(style, args.working_sizes, args.rounds, args.threads),
    "video": lambda args, style: chain(
        video.measure(style, args.rounds, args.threads), video.measure_flicker(style, args.threads)
    ),
    "start": lambda args, style: folder.measure_startup(style, args.engines, args.rounds, args.threads),
    "memory": lambda args, style: memory.measure(style, args.images, args.threads),
}
LONG = {"sizes": [256, 512], "megapixels": [0.25, 1, 4, 16, 64], "images": 5000}
MAX_MEGAPIXELS = 150  # Pillow refuses much larger files


def add_options(p: argparse.ArgumentParser) -> None:
    """Adds the options of the sections, except --rounds and --threads."""
    p.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="sections (default: all)")
    style = p.add_mutually_exclusive_group()
    style.add_argument("-s", "--style", default="peppercarrot", help="a shipped style (default: peppercarrot)")
    style.add_argument("-w", "--weights", type=Path, metavar="FILE", help="a .safetensors weights file of your own")
    p.add_argument("--engines", nargs="+", choices=engines.NAMES, help="(default: all that this machine supports)")
    p.add_argument(
        "--sizes",
        nargs="+",
        type=int,
        metavar="PIXELS",
        default=[256],
        help="image sizes for section engines, multiples of 4 (default: 256)",
    )
    p.add_argument(
        "--batches",
        nargs="+",
        type=int,
        metavar="N",
        default=[1, 4],
        help="batch sizes for section engines (default: 1 4)",
    )
    p.add_argument(
        "--megapixels",
        nargs="+",
        type=float,
        metavar="MP",
        default=[0.25, 1, 4],
        help="photo sizes for section tiles (default: 0.25 1 4)",
    )
    p.add_argument(
        "--working-sizes",
        nargs="+",
        type=pixels_or_auto,
        metavar="auto|PIXELS",
        default=["auto"],
        help="for section size, compared with full resolution (default: auto)",
    )
    p.add_argument(
        "--images", type=int, metavar="N", default=300, help="number of images for section memory (default: 300)"
    )
    long = " ".join(f"--{name} {' '.join(map(str, v)) if isinstance(v, list) else v}" for name, v in LONG.items())
    p.add_argument("--long", action="store_true", help=f"the same as {long}")


def pixels_or_auto(text: str) -> int | str:
    return text if text == "auto" else int(text)


def measure(args: argparse.Namespace) -> Iterator[str]:
    """Runs the chosen sections; yields lines of Markdown.

    Raises:
        InputError: an option is out of range, or something to be measured is not available.
    """
    if min(args.rounds, args.threads, args.images, *args.sizes, *args.batches) < 1 or any(s % 4 for s in args.sizes):
        raise InputError("--rounds, --threads, --images and --batches must be at least 1, --sizes multiples of 4")
    if not all(0 < megapixels <= MAX_MEGAPIXELS for megapixels in args.megapixels):
        raise InputError(f"--megapixels must be more than 0 and at most {MAX_MEGAPIXELS}")
    if args.long:
        vars(args).update(LONG)
    style = Style(args.style, args.weights)
    style.load()  # fails early
    for name in dict.fromkeys(args.only):
        start = time.perf_counter()
        yield from SECTIONS[name](args, style)
        yield f"({name}: took {time.perf_counter() - start:.0f} s)"
        yield ""
