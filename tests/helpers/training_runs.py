"""Training runs of a tiny config, each in its own process."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
TINY = """
_base_: {base}
epochs: 4
model:
  generator: {{in_channels: 8, channels: 2}}
  discriminator: {{channels: 2}}
  init_epochs: 1
  vgg_layer: conv1_1
  vgg_path: random
  gan_mode: lsgan
dataset:
  train: {{name: DrawnCartoonDataset, count: 6, size: 32, flip: true, batch_size: 2, num_workers: 0}}
output_dir: {output}
lr_scheduler: {{learning_rate: 0.002, decay_epochs: 2}}
log_config: {{interval: 1, visiual_interval: 5}}
samples: {{count: 2}}
export: {{style: tiny}}
"""


def write_config(folder: Path) -> Path:
    """Writes a config of 4 epochs of 3 steps; the run's folder is folder/output/tiny."""
    path = folder / "tiny.yaml"
    path.write_text(TINY.format(base=ROOT / "configs/cartoonloss_base.yaml", output=folder / "output"))
    return path


def command(*arguments) -> list[str]:
    return [sys.executable, str(ROOT / "tools/train.py"), *map(str, arguments)]


def environment() -> dict:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


def train(*arguments, **options) -> subprocess.CompletedProcess:
    return subprocess.run(command(*arguments), capture_output=True, text=True, env=environment(), **options)


def metrics(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def losses(run: Path) -> dict[int, dict]:
    """The losses of each step, by name."""
    return {row["step"]: {k: v for k, v in row.items() if k[:2] in ("d_", "g_")} for row in metrics(run)}


def curve(run: Path, name: str) -> list[tuple[int, float]]:
    """Steps and values of a scalar in the VisualDL log."""
    from visualdl import LogReader

    from ppcartoon.training.monitor import tag

    (file,) = run.glob("*vdlrecords*")
    return [(record.id, record.value) for record in LogReader(file_path=str(file)).get_data("scalar", tag(name))]


def wait_for(condition: Callable[[], bool], process: subprocess.Popen | None = None, seconds: float = 60) -> None:
    """Waits until the condition holds; fails if the process ends before."""
    end = time.time() + seconds
    while not condition():
        assert process is None or process.poll() is None, process.communicate()[1]
        assert time.time() < end
        time.sleep(0.01)
