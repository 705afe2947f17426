"""Cartoonizes millions of images on a Ray cluster, by Ray Data with a predictor in each worker."""

from __future__ import annotations

import logging
import math
import os
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import numpy as np

from ... import weights
from ...errors import InputError, OutputError, printable
from ...utils.libraries import needs
from ..batch import BatchOptions
from ..predictor import DEFAULT_STYLE

with needs("a Ray cluster"):
    import pyarrow as pa

    from .jobs import plan
    from .worker import Worker

THREADS = 4  # per worker: several workers are faster than one with many threads
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

    with _connected(address), tqdm(total=len(jobs), unit="image", disable=None) as bar:
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


@contextmanager
def _connected(address: str) -> Iterator[None]:
    """Joins a cluster without Ray's messages, and leaves it after the block.

    Raises:
        InputError: the cluster cannot be joined, or no worker can start.
    """
    if address.startswith("ray://"):
        raise InputError(f"{address}: Ray Data does not run through Ray Client; start this on a node with --ray auto")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # avoids a warning about a future default
    settings = {"runtime_env": {"py_modules": [str(Path(__file__).parents[2])]}}  # for nodes without this package
    if address == "local":
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # on any system: listens on loopback only
        settings["include_dashboard"] = False
    elif address != "auto":
        _check_reachable(address)
    with needs("a Ray cluster"):
        import ray
        from ray.exceptions import RayError

    handler = signal.getsignal(signal.SIGTERM)
    try:
        with _silent():
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **settings)
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"Ray at {address}: {str(error).splitlines()[0]}") from error
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)  # Ray has replaced it
    # Ray prints a message for each worker that dies.
    with open(os.devnull, "w", encoding="utf-8") as null, redirect_stdout(null):
        try:
            yield
        except RayError as error:
            raise InputError(f"Ray: {str(error).splitlines()[-1]}") from error
        finally:
            ray.shutdown()


@contextmanager
def _silent() -> Iterator[None]:
    """Discards standard error, also that of C++ libraries."""
    sys.stderr.flush()
    original, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(original, 2)
        os.close(original)
        os.close(null)


def _check_reachable(address: str) -> None:
    """Fails sooner than Ray would, and with a clearer message."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, ValueError, OverflowError) as error:
        raise InputError(f"--ray {address}: {error}; give auto, local, or host:port of a running cluster") from error


def _results(jobs: pa.Table, batch: int, size: int, arguments: tuple) -> Iterator[tuple[int, str, bool, str]]:
    """Runs jobs in tasks of `size`, in batches of `batch`; yields the results of each, see `Worker`.

    Raises:
        InputError: no node has the CPUs or the GPU of a worker; Ray would wait forever.
    """
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    context.max_errored_blocks = -1
    context.max_consecutive_actor_init_deaths = TRIES
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    predictor_options, weights_data, options = arguments
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cpus = [node["CPU"] for node in nodes if node.get("CPU")]
    threads = predictor_options["threads"] or int(min([THREADS, *cpus]))
    gpus = 1 if predictor_options["device"] == "gpu" else 0
    capacity = sum(int(min(node.get("CPU", 0) // threads, node.get("GPU", 0) if gpus else np.inf)) for node in nodes)
    if not capacity:
        needed = f"{threads} CPUs and a GPU" if gpus else f"{threads} CPUs"
        raise InputError(f"no node of the cluster has {needed}")
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
