"""`ppcartoon demo`: serves a web page that makes cartoons."""

from __future__ import annotations

import argparse
import logging
import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from ..errors import InputError
from ..utils import server
from ..utils.files import temporary_folder, user_folder
from . import common

if TYPE_CHECKING:
    from ..inference.engines import Engine
    from ..inference.predictor import CartoonPredictor

PROGRAM = "ppcartoon demo"
EXAMPLES = """
ppcartoon demo                                   http://127.0.0.1:7860
ppcartoon demo -w mine.safetensors --max-pixels 50
"""
GPU_BATCH = 8  # photos


def parser() -> argparse.ArgumentParser:
    p = common.parser(PROGRAM, "Serves a web page that makes cartoons of photos and videos, until Ctrl-C.", EXAMPLES)
    add_options(p)
    return p


def add_options(p: argparse.ArgumentParser) -> None:
    """Adds the options that `demo` and `serve` have in common."""
    p.add_argument(
        "-s", "--style", nargs="+", default=[], action="extend", metavar="STYLE",
        help="shipped styles to offer (default: all, unless --weights is given)",
    )  # fmt: skip
    p.add_argument(
        "-w", "--weights", type=Path, nargs="+", default=[], action="extend", metavar="FILE",
        help=".safetensors weights files of your own, offered by their file names",
    )  # fmt: skip
    p.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto", help="(default: auto)")
    p.add_argument(
        "--host", default="127.0.0.1", metavar="ADDRESS",
        help="address to listen on (default: 127.0.0.1, for this machine only; 0.0.0.0: all networks)",
    )  # fmt: skip
    p.add_argument(
        "--port",
        type=common.whole_number(0, 65535),
        default=7860,
        metavar="N",
        help="(default: 7860; 0: any free port)",
    )
    limits = p.add_argument_group("limits")
    limits.add_argument(
        "--max-upload", type=common.whole_number(1, 4096), default=50, metavar="MB", help="size of a file (default: 50)"
    )
    limits.add_argument(
        "--max-pixels", type=common.whole_number(1, 179), default=24, metavar="N",
        help="megapixels of a cartoon, to which larger photos are reduced, and of a video's frame (default: 24)",
    )  # fmt: skip
    limits.add_argument(
        "--max-seconds", type=common.whole_number(1, 3600), default=20, metavar="N",
        help="seconds of a video (default: 20)",
    )  # fmt: skip
    limits.add_argument(
        "--max-jobs", type=common.whole_number(1, 10000), default=100, metavar="N",
        help="photos that may wait, and videos (default: 100)",
    )  # fmt: skip
    limits.add_argument(
        "--max-disk", type=common.whole_number(1), default=4096, metavar="MB",
        help="all uploads and cartoons, which are deleted after an hour (default: 4096)",
    )  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    args = parser().parse_args(argv)
    return common.run(PROGRAM, lambda: serve(args), "the page")


def serve(
    args: argparse.Namespace,
    *,
    page: bool = True,
    keys: Sequence[str] = (),
    json_logs: bool = False,
    ray: str = "",
    public_url: str = "",
) -> int:
    """Serves the page and the API until Ctrl-C or SIGTERM.

    Args:
        args: the options of `add_options`.
        page: whether there is a page.
        keys: see `service.create_app`.
        json_logs: whether the log is in JSON.
        ray: address of a Ray cluster that runs the networks, see `ray_cluster.connection`; empty: they run here.
        public_url: at which browsers see the service, such as https://example.org/cartoons; empty: where it listens.

    Returns:
        The exit code.

    Raises:
        InputError: weights cannot be used, or the address, the cluster or the URL.
    """
    from .. import weights
    from ..web import metrics, service
    from ..web.examples import example_photos, example_video
    from ..web.guard import Guard
    from ..web.jobs import Jobs
    from ..web.studio import Limits, Studio

    limits = Limits(args.max_upload, args.max_pixels, args.max_seconds, args.max_jobs, args.max_disk)
    if limits.disk_mb < 2 * limits.upload_mb:
        raise InputError(f"--max-disk {limits.disk_mb}: use at least twice --max-upload, {2 * limits.upload_mb}")
    origin, host, prefix = split_url(public_url) if public_url else ("", "", "")
    logger, handler = logging.getLogger(service.__package__), logging.StreamHandler()
    handler.setFormatter(metrics.JsonLines() if json_logs else metrics.Lines())
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    with (
        server.listening(args.host, args.port) as address,
        temporary_folder(user_folder("ppcartoon")) as folder,
        ExitStack() as stack,
    ):
        chosen, engines, count = choose(args.style, args.weights), {}, 1
        if ray:
            from ..inference.ray_cluster.replicas import replicated

            loaded = {name: weights.load(file) if file else weights.load_style(name) for name, file in chosen.items()}
            application = f"ppcartoon-{socket.gethostname()}-{address.port}"
            engines, count = stack.enter_context(replicated(loaded, ray, args.device, application))
        counts = metrics.Metrics()
        studio = Studio(predictors(chosen, args.device, engines), limits, count)
        jobs = Jobs(studio, folder.resolve(), counts.end)
        counts.watch(jobs)
        examples = [*example_photos(), *filter(None, [example_video(folder)])] if page else []
        app = service.create_app(jobs, counts, examples=examples, with_page=page, public_url=public_url, keys=keys)
        hosts = [*(address.names or []), host] if host else address.names
        print(f"{', '.join(studio.predictors)}\n{address}", flush=True)
        server.serve(Guard(app, counts, hosts, origin, prefix), address)
    return 0


def split_url(url: str) -> tuple[str, str, str]:
    """Origin, host and path of a URL.

    Raises:
        InputError: it is no http or https URL.
    """
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
    except ValueError:  # brackets that do not match
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise InputError(f"--public-url {url}: use a URL such as https://example.org/cartoons")
    return f"{parts.scheme}://{parts.netloc.lower()}", parts.hostname, parts.path.rstrip("/")


def choose(styles: list[str], files: list[Path]) -> dict[str, Path | None]:
    """Weights files by style name, and None for shipped styles; without either, all shipped styles.

    Raises:
        InputError: two styles have the same name.
    """
    from .. import weights

    styles = list(dict.fromkeys(styles if styles or files else weights.manifest()))
    names = [file.stem for file in files] + styles
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{name}: several styles have this name; rename your file")
    return {file.stem: file for file in files} | dict.fromkeys(styles)


def predictors(
    chosen: dict[str, Path | None], device: str = "auto", engines: Mapping[str, Engine] = MappingProxyType({})
) -> dict[str, CartoonPredictor]:
    """Predictors of the styles from `choose`. On a GPU, photos that wait run through the network together.

    Args:
        chosen: weights files by style name.
        device: "auto", "cpu" or "gpu".
        engines: of some styles; others run here.

    Raises:
        InputError: weights cannot be used.
    """
    from ..inference.predictor import CartoonPredictor

    loaded = {
        name: CartoonPredictor(name, weights_file=file, engine=engines.get(name, "auto"), device=device)
        for name, file in chosen.items()
    }
    for predictor in loaded.values():
        predictor.batch_size = GPU_BATCH if predictor.engine.on_gpu else 1
    return loaded
