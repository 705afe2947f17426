"""Measures speed, memory and quality side by side in one run."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import data, inference
from ppcartoon import InputError
from ppcartoon.utils.threads import cores

if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__)
    commands = p.add_subparsers(dest="command", required=True)
    infer = commands.add_parser("infer", help="engines, folders, large photos, videos, the start, memory over time")
    inference.add_options(infer)
    train = commands.add_parser("train", help="a training step, ours and one composed as in ppgan, on random images")
    train.add_argument("--size", type=int, default=64, metavar="PIXELS", help="a multiple of 4, at least 16")
    train.add_argument("--batch-size", type=int, default=2)
    train.add_argument("--channels", type=int, default=64, help="width of G, twice that of D; the paper's is 64")
    train.add_argument("--layer", default="conv4_4", help="of VGG19, which has random weights here")
    prepare = commands.add_parser("data", help="smoothing of edges, reading of images, and waiting for them")
    prepare.add_argument("--images", type=Path, metavar="DIR", help="cartoons (default: some drawn by code)")
    for command, rounds in ((infer, 5), (train, 9), (prepare, 9)):
        command.add_argument("--rounds", type=int, default=rounds)
    for command in (infer, train):
        command.add_argument("--threads", type=int, default=cores())
    args = p.parse_args()
    try:
        if args.command == "infer":
            for line in inference.measure(args):
                print(line, flush=True)
        elif args.command == "data":
            print(*data.measure(args.images, args.rounds), sep="\n")
        else:
            from benchmarks import training_step  # with Paddle

            options = (args.size, args.batch_size, args.channels, args.layer, args.rounds, args.threads)
            print("\n".join(training_step.report(*training_step.measure(*options))))
    except InputError as error:
        sys.exit(f"benchmark: {error}")
