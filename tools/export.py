"""A style as ONNX file and Paddle inference models, for servers, phones and browsers; each is run on photos first."""

import argparse
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ppcartoon import InputError, weights
from ppcartoon.inference import export

if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__)
    style = p.add_mutually_exclusive_group()
    style.add_argument("-s", "--style", default="peppercarrot", help="a shipped style (default: peppercarrot)")
    style.add_argument("-w", "--weights", type=Path, metavar="FILE", help="a .safetensors weights file of your own")
    p.add_argument("-o", "--output", type=Path, default=Path("exported"), metavar="DIR", help="(default: exported)")
    p.add_argument(
        "--format", nargs="+", choices=export.FORMATS,
        help="paddle: .json, Paddle 3's; paddle-lite: .pdmodel, for Paddle Lite and Paddle 2 (default: all)",
    )  # fmt: skip
    args = p.parse_args()
    try:
        loaded = weights.load(args.weights) if args.weights else weights.load_style(args.style)
        formats, remark = export.possible()  # imports Paddle, which takes SIGTERM to itself
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that temporary files are removed
        for done in export.export(loaded, args.output, args.format or formats):
            print(f"{done.path}: by {done.engine}, within {done.difference:.1e} in [-1, 1], PSNR {done.psnr:.0f} dB")
        if remark and not args.format:
            print(f"left out: {remark}")
    except (InputError, OSError) as error:
        sys.exit(f"export: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
