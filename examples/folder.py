"""Cartoonizes all photos of a folder and its subfolders, and reports the files that are not photos.

    pip install .                                   # in a clone of the repository
    python examples/folder.py photos cartoons

On the command line, `ppcartoon photos -r -o cartoons` does this and more.
"""

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from ppcartoon import CartoonPredictor, InputError, images
from ppcartoon.errors import OutputError

SAME_FORMAT = {".jpg", ".jpeg", ".png", ".webp"}  # the cartoons of all other photos are PNG files, such as a.heic.png

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("source", type=Path)
parser.add_argument("target", type=Path)
args = parser.parse_args()
files = sorted(path for path in args.source.rglob("*") if path.is_file() and not path.name.startswith("."))
if not files or args.target.resolve().is_relative_to(args.source.resolve()):
    parser.error("the source must contain files, and not the target")

predictor = CartoonPredictor("peppercarrot")
failed = 0
for path in tqdm(files, unit="photo"):
    name = path.relative_to(args.source)
    target = args.target / (name if path.suffix.lower() in SAME_FORMAT else f"{name}.png")
    try:
        with path.open("rb") as file:
            photo = images.read(file)  # upright, in sRGB
        cartoon = predictor(photo.rgb)
        images.write(target, images.Picture(cartoon, photo.alpha))
    except OutputError as error:  # the disk is full, for example, and the next file would fail, too
        sys.exit(str(error))
    except (InputError, OSError) as error:
        tqdm.write(f"{path}: {error}", file=sys.stderr)
        failed += 1
sys.exit(1 if failed else 0)
