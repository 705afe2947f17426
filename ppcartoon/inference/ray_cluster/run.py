"""Images by the million into cartoons on a Ray cluster: Ray Data, with a predictor in each worker."""

from __future__ import annotations

import importlib.util
import logging
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
from ...errors import InputError, OutputError
from ..predictor import DEFAULT_STYLE

if not all(importlib.util.find_spec(name) for name in ("ray", "pyarrow")):
    raise InputError('a cluster needs Ray: pip install "ppcartoon[ray]"')
import pyarrow as pa

from ..batch import Options
from .jobs import plan
from .worker import Worker

THREADS = 4  # of a worker: several workers make more of a machine than one with many threads
TRIES = 3  # for a task whose worker dies


def run(
    inputs: list[str],
    output: str,
    address: str,
    predictor_options: dict,
    wanted: Options,
    *,
    recursive: bool = False,
    suffix: str = "",
    ext: str = "auto",
    skip_existing: bool = False,
) -> tuple[int, int, list[tuple[str, str]]]:
    """Cartoonizes all images of the inputs, and names those that fail as they do.

    Args:
        inputs: see `bulk.find`. Paths have to mean the same on every node.
        output: a folder, or a URI of one. The names in it are those that `plan.plan` gives.
        address: "auto" (the cluster that this machine belongs to), "local" (one on this machine, for as long as it
            takes), or host:port.
        predictor_options: of the `CartoonPredictor` of each worker. It takes as many of the cluster's CPUs as it has
            `threads`, and a GPU where the device is "gpu"; any other device is the CPU here.
        wanted: of the cartoons.
        recursive, suffix, ext, skip_existing: as in `plan.plan`.

    Returns:
        The number of cartoons made, that of those that were there already, and the sources and messages of failures.

    Raises:
        InputError: nothing can be done as asked.
        OutputError: a cartoon cannot be written.
    """
    from tqdm import tqdm

    options = {"style": DEFAULT_STYLE, "weights_file": None, "batch_size": 1, "threads": None} | predictor_options
    options["device"] = "gpu" if options.get("device") == "gpu" else "cpu"
    style, file = options.pop("style"), options.pop("weights_file")
    weights.load_style(style) if file is None else weights.require_cartoonizer(
        weights.load(Path(file))
    )  # mistakes show here
    arguments = (options, Path(file or weights.folder() / f"{style}.safetensors").read_bytes(), wanted)
    jobs, skipped = plan(inputs, output, recursive=recursive, suffix=suffix, ext=ext, skip_existing=skip_existing)
    failures: list[tuple[str, str]] = []
    left = np.ones(len(jobs), bool)
    if not left.any():
        return 0, skipped, failures

    def fail(index: int, message: str) -> None:
        failures.append((os.fsdecode(jobs["source"][index].as_py()), message))
        bar.write(f"ppcartoon: {failures[-1][0]}: {message}", file=sys.stderr)

    with _connected(address), tqdm(total=len(jobs), unit="image", disable=None) as bar:
        batch = options["batch_size"]
        rounds = [(batch, max(batch, min(64, 1 + len(jobs) // 1000))), (1, 1)]
        for sizes in rounds:  # what is left undone may only have shared a worker with the image that this died of
            rest = jobs.filter(pa.array(left))
            for index, message, fatal in _results(rest, *sizes, arguments) if len(rest) else ():
                if fatal:
                    raise OutputError(message)
                left[index] = False
                bar.update()
                if message:
                    fail(index, message)
        for index in np.flatnonzero(left):
            fail(index, "its worker died or broke down each time; if memory is short, use --max-size")
    return len(jobs) - len(failures), skipped, failures


@contextmanager
def _connected(address: str) -> Iterator[None]:
    """Joins a cluster, quietly, and leaves it.

    Raises:
        InputError: that cannot be done, or no worker can start.
    """
    if address.startswith("ray://"):
        raise InputError(f"{address}: Ray Data does not run through Ray Client; start this on a node with --ray auto")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # or Ray warns of what it will do one day
    settings = {"runtime_env": {"py_modules": [str(Path(__file__).parents[2])]}}  # other nodes may lack this package
    if address == "local":
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # on any system: listens to this machine alone
        settings["include_dashboard"] = False
    elif address != "auto":
        _check_reachable(address)
    import ray
    from ray.exceptions import RayError

    handler = signal.getsignal(signal.SIGTERM)
    try:
        with _silent():
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **settings)
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"Ray at {address}: {str(error).splitlines()[0]}") from error
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)  # Ray has put its own there
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):  # where Ray tells of each worker that dies
        try:
            yield
        except RayError as error:
            raise InputError(f"Ray: {str(error).splitlines()[-1]}") from error
        finally:
            ray.shutdown()


@contextmanager
def _silent() -> Iterator[None]:
    """Drops what the libraries beneath Python write to standard error."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _check_reachable(address: str) -> None:
    """Ray itself would try for longer, and tell less."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, ValueError, OverflowError) as error:
        raise InputError(f"--ray {address}: {error}; give auto, local, or host:port of a running cluster") from error


def _results(jobs: pa.Table, batch: int, size: int, arguments: tuple) -> Iterator[tuple[int, str, bool]]:
    """Runs jobs in tasks of `size`, and gives what `Worker` says of each job as it comes.

    Raises:
        InputError: no node has what a worker needs; Ray would wait for one.
    """
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    context.max_errored_blocks = -1
    context.max_consecutive_actor_init_deaths = TRIES
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    options = arguments[0]
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    threads = options["threads"] or int(min([THREADS, *filter(None, (node.get("CPU") for node in nodes))]))
    gpus = int(options["device"] == "gpu")
    room = sum(int(min(node.get("CPU", 0) // threads, node.get("GPU", 0) if gpus else np.inf)) for node in nodes)
    if not room:
        raise InputError(f"no node of the cluster has {threads} CPUs" + " and a GPU" * gpus)
    blocks = ray.data.from_arrow([jobs.slice(i, size) for i in range(0, len(jobs), size)])
    workers = min(room, -(-len(jobs) // size))  # and more where a cluster grows
    with warnings.catch_warnings():  # that Ray 2.64 will have no limit of retries
        warnings.simplefilter("ignore")
        results = blocks.map_batches(
            Worker,
            fn_constructor_args=(options | {"threads": threads}, *arguments[1:]),
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
