"""Weights of the PyTorch trainer (.npz with netD.* and netG.*) -> a weights file for tools/infer.py."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ppcartoon import InputError, weights

if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("source", type=Path, help="weights.npz")
    p.add_argument("target", type=Path, help="STYLE.safetensors")
    p.add_argument("--command", required=True, help="the command that trained them")
    p.add_argument("--attribution", required=True, help="whom to name, and for what")
    p.add_argument("--licence", required=True, help="of the weights")
    args = p.parse_args()
    try:
        if args.target.suffix != ".safetensors":
            raise InputError(f"{args.target}: the name of a weights file ends in .safetensors")
        tensors, network = weights.from_npz(args.source)
        texts = {"command": args.command, "attribution": args.attribution, "licence": args.licence}
        weights.save(args.target, weights.Weights(tensors, network, args.target.stem, **texts))
        print(f"{args.target}: {sum(t.size for t in tensors.values()) / 1e6:.2f} M parameters, {network}")
    except InputError as error:
        sys.exit(f"convert_weights: {error}")
