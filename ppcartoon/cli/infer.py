"""`ppcartoon [infer]`: turns photos and videos into cartoons."""

from __future__ import annotations

import argparse
import io
import os
import sys
import time
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .. import __version__
from ..errors import DiskFullError, InputError, OutputError, naming, printable
from ..utils.libraries import needs
from . import common

if TYPE_CHECKING:
    from ..inference.jobs import Job
    from ..inference.predictor import CartoonPredictor
    from ..video.deflicker import Deflicker
    from ..video.pipeline import Estimate

PROGRAM = "ppcartoon"
EXAMPLES = """
ppcartoon photo.jpg                              -> output/photo.jpg
ppcartoon photos clip.mp4 -o cartoons            a folder of photos, and a video
ppcartoon photos --working-size 384               bold strokes; 1024: fine ones
ppcartoon photos --max-size 2048 --ext webp      smaller cartoons
ppcartoon - < photo.jpg > cartoon.png            one image, through pipes
ppcartoon                                        sample photos, and all of them in output/overview.png
"""
ENGINES = ("auto", "openvino", "onnx", "paddle", "tensorrt", "paddle-dygraph")
PRECISIONS = ("auto", "fp32", "bf16", "int8", "fp16")
ENDINGS = ("auto", "png", "jpg", "webp", "mp4", "mkv", "mov", "webm", "gif")
CODECS = ("h264", "h265", "vp9", "av1", "prores")
PIPE = "-"
LONG = 600  # seconds, after which a faster setting is named


def parser() -> argparse.ArgumentParser:
    from .main import COMMANDS

    others = "\n".join(f"  ppcartoon {name:9} {does}" for name, does in COMMANDS.items() if name != "infer")
    p = common.parser(
        PROGRAM,
        "Turns photos and videos into cartoons. Without an input: sample photos.",
        EXAMPLES,
        f"other commands, each with its own --help:\n{others}\n\n",
    )
    p.add_argument(
        "inputs", nargs="*", metavar="PATH",
        help="images, videos, folders, glob patterns, numbered images such as frames/%%05d.png as a video, and - for "
        "one image from standard input; with --ray also URIs, and @FILE with a path or URI a line",
    )  # fmt: skip
    p.add_argument("-i", "--input", nargs="+", action="extend", default=[], metavar="PATH", help="the same as PATH")
    p.add_argument(
        "-o", "--output", metavar="PATH",
        help="folder for the cartoons, or the file of a single one, or - for standard output (default: output)",
    )  # fmt: skip
    style = p.add_mutually_exclusive_group()
    style.add_argument("-s", "--style", help="a shipped style (default: peppercarrot)")
    style.add_argument(
        "-w", "--weights", type=Path, metavar="FILE", help="a weights file of your own, .safetensors or .pdparams"
    )
    p.add_argument("--list-styles", action="store_true", help="show the shipped styles and their attribution")
    p.add_argument("-r", "--recursive", action="store_true", help="search subfolders of folders")
    p.add_argument("--skip-existing", action="store_true", help="skip inputs whose cartoon exists")
    p.add_argument(
        "--working-size", type=_working_size, default="auto", metavar="auto|N|0",
        help="longer side in pixels at which the network draws: smaller is bolder, larger is finer; 0: that of the "
        "photo; auto: 320 to 1024, larger for photos with more edges. Cartoons are then enlarged to the photo's size",
    )  # fmt: skip
    p.add_argument(
        "--max-size", type=common.whole_number(1), metavar="N", help="limit the longer side of the cartoons to N pixels"
    )
    p.add_argument(
        "--keep-colors", type=common.number(most=1), default=0.0, metavar="0-1",
        help="share of the photo in the colors; 1: the photo's colors, at the cartoon's brightness (default: 0)",
    )  # fmt: skip
    p.add_argument(
        "--strength", type=common.number(most=1), default=1.0, metavar="0-1",
        help="share of the cartoon in the result; the rest is the photo (default: 1)",
    )  # fmt: skip
    p.add_argument(
        "--ext", choices=ENDINGS, default="auto",
        help="format of photos or of videos, and of animated images; auto: the input's if it can be written, else png, "
        "mp4 or webp",
    )  # fmt: skip
    p.add_argument("--suffix", default="", metavar="TEXT", help="append to each file name, before its extension")
    p.add_argument("--side-by-side", action="store_true", help="write photo and cartoon next to each other")
    p.add_argument(
        "--quality",
        type=common.whole_number(1, 100),
        default=95,
        metavar="1-100",
        help="quality of jpg and webp (default: 95)",
    )
    video = p.add_argument_group("videos")
    video.add_argument(
        "--start", type=common.time, default=0, metavar="TIME", help="start of the part to process, as in 1:30"
    )
    video.add_argument("--duration", type=common.time, metavar="TIME", help="its length, in seconds or as in 0:10")
    video.add_argument("--codec", choices=CODECS, help="(default: the most common one of the format)")
    video.add_argument("--crf", type=common.whole_number(0, 63), metavar="N", help="compression; 0 is the best quality")
    video.add_argument(
        "--fps",
        type=common.number(above=0),
        metavar="N",
        help="frame rate of numbered images and TIFF pages (default: 25)",
    )
    advanced = p.add_argument_group("advanced")
    advanced.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto", help="(default: auto)")
    advanced.add_argument(
        "--engine", choices=ENGINES, default="auto", help="auto: the fastest that works; the summary names it"
    )
    advanced.add_argument(
        "--precision", choices=PRECISIONS, default="auto",
        help="auto: bf16 or int8, whichever the CPU is made for, or fp16 on a GPU, if the results agree with fp32, "
        "else fp32",
    )  # fmt: skip
    advanced.add_argument(
        "--batch-size",
        type=common.whole_number(1),
        default=1,
        metavar="N",
        help="images per batch, for GPUs (default: 1)",
    )
    advanced.add_argument(
        "--threads", type=common.whole_number(1), metavar="N", help="CPU threads (default: all cores)"
    )
    advanced.add_argument(
        "--tile", type=_tile, default="auto", metavar="N|auto|0",
        help="process larger images in tiles of NxN pixels; 0: never; auto: if memory would run short",
    )  # fmt: skip
    advanced.add_argument("--ray", metavar="ADDRESS", help="run on a Ray cluster: auto, local or host:port")
    p.add_argument("--version", action="version", version=__version__)
    p.add_argument(
        "--print-completion", action=_PrintCompletion, metavar="SHELL",
        help="print a completion script for a shell, such as bash or zsh",
    )  # fmt: skip
    return p


class _PrintCompletion(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, namespace: object, shell: str, option: str) -> None:
        try:
            with needs("cartoons"):
                import shtab  # slow to import, and photos do not need it
        except InputError as error:
            parser.error(str(error))
        self.choices = shtab.SUPPORTED_SHELLS
        if shell not in self.choices:
            parser.error(f"argument {option}: {shell} is not one of {', '.join(self.choices)}")
        for action in parser._actions:
            if action.dest in ("inputs", "input", "output", "weights"):
                action.complete = shtab.FILE
        print(shtab.complete(parser, shell))
        parser.exit()


def _working_size(text: str) -> int | str:
    return text if text == "auto" else common.whole_number(0)(text)


def _tile(text: str) -> int | str:
    return text if text == "auto" else int(text)


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    p = parser()
    args = p.parse_intermixed_args(argv)
    args.input = [*args.inputs, *args.input]
    resume = "; finished files are complete, --skip-existing continues"
    return common.run(PROGRAM, lambda: list_styles() if args.list_styles else infer(args), "cartoons", resume)


def list_styles() -> int:
    from .. import weights

    for style in weights.manifest():
        loaded = weights.load_style(style)
        print(f"{style}: {loaded.attribution} ({loaded.licence})")
    return 0


def infer(args: argparse.Namespace) -> int:
    """Cartoonizes the inputs and prints a summary of one line.

    Raises:
        InputError: the request cannot be carried out.
    """
    from ..inference.batch import BatchOptions
    from ..inference.predictor import DEFAULT_STYLE

    names = (
        "engine",
        "device",
        "precision",
        "threads",
        "batch_size",
        "tile",
        "working_size",
        "keep_colors",
        "strength",
    )
    predictor = {name: getattr(args, name) for name in names}
    predictor |= {"style": DEFAULT_STYLE if args.style is None else args.style, "weights_file": args.weights}
    if PIPE in (args.output, *args.input):
        return pipe(args, predictor)
    args.output = args.output or "output"
    where = {name: getattr(args, name) for name in ("recursive", "suffix", "ext", "skip_existing")}
    start = time.perf_counter()
    if args.ray is None:
        outcome = run_locally(args, predictor, where)
    elif not args.input:
        raise InputError("--ray: give --input; the sample photos are cartoonized on this machine only")
    else:
        from ..inference.ray_cluster import run

        options = BatchOptions(args.max_size, args.side_by_side, args.quality)
        made, skipped, failures = run.run(args.input, args.output, args.ray, predictor, options, **where)
        remark = f"Ray at {args.ray}, working size {args.working_size}"
        outcome = Outcome(made, skipped, len(failures), 0, Path(args.output), remark)
    seconds = time.perf_counter() - start

    words = [f"{outcome.made} cartoon{'s' * (outcome.made != 1)} in {printable(outcome.place)}"]
    if outcome.replaced:
        words.append(f"{outcome.replaced} replaced")
    if outcome.skipped:
        words.append(f"{outcome.skipped} skipped, there already")
    if outcome.failed:
        words.append(f"{outcome.failed} failed")
    print(f"{', '.join(words)}; {seconds:.1f} s, {outcome.made / seconds:.2f} per second, {outcome.remark}")
    return 1 if outcome.failed else 0


def pipe(args: argparse.Namespace, predictor: dict) -> int:
    """Cartoonizes one image from standard input or to standard output; prints nothing else there.

    Raises:
        InputError: there are several inputs, or the request cannot be carried out.
    """
    from .. import images
    from ..inference.predictor import CartoonPredictor

    if len(args.input) != 1:
        raise InputError(f"{PIPE}: give one image as input, not {len(args.input)}")
    source, target = args.input[0], args.output or PIPE
    suffix = Path(target).suffix.lower() if target != PIPE else ""
    suffix = suffix or f".{'png' if args.ext == 'auto' else args.ext}"
    if suffix not in images.WRITABLE:
        raise InputError(f"{target}: one image is written as {', '.join(images.WRITABLE)}")
    file = io.BytesIO(sys.stdin.buffer.read()) if source == PIPE else Path(source)
    with naming("standard input") if source == PIPE else nullcontext():
        photo, remark = images.read(file), images.left_out(file)
    if remark:
        common.tell(PROGRAM, f"{source}: {remark}")
    photo = images.shrink(photo, args.max_size) if args.max_size else photo
    cartoon = images.Picture(CartoonPredictor(**predictor)(photo.rgb), photo.alpha)
    cartoon = images.side_by_side(photo, cartoon) if args.side_by_side else cartoon
    if target == PIPE:
        sys.stdout.buffer.write(images.encode(cartoon, suffix, args.quality))
    else:
        images.write(Path(target), cartoon, args.quality)
    return 0


class Outcome(NamedTuple):
    """What became of the inputs.

    Attributes:
        made: number of cartoons written.
        skipped: number of inputs whose cartoon exists.
        failed: number of inputs that are damaged or could not be read.
        replaced: number of cartoons written in place of older files.
        place: where the cartoons are.
        remark: names the engine.
    """

    made: int
    skipped: int
    failed: int
    replaced: int
    place: Path
    remark: str


def run_locally(args: argparse.Namespace, predictor_options: dict, where: dict) -> Outcome:
    """Cartoonizes on this machine.

    Raises:
        InputError: the request cannot be carried out.
    """
    from ..data.samples import sample_photos
    from ..inference.batch import BatchOptions, cartoonize_files
    from ..inference.jobs import plan
    from ..inference.predictor import CartoonPredictor

    demo = not args.input
    jobs = plan([str(path) for path in sample_photos()] if demo else args.input, Path(args.output), **where)
    todo = [job for job in jobs if not job.skip]
    if unused := _unused_flags(args, jobs):
        common.tell(PROGRAM, f"{', '.join(unused)}: no effect on these inputs")
    older = {job.target: os.stat(job.target).st_mtime_ns for job in todo if os.path.isfile(job.target)}
    predictor = CartoonPredictor(**predictor_options)
    options = BatchOptions(args.max_size, args.side_by_side, args.quality)
    failed = cartoonize_files(predictor, [job for job in todo if not job.is_video], options)
    damaged, speed = videos(predictor, [job for job in todo if job.is_video], args)
    failed += damaged
    remark = speed + predictor.engine.description
    if used := predictor.sizes_used:
        size = f"{min(used)} to {max(used)}" if len(used) > 1 else f"{max(used)}"
        remark += f", working size {size} (--working-size: smaller is bolder, larger is finer)"
    if demo and failed < len(jobs):
        remark += f"; photos and cartoons together in {printable(overview(jobs, args))}"
    replaced = sum(os.path.isfile(path) and os.stat(path).st_mtime_ns != changed for path, changed in older.items())
    place = jobs[0].target if len(jobs) == 1 else Path(args.output)
    return Outcome(len(todo) - failed, len(jobs) - len(todo), failed, replaced, place, remark)


def _unused_flags(args: argparse.Namespace, jobs: list[Job]) -> list[str]:
    """The flags of the command line that change nothing, because no input is of their kind."""
    from ..images import animated_format
    from ..video.formats import MUXERS, is_pattern

    endings = {job.target.suffix.lower() for job in jobs}
    videos = [job for job in jobs if job.is_video]
    is_encoded = bool(endings & {*MUXERS})
    useful = {
        "start": bool(videos),
        "duration": bool(videos),
        "codec": is_encoded,
        "crf": is_encoded,
        "fps": any(is_pattern(job.source) or animated_format(job.source) == "TIFF" for job in videos),
        "batch_size": len(videos) < len(jobs),
        "recursive": any(os.path.isdir(path) or set(path) & set("*?[") for path in args.input),
        "quality": bool(endings & {".jpg", ".jpeg", ".webp"}),
        "ext": args.ext == "auto" or f".{args.ext}" in endings,
    }
    default = parser().get_default
    return [
        f"--{name.replace('_', '-')}"
        for name, is_used in useful.items()
        if not is_used and getattr(args, name) != default(name)
    ]


def videos(predictor: CartoonPredictor, jobs: list[Job], args: argparse.Namespace) -> tuple[int, str]:
    """Cartoonizes videos; prints what is lost or changed; returns the number of damaged videos, and the speed in words.

    Raises:
        InputError: a library that videos need is missing.
        OutputError: a cartoon cannot be written, unless the disk is full, which is an error like others.
        Interrupted: by Ctrl-C or SIGTERM.
    """
    if not jobs:
        return 0, ""
    from ..video import pipeline
    from ..video.deflicker import Deflicker

    names = ("start", "duration", "max_size", "side_by_side", "codec", "crf", "fps", "quality", "skip_existing")
    options = pipeline.VideoOptions(**{name: getattr(args, name) for name in names})
    failed, frames, start = 0, 0, time.perf_counter()
    for i, job in enumerate(jobs):
        try:
            deflicker = Deflicker(pipeline.with_fixed_size(predictor, job.source, options))
            describe = partial(forecast, job.source, deflicker)
            report = pipeline.process(job.source, job.target, deflicker.draw, options, describe, deflicker.finish)
            frames += report.frames
            warnings, remarks = report.warnings, report.remarks
        except DiskFullError as error:
            common.tell(PROGRAM, error)
            failed += len(jobs) - i
            break
        except OutputError:
            raise
        except InputError as error:
            warnings, remarks = [str(error)], []
        failed += bool(warnings)
        for message in (*warnings, *remarks):
            common.tell(PROGRAM, message)
    rate = frames / (time.perf_counter() - start)
    return failed, f"{frames} frames at {rate:.2f} per second, " if frames else ""


def forecast(source: Path, deflicker: Deflicker, estimate: Estimate) -> str:
    """The line at the start of a video: size, working size, frames and time, and what is faster if that is long."""
    from ..inference.working_size import SMALLEST, reduced

    width, height = estimate.size
    used, seconds = max(reduced(height, width, deflicker.working_size)), estimate.seconds * (estimate.frames or 1)
    frames = f"{estimate.frames} frames" if estimate.frames else "per frame"
    line = f"{source}: {width}x{height}, working size {used}, {frames}: about {_duration(seconds)}"
    if seconds > LONG:
        line += f"; --working-size {SMALLEST} is faster" if used > SMALLEST else "; --duration 0:10 makes a sample"
    return f"{PROGRAM}: {printable(line)}"


def _duration(seconds: float) -> str:
    """A rough duration in words."""
    for unit, name in ((3600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.1f} s"


def overview(jobs: list[Job], args: argparse.Namespace) -> Path:
    """Writes all photos and their cartoons into one image, and returns its path."""
    from .. import images
    from ..utils.grid import contact_sheet

    path = Path(args.output) / "overview.png"
    pairs = [images.read(path).rgb for job in jobs if job.target.exists() for path in (job.source, job.target)]
    images.write(path, images.Picture(contact_sheet(pairs, columns=1 if args.side_by_side else 4)))
    return path
