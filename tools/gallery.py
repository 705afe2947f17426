"""Makes docs/gallery.md with its images, and docs/samples.jpg of README.md, from scikit-image's photos."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import av
import numpy as np
from PIL import Image
from skimage import data

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ppcartoon import CartoonPredictor, images, weights
from ppcartoon.utils.grid import cell, contact_sheet, grid
from ppcartoon.video import cartoonize
from ppcartoon.video.pipeline import VideoOptions

DOCS = ROOT / "docs"
FOLDER = DOCS / "gallery"
BEFORE = FOLDER / "before.png"  # cartoons of the weights that were shipped before, in the order of OLD_AND_NEW
OLD_AND_NEW = ("astronaut", "chelsea", "rocket")
README = ("astronaut", "chelsea", "coffee", "motorcycle")
WORKING_SIZES = (192, 256, 384, 512, 0)
SHARES = (0.25, 0.5, 0.75, 1.0)
CLIP_SIZE, CLIP_FRAMES, CLIP_FPS = 360, 20, 10
HEAD = """# Gallery

`make gallery` makes this page and its images: photos of scikit-image, and their cartoons in every shipped style, at the
size of the photo and with default settings. Each row: photo, {styles}.

The photos come from scikit-image (astronaut and sky: NASA, public domain; the others: CC0). The styles were trained on
Pepper&Carrot by David Revoy, CC BY 4.0 (www.peppercarrot.com).
"""


def photos() -> dict[str, tuple[str, np.ndarray]]:
    """Title and RGB uint8 [H, W, 3] of each photo, by its name."""
    left, right, _ = data.stereo_motorcycle()
    gray = np.stack([data.camera()] * 3, -1)
    return {
        "astronaut": ("a portrait", data.astronaut()),
        "face": ("a small face", np.ascontiguousarray(data.astronaut()[0:200, 130:330])),
        "chelsea": ("an animal", data.chelsea()),
        "eye": ("a small detail", np.ascontiguousarray(data.chelsea()[40:200, 60:260])),
        "coffee": ("food", data.coffee()),
        "spoon": ("metal", np.ascontiguousarray(data.coffee()[200:400, 300:560])),
        "rocket": ("night", data.rocket()),
        "lights": ("lamps at night", np.ascontiguousarray(data.rocket()[280:427, 180:480])),
        "motorcycle": ("a cluttered room", left),
        "wheel": ("machinery", np.ascontiguousarray(right[220:480, 60:400])),
        "camera": ("a gray photo, outdoors", gray),
        "hubble": ("a large photo of the sky", data.hubble_deep_field()),
    }


def side_by_side(shown: list[np.ndarray], columns: list[str] = ()) -> np.ndarray:
    """Images of one size in a row, each with a caption; RGB uint8 [H, W, 3] in and out."""
    height, width = shown[0].shape[:2]
    return grid([[cell(image, (width, height)) for image in shown]], columns)


def write(name: str, rgb: np.ndarray) -> str:
    """Writes an image of the page; returns the Markdown that shows it."""
    images.write(FOLDER / f"{name}.jpg", images.Picture(rgb), quality=88)
    return f"![{name}](gallery/{name}.jpg)\n"


def clip(predictor: CartoonPredictor, photo: np.ndarray) -> None:
    """Writes docs/gallery/clip.webp: a camera that pans over a photo, beside its cartoon."""
    side = photo.shape[0] // 2 * 2
    with tempfile.TemporaryDirectory() as folder:
        source, frames = Path(folder) / "pan.mp4", Path(folder) / "frames"
        with av.open(str(source), "w") as video:
            stream = video.add_stream("libx264", CLIP_FPS, {"crf": "12"})
            stream.width = stream.height = side
            for left in np.linspace(0, photo.shape[1] - side, CLIP_FRAMES).astype(int):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(photo[:side, left : left + side]))
                video.mux(stream.encode(frame))
            video.mux(stream.encode(None))
        cartoonize(source, frames / "%03d.png", predictor, VideoOptions(side_by_side=True))
        shown = [Image.open(path).resize((2 * CLIP_SIZE, CLIP_SIZE)) for path in sorted(frames.iterdir())]
        shown += shown[-2:0:-1]  # and back
        options = {"duration": 1000 // CLIP_FPS, "loop": 0, "quality": 75}
        shown[0].save(FOLDER / "clip.webp", save_all=True, append_images=shown[1:], **options)


def main(before: Path | None) -> None:
    """Makes the page; `before` is a weights file to renew the cartoons of the weights that were shipped before."""
    predictors = {style: CartoonPredictor(style) for style in weights.manifest()}
    predictor, shown = next(iter(predictors.values())), photos()
    cartoons = {name: [each(photo) for each in predictors.values()] for name, (_, photo) in shown.items()}
    page = [HEAD.format(styles=", ".join(predictors))]
    for name, (title, photo) in shown.items():
        page += [f"## {title.capitalize()}\n", write(name, side_by_side([photo, *cartoons[name]]))]
    page += [
        "## Working size\n",
        "From bold to fine: `--working-size` 192, 256, 384, 512, and 0 for full resolution.\n",
    ]
    for name in ("chelsea", "motorcycle"):
        row = [predictor.replace(working_size=size)(shown[name][1]) for size in WORKING_SIZES]
        page.append(write(f"sizes_{name}", side_by_side(row, [str(size) for size in WORKING_SIZES])))
    page += ["## Strength and colors\n", "`--strength`, then `--keep-colors`, of 0.25, 0.5, 0.75 and 1.\n"]
    for option, style, name in (("strength", "peppercarrot", "astronaut"), ("keep_colors", "storybook", "coffee")):
        row = [predictors[style].replace(**{option: share})(shown[name][1]) for share in SHARES]
        page.append(write(option, side_by_side(row, [str(share) for share in SHARES])))
    page += [
        "## Before and now\n",
        "Photo, the weights that were shipped before, at full resolution, and peppercarrot.\n",
    ]
    if before:
        old = CartoonPredictor(weights_file=before, working_size=0)
        images.write(BEFORE, images.Picture(contact_sheet([old(shown[name][1]) for name in OLD_AND_NEW], 300, 3)))
    new = [contact_sheet([each[name] for name in OLD_AND_NEW], 300, 3) for each in (
        {name: photo for name, (_, photo) in shown.items()}, {name: made[0] for name, made in cartoons.items()}
    )]  # fmt: skip
    page.append(write("before_and_now", np.concatenate([new[0], images.read(BEFORE).rgb, new[1]])))
    clip(predictor, shown["motorcycle"][1])
    page += [
        "## A video\n",
        "A camera that pans over a photo, and the cartoon of this video, deflickered.\n",
        "![clip](gallery/clip.webp)\n",
    ]
    (DOCS / "gallery.md").write_text("\n".join(page), encoding="utf-8")
    pairs = [each for name in README for each in (shown[name][1], cartoons[name][0])]
    images.write(DOCS / "samples.jpg", images.Picture(contact_sheet(pairs, 300, 4)), quality=90)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--before", type=Path, metavar="FILE", help="the weights that were shipped before, to renew their row"
    )
    main(parser.parse_args().before)
