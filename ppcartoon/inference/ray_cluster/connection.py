"""Connects to a Ray cluster without Ray's messages."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ...errors import InputError
from ...utils.libraries import needs

THREADS = 4  # per worker: several workers are faster than one with many threads


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Joins a cluster without Ray's messages, and leaves it after the block.

    Raises:
        InputError: the cluster cannot be joined, or no worker can start.
    """
    if address.startswith("ray://"):
        raise InputError(f"{address}: Ray Client is not supported; start this on a node of the cluster with --ray auto")
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


def places(threads: int | None, gpus: int) -> tuple[int, int]:
    """How many workers the nodes of the cluster can run at the same time, and the CPU threads of each.

    Args:
        threads: of a worker; None for `THREADS`, or fewer if a node has fewer CPUs.
        gpus: of a worker.

    Raises:
        InputError: no node has the CPUs or the GPU of a worker; Ray would wait forever.
    """
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cpus = [node["CPU"] for node in nodes if node.get("CPU")]
    threads = threads or int(min([THREADS, *cpus]))
    count = sum(
        int(min(node.get("CPU", 0) // threads, node.get("GPU", 0) // gpus if gpus else np.inf)) for node in nodes
    )
    if not count:
        needed = f"{threads} CPUs and a GPU" if gpus else f"{threads} CPUs"
        raise InputError(f"no node of the cluster has {needed}")
    return count, threads
