"""Turns a video into a cartoon over its first two seconds: code of your own gets each frame and its cartoon.

    pip install ".[video]"                          # in a clone of the repository
    python examples/video.py clip.mp4 cartoon.mp4

The audio is kept. For a cartoon from the start, `ppcartoon.video.cartoonize(source, target, predictor)` is enough.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from ppcartoon import CartoonPredictor, InputError
from ppcartoon.video.deflicker import Deflicker
from ppcartoon.video.pipeline import VideoOptions, process

FADE = 2  # seconds

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("source", type=Path)
parser.add_argument("target", type=Path)
args = parser.parse_args()
if args.target.resolve() == args.source.resolve():
    parser.error(f"{args.target}: would replace the source")

cartoonize = Deflicker(CartoonPredictor("peppercarrot"))


def draw(frame: np.ndarray, time: float) -> np.ndarray:
    """Takes each frame in order, RGB uint8 [H, W, 3], and its time in seconds; returns the same shape and type."""
    share = min(time / FADE, 1)
    return np.uint8((1 - share) * frame + share * cartoonize(frame, time) + 0.5)


try:
    report = process(args.source, args.target, draw, VideoOptions(max_size=1280))  # with a progress bar
except (InputError, KeyboardInterrupt) as error:  # after Ctrl-C, the message names the file with the first part
    sys.exit(str(error))
print(f"{report.frames} frames, {report.seconds:.1f} seconds", *report.warnings, *report.remarks, sep="\n")
