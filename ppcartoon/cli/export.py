"""`ppcartoon export`: exports a style as ONNX and Paddle inference models, or as a page that runs in the browser."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..utils.libraries import needs
from . import common

if TYPE_CHECKING:
    from .. import weights

PROGRAM = "ppcartoon export"
EXAMPLES = """
ppcartoon export -o exported                     all formats that this machine can write
ppcartoon export -w mine.safetensors --format onnx
ppcartoon export -w mine.safetensors --precision int8 --calibrate photos
ppcartoon export --browser -o site               a page that makes cartoons without a server
"""
FORMATS = ("onnx", "paddle", "paddle-lite", "pdparams")


def parser() -> argparse.ArgumentParser:
    p = common.parser(
        PROGRAM,
        "Exports a style for servers, phones and browsers. Each file is run on photos and compared before it is kept.",
        EXAMPLES,
    )
    style = p.add_mutually_exclusive_group()
    style.add_argument("-s", "--style", default="peppercarrot", help="a shipped style (default: peppercarrot)")
    style.add_argument(
        "-w", "--weights", type=Path, metavar="FILE", help="a weights file of your own: .safetensors or .pdparams"
    )
    p.add_argument("-o", "--output", type=Path, metavar="DIR", help="(default: exported, or site with --browser)")
    p.add_argument(
        "--format", nargs="+", choices=FORMATS,
        help="paddle: .json, for Paddle 3; paddle-lite: .pdmodel, for Paddle Lite and Paddle 2; pdparams: weights for "
        "paddle.load (default: all but pdparams)",
    )  # fmt: skip
    p.add_argument("--precision", choices=("fp32", "int8"), default="fp32", help="int8: ONNX for OpenVINO, quantized")
    p.add_argument(
        "--calibrate", type=Path, metavar="DIR",
        help="measure the value ranges for int8 on photos; also writes a weights file that contains them",
    )  # fmt: skip
    p.add_argument(
        "--browser", action="store_true",
        help="a folder for any file host: a page that makes cartoons of photos in the browser, also offline; downloads "
        "ONNX Runtime from the npm registry once",
    )  # fmt: skip
    return p


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    args = parser().parse_args(argv)
    return common.run(PROGRAM, lambda: export(args), "cartoons")


def export(args: argparse.Namespace) -> int:
    from .. import weights
    from ..inference import export as exporter

    if args.browser and (args.format or args.calibrate or args.precision != "fp32"):
        raise InputError("--browser writes a page; it goes with --style, --weights and --output only")
    args.output = args.output or Path("site" if args.browser else "exported")
    loaded = weights.load(args.weights) if args.weights else weights.load_style(args.style)
    if args.browser:
        return export_site(args, loaded)
    if args.precision == "int8":
        return export_int8(args, loaded)
    if args.calibrate:
        raise InputError("--calibrate is for --precision int8")
    formats, remark = exporter.possible()  # imports Paddle, which installs its own SIGTERM handler
    common.end_by_sigterm()
    asked = args.format or formats
    others = [kind for kind in asked if kind != "pdparams"]
    for file in exporter.export(loaded, args.output, others) if others else ():
        print(f"{file.path}: by {file.engine}, within {file.difference:.1e} in [-1, 1], PSNR {file.psnr:.0f} dB")
    if "pdparams" in asked:
        print(f"{exporter.export_pdparams(loaded, args.output)}: for paddle.load")
    if remark and not args.format:
        print(f"left out: {remark}")
    return 0


def export_int8(args: argparse.Namespace, loaded: weights.Weights) -> int:
    from ..inference import export as exporter
    from ..inference import int8

    if args.format not in (None, ["onnx"]):
        raise InputError("--precision int8 writes --format onnx only")
    if args.calibrate:
        loaded = dataclasses.replace(loaded, int8=int8.calibrate(loaded, args.calibrate))
    file = exporter.export_int8(loaded, args.output)
    print(f"{file.path}: {len(loaded.int8)} convolutions in int8, PSNR {file.psnr:.0f} dB to fp32")
    if args.calibrate:
        print(f"{exporter.export_safetensors(loaded, args.output)}: for --weights")
    return 0


def export_site(args: argparse.Namespace, loaded: weights.Weights) -> int:
    with needs("the page for browsers"):
        from ..web import site
    written = site.export(loaded, args.output)
    print(
        f"{args.output}: {written.files} files, {written.size / 1e6:.1f} MB, PSNR {written.psnr:.0f} dB to fp32 weights"
    )
    print(f"see it: python -m http.server -d {shlex.quote(str(args.output))}, then http://localhost:8000")
    print("or put it on any file host with https; opened as a file (file://), it cannot run")
    return 0
