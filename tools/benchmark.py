"""Measures speed and memory side by side in one run; every ratio is to the last engine named."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ppcartoon import InputError, engines, weights
from ppcartoon.benchmark import inference

if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__)
    commands = p.add_subparsers(dest="command", required=True)
    infer = commands.add_parser("infer", help="the engines on the CPU, on random images")
    infer.add_argument("--engines", nargs="+", default=engines.NAMES[1:], choices=engines.NAMES[1:])
    infer.add_argument("--style", default="peppercarrot")
    infer.add_argument("--sizes", nargs="+", type=int, default=[256], metavar="PIXELS", help="multiples of 4")
    infer.add_argument("--rounds", type=int, default=9)
    infer.add_argument("--threads", type=int, default=engines.cores())
    args = p.parse_args()
    try:
        weights.load_style(args.style)
        if min(args.rounds, args.threads, *args.sizes) < 1 or any(size % 4 for size in args.sizes):
            raise InputError("--rounds and --threads are at least 1, --sizes multiples of 4")
        for size in args.sizes:
            rows = inference.measure(args.engines, args.style, size, args.rounds, args.threads)
            print("\n".join(inference.table(rows)))
    except InputError as error:
        sys.exit(f"benchmark: {error}")
