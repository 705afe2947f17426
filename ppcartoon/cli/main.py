"""`ppcartoon`: runs a subcommand, by default `infer`."""

from __future__ import annotations

import difflib
import importlib
import re
import sys
from pathlib import Path

from . import common

COMMANDS = {
    "infer": "turns photos and videos into cartoons",
    "train": "trains a style",
    "prepare": "downloads, extracts, smooths and checks training data",
    "evaluate": "computes FID, tables and figures, and runs other methods",
    "export": "exports a style as ONNX and Paddle inference models",
    "demo": "serves a web page that makes cartoons",
    "serve": "serves cartoons to programs by HTTP",
    "study": "runs a user study on which cartoons people prefer",
}


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    first = argv[0] if argv else ""
    if first in COMMANDS:
        return importlib.import_module(f".{first}", __package__).main(argv[1:])
    if re.fullmatch("[a-z]+", first) and not Path(first).exists():
        near = difflib.get_close_matches(first, COMMANDS, n=1)
        hint = f"did you mean ppcartoon {near[0]}?" if near else f"the commands are {', '.join(COMMANDS)}"
        common.tell("ppcartoon", f"{first}: no such file or command; {hint}")
        return 2
    return importlib.import_module(".infer", __package__).main(argv)
