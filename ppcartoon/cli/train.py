"""`ppcartoon train`: trains a style."""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import os
import signal
import sys
import warnings
from pathlib import Path

from tqdm import tqdm

from ..errors import InputError, Interrupted
from ..utils.signals import signal_when_parent_ends
from ..utils.threads import cores
from . import common

PROGRAM = "ppcartoon train"
EXAMPLES = """
ppcartoon train -c configs/cartoonloss_shinkai.yaml
ppcartoon train -c configs/cartoonloss_shinkai.yaml --resume
ppcartoon train -c configs/cartoonloss_custom.yaml -o epochs=10 model.adv_weight=100 --dry-run
python -m paddle.distributed.launch tools/train.py -c configs/cartoonloss_shinkai.yaml    several GPUs
"""
log = logging.getLogger("ppcartoon")


class Console(logging.Handler):
    """Lines on standard error, above the progress bar where there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):  # the terminal is gone; train.log remains
            tqdm.write(self.format(record), file=sys.stderr)


def parser() -> argparse.ArgumentParser:
    p = common.parser(PROGRAM, "Trains CartoonLossGAN, both stages; `ppcartoon --weights` takes the weights.", EXAMPLES)
    p.add_argument("-c", "--config-file", type=Path, metavar="YAML", help="what to train; --resume PATH needs none")
    p.add_argument(
        "-o", "--opt", nargs="+", action="extend", default=[], metavar="KEY=VALUE",
        help="on top of the config, as in -o epochs=10 model.adv_weight=100; values are YAML",
    )  # fmt: skip
    p.add_argument(
        "--resume", nargs="?", const="auto", metavar="PATH",
        help="go on with a run's folder or one of its checkpoints; auto or nothing: the newest of this config's run",
    )  # fmt: skip
    p.add_argument("--seed", type=int, help="of weights, order, crops and flips (the config's seed)")
    p.add_argument(
        "--decay", type=int, metavar="EPOCHS",
        help="let the learning rate fall to 0 in the last ones (lr_scheduler.decay_epochs)",
    )  # fmt: skip
    p.add_argument("--amp", action="store_true", help="mixed precision on a GPU (model.amp=auto)")
    p.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto", help="(default: auto)")
    p.add_argument("--dry-run", action="store_true", help="say what would be trained on what, and stop")
    return p


def processes() -> int:
    """That Paddle's launcher started for this run."""
    return int(os.environ.get("PADDLE_TRAINERS_NUM", 1))


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    args = parser().parse_args(argv)
    flags = {"seed": args.seed, "lr_scheduler.decay_epochs": args.decay, "model.amp": "auto" if args.amp else None}
    options = args.opt + [f"{key}={value}" for key, value in flags.items() if value is not None]
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores() // processes())))  # Paddle would take one thread
    for noise in ("No ccache found", r"\s*Non compatible API"):  # Paddle's, of no interest here
        warnings.filterwarnings("ignore", noise)
    log.handlers = [Console(logging.INFO)]
    log.setLevel(logging.DEBUG)  # for train.log, which gets what the progress bar shows
    log.propagate = False
    return common.run(
        PROGRAM,
        lambda: _train(args, options),
        "pip install '.[train]' paddlepaddle (or Paddle's GPU build), and pip install --no-deps ppgan==2.1.0",
        ", without a checkpoint of the last steps",
        lambda message: log.error(f"{PROGRAM}: {message}"),
    )


def _train(args: argparse.Namespace, options: list[str]) -> int:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # while much is imported, end without a word
    with contextlib.redirect_stderr(io.StringIO()):  # Paddle warns of more threads than one
        import paddle

    from ..training import experiment, run_folder, trainer
    from ..training.monitor import open_log

    signal.signal(signal.SIGINT, signal.default_int_handler)
    if processes() > 1:
        signal_when_parent_ends(signal.SIGTERM)  # when the launcher dies, its processes stop with a checkpoint
    gpus = paddle.device.cuda.device_count() if paddle.is_compiled_with_cuda() else 0
    if args.device == "gpu" and not gpus:
        raise InputError("--device gpu: Paddle finds none here, or is a build without CUDA")
    paddle.set_device("gpu" if gpus and args.device != "cpu" else "cpu")
    start = run_folder.locate(args.config_file, options, args.resume)
    work = experiment.Experiment(start, " ".join(["python", *sys.argv]))
    if args.dry_run:
        print("\n".join(work.summary()))
        return 0
    if work.rank == 0:
        open_log(start.folder)
    else:
        log.setLevel(logging.ERROR)  # rank 0 tells of the run
    try:
        trainer.Trainer(work, start.notes).train()
    except Interrupted as stop:
        log.info(str(stop))
        return 128 + stop.number
    log.info(f"done: {start.folder / 'weights.safetensors'}")
    return 0
