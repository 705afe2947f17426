"""Configs of AnimeGAN, CycleGAN and CartoonGAN small enough for tests; AnimeGAN's generator has a fixed width."""

from pathlib import Path

import yaml

from tests.helpers import training_runs

NAMES = ("animegan", "cyclegan", "cartoongan")
SMALL = {
    "animegan": {
        "discriminator": {"channel": 4, "nblocks": 2},
        "init_epochs": 1,
        "vgg_layer": "conv1_1",
        "vgg_path": "random",
    },
    "cyclegan": {"generator": {"ngf": 2, "n_blocks": 1}, "discriminator": {"ndf": 2, "n_layers": 2}, "pool_size": 3},
    "cartoongan": {
        "generator": {"channels": 2, "blocks": 1},
        "discriminator": {"channels": 2},
        "init_epochs": 1,
        "vgg_layer": "conv1_1",
        "vgg_path": "random",
    },
}


def write_config(folder: Path, name: str) -> Path:
    """A config of 3 epochs of 2 steps with batch size 2; the run folder is folder/output/NAME."""
    data = {"name": "DrawnCartoonDataset", "count": 4, "size": 32, "flip": True, "batch_size": 2, "num_workers": 0}
    tree = {
        "_base_": str(training_runs.ROOT / f"configs/baselines/{name}.yaml"),
        "epochs": 3,
        "model": SMALL[name],
        "dataset": {"train": data},
        "output_dir": str(folder / "output"),
        "lr_scheduler": {"learning_rate": 0.001, "decay_epochs": 0},
        "log_config": {"interval": 1, "visiual_interval": 100},
        "samples": {"count": 1},
        "export": {"style": f"small-{name}"},
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


def experiment(folder: Path, name: str, *options: str):
    """The experiment of a run before its first step."""
    from ppcartoon.training import run_folder
    from ppcartoon.training.experiment import Experiment

    return Experiment(run_folder.locate(write_config(folder, name), list(options), None), "")
