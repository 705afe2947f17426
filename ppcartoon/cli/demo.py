"""`ppcartoon demo`: serves a web page that makes cartoons."""

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
    p = common.parser(PROGRAM, "Serves a web page that makes cartoons of photos and videos, until Ctrl-C.", EXAMPLES)
    p.add_argument(
        "-s", "--style", nargs="+", default=[], action="extend", metavar="STYLE",
        help="shipped styles to offer (default: all, unless --weights is given)",
    )  # fmt: skip
    p.add_argument(
        "-w", "--weights", type=Path, nargs="+", default=[], action="extend", metavar="FILE",
        help=".safetensors weights files of your own, offered by their file names",
    )  # fmt: skip
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
        help="megapixels of a photo or of a video's frame (default: 24)",
    )  # fmt: skip
    limits.add_argument(
        "--max-seconds", type=common.whole_number(1, 3600), default=20, metavar="N",
        help="seconds of a video (default: 20)",
    )  # fmt: skip
    return p


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    args = parser().parse_args(argv)

    def serve_until_stopped() -> int:
        # On Windows, files that are still open cannot be removed.
        temporary = tempfile.TemporaryDirectory(prefix="ppcartoon-", ignore_cleanup_errors=True)
        with listening(args.host, args.port) as address, temporary as folder:
            serve(args, address, Path(folder).resolve())
        return 0

    return common.run(PROGRAM, serve_until_stopped, "the page")


def serve(args: argparse.Namespace, address: ListenAddress, folder: Path) -> None:
    """Serves the page until Ctrl-C or SIGTERM.

    Raises:
        InputError: weights cannot be used.
    """
    from ..web.guard import Guard, prepare_environment
    from ..web.studio import Limits, Studio

    limits = Limits(args.max_upload, args.max_pixels, args.max_seconds)
    studio = Studio(predictors(args.style, args.weights), folder, limits)
    prepare_environment(folder)  # before Gradio is imported
    import uvicorn

    from ..web.examples import example_photos, example_video
    from ..web.page import application, build

    page = build(studio, example_photos(), example_video(folder))
    max_upload = limits.upload_mb << 20
    app = Guard(application(page, max_upload), address, folder, max_upload)
    server = uvicorn.Server(
        uvicorn.Config(app, log_level="critical", access_log=False, ws="none", timeout_graceful_shutdown=1)
    )
    print(f"{', '.join(studio.predictors)}\n{address}", flush=True)
    for number in uvicorn.server.HANDLED_SIGNALS:
        signal.signal(number, lambda *_: None)  # uvicorn handles them, then raises them again
    try:
        server.run(sockets=[address.sock])
    finally:
        studio.close()


def predictors(styles: list[str], files: list[Path]) -> dict[str, CartoonPredictor]:
    """Predictors by style name: those of weights files, then shipped styles; without either, all shipped styles.

    Raises:
        InputError: weights cannot be used, or two styles have the same name.
    """
    from .. import weights
    from ..inference.predictor import CartoonPredictor

    styles = list(dict.fromkeys(styles if styles or files else weights.manifest()))
    names = [file.stem for file in files] + styles
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{name}: several styles have this name; rename your file")
    loaded = [CartoonPredictor(weights_file=file) for file in files] + [CartoonPredictor(style) for style in styles]
    return dict(zip(names, loaded))
