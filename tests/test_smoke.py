"""What a newcomer does: train the demonstration, lose it, go on, and cartoonize a photo with what came of it."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from ppcartoon import weights
from ppcartoon.images import Picture, write
from ppcartoon.training import checkpoints
from tests.helpers import training_runs
from tests.helpers.samples import photo

pytestmark = pytest.mark.slow

DEMO = training_runs.ROOT / "configs" / "demo.yaml"
CONTENT_FALLS_TO = 0.7  # of the first epoch's mean, in the last epoch
COLOR_FALLS_TO = 0.85  # of the mean in the first epoch of stage cartoon, in the last epoch


def test_the_demonstration_trains_is_killed_resumes_exports_and_cartoonizes(tmp_path):
    run, options = tmp_path / "demo", ["-c", DEMO, "-o", f"output_dir={tmp_path}"]
    environment = {**training_runs.environment(), "OMP_NUM_THREADS": "2"}
    process = subprocess.Popen(
        training_runs.command(*options), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment
    )
    lines = []
    for line in process.stderr:
        lines.append(line)
        if " cartoon " in line and "epoch 9/16" in line:
            process.kill()
    process.communicate()
    assert process.returncode == -9, lines[-5:]
    assert any("VGG19 has seeded random weights" in line for line in lines)
    assert checkpoints.step_of(checkpoints.newest_first(run / "checkpoints")[0]) == 8 * 32

    resumed = subprocess.run(
        training_runs.command(*options, "--resume"), capture_output=True, text=True, env=environment
    )
    assert resumed.returncode == 0, resumed.stderr
    rows = training_runs.metrics(run)
    assert [row["epoch"] for row in rows] == sorted(row["epoch"] for row in rows) and rows[-1]["step"] == 16 * 32

    def mean(name, epoch):
        return np.mean([row[name] for row in rows if row["epoch"] == epoch])

    assert mean("g_content", 16) < CONTENT_FALLS_TO * mean("g_content", 1)
    assert mean("g_color", 16) < COLOR_FALLS_TO * mean("g_color", 8)

    write(tmp_path / "photo.png", Picture(photo(40, 60)))
    infer = [sys.executable, str(training_runs.ROOT / "tools/infer.py"), "-i", "photo.png", "-o", "cartoon.png"]
    done = subprocess.run([*infer, "--weights", str(run / "weights.safetensors")], cwd=tmp_path, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert np.asarray(Image.open(tmp_path / "cartoon.png")).shape == (40, 60, 3)
    assert weights.load(run / "weights.safetensors").style == "demo"
