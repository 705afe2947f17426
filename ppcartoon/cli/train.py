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
from typing import TYPE_CHECKING

from tqdm import tqdm

from ..errors import InputError, Interrupted
from ..utils.machine import cores
from ..utils.signals import signal_when_parent_ends
from . import common

if TYPE_CHECKING:
    from ..training.experiment import Experiment
    from ..training.run_folder import Start

PROGRAM = "ppcartoon train"
EXAMPLES = """
ppcartoon train -c configs/cartoonloss_shinkai.yaml
ppcartoon train -c configs/cartoonloss_shinkai.yaml --resume
ppcartoon train -c configs/cartoonloss_custom.yaml -o epochs=10 model.adv_weight=100 --dry-run
ppcartoon train -c configs/cartoonloss_custom_light.yaml --from weights/peppercarrot.safetensors
python -m paddle.distributed.launch tools/train.py -c configs/cartoonloss_shinkai.yaml    several GPUs
"""
log = logging.getLogger("ppcartoon")


class Console(logging.Handler):
    """Log handler that writes to standard error, above the progress bar if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):  # the terminal was closed; train.log has the lines
            tqdm.write(self.format(record), file=sys.stderr)


def parser() -> argparse.ArgumentParser:
    p = common.parser(
        PROGRAM, "Trains CartoonLossGAN in both stages and writes weights for `ppcartoon --weights`.", EXAMPLES
    )
    p.add_argument(
        "-c", "--config-file", type=Path, metavar="YAML", help="config to train; optional with --resume PATH"
    )
    p.add_argument(
        "-o", "--opt", nargs="+", action="extend", default=[], metavar="KEY=VALUE",
        help="override keys of the config, as in -o epochs=10 model.adv_weight=100; values are YAML",
    )  # fmt: skip
    start = p.add_mutually_exclusive_group()
    start.add_argument(
        "--resume", nargs="?", const="auto", metavar="PATH",
        help="resume a run's folder or a checkpoint; auto or no value: the newest checkpoint of this config's run; "
        "with -o output_dir=..., a new run there continues from it, and the old one stays as it is",
    )  # fmt: skip
    start.add_argument(
        "--from", "--load", type=Path, dest="source", metavar="FILE",
        help="start a new run with the networks of a weights file or a checkpoint, also of ppgan; without stage init, "
        "unless -o sets model.init_steps or model.init_epochs",
    )  # fmt: skip
    p.add_argument("--seed", type=int, help="random seed of weights, data order, crops and flips (key seed)")
    p.add_argument(
        "--decay", type=int, metavar="EPOCHS",
        help="decay the learning rate to 0 in the last EPOCHS epochs (key lr_scheduler.decay_epochs)",
    )  # fmt: skip
    p.add_argument("--amp", action="store_true", help="mixed precision on a GPU (key model.amp=auto)")
    p.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto", help="where to train (default: auto)")
    p.add_argument("--no-cuda", action="store_const", dest="device", const="cpu", help="the same as --device cpu")
    p.add_argument(
        "--val-interval", type=common.whole_number(1), metavar="EPOCHS",
        help="epochs between validations (key validate.interval)",
    )  # fmt: skip
    p.add_argument(
        "--evaluate-only", action="store_true",
        help="print the distances of section validate, of the networks of --load or --resume, by default the newest "
        "checkpoint of this config's run; write nothing",
    )  # fmt: skip
    p.add_argument(
        "-p", "--profiler-options", "--profiler_options", metavar="OPTIONS",
        help="profile some steps, as in 'batch_range=[10,20];state=All;sorted_key=total;profile_path=profile.json'",
    )  # fmt: skip
    p.add_argument(
        "--print-config", action="store_true", help="print the config with all keys as YAML, without data or training"
    )
    p.add_argument("--dry-run", action="store_true", help="print data, steps, parameters and cost, without training")
    return p


def processes() -> int:
    """Number of processes that Paddle's launcher started for this run; 1 without it."""
    return int(os.environ.get("PADDLE_TRAINERS_NUM", 1))


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    args = parser().parse_args(argv)
    flags = {"seed": args.seed, "lr_scheduler.decay_epochs": args.decay, "model.amp": "auto" if args.amp else None}
    flags["validate.interval"] = args.val_interval
    options = args.opt + [f"{key}={value}" for key, value in flags.items() if value is not None]
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores() // processes())))  # Paddle's default is one thread
    for message in ("No ccache found", r"\s*Non compatible API"):  # harmless warnings of Paddle
        warnings.filterwarnings("ignore", message)
    log.handlers = [Console(logging.INFO)]
    log.setLevel(logging.DEBUG)  # train.log also gets the lines that the progress bar replaces
    log.propagate = False
    return common.run(
        PROGRAM,
        lambda: _train(args, options),
        "training",
        ", without a checkpoint of the last steps",
        lambda message: log.error(f"{PROGRAM}: {message}"),
    )


def _train(args: argparse.Namespace, options: list[str]) -> int:
    ends = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGINT, signal.SIGTERM)}  # at once
    with contextlib.redirect_stderr(io.StringIO()):  # hides Paddle's warning about several threads
        import paddle  # noqa: F401

    from ..training import device, experiment, profiling, run_folder, trainer
    from ..training.monitor import open_log

    for number, handler in ends.items():
        signal.signal(number, handler)
    if processes() > 1:
        signal_when_parent_ends(signal.SIGTERM)  # if the launcher dies, its processes stop with a checkpoint
    device.select(args.device)
    if args.evaluate_only and not args.source:
        args.resume = args.resume or run_folder.AUTO
    reads_only = args.evaluate_only or args.print_config
    start = run_folder.locate(args.config_file, options, args.resume, args.source, reads_only)
    if args.print_config:
        import yaml

        print(yaml.safe_dump(start.config.for_ppgan(), sort_keys=False, allow_unicode=True), end="")
        return 0
    run = experiment.Experiment(start, " ".join(["python", *sys.argv]), args.dry_run)
    if args.evaluate_only:
        return 0 if run.rank else _evaluate(run, start)
    if args.dry_run:
        print("\n".join(run.summary()))
        return 0
    profile = None
    if args.profiler_options and run.rank == 0:
        profile = profiling.create(args.profiler_options, start.folder)
    if run.rank == 0:
        open_log(start.folder)
    else:
        log.setLevel(logging.ERROR)  # rank 0 logs the run
    try:
        trainer.Trainer(run, [run.device, *start.notes], profile).train()
    except Interrupted as stop:
        log.info(str(stop))
        return 128 + stop.number
    log.info(f"done: {start.folder / 'weights.safetensors'}")
    return 0


def _evaluate(run: Experiment, start: Start) -> int:
    """Prints the distances of the networks that a run starts with."""
    from ..training.validation import in_one_line

    if not run.validation:
        raise InputError("--evaluate-only: the config has no section validate; see configs/cartoonloss_base.yaml")
    if not (start.checkpoint or start.source):
        raise InputError("--evaluate-only: the run has no checkpoint; name a file with --load or --resume")
    run.validation.prepare()
    print(f"{start.checkpoint or start.source}: {in_one_line(run.validation.measure(run.model))}")
    return 0
