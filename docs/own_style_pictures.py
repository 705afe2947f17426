"""Makes the pictures of docs/own_style.md: contact sheets, checks, and small runs that go wrong."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
from curves import make, save
from drawings import draw
from PIL import Image
from skimage import data

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
sys.path.insert(0, str(ROOT))

from ppcartoon import CartoonPredictor
from ppcartoon.utils.grid import cell, grid

SCENES, FPS, SECONDS = 60, 10, 2
FEW, DARK = 4, 0.35  # number of cartoons; share of their brightness that is left
INIT_EPOCHS, EPOCHS = 3, 5  # of configs/dashboards/healthy.yaml, and of the runs that continue it


def tool(*arguments: str) -> None:
    """Runs one of the tools in the current folder."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, ROOT / "tools" / arguments[0], *arguments[1:]], check=True, env=environment)


def write(name: str, image: Image.Image, width: int) -> None:
    """Writes an image of the page, reduced to a width, as JPEG of less than 80 kB."""
    image = image.convert("RGB")
    if image.width > width:
        image = image.resize((width, round(image.height * width / image.width)), Image.Resampling.LANCZOS)
    path = DOCS / f"own_style_{name}.jpg"
    for quality in range(90, 40, -5):
        image.save(path, quality=quality, optimize=True)
        if path.stat().st_size < 80_000:
            return
    raise SystemExit(f"{path}: larger than 80 kB")


def video(path: Path) -> None:
    """Writes a video of drawings; among them are dark, pale and grainy ones, and photos."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", FPS, {"crf": "12"})
        stream.width = stream.height = 256
        for number in range(SCENES):
            image = np.asarray(draw(number), np.float32)
            if number % 8 == 2:
                image = image * DARK
            elif number % 8 == 4:
                image = 200 + (image - 128) * 0.2
            elif number % 8 == 6:
                image = image + rng.normal(0, 25, image.shape)
            elif number in (7, 25):
                image = (data.astronaut()[:256, 100:356], data.coffee()[60:316, 150:406])[number == 25]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(np.clip(image, 0, 255).astype(np.uint8)))
            for _ in range(FPS * SECONDS):
                file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def sheets() -> None:
    """The left halves of the contact sheets of `frames` and `select`."""
    video(Path("drawings.mp4"))
    tool("prepare_data.py", "frames", "drawings.mp4", "-o", "frames", "--scenes")
    tool("prepare_data.py", "select", "frames", "-o", "selected")
    for name, path in (("sheet", "frames_drawings"), ("left_out", "selected_left_out")):
        sheet = Image.open(f"{path}_contact_sheet.jpg")
        write(name, sheet.crop((0, 0, sheet.width // 2, sheet.height)), 900)


def datasets() -> None:
    """The data of docs/dashboards.md in data/curves, and its cartoons as a `few`, and darkened."""
    curves = Path("data/curves")
    make(curves)
    for number, path in enumerate(sorted((curves / "cartoons").iterdir())):
        image = np.asarray(Image.open(path))
        save((image * DARK).astype(np.uint8), curves / "dark" / path.name)
        if number < FEW:
            save(image, curves / "few" / path.name)


def check() -> None:
    """The plots of `check`: of fair and of dark cartoons."""
    for cartoons, name in (("cartoons", "check"), ("dark", "check_dark")):
        folder = Path("check") / cartoons
        folder.mkdir(parents=True, exist_ok=True)
        for link, target in (("photos", "photos"), ("cartoons", cartoons)):
            if not (folder / link).exists():
                (folder / link).symlink_to(Path("data/curves", target).resolve())
        tool("prepare_data.py", "check", str(folder))
        write(name, Image.open("output/check.png"), 800)


def failures(vgg: str | None) -> None:
    """Trains small networks: a healthy one, one on few and one on dark cartoons, and one that collapses."""
    keys = ["validate=null", "enable_visualdl=false", *([f"model.vgg_path={vgg}"] if vgg else [])]
    train = ("train.py", "-c", str(ROOT / "configs/dashboards/healthy.yaml"))
    tool(*train, "-o", "output_dir=init", f"epochs={INIT_EPOCHS}", *keys)
    checkpoint = str(max(Path("init/healthy/checkpoints").glob("step_*.safetensors")))
    for name in ("cartoons", "few", "dark"):
        folders = f"output_dir={name}", f"dataset.train.cartoons={name}"
        tool(*train, "--resume", checkpoint, "-o", *folders, f"epochs={EPOCHS}", *keys)
    wins = str(ROOT / "configs/dashboards/discriminator_wins.yaml")
    tool("train.py", "-c", wins, "-o", "output_dir=collapsed", "epochs=2", *keys)
    photos = [np.asarray(Image.open(path)) for path in sorted(Path("data/curves/samples").iterdir())]
    rows = [photos]
    for name in ("cartoons", "few", "dark", "collapsed"):
        (weights,) = Path(name).glob("*/weights.safetensors")
        rows.append(CartoonPredictor(weights_file=weights, working_size=0)(photos))
    titles = "photo", "256 cartoons", f"{FEW} cartoons", "dark cartoons", "collapsed"
    cells = [[cell(image, (150, 150)) for image in column] for column in zip(*rows)]
    write("failures", Image.fromarray(grid(cells, list(titles))), 800)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="for the data and the runs")
    parser.add_argument("--vgg", metavar="FILE", help="weights of VGG19 up to conv2_1 or further; else downloaded")
    args = parser.parse_args()
    vgg = args.vgg and str(Path(args.vgg).resolve())
    args.folder.mkdir(parents=True, exist_ok=True)
    os.chdir(args.folder)
    sheets()
    datasets()
    check()
    failures(vgg)


if __name__ == "__main__":
    main()
