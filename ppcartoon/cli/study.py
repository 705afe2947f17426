"""The command line of tools/study.py."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import warnings
from pathlib import Path

from ..errors import InputError, printable
from ..utils.server import listening
from .flags import bounded

SHOWN = 10  # problems in full


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        description="A preference study as in the paper's Fig. 11: a page on which people choose the best cartoon.",
        epilog="STUDY is a folder with photos/NAME.png in it and, of each method, STYLE/METHOD/NAME.png, of the "
        "photo's size. Exit code: 0 done, 2 nothing could be done as asked, and why is said.",
    )
    commands = p.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serving = commands.add_parser("serve", help="check the images and serve the page until Ctrl-C")
    serving.set_defaults(run=serve)
    serving.add_argument("study", type=Path, metavar="STUDY", help="folder; the answers go to its votes.sqlite")
    serving.add_argument("--sets", type=bounded(1, 1000), default=20, metavar="N", help="for each voter (default: 20)")
    serving.add_argument(
        "--host", default="127.0.0.1", metavar="ADDRESS",
        help="where to listen (default: 127.0.0.1, for this machine alone; 0.0.0.0: for everybody who reaches it)",
    )  # fmt: skip
    serving.add_argument("--port", type=bounded(0, 65535), default=8000, metavar="N", help="(default: 8000; 0: any)")
    reporting = commands.add_parser("report", help="shares, tests, CSV and chart of the votes so far")
    reporting.set_defaults(run=report)
    reporting.add_argument("study", type=Path, metavar="STUDY", help="folder with votes.sqlite in it")
    reporting.add_argument(
        "-o", "--output", type=Path, default=Path("output/study"), metavar="DIR", help="(default: output/study)"
    )
    return p


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    args = parser().parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server ends as by Ctrl-C
    warnings.filterwarnings("ignore", "Glyph .* missing")  # signs that no font has
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # that a request waits for a thread is no news
    try:
        return args.run(args)
    except InputError as error:
        print(f"study: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        print(f"study: {error.name} is not installed; this needs: pip install '.[study]'", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"study: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def serve(args: argparse.Namespace) -> int:
    import waitress

    from ..evaluation.user_study.material import read
    from ..evaluation.user_study.pages import create_app
    from ..evaluation.user_study.votes import FILE, Votes

    material, problems = read(args.study)
    if problems:
        more = [f"and {len(problems) - SHOWN} more like these"] if len(problems) > SHOWN else []
        for line in problems[:SHOWN] + more:
            print(f"study: {printable(line)}", file=sys.stderr)
        return 2
    with listening(args.host, args.port) as place:
        votes = Votes(args.study / FILE, material)
        app = create_app(material, votes, args.sets, place.names)
        server = waitress.create_server(app, sockets=[place.sock], threads=8, ident=None, max_request_body_size=10_000)
        for style, methods in material.outputs.items():
            print(f"{style}: {len(material.photos)} photos, {len(methods)} methods: {', '.join(methods)}")
        print(place, flush=True)
        server.run()  # takes Ctrl-C and SIGTERM for its end
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
