"""`ppcartoon serve`: serves cartoons to programs by HTTP, and the page."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import InputError
from . import common, demo

PROGRAM = "ppcartoon serve"
EXAMPLES = """
ppcartoon serve                                  http://127.0.0.1:7860/docs describes the API
ppcartoon serve --public-url https://example.org/cartoons
ppcartoon serve --api-keys keys.txt --device gpu
ppcartoon serve --ray auto                       on all GPUs of a Ray cluster
"""
MIN_KEY = 16  # characters


def parser() -> argparse.ArgumentParser:
    p = common.parser(
        PROGRAM, "Serves cartoons of photos and videos to programs by HTTP, and the page, until Ctrl-C.", EXAMPLES
    )
    demo.add_options(p)
    p.add_argument("--no-page", action="store_true", help="serve the API alone")
    p.add_argument(
        "--api-keys", type=Path, metavar="FILE",
        help="accept only requests with one of the keys in FILE, one a line; without the page",
    )  # fmt: skip
    p.add_argument(
        "--ray", default="", metavar="ADDRESS",
        help="run the networks on a Ray cluster, one for each of its GPUs: auto, local or host:port",
    )  # fmt: skip
    p.add_argument(
        "--public-url", default="", metavar="URL",
        help="where browsers see the service behind a proxy, such as https://example.org/toon",
    )  # fmt: skip
    return p


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    args = parser().parse_args(argv)
    return common.run(PROGRAM, lambda: serve(args), "the page")


def serve(args: argparse.Namespace) -> int:
    keys = read_keys(args.api_keys) if args.api_keys else []
    return demo.serve(
        args,
        page=not (args.no_page or keys),
        keys=keys,
        json_logs=True,
        ray=args.ray,
        public_url=args.public_url,
    )


def read_keys(file: Path) -> list[str]:
    """The API keys in a file, one a line; empty lines and those that start with # are left out.

    Raises:
        InputError: there is none, one is too short to be safe, or the file is not UTF-8.
    """
    lines = [line.strip() for line in file.read_text(encoding="utf-8", errors="replace").splitlines()]
    keys = [line for line in lines if line and not line.startswith("#")]
    if not keys or min(map(len, keys)) < MIN_KEY or "\ufffd" in "".join(keys):
        raise InputError(f"{file}: needs one key a line, of {MIN_KEY} characters or more, in UTF-8")
    return keys
