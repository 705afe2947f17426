"""Draws the images that docs/own_style.md fine-tunes on: 64 landscapes in three inks on paper, 256x256."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

PAPER, CORAL, BLUE, NAVY = (250, 238, 212), (238, 110, 88), (104, 160, 196), (28, 36, 84)
COUNT, SIZE, SCALE = 64, 256, 4  # drawn at SCALE times SIZE, then reduced, so that edges are smooth


def draw(seed: int) -> Image.Image:
    """A landscape: sky, sun, hills with hatching, houses and trees, all with navy outlines."""
    rng = np.random.default_rng(seed)
    side = SIZE * SCALE
    image = Image.new("RGB", (side, side), (PAPER, BLUE)[rng.integers(2)])
    pen, line = ImageDraw.Draw(image), 3 * SCALE
    x, y, r = rng.uniform([0.1, 0.05, 0.06], [0.9, 0.35, 0.14]) * side
    pen.ellipse((x - r, y - r, x + r, y + r), CORAL if seed % 3 else PAPER, NAVY, line)
    for horizon in sorted(rng.uniform(0.3, 0.85, 3)):
        fill = (PAPER, CORAL, BLUE, NAVY)[rng.choice(4, p=(0.35, 0.25, 0.25, 0.15))]
        ink = PAPER if fill == NAVY else NAVY
        xs = np.linspace(-0.05, 1.05, 60)
        phase, waves, height = rng.uniform(0, 6.3), rng.uniform(3, 9), rng.uniform(0.02, 0.09)
        top = horizon + height * np.sin(waves * xs + phase)
        ridge = [(float(u), float(v)) for u, v in zip(xs * side, top * side)]
        pen.polygon([*ridge, (1.1 * side, 1.1 * side), (-0.1 * side, 1.1 * side)], fill)
        pen.line(ridge, NAVY, line, "curve")
        if rng.random() < 0.5:
            for u, v in ridge[:: rng.integers(2, 5)]:
                pen.line((u, v + 10 * SCALE, u - 14 * SCALE, v + rng.uniform(24, 40) * SCALE), ink, line // 2)
        for _ in range(rng.integers(1, 4)):
            u, v = ridge[rng.integers(5, 55)]
            s = rng.uniform(0.06, 0.16) * side
            if rng.random() < 0.5:
                wall, roof = (PAPER, CORAL) if fill != PAPER else (BLUE, NAVY)
                pen.rectangle((u - s / 2, v - s * 0.7, u + s / 2, v + s * 0.2), wall, NAVY, line)
                pen.polygon(
                    [(u - s * 0.65, v - s * 0.7), (u, v - s * 1.25), (u + s * 0.65, v - s * 0.7)], roof, NAVY, line
                )
                pen.rectangle((u - s / 7, v - s * 0.4, u + s / 7, v - s * 0.1), NAVY)
            else:
                pen.rectangle((u - s / 10, v - s * 0.5, u + s / 10, v + s * 0.2), NAVY)
                box = (u - s * 0.4, v - s * 1.3, u + s * 0.4, v - s * 0.3)
                pen.ellipse(box, (CORAL, BLUE, NAVY)[rng.integers(3)], NAVY, line)
    return image.resize((SIZE, SIZE), Image.Resampling.BOX)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="for the drawings, 00.png to 63.png")
    folder = parser.parse_args().folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(COUNT):
            draw(number).save(folder / f"{number:02d}.png")
    except OSError as error:
        parser.error(f"{error.filename or folder}: cannot be written ({error.strerror})")
