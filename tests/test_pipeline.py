"""From a film to a trained model, in the README's commands."""

import re
import shlex
import subprocess
import sys

import films
import numpy as np
import runs_of
from PIL import Image

from ppcartoon import images
from ppcartoon.data.drawing import draw_photo

README = (runs_of.ROOT / "README.md").read_text()


def readme_commands(*beginnings):
    """The lines of the README's code that begin so, without their comments."""
    lines = [
        re.sub(r"\s+#.*", "", line.strip()) for line in README.splitlines() if line.startswith("    python tools/")
    ]
    return [next(line for line in lines if line.startswith(f"python tools/{begin}")) for begin in beginnings]


def test_three_commands_of_the_readme_lead_from_a_film_to_a_model(tmp_path):
    pictures = films.still(films.credits("A FILM", "by nobody")) + films.fade(films.scene(0))
    for seed in range(8):
        pictures += films.still(films.letterbox(seed) if seed % 2 else films.scene(seed))
    pictures += films.fade(films.letterbox(7), up=False) + films.still(films.BLACK)
    films.write(tmp_path / "film.mp4", pictures, options={"crf": "12", "g": str(films.RATE)})
    for seed in range(8):
        images.write(tmp_path / f"data/custom/photos/{seed}.png", images.Picture(draw_photo(seed, 64)))

    frames, smooth, train = readme_commands(
        "prepare_data.py frames", "prepare_data.py smooth", "train.py -c configs/demo_custom.yaml"
    )
    for command in (frames, smooth, train):
        _, script, *arguments = shlex.split(command)
        arguments = [str(runs_of.ROOT / a) if a.startswith("configs/") else a for a in arguments]
        done = subprocess.run(
            [sys.executable, runs_of.ROOT / script, *arguments],
            cwd=tmp_path, capture_output=True, text=True, env={**runs_of.environment(), "HOME": str(tmp_path)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    cartoons, smoothed = (sorted((tmp_path / "data/custom" / name).glob("*.png")) for name in ("cartoons", "smooth"))
    assert len(cartoons) == 8
    assert [file.name for file in cartoons] == [file.name for file in smoothed]
    assert all(np.asarray(Image.open(file)).shape == (256, 256, 3) for file in cartoons + smoothed)
    rows = runs_of.metrics(tmp_path / "output/demo_custom")
    assert rows[-1]["epoch"] == 16 and rows[-1]["stage"] == "cartoon"
    assert (tmp_path / "output/demo_custom/weights.safetensors").stat().st_size > 1000
    assert len(list((tmp_path / ".cache/ppcartoon/stacks").glob("*.stack"))) == 3
