"""ppgan's builders create ppcartoon's classes, and ppgan's own trainer trains them."""

import subprocess
import sys

import numpy as np
import paddle
import pytest
import yaml

import ppcartoon.register  # noqa: F401
from ppcartoon import InputError, ppgan_compat, weights
from ppcartoon.config import loading
from tests.helpers import tiny, training_runs
from tests.models.test_additions import ALL_ON

# isort: split
from ppgan.datasets.builder import build_dataloader, build_dataset
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


MAIN = """
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
if args.resume:
    trainer.resume(args.resume)
elif args.load:
    trainer.load(args.load)
if args.evaluate_only:
    trainer.test()
    raise SystemExit
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
        [sys.executable, "-c", MAIN, *arguments],
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


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_paddlegan_s_main_trains_with_validation_resumes_in_the_same_stage_and_evaluates(tmp_path, processes):
    """Its steps are those of PaddleGAN's tools/main.py, which is in no package."""
    (tmp_path / "main.py").write_text(MAIN)
    tree = loading.load(training_runs.write_config(tmp_path)).for_ppgan()
    metric = {"name": "CartoonKID", "features": "vgg19:conv1_2", "weights_file": "random"}
    test = {"name": "DrawnCartoonDataset", "count": 5, "size": 32, "batch_size": 3, "num_workers": 0}
    tree["dataset"]["test"] = test
    tree["dataset"]["train"] |= {"batch_size": 2 // processes, "num_workers": 1}
    tree["model"] |= {"ema_decay": 0.9, "d_steps": 2}
    tree["dataset"]["train"]["other_cartoons"] = 1
    tree["validate"] = {"interval": 2, "save_img": True, "metrics": {"kid": metric}}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(tree))
    launcher = [sys.executable]
    if processes == 2:
        launcher += ["-m", "paddle.distributed.launch", "--nproc_per_node", "2", "--backend", "gloo"]
        launcher += ["--log_dir", str(tmp_path / "log")]

    def run(name, *arguments):
        options = ["-c", "tiny.yaml", *arguments, f"output_dir={tmp_path / name}"]
        done = subprocess.run(
            [*launcher, str(tmp_path / "main.py"), *options],
            capture_output=True, text=True, cwd=tmp_path, timeout=300,
            env={**training_runs.environment(), "PYTHONPATH": str(training_runs.ROOT)},
        )  # fmt: skip
        logs = "".join(path.read_text() for path in sorted((tmp_path / "log").glob("workerlog.0")))
        assert done.returncode == 0, done.stdout + done.stderr + logs
        (folder,) = (tmp_path / name).iterdir()
        return folder, done.stdout + done.stderr + logs

    first, log = run("first", "-o", "epochs=2")
    assert f"stages {' '.join(['init'] * 3 + ['cartoon'] * 3)}" in log and "Metric kid" in log
    _, log = run("resumed", "--resume", str(first / "epoch_2_checkpoint.pdparams"), "-o", "epochs=3")
    assert "stages cartoon cartoon cartoon\n" in log
    evaluated, log = run("evaluated", "--load", str(first / "epoch_2_weight.pdparams"), "--evaluate-only", "-o")
    assert "Metric kid" in log and list((evaluated / "visual_test").glob("*cartoon.png"))
    assert (
        weights.load(first / "epoch_2_checkpoint.pdparams").network
        == weights.load(first / "epoch_2_weight.pdparams").network
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_ppgan_s_loader_gives_new_cartoons_and_flips_in_each_epoch(workers):
    options = {"name": "DrawnCartoonDataset", "count": 8, "size": 32, "flip": True}
    loader = build_dataloader({**options, "batch_size": 4, "num_workers": workers})
    epochs = [{name: np.concatenate([batch[name] for batch in loader]) for name in ("photo", "cartoon")} for _ in "ab"]
    pairs = [set(zip(*([x.tobytes() for x in epoch[name]] for name in epoch))) for epoch in epochs]
    assert len(pairs[0] & pairs[1]) < 8


@pytest.mark.parametrize("is_train", [True, False])
def test_running_averages_start_with_the_networks_that_ppgan_s_trainer_loaded(is_train):
    paddle.seed(1)
    source, model = tiny.model(), tiny.model(ema_decay=0.9, encoder_ema_decay=0.9)
    for name, net in model.nets.items():
        net.set_state_dict(source.nets[name].state_dict())
    model.lr_scheduler.step(7)
    model.setup_train_mode(is_train)
    photo = tiny.batch()["photo"]
    assert model.steps == 7
    np.testing.assert_allclose(model.cartoonize(photo), source.cartoonize(photo), atol=1e-5)
    model.setup_input(tiny.batch())
    model.train_iter()
    trained = model.extra_state()
    model.setup_train_mode(False)
    assert not tiny.differing(trained, model.extra_state()) and model.steps == 8


def test_amp_of_paddlegan_trains_in_level_o1_only():
    model = tiny.model()
    model.setup_input(tiny.batch())
    scalers = [paddle.amp.GradScaler(init_loss_scaling=1024) for _ in model.optimizers]
    model.train_iter_amp(model.optimizers, scalers, "O1")
    assert model.steps == 1 and model.amp == "float16" and list(model.scalers.values()) == scalers
    with pytest.raises(InputError, match="use O1"):
        model.train_iter_amp(model.optimizers, scalers, "O2")


def test_export_of_paddlegan_names_the_command_that_works():
    with pytest.raises(InputError, match="ppcartoon export"):
        tiny.model().export_model([{"name": "netG", "inputs_num": 1}], "exported", [[1, 3, 32, 32]])


def test_soft_relu_equals_the_one_of_paddle_fluid():
    x = paddle.to_tensor([-50.0, 0.0, 1.0, 50.0])
    wanted = [4.2e-18, 0.6931, 1.3133, 40.0]
    assert paddle.allclose(ppgan_compat.soft_relu(x), paddle.to_tensor(wanted), rtol=1e-3)
