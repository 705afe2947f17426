"""ppgan's builders create ppcartoon's classes, and ppgan's own trainer trains them."""

import subprocess
import sys

import numpy as np
import paddle
import pytest
import yaml

import ppcartoon.register  # noqa: F401
from ppcartoon import ppgan_compat
from ppcartoon.config import loading
from tests.helpers import training_runs
from tests.models.test_additions import ALL_ON

# isort: split
from ppgan.datasets.builder import build_dataset
from ppgan.models.builder import MODELS
from ppgan.models.discriminators.builder import build_discriminator
from ppgan.models.generators.builder import build_generator
from ppgan.solver import build_lr_scheduler


@paddle.no_grad()
def test_ppgan_builds_the_networks():
    image = paddle.zeros([1, 3, 32, 32])
    netD = build_discriminator({"name": "CartoonLossDiscriminator", "channels": 4})
    netN = build_discriminator({"name": "CartoonLossNLayerDiscriminator", "channels": 8})
    netG = build_generator({"name": "CartoonLossGenerator", "in_channels": 16, "channels": 4})
    assert netD(image).shape == [1, 1, 8, 8]
    assert netG(netD.encoder(image)).shape == netG(netN.encoder(image)).shape == [1, 3, 32, 32]


def test_ppgan_builds_the_data_set_and_finds_the_model():
    assert MODELS.get("CartoonLossGANModel").__name__ == "CartoonLossGANModel"
    data = build_dataset({"name": "DrawnCartoonDataset", "count": 3, "size": 32})
    assert len(data) == 3 and data[0]["photo"].shape == (3, 32, 32)


def test_ppgan_s_own_models_stay_registered():
    assert MODELS.get("AnimeGANV2Model").__name__ == "AnimeGANV2Model"


@pytest.mark.parametrize("decay", [0, 1, 3, 4])
def test_learning_rate_is_constant_then_decays_linearly_and_never_below_zero(decay):
    options = {"learning_rate": 0.5, "start_epoch": 4 - decay, "decay_epochs": decay, "iters_per_epoch": 5}
    schedule = build_lr_scheduler({"name": "FinalLinearDecay", **options})
    rates = []
    for _ in range(25):
        rates.append(schedule.last_lr)
        schedule.step()
    decayed = [0.5 * i / (5 * decay) for i in range(5 * decay, 0, -1)]
    np.testing.assert_allclose(rates[:20], [0.5] * (20 - 5 * decay) + decayed)
    assert rates[20:] == ([0.0] * 5 if decay else [0.5] * 5)


STOCK = """
import sys
import ppcartoon.register
from ppgan.utils.options import parse_args
from ppgan.utils.config import get_config
from ppgan.utils.setup import setup
from ppgan.engine.trainer import Trainer

args = parse_args()
cfg = get_config(args.config_file, args.opt)
setup(args, cfg)
trainer = Trainer(cfg)
stages = []
step = trainer.model.train_iter
trainer.model.train_iter = lambda *a: (stages.append(trainer.model.stage), step(*a))
trainer.train()
trainer.close()
print("stages", *stages)
print("lr", trainer.current_learning_rate)
"""


@pytest.mark.parametrize("additions", [{}, ALL_ON], ids=["paper", "beyond_the_paper"])
def test_ppgan_s_trainer_trains_from_the_config_that_a_run_saved(whole, tmp_path, additions):
    config = yaml.safe_load((whole[1] / "config.yaml").read_text())
    config["model"] |= additions
    config = loading.check(config, "a test").model_dump()
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    output = tmp_path / "output"
    arguments = ["-c", str(tmp_path / "config.yaml"), "-o", f"output_dir={output}"]
    done = subprocess.run(
        [sys.executable, "-c", STOCK, *arguments],
        capture_output=True,
        text=True,
        env=training_runs.environment(),
        cwd=training_runs.ROOT,
    )
    assert done.returncode == 0, done.stderr
    assert f"stages {' '.join(['init'] * 3 + ['cartoon'] * 9)}" in done.stdout
    log = done.stdout + done.stderr
    assert "g_color" in log and "d_smooth" in log
    assert all(name in log for name in ("g_luma", "d_color_head", "d_photo")) == bool(additions)
    (folder,) = output.iterdir()
    assert (folder / "epoch_4_checkpoint.pdparams").exists()


def test_soft_relu_equals_the_one_of_paddle_fluid():
    x = paddle.to_tensor([-50.0, 0.0, 1.0, 50.0])
    wanted = [4.2e-18, 0.6931, 1.3133, 40.0]
    assert paddle.allclose(ppgan_compat.soft_relu(x), paddle.to_tensor(wanted), rtol=1e-3)
