"""Makes the photos and cartoons of the small runs in docs/dashboards.md and docs/own_style.md."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ppcartoon.data.samples import draw_cartoon

CARTOONS, SIDE = 256, 48


def save(image: np.ndarray, path: Path, side: int = SIDE) -> None:
    """Writes an image of RGB uint8 [H, W, 3], reduced to a square of `side` pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).resize((side, side), Image.Resampling.BOX).save(path)


def make(folder: Path) -> None:
    """Writes `photos`, `test` (other crops) and `samples` (the middle) of five photos, and drawn `cartoons`."""
    scenes = [data.astronaut(), data.chelsea(), data.coffee(), data.rocket(), data.stereo_motorcycle()[0]]
    for n, scene in enumerate(scenes):
        height, width = scene.shape[:2]
        top, left = (height - 256) // 2, (width - 256) // 2
        save(scene[top : top + 256, left : left + 256], folder / f"samples/{n}.png", 96)
        for name, offset, stride in (("photos", 0, 60), ("test", 30, 120)):
            for top in range(offset, height - 127, stride):
                for left in range(offset, width - 127, stride):
                    save(scene[top : top + 128, left : left + 128], folder / name / f"{n}_{top}_{left}.png")
    for seed in range(CARTOONS):
        save(draw_cartoon(seed, SIDE), folder / f"cartoons/{seed}.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="for the images; data/curves in the configs")
    make(parser.parse_args().folder)
