"""The command line of `ppcartoon demo` and tools/demo.py."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..utils.server import ListenAddress, listening
from .flags import bounded

if TYPE_CHECKING:
    from ..inference.predictor import CartoonPredictor


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        "ppcartoon demo",
        description="A page in the browser that makes cartoons of photos and films, until Ctrl-C.",
        epilog="Exit code: 0 ended by Ctrl-C or SIGTERM, 2 nothing could be done as asked, and why is said.",
    )
    p.add_argument(
        "-s", "--style", nargs="+", default=[], action="extend", metavar="STYLE",
        help="shipped styles to offer (default: all, unless there are weights of your own)",
    )  # fmt: skip
    p.add_argument(
        "-w", "--weights", type=Path, nargs="+", default=[], action="extend", metavar="FILE",
        help=".safetensors weights files of your own, offered by their names",
    )  # fmt: skip
    p.add_argument(
        "--host", default="127.0.0.1", metavar="ADDRESS",
        help="where to listen (default: 127.0.0.1, for this machine alone; 0.0.0.0: for everybody who reaches it)",
    )  # fmt: skip
    p.add_argument("--port", type=bounded(0, 65535), default=7860, metavar="N", help="(default: 7860; 0: any)")
    limits = p.add_argument_group("what is taken")
    limits.add_argument("--max-upload", type=bounded(1, 4096), default=50, metavar="MB", help="(default: 50)")
    limits.add_argument(
        "--max-pixels", type=bounded(1, 179), default=24, metavar="N", help="megapixels (default: 24)"
    )  # fmt: skip
    limits.add_argument(
        "--max-seconds", type=bounded(1, 3600), default=20, metavar="N", help="of a film (default: 20)"
    )  # fmt: skip
    return p


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    args = parser().parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that temporary files are removed
    try:
        with listening(args.host, args.port) as place, tempfile.TemporaryDirectory(prefix="ppcartoon-") as folder:
            serve(args, place, Path(folder).resolve())
        return 0
    except InputError as error:
        print(f"ppcartoon demo: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        print(
            f"ppcartoon demo: {error.name} is not installed; this needs: pip install 'ppcartoon[web]'", file=sys.stderr
        )
        return 2
    except KeyboardInterrupt:
        return 130


def serve(args: argparse.Namespace, place: ListenAddress, folder: Path) -> None:
    """Serves the page until Ctrl-C or SIGTERM.

    Raises:
        InputError: weights cannot be used.
    """
    from ..web.guard import Guard, prepare
    from ..web.studio import Limits, Studio

    limits = Limits(args.max_upload, args.max_pixels, args.max_seconds)
    studio = Studio(predictors(args.style, args.weights), folder, limits)
    prepare(folder)
    import uvicorn

    from ..web.examples import a_film, photos
    from ..web.page import application, build

    page = build(studio, photos(), a_film(folder))
    app = Guard(application(page, limits.upload << 20), place, folder, limits.upload << 20)
    server = uvicorn.Server(
        uvicorn.Config(app, log_level="critical", access_log=False, ws="none", timeout_graceful_shutdown=1)
    )
    print(f"{', '.join(studio.predictors)}\n{place}", flush=True)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)  # uvicorn ends by them, and sends them once more
    try:
        server.run(sockets=[place.sock])
    finally:
        studio.close()


def predictors(styles: list[str], files: list[Path]) -> dict[str, CartoonPredictor]:
    """Those of weights files, by the files' names, and of shipped styles, all of which they are if nothing is named.

    Raises:
        InputError: weights cannot be used, or two have one name.
    """
    from .. import weights
    from ..inference.predictor import CartoonPredictor

    styles = list(dict.fromkeys(styles if styles or files else weights.manifest()))
    names = [file.stem for file in files] + styles
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{name}: there are several styles of this name; rename your file")
    made = [CartoonPredictor(weights_file=file) for file in files] + [CartoonPredictor(style) for style in styles]
    return dict(zip(names, made))
