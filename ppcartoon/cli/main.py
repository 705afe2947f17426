"""The command `ppcartoon`: finds the subcommand, which is `infer` where none is named."""

from __future__ import annotations

import difflib
import importlib
import re
import sys
from pathlib import Path

from . import common

COMMANDS = {
    "infer": "cartoons of photos and videos",
    "train": "trains a style",
    "prepare": "downloads, key frames of videos, smoothed edges, checks of data",
    "evaluate": "FID, the paper's tables and figures, other methods",
    "export": "a style as ONNX and Paddle inference models",
    "demo": "a page in the browser",
    "study": "a user study: which cartoon do people prefer",
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
