"""Measures speed and memory side by side in one run; every ratio is to the last row."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ppcartoon import InputError, engines, weights
from ppcartoon.benchmark import data, inference, training
from ppcartoon.threads import cores

if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__)
    commands = p.add_subparsers(dest="command", required=True)
    infer = commands.add_parser("infer", help="the engines on the CPU, on random images")
    infer.add_argument("--engines", nargs="+", default=engines.NAMES[1:], choices=engines.NAMES[1:])
    infer.add_argument("--style", default="peppercarrot")
    infer.add_argument("--sizes", nargs="+", type=int, default=[256], metavar="PIXELS", help="multiples of 4")
    train = commands.add_parser("train", help="a training step, ours and one composed as in ppgan, on random images")
    train.add_argument("--size", type=int, default=64, metavar="PIXELS", help="a multiple of 4, at least 16")
    train.add_argument("--batch-size", type=int, default=2)
    train.add_argument("--channels", type=int, default=64, help="width of G, twice that of D; the paper's is 64")
    train.add_argument("--layer", default="conv4_4", help="of VGG19, which has random weights here")
    prepare = commands.add_parser("data", help="smoothing of edges, reading of images, and waiting for them")
    prepare.add_argument("--images", type=Path, metavar="DIR", help="cartoons (default: some drawn by code)")
    for command in (infer, train, prepare):
        command.add_argument("--rounds", type=int, default=9)
    for command in (infer, train):
        command.add_argument("--threads", type=int, default=cores())
    args = p.parse_args()
    try:
        if args.command == "infer":
            weights.load_style(args.style)
            if min(args.rounds, args.threads, *args.sizes) < 1 or any(size % 4 for size in args.sizes):
                raise InputError("--rounds and --threads are at least 1, --sizes multiples of 4")
            for size in args.sizes:
                rows = inference.measure(args.engines, args.style, size, args.rounds, args.threads)
                print("\n".join(inference.table(rows)))
        elif args.command == "data":
            print(*data.measure(args.images, args.rounds), sep="\n")
        else:
            options = (args.size, args.batch_size, args.channels, args.layer, args.rounds, args.threads)
            print("\n".join(training.report(*training.measure(*options))))
    except InputError as error:
        sys.exit(f"benchmark: {error}")
