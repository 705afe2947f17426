"""Exports a style for servers, phones and browsers, as ONNX and Paddle inference models.

Each model comes with a description: ONNX in its `metadata_props`, Paddle, which has no such field, in a .yml file next
to it. All models are loaded from disk and run on photos before any of them replaces a file.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors.numpy

from .. import images
from ..data.samples import draw_photo, sample_photos
from ..errors import DiskFullError, InputError
from ..utils.files import atomic, is_legal_name, output_errors, temporary_folder
from ..utils.machine import cores
from ..weights import Weights, require_cartoonizer, save, save_pdparams
from . import engines, int8, onnx_graph, onnx_messages, working_size
from .engines import paddle_engines

# Endings of the program files: ONNX; Paddle 3; Paddle Lite and Paddle 2, which Paddle 3 can read, too.
FORMATS = {"onnx": ".onnx", "paddle": ".json", "paddle-lite": ".pdmodel"}
NOT_WRITTEN = {"2.": "paddle", "3.3.": "paddle-lite"}  # by Paddle version; 3.3 lacks tanh in the old format
INPUT = "RGB float32 [N, 3, H, W] in [-1, 1], pixel / 127.5 - 1; H and W are multiples of 4"
OUTPUT = "RGB float32 [N, 3, H, W] in [-1, 1], as large as the input"
WORKING_SIZE = (
    "longer side of the input in pixels: {size} if {target:.0%} of the pixels are edges, from {smallest} for close-ups "
    "to {largest} for busy streets; enlarge the cartoon afterwards"
)
LEVELS = "stretch the luma of the cartoon, of 255, from {} to 0 and from {} to 255; this is not part of the model"
# 1/8 of an 8-bit step. Engines differ by 2e-6, an LN with an epsilon of 1e-6 by 6e-3, bfloat16 by 1e-2.
TOLERANCE = 1e-3
INT8_PSNR = 30.0  # dB between int8 and fp32 on any photos; a wrong graph gets less than 20


class Exported(NamedTuple):
    """An exported model, and how its cartoons differ from ONNX Runtime's.

    Attributes:
        path: the program file; parameters and description are next to it.
        engine: the runtime that ran it.
        difference: largest absolute difference of values in [-1, 1].
        psnr: in dB; infinite if the cartoons are equal.
    """

    path: Path
    engine: str
    difference: float
    psnr: float


def possible() -> tuple[list[str], str]:
    """The formats that can be written here, and a line on what the others need; empty if all can be written."""
    try:
        version = paddle_engines.paddle().__version__
    except InputError as error:
        return ["onnx"], f"paddle and paddle-lite: {error}"
    for start, kind in NOT_WRITTEN.items():
        if version.startswith(start):
            return [other for other in FORMATS if other != kind], f"Paddle {version} does not write {kind}, 3.2.2 does"
    return list(FORMATS), ""


def export(weights: Weights, folder: Path, formats: Sequence[str]) -> list[Exported]:
    """Writes a style as FORMAT/STYLE.* into a folder: all formats, or none if one fails.

    Args:
        weights: weights of the style.
        folder: created if it is missing; files of the same names are replaced.
        formats: some of `FORMATS`.

    Raises:
        InputError: a format cannot be written here, tensors do not fit the network, or cartoons differ too much.
        OutputError: a file cannot be written.
    """
    available, remark = possible() if set(formats) - {"onnx"} else (["onnx"], "")
    if set(formats) - set(available):
        raise InputError(remark or f"the formats are {', '.join(FORMATS)}")
    name = _file_name(weights)
    reference = engines.create(weights, "onnx", "cpu")
    pairs = [(photos, reference(photos)) for photos in _photos()]
    with temporary_folder(folder) as temporary, ExitStack() as stack:
        results = []
        for kind in dict.fromkeys(formats):
            with output_errors(folder / kind / name):
                program = _write(weights, kind, temporary / kind / name)
            path = folder / kind / program.name
            try:
                result = _compare(program, pairs)
            except RuntimeError as error:  # Paddle's writer says nothing
                raise DiskFullError(f"{path}: cannot be read after it was written; the disk may be full") from error
            if not result.difference <= TOLERANCE:  # also true for NaN
                raise InputError(
                    f"{program.name}: cartoons by {result.engine} differ by {result.difference:.1e} from ONNX "
                    f"Runtime's, more than {TOLERANCE:.0e}; nothing was written"
                )
            results.append(result._replace(path=path))
        for source in sorted(temporary.glob("*/*")):
            shutil.copyfile(source, stack.enter_context(atomic(folder / source.relative_to(temporary))))
    return results


def export_pdparams(weights: Weights, folder: Path) -> Path:
    """Writes the weights as pdparams/STYLE.pdparams into a folder, for `paddle.load`; returns its path.

    Raises:
        InputError: the weights belong to another network than the paper's.
        OutputError: the file cannot be written.
    """
    path = folder / "pdparams" / f"{_file_name(weights)}.pdparams"
    save_pdparams(path, require_cartoonizer(weights))
    return path


def export_int8(weights: Weights, folder: Path) -> Exported:
    """Writes a calibrated style as onnx/STYLE.int8.onnx into a folder, for OpenVINO; ONNX Runtime runs it in fp32.

    Raises:
        InputError: the style is not calibrated, or its cartoons differ too much from those in fp32.
        OutputError: the file cannot be written.
    """
    if not weights.int8:
        raise InputError(f"{weights.style}: not calibrated for int8: use --calibrate DIR with a folder of photos")
    path = folder / "onnx" / f"{_file_name(weights)}.int8.onnx"
    model = int8.quantize(onnx_graph.build(weights), weights.int8)
    onnx_messages.set_metadata(model, description(weights))
    reference = engines.create(weights, "onnx", "cpu")
    with atomic(path) as temporary:
        temporary.write_bytes(model.SerializeToString())
        result = _compare(temporary, [(photos, reference(photos)) for photos in _photos()])
        if not result.psnr >= INT8_PSNR:  # also true for NaN
            raise InputError(f"{path.name}: int8 is too far from fp32 ({result.psnr:.0f} dB); nothing was written")
    return result._replace(path=path)


def export_safetensors(weights: Weights, folder: Path) -> Path:
    """Writes the weights as safetensors/STYLE.safetensors into a folder; returns its path.

    Raises:
        OutputError: the file cannot be written.
    """
    path = folder / "safetensors" / f"{_file_name(weights)}.safetensors"
    save(path, weights)
    return path


def _file_name(weights: Weights) -> str:
    name = re.sub(r"[^\w-]+|^$", "_", weights.style)
    return name if is_legal_name(name) else f"{name}_"


def description(weights: Weights) -> dict[str, str]:
    """The description of a model: license, network, input, output and working size, by key."""
    texts = {key: getattr(weights, key) for key in ("style", "attribution", "licence", "command")}
    size = WORKING_SIZE.format(
        size=working_size.REFERENCE,
        target=weights.edge_target or working_size.EDGE_TARGET,
        smallest=working_size.SMALLEST,
        largest=working_size.LARGEST,
    )
    texts |= {"network": json.dumps(weights.network), "input": INPUT, "output": OUTPUT, "working_size": size}
    if weights.levels:
        texts["levels"] = LEVELS.format(*weights.levels)
    return texts


def _write(weights: Weights, kind: str, prefix: Path) -> Path:
    """Writes the files of one format, whose names start with `prefix`; returns the path of the program."""
    program = prefix.with_suffix(FORMATS[kind])
    program.parent.mkdir()
    if kind == "onnx":
        model = onnx_graph.build(weights)
        onnx_messages.set_metadata(model, description(weights))
        program.write_bytes(model.SerializeToString())
    else:
        _save_paddle_in_subprocess(weights, kind, prefix)
        lines = (f"{key}: {json.dumps(text, ensure_ascii=False)}\n" for key, text in description(weights).items())
        prefix.with_suffix(".yml").write_text("".join(lines), encoding="utf-8")
    return program


def _save_paddle_in_subprocess(weights: Weights, kind: str, prefix: Path) -> None:
    """Runs `_save_paddle` in another process, since Paddle chooses its program format when it is imported."""
    code = "import sys; from ppcartoon.inference import export; export._save_paddle(*sys.argv[1:])"
    flags = {"FLAGS_enable_pir_api": str(int(kind == "paddle")), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, json.dumps(weights.network), str(prefix)]
    tensors = safetensors.numpy.save(weights.tensors)
    result = subprocess.run(command, input=tensors, env=os.environ | flags, capture_output=True)
    if result.returncode:
        lines = result.stderr.decode(errors="replace").strip().split("\n")
        reason = lines[-1].strip() or f"exit code {result.returncode}"
        if system := re.match(r"OSError: \[Errno (\d+)\]", reason):
            raise OSError(int(system[1]), os.strerror(int(system[1])))
        raise InputError(f"format {kind}: Paddle cannot save it ({reason})")


def _save_paddle(network: str, prefix: str) -> None:
    """Saves tensors from standard input as a Paddle model, without paths of this machine."""
    tensors = safetensors.numpy.load(sys.stdin.buffer.read())
    weights = Weights(tensors, json.loads(network), Path(prefix).name, "", "", "")
    path = paddle_engines.save(paddle_engines.cartoonizer(weights, "cpu"), Path(prefix), **paddle_engines.IMAGE)
    if path.suffix == ".json":
        return
    paddle = paddle_engines.paddle()
    paddle.enable_static()
    program = paddle.static.deserialize_program(path.read_bytes())
    for block in program.blocks:
        for op in block.ops:
            op._remove_attr("op_callstack")  # paths and lines of Python code
    path.write_bytes(program.desc.serialize_to_string())
    path.with_suffix(".pdiparams.info").unlink()  # a pickle, needed only for further training


def _photos() -> list[np.ndarray]:
    """Two photos of one size and one of another, as inputs of the network."""
    try:
        photos = [images.read(path).rgb for path in sample_photos()]
    except InputError:  # without scikit-image
        photos = [draw_photo(seed, 320) for seed in range(3)]
    pair = np.stack([photo[:256, :256] for photo in photos[:2]])
    return [images.to_network(pair), images.to_network(photos[2][None, :192, :320])]


def _compare(program: Path, pairs: list[tuple[np.ndarray, np.ndarray]]) -> Exported:
    """Runs a program on photos and compares its cartoons with the expected ones."""
    run, engine = _open(program)
    outputs = np.concatenate([np.ravel(run(photos)) for photos, _ in pairs])
    expected = np.concatenate([np.ravel(cartoons) for _, cartoons in pairs])
    largest = float(np.abs(outputs - expected).max())
    return Exported(program, engine, largest, images.psnr(outputs, expected, 2))


def _open(program: Path) -> tuple[Callable[[np.ndarray], np.ndarray], str]:
    """A function that runs a program, and the name of the runtime."""
    if program.suffix != ".onnx":
        run = paddle_engines.Program(program, "cpu", cores())
        return lambda photos: run(photos)[0], run.description
    import onnxruntime

    session = onnxruntime.InferenceSession(program, providers=["CPUExecutionProvider"])
    return lambda photos: session.run(None, {"image": photos})[0], "ONNX Runtime"
