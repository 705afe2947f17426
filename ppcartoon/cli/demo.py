"""`ppcartoon demo`: a page in the browser."""

from __future__ import annotations

import argparse
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..utils.server import ListenAddress, listening
from . import common

if TYPE_CHECKING:
    from ..inference.predictor import CartoonPredictor

PROGRAM = "ppcartoon demo"
EXAMPLES = """
ppcartoon demo                                   http://127.0.0.1:7860
ppcartoon demo -w mine.safetensors --max-pixels 50
"""


def parser() -> argparse.ArgumentParser:
    p = common.parser(
        PROGRAM, "Serves a page in the browser that makes cartoons of photos and videos, until Ctrl-C.", EXAMPLES
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
    p.add_argument(
        "--port", type=common.whole_number(0, 65535), default=7860, metavar="N", help="(default: 7860; 0: any)"
    )
    limits = p.add_argument_group("what is taken")
    limits.add_argument(
        "--max-upload", type=common.whole_number(1, 4096), default=50, metavar="MB", help="(default: 50)"
    )
    limits.add_argument(
        "--max-pixels", type=common.whole_number(1, 179), default=24, metavar="N", help="megapixels (default: 24)"
    )  # fmt: skip
    limits.add_argument(
        "--max-seconds", type=common.whole_number(1, 3600), default=20, metavar="N", help="of a film (default: 20)"
    )  # fmt: skip
    return p


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    args = parser().parse_args(argv)

    def serve_until_stopped() -> int:
        with listening(args.host, args.port) as address, tempfile.TemporaryDirectory(prefix="ppcartoon-") as folder:
            serve(args, address, Path(folder).resolve())
        return 0

    return common.run(PROGRAM, serve_until_stopped, "pip install 'ppcartoon[web]'")


def serve(args: argparse.Namespace, address: ListenAddress, folder: Path) -> None:
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
    app = Guard(application(page, limits.upload << 20), address, folder, limits.upload << 20)
    server = uvicorn.Server(
        uvicorn.Config(app, log_level="critical", access_log=False, ws="none", timeout_graceful_shutdown=1)
    )
    print(f"{', '.join(studio.predictors)}\n{address}", flush=True)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)  # uvicorn ends by them, and sends them once more
    try:
        server.run(sockets=[address.sock])
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
