"""Cartoonizes millions of images on a Ray cluster, by Ray Data with a predictor in each worker."""

from __future__ import annotations

import logging
import math
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np

from ... import weights
from ...errors import OutputError, printable
from ...utils.libraries import needs
from ..batch import BatchOptions
from ..predictor import DEFAULT_STYLE
from .connection import connected, places

with needs("a Ray cluster"):
    import pyarrow as pa

    from .jobs import plan
    from .worker import Worker

TRIES = 3  # of a task whose worker dies


def run(
    inputs: list[str],
    output: str,
    address: str,
    predictor_options: dict,
    options: BatchOptions,
    *,
    recursive: bool = False,
    suffix: str = "",
    ext: str = "auto",
    skip_existing: bool = False,
) -> tuple[int, int, list[str]]:
    """Cartoonizes all images of the inputs; reports failures on stderr.

    Args:
        inputs: see `jobs.find`. Paths must be valid on every node.
        output: a folder, or its URI; file names as in `inference.jobs.plan`.
        address: "auto" (the cluster of this machine), "local" (a temporary cluster on this machine), or host:port.
        predictor_options: arguments of each worker's `CartoonPredictor`. A worker reserves `threads` CPUs, and a GPU if
            the device is "gpu"; any other device means the CPU.
        options: how cartoons are made and written.
        recursive, suffix, ext, skip_existing: see `inference.jobs.plan`.

    Returns:
        The number of cartoons made, the number of existing ones, and the message of each failure.

    Raises:
        InputError: inputs, weights or options are invalid, or the cluster cannot be used.
        OutputError: a cartoon cannot be written.
    """
    from tqdm import tqdm

    defaults = {"style": DEFAULT_STYLE, "weights_file": None, "batch_size": 1, "threads": None}
    predictor_options = defaults | predictor_options
    predictor_options["device"] = "gpu" if predictor_options.get("device") == "gpu" else "cpu"
    style, file = predictor_options.pop("style"), predictor_options.pop("weights_file")
    if file is None:
        file = weights.folder() / f"{style}.safetensors"
        weights.load_style(style)  # checks the weights before a cluster is joined
    else:
        weights.require_cartoonizer(weights.load(Path(file)))
    arguments = (predictor_options, Path(file).read_bytes(), options)
    jobs, skipped = plan(inputs, output, recursive=recursive, suffix=suffix, ext=ext, skip_existing=skip_existing)
    failures: list[str] = []
    unfinished = np.ones(len(jobs), bool)
    if not len(jobs):
        return 0, skipped, failures

    def fail(message: str) -> None:
        failures.append(message)
        bar.write(f"ppcartoon: {message}", file=sys.stderr)

    with (
        connected(address),
        open(os.devnull, "w", encoding="utf-8") as null,
        redirect_stdout(null),  # Ray prints a message for each worker that dies
        tqdm(total=len(jobs), unit="image", disable=None) as bar,
    ):
        batch = predictor_options["batch_size"]
        task = max(batch, min(64, 1 + len(jobs) // 1000))
        # The second round retries, one by one, images whose worker died, perhaps because of another image in its task.
        for batch_size, task_size in ((batch, task), (1, 1)):
            remaining = jobs.filter(pa.array(unfinished))
            if not len(remaining):
                break
            for index, message, fatal, remark in _results(remaining, batch_size, task_size, arguments):
                if fatal:
                    raise OutputError(message)
                unfinished[index] = False
                bar.update()
                if message:
                    fail(message)
                elif remark:
                    bar.write(f"ppcartoon: {remark}", file=sys.stderr)
        for index in np.flatnonzero(unfinished):
            source = printable(os.fsdecode(jobs["source"][index].as_py()))
            fail(f"{source}: its worker died or failed each time; if memory is short, use --max-size")
    return len(jobs) - len(failures), skipped, failures


def _results(jobs: pa.Table, batch: int, size: int, arguments: tuple) -> Iterator[tuple[int, str, bool, str]]:
    """Runs jobs in tasks of `size`, in batches of `batch`; yields the results of each, see `Worker`.

    Raises:
        InputError: no node has the CPUs or the GPU of a worker.
    """
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    context.max_errored_blocks = -1
    context.max_consecutive_actor_init_deaths = TRIES
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    predictor_options, weights_data, options = arguments
    gpus = 1 if predictor_options["device"] == "gpu" else 0
    capacity, threads = places(predictor_options["threads"], gpus)
    blocks = ray.data.from_arrow([jobs.slice(i, size) for i in range(0, len(jobs), size)])
    workers = min(capacity, math.ceil(len(jobs) / size))  # the minimum; a cluster that grows gets more
    with warnings.catch_warnings():  # about unlimited retries in Ray 2.64
        warnings.simplefilter("ignore")
        results = blocks.map_batches(
            Worker,
            fn_constructor_args=(predictor_options | {"threads": threads}, weights_data, options),
            compute=ray.data.ActorPoolStrategy(min_size=workers, max_tasks_in_flight_per_actor=min(size, 2)),
            batch_size=batch,
            batch_format="pyarrow",
            num_cpus=threads,
            num_gpus=gpus,
            max_restarts=-1,
            max_task_retries=TRIES - 1,
        )
    for block in results.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        yield from zip(*(column.to_pylist() for column in block.columns))
