"""Weights of other programs -> a weights file for tools/infer.py, or for tools/evaluate.py run where CartoonGAN's."""

import argparse
import dataclasses
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ppcartoon import CartoonPredictor, InputError, images, weights
from ppcartoon.inference import levels

if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument(
        "source", type=Path,
        help="Paddle's .pdparams or .pkl, a PyTorch trainer's .npz with netD.* and netG.*, or the folder of a style of "
        "CartoonGAN as its authors published it, layer by layer: conv01_1.weight.npy and so on",
    )  # fmt: skip
    p.add_argument("target", type=Path, help="STYLE.safetensors")
    p.add_argument("--command", required=True, help="the command that trained them")
    p.add_argument("--attribution", required=True, help="whom to name, and for what")
    p.add_argument("--licence", required=True, help="of the weights")
    p.add_argument(
        "--photos", type=Path, metavar="DIR",
        help="measure the levels of the style on these photos, so that black stays black and white stays white",
    )  # fmt: skip
    p.add_argument(
        "--edge-target", type=float, metavar="SHARE",
        help="share of edge pixels of the photos that look best at a working size of 512 (default: 0.1)",
    )  # fmt: skip
    args = p.parse_args()
    try:
        if args.target.suffix != ".safetensors":
            raise InputError(f"{args.target}: the name of a weights file ends in .safetensors")
        known_levels = None
        if args.source.is_dir():
            from ppcartoon.baselines import cartoongan_weights  # with Paddle

            tensors, network = cartoongan_weights.from_folder(args.source)
        elif args.source.suffix in (".pdparams", ".pkl"):
            loaded = weights.load(args.source)
            tensors, network, known_levels = loaded.tensors, loaded.network, loaded.levels
            args.edge_target = args.edge_target or loaded.edge_target
        else:
            tensors, network = weights.from_npz(args.source)
        texts = {"command": args.command, "attribution": args.attribution, "licence": args.licence}
        numbers = {"edge_target": args.edge_target, "levels": known_levels}
        converted = weights.Weights(tensors, network, args.target.stem, **texts, **numbers)
        weights.save(args.target, converted)
        if args.photos:
            predictor = CartoonPredictor(weights_file=args.target)
            photos = [images.read(path).rgb for path in sorted(args.photos.iterdir())]
            measured = levels.measure((photo, predictor(photo)) for photo in photos)
            weights.save(args.target, dataclasses.replace(converted, levels=measured))
            print(f"{args.target}: levels {measured[0]} to {measured[1]}")
        print(f"{args.target}: {sum(t.size for t in tensors.values()) / 1e6:.2f} M parameters, {network}")
    except InputError as error:
        sys.exit(f"convert_weights: {error}")
