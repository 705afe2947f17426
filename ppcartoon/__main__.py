"""The command `ppcartoon`, and `python -m ppcartoon`: the page in a browser for `demo`, else the command line."""

from __future__ import annotations

import sys


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["demo"]:
        from .cli.demo import main as demo

        return demo(argv[1:])
    from .cli.infer import main as infer

    return infer(argv)


if __name__ == "__main__":
    sys.exit(main())
