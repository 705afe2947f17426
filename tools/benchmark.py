"""Benchmarks of inference, the HTTP service, training and data preparation."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import inference, service
from ppcartoon import InputError
from ppcartoon.utils.machine import cores

if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__)
    commands = p.add_subparsers(dest="command", required=True)
    infer = commands.add_parser("infer", help="engines, folders, large photos, videos, startup, memory over time")
    inference.add_options(infer)
    train = commands.add_parser("train", help="a training step on random images, and the same step as in ppgan")
    train.add_argument("--size", type=int, default=64, metavar="PIXELS", help="a multiple of 4, at least 16")
    train.add_argument("--batch-size", type=int, default=2)
    train.add_argument("--channels", type=int, default=64, help="width of G, twice that of D; 64 in the paper")
    train.add_argument("--layer", default="conv4_4", help="layer of VGG19, which has random weights here")
    prepare = commands.add_parser("data", help="edge smoothing, reading images, and waiting for data in training")
    prepare.add_argument("--images", type=Path, metavar="DIR", help="cartoons (default: synthetic ones)")
    serve = commands.add_parser("serve", help="the HTTP service under load, compared with the engine alone")
    service.add_options(serve)
    for command, rounds in ((infer, 5), (train, 9), (prepare, 9), (serve, 3)):
        command.add_argument("--rounds", type=int, default=rounds)
    for command in (infer, train, serve):
        command.add_argument("--threads", type=int, default=cores())
    args = p.parse_args()
    try:
        if args.command == "infer":
            lines = inference.measure(args)
        elif args.command == "serve":
            lines = service.measure(args.clients, args.photos, args.rounds, args.threads)
        elif args.command == "data":
            from benchmarks import data  # imports OpenCV

            lines = data.measure(args.images, args.rounds)
        else:
            from benchmarks import training_step  # imports Paddle

            options = (args.size, args.batch_size, args.channels, args.layer, args.rounds, args.threads)
            lines = training_step.report(*training_step.measure(*options))
        for line in lines:
            print(line, flush=True)
    except InputError as error:
        sys.exit(f"benchmark: {error}")
