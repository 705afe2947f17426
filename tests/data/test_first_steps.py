"""The commands of docs/own_style.md from a video to a trained model."""

import re
import shlex
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from ppcartoon import images
from ppcartoon.data.samples import draw_photo
from tests.helpers import training_runs, videos

pytestmark = pytest.mark.slow

GUIDE = (training_runs.ROOT / "docs/own_style.md").read_text()


def commands_of_the_guide(*beginnings):
    """The first lines of its code that begin so, without their comments."""
    lines = [re.sub(r"\s+#.*", "", line.strip()) for line in GUIDE.splitlines() if line.startswith("    python tools/")]
    return [next(line for line in lines if line.startswith(f"python tools/{begin}")) for begin in beginnings]


def test_three_commands_lead_from_a_video_to_a_model(tmp_path):
    pictures = videos.still(videos.credits("A FILM", "by nobody")) + videos.fade(videos.scene(0))
    for seed in range(8):
        pictures += videos.still(videos.letterbox(seed) if seed % 2 else videos.scene(seed))
    pictures += videos.fade(videos.letterbox(7), up=False) + videos.still(videos.BLACK)
    videos.write(tmp_path / "video.mp4", pictures, options={"crf": "12", "g": str(videos.RATE)})
    for seed in range(8):
        images.write(tmp_path / f"data/custom/photos/{seed}.png", images.Picture(draw_photo(seed, 64)))

    frames, smooth, train = commands_of_the_guide(
        "prepare_data.py frames", "prepare_data.py smooth", "train.py -c configs/demo_custom.yaml"
    )
    for command in (frames, smooth, train):
        _, script, *arguments = shlex.split(command)
        arguments = [str(training_runs.ROOT / a) if a.startswith("configs/") else a for a in arguments]
        done = subprocess.run(
            [sys.executable, training_runs.ROOT / script, *arguments],
            cwd=tmp_path, capture_output=True, text=True, env={**training_runs.environment(), "HOME": str(tmp_path)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    cartoons, smoothed = (sorted((tmp_path / "data/custom" / name).glob("*.png")) for name in ("cartoons", "smooth"))
    assert len(cartoons) == 8
    assert [file.name for file in cartoons] == [file.name for file in smoothed]
    assert all(np.asarray(Image.open(file)).shape == (256, 256, 3) for file in cartoons + smoothed)
    rows = training_runs.metrics(tmp_path / "output/demo_custom")
    assert rows[-1]["epoch"] == 16 and rows[-1]["stage"] == "cartoon"
    assert (tmp_path / "output/demo_custom/weights.safetensors").stat().st_size > 1000
    assert len(list((tmp_path / ".cache/ppcartoon/stacks").glob("*.stack"))) == 3
