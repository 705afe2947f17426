"""All about inference, in sections."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from ppcartoon.errors import InputError

from . import engines, folder, memory, tiles, video
from .common import Subject

SECTIONS = {
    "engines": lambda a, s: engines.measure(s, a.engines, a.sizes, a.batches, a.rounds, a.threads),
    "folder": lambda a, s: folder.measure(s, a.rounds, a.threads),
    "tiles": lambda a, s: tiles.measure(s, a.megapixels, a.rounds, a.threads),
    "video": lambda a, s: chain(video.measure(s, a.rounds, a.threads), video.measure_flicker(s, a.threads)),
    "start": lambda a, s: folder.measure_start(s, a.rounds, a.threads),
    "memory": lambda a, s: memory.measure(s, a.images, a.threads),
}
LONG = {"sizes": [256, 512], "megapixels": [0.25, 1, 4, 16, 64], "images": 5000}
LARGEST = 150  # megapixels; Pillow does not trust a file with many more


def add_options(p: argparse.ArgumentParser) -> None:
    """Those of the sections, besides --rounds and --threads."""
    p.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="(default: all)")
    style = p.add_mutually_exclusive_group()
    style.add_argument("-s", "--style", default="peppercarrot", help="a shipped style (default: peppercarrot)")
    style.add_argument("-w", "--weights", type=Path, metavar="FILE", help="a .safetensors weights file of your own")
    p.add_argument("--engines", nargs="+", choices=engines.NAMES, help="(default: all that run on this CPU)")
    p.add_argument(
        "--sizes",
        nargs="+",
        type=int,
        metavar="PIXELS",
        default=[256],
        help="of engines, multiples of 4 (default: 256)",
    )
    p.add_argument(
        "--batches", nargs="+", type=int, metavar="N", default=[1, 4], help="of engines, images at once (default: 1 4)"
    )
    p.add_argument(
        "--megapixels", nargs="+", type=float, metavar="MP", default=[0.25, 1, 4], help="of tiles (default: 0.25 1 4)"
    )
    p.add_argument("--images", type=int, metavar="N", default=300, help="of memory (default: 300)")
    long = " ".join(f"--{name} {' '.join(map(str, v)) if isinstance(v, list) else v}" for name, v in LONG.items())
    p.add_argument("--long", action="store_true", help=f"the same as {long}")


def measure(args: argparse.Namespace) -> Iterator[str]:
    """Lines of Markdown, section by section as they are measured.

    Raises:
        InputError: an option is out of range, or something that is to be measured cannot be had.
    """
    if min(args.rounds, args.threads, args.images, *args.sizes, *args.batches) < 1 or any(s % 4 for s in args.sizes):
        raise InputError("--rounds, --threads, --images and --batches are at least 1, --sizes multiples of 4")
    if not all(0 < megapixels <= LARGEST for megapixels in args.megapixels):
        raise InputError(f"--megapixels are more than 0 and at most {LARGEST}")
    if args.long:
        vars(args).update(LONG)
    subject = Subject(args.style, args.weights)
    subject.weights()
    for name in dict.fromkeys(args.only):
        begin = time.perf_counter()
        yield from SECTIONS[name](args, subject)
        yield f"({name}: measured within {time.perf_counter() - begin:.0f} s)"
        yield ""
