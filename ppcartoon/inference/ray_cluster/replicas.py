"""Runs the networks of a service on a Ray cluster, by Ray Serve: it starts replicas, and replaces those that die."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import InputError, UnavailableError
from ...images import from_network, to_network
from ...utils.libraries import needs
from ...weights import Weights
from .. import engines
from .connection import connected, places

if TYPE_CHECKING:
    from ray.serve import Application
    from ray.serve.handle import DeploymentHandle

START = 300  # seconds for the start of all replicas
ANSWER = 120  # seconds for the answer of a replica


class Replica:
    """The networks of all styles in a process of the cluster; images are uint8 [N, H, W, 3] here.

    Args:
        weights: by name of the style.
        device: "auto", "cpu" or "gpu".
        threads: CPU threads.
        local: whether the cluster is this machine alone.
    """

    def __init__(self, weights: dict[str, Weights], device: str, threads: int, local: bool) -> None:
        if local:
            _listen_on_loopback()
        self._engines = {style: engines.create(each, device=device, threads=threads) for style, each in weights.items()}

    def about(self, style: str) -> dict[str, Any]:
        """The attributes of an engine."""
        return {name: getattr(self._engines[style], name) for name in engines.Engine.__annotations__}

    def run(self, style: str, images: np.ndarray) -> np.ndarray:
        return from_network(self._engines[style](to_network(images)))

    def run_blended(
        self, style: str, images: np.ndarray, stats: np.ndarray | None, alpha: float
    ) -> tuple[np.ndarray, np.ndarray]:
        cartoons, used = self._engines[style].run_blended(to_network(images), stats, alpha)
        return from_network(cartoons), used

    def pooled_stats(self, style: str, samples: np.ndarray) -> np.ndarray:
        return self._engines[style].pooled_stats(to_network(samples))


class ReplicatedEngine:
    """An `Engine` that calls replicas; several calls run at the same time.

    Args:
        handle: of the replicas.
        style: whose network runs.

    Raises:
        UnavailableError: the replicas do not answer, here or in a call.
    """

    name: str
    description: str
    on_gpu: bool
    bytes_per_pixel: float

    def __init__(self, handle: DeploymentHandle, style: str) -> None:
        self._handle, self._style = handle, style
        vars(self).update(self._call("about"))

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return to_network(self._call("run", from_network(images)))

    def run_blended(self, images: np.ndarray, stats: np.ndarray | None, alpha: float) -> tuple[np.ndarray, np.ndarray]:
        cartoons, used = self._call("run_blended", from_network(images), stats, alpha)
        return to_network(cartoons), used

    def with_fixed_stats(self, stats: np.ndarray) -> engines.Network:
        return lambda images: self.run_blended(images, stats[None], 0.0)[0]

    def pooled_stats(self, samples: np.ndarray) -> np.ndarray:
        return self._call("pooled_stats", from_network(samples))

    def _call(self, method: str, *arguments: object) -> Any:
        from ray.exceptions import RayActorError, RayError, RayTaskError
        from ray.serve.exceptions import RayServeException

        def ask() -> Any:
            return getattr(self._handle, method).remote(self._style, *arguments).result(timeout_s=ANSWER)

        try:
            try:
                return ask()
            except RayActorError:  # the replica died; another one answers
                return ask()
        except RayTaskError as error:
            raise error.cause from error  # of the engine
        except TimeoutError as error:
            raise UnavailableError(f"the cluster did not answer within {ANSWER} seconds; try again later") from error
        except (RayError, RayServeException) as error:
            raise UnavailableError("the cluster lost the work in progress; try again later") from error


@contextmanager
def replicated(
    weights: dict[str, Weights], address: str, device: str, name: str
) -> Iterator[tuple[dict[str, ReplicatedEngine], int]]:
    """Runs replicas on a cluster within the block: one for each GPU, or if there is none, as many as the CPUs allow.

    Args:
        weights: by name of the style; each replica runs all styles.
        address: see `connection.connected`.
        device: "auto", "cpu" or "gpu".
        name: of the application on the cluster, in place of an earlier one.

    Yields:
        The engine of each style, and the number of replicas: of calls that run at the same time.

    Raises:
        InputError: the cluster cannot be used, or does not start the replicas.
    """
    with connected(address):
        with needs("a Ray cluster"):  # not before, as Ray reads its environment when it is imported
            import ray
            from ray import serve
        gpus = int(device == "gpu" or (device == "auto" and ray.cluster_resources().get("GPU", 0) >= 1))
        count, threads = places(None, gpus)
        logging.getLogger("ray.serve").setLevel(logging.CRITICAL)
        serve.start(proxy_location="Disabled")
        deployment = serve.deployment(
            Replica,
            num_replicas=count,
            max_ongoing_requests=1,
            ray_actor_options={"num_cpus": threads, "num_gpus": gpus},
        )
        try:
            arguments = (weights, device if gpus else "cpu", threads, address == "local")
            handle = _start(deployment.bind(*arguments), name)
            yield {style: ReplicatedEngine(handle, style) for style in weights}, count
        finally:
            serve.delete(name)


def _start(application: Application, name: str) -> DeploymentHandle:
    """Starts an application on the cluster, and waits for all its replicas."""
    from ray import serve

    target = serve.RunTarget(application, name=name, route_prefix=None)
    (handle,) = serve.run_many([target], wait_for_applications_running=False)
    end = time.monotonic() + START
    while (found := serve.status().applications[name]).status != "RUNNING":
        if found.status == "DEPLOY_FAILED":
            reason = " ".join(deployment.message for deployment in found.deployments.values())
            raise InputError(f"the cluster cannot start the replicas: {reason.strip().splitlines()[-1]}")
        if time.monotonic() > end:
            raise InputError(f"the cluster did not start all replicas in {START} seconds; are its CPUs or GPUs in use?")
        time.sleep(0.5)
    return handle


def _listen_on_loopback() -> None:
    """Hides the port of this replica from other machines; Ray Serve would listen on all networks, and unpickle."""
    import grpc.aio

    server = grpc.aio._server.Server
    add = server.add_insecure_port
    server.add_insecure_port = lambda self, address: add(self, f"127.0.0.1:{address.rpartition(':')[2]}")
