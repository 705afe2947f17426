"""`ppcartoon study`: serves the page of a user study and writes the report of the votes."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

from ..utils import server
from . import common

PROGRAM = "ppcartoon study"
EXAMPLES = """
ppcartoon study serve study                      serve the page until Ctrl-C
ppcartoon study report study
"""
SHOWN = 10  # problems that are listed


def parser() -> argparse.ArgumentParser:
    p = common.parser(
        PROGRAM,
        "Runs a user study as in Fig. 11 of the paper: people choose the best cartoon on a web page.",
        EXAMPLES,
        "STUDY is a folder that contains photos/NAME.png and, for each method, STYLE/METHOD/NAME.png of the photo's "
        "size.\n\n",
    )
    commands = p.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serving = commands.add_parser("serve", help="check the images and serve the page until Ctrl-C")
    serving.set_defaults(run=serve)
    serving.add_argument("study", type=Path, metavar="STUDY", help="folder; the votes are saved in its votes.sqlite")
    serving.add_argument(
        "--sets", type=common.whole_number(1, 1000), default=20, metavar="N", help="per voter (default: 20)"
    )
    serving.add_argument(
        "--host", default="127.0.0.1", metavar="ADDRESS",
        help="where to listen (default: 127.0.0.1, this machine only; 0.0.0.0: all interfaces)",
    )  # fmt: skip
    serving.add_argument(
        "--port",
        type=common.whole_number(0, 65535),
        default=8000,
        metavar="N",
        help="(default: 8000; 0: any free port)",
    )
    reporting = commands.add_parser("report", help="write shares, tests, CSV files and a chart of the votes so far")
    reporting.set_defaults(run=report)
    reporting.add_argument("study", type=Path, metavar="STUDY", help="folder that contains votes.sqlite")
    reporting.add_argument(
        "-o", "--output", type=Path, default=Path("output/study"), metavar="DIR", help="(default: output/study)"
    )
    return p


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    args = parser().parse_args(argv)
    warnings.filterwarnings("ignore", "Glyph .* missing")  # characters that are missing in all fonts
    return common.run(PROGRAM, lambda: args.run(args), "the user study")


def serve(args: argparse.Namespace) -> int:
    from ..evaluation.user_study.material import read
    from ..evaluation.user_study.pages import create_app
    from ..evaluation.user_study.votes import FILE, Votes

    material, problems = read(args.study)
    if problems:
        common.tell_all(PROGRAM, problems, SHOWN)
        return 2
    with server.listening(args.host, args.port) as address:
        votes = Votes(args.study / FILE, material)
        for style, methods in material.outputs.items():
            print(f"{style}: {len(material.photos)} photos, {len(methods)} methods: {', '.join(methods)}")
        app = create_app(material, votes, args.sets, address.names)
        server.serve(app, address, ready=lambda: print(address, flush=True))
        print(f"votes in {args.study / FILE}: {votes.count()}")
        votes.close()
    return 0


def report(args: argparse.Namespace) -> int:
    from ..evaluation.user_study import report as reporting
    from ..evaluation.user_study.votes import FILE, load

    for line in reporting.report(*load(args.study / FILE), args.output):
        print(line)
    print(f"\nwritten to {args.output}: report.md, votes.csv, shares.csv, shares.png")
    return 0
