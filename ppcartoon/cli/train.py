"""The command line of tools/train.py."""

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

from ..errors import InputError
from ..training.processes import signal_when_parent_ends
from ..utils.threads import cores

log = logging.getLogger("ppcartoon")


class Console(logging.Handler):
    """Lines on stderr, above the progress bar where there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):  # nobody listens any more; train.log does
            tqdm.write(self.format(record), file=sys.stderr)


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        description="Trains CartoonLossGAN, both stages, and leaves weights for tools/infer.py --weights.",
        epilog="Several GPUs: python -m paddle.distributed.launch tools/train.py -c ... Exit code: 0 trained, "
        "1 something is wrong and named, 129, 130 or 143 interrupted, and --resume auto goes on.",
    )  # fmt: skip
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
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # while much is imported, end without a word
    log.handlers = [Console(logging.INFO)]
    log.setLevel(logging.DEBUG)  # for train.log, which gets what the progress bar shows
    log.propagate = False
    try:
        return _train(args, options)
    except InputError as error:
        log.error(f"train: {error}")
        return 1
    except ModuleNotFoundError as error:
        log.error(
            f"train: {error.name} is not installed; training needs: pip install '.[train]' paddlepaddle "
            "(or Paddle's GPU build), and pip install --no-deps ppgan==2.1.0"
        )
        return 1
    except OSError as error:
        log.error(f"train: {error}")
        return 1
    except KeyboardInterrupt:
        log.error("train: interrupted, without a checkpoint of the last steps")
        return 130


def _train(args: argparse.Namespace, options: list[str]) -> int:
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
    except trainer.Interrupted as stop:
        log.info(f"stopped after step {work.model.steps}; --resume auto goes on from {work.last_checkpoint}")
        return 128 + stop.number
    log.info(f"done: {start.folder / 'weights.safetensors'}")
    return 0
