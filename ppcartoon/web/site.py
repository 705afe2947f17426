"""Writes a web page that makes cartoons in the browser: a folder for any file host, which needs no server of ours.

The page is that of the service (`page/`) with another `backend.js` (`browser/`). The network runs in the browser with
ONNX Runtime, which comes from a package of the npm registry; its WebAssembly and the network are stored with gzip.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import tarfile
import zlib
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import __version__, images
from ..data.download import fetch
from ..data.samples import draw_photo
from ..errors import InputError
from ..inference import onnx_graph, onnx_messages
from ..inference.engines.onnx_engines import runtime
from ..inference.onnx_messages import ModelProto
from ..utils.files import atomic, cache_home
from ..weights import Weights

PACKAGE = "onnxruntime-web/-/onnxruntime-web-1.30.0.tgz"
CHECKSUM = "sha256:d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71"
REGISTRY = "https://registry.npmjs.org"
RUNTIME = {  # files in the site, and in the package: for CPUs, and for GPUs by WebGPU
    "runtime/ort.wasm.js": "ort.wasm.min.mjs",
    "runtime/wasm.js": "ort-wasm-simd-threaded.mjs",
    "runtime/wasm.wasm.gz": "ort-wasm-simd-threaded.wasm",
    "runtime/ort.jspi.js": "ort.jspi.min.mjs",
    "runtime/jspi.js": "ort-wasm-simd-threaded.jspi.mjs",
    "runtime/jspi.wasm.gz": "ort-wasm-simd-threaded.jspi.wasm",
}
MOST_BYTES = 64 << 20  # of a file in the package
MEGAPIXELS = 24  # of a photo; larger ones are reduced
MIN_PSNR = 38.0  # dB between the cartoons of the stored network and of the style's
HERE = Path(__file__).parent
SERVICE = ("docs.html", "docs.js")  # pages that only the service has
EXAMPLE = {"name": "astronaut.jpg", "url": "sample-photo.jpg", "kind": "photo"}
POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; connect-src 'self' blob:; "
    "script-src 'self' 'wasm-unsafe-eval'; object-src 'none'; base-uri 'none'; form-action 'none'"
)
CHARSET = '<meta charset="utf-8">'
HEAD = f"""
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<link rel="manifest" href="manifest.webmanifest">
<link rel="stylesheet" href="camera.css">
<script type="module" src="camera.js"></script>"""


class Site(NamedTuple):
    """A site that was written.

    Attributes:
        files: their number.
        size: bytes of all files.
        psnr: in dB, between the cartoons of the stored network and of the style's, in fp32.
    """

    files: int
    size: int
    psnr: float


def export(weights: Weights, folder: Path) -> Site:
    """Writes the site of a style. All files are complete before the first of them replaces that of an older site.

    Args:
        weights: of the style.
        folder: created if it is missing; an older site in it is replaced, its other files stay.

    Raises:
        InputError: the folder has a page of something else, the package cannot be downloaded, the weights are a
            baseline's, or cartoons differ too much.
        OutputError: a file cannot be written.
    """
    if (folder / "index.html").exists() and not (folder / "site.json").exists():
        raise InputError(f"{folder}: has an index.html of something else; choose another folder")
    model = onnx_graph.build(weights)
    small = compact(model)
    if not (psnr := _agreement(model, small)) >= MIN_PSNR:  # also true for NaN
        raise InputError(f"{weights.style}: in 8 bits, cartoons differ too much ({psnr:.0f} dB); nothing was written")
    files = _page() | _runtime() | {
        "model.onnx.gz": _packed(small.SerializeToString()),
        "site.json": json.dumps(_about(weights), indent=2).encode(),
    }  # fmt: skip
    version = hashlib.sha256(b"".join(name.encode() + data for name, data in sorted(files.items()))).hexdigest()[:16]
    known = {"version": version, "files": sorted(files.keys() - {"sw.js"})}
    files["sw.js"] = f"const SITE = {json.dumps(known)};\n\n".encode() + files["sw.js"]
    with ExitStack() as stack:  # which renames the last file first; browsers find a new version by sw.js
        for name in sorted(files, key=lambda name: name != "sw.js"):
            stack.enter_context(atomic(folder / name)).write_bytes(files[name])
    return Site(len(files), sum(map(len, files.values())), psnr)


def compact(model: ModelProto) -> ModelProto:
    """A model of `onnx_graph` with weights in 8 bits, one scale for each output channel; it computes in fp32.

    A runtime multiplies weights and scales once, when it loads the model.
    """
    result = ModelProto()
    result.CopyFrom(model)
    del result.graph.node[:], result.graph.initializer[:]
    for tensor in model.graph.initializer:
        values = onnx_messages.array(tensor)
        if values.ndim < 4:
            result.graph.initializer.append(tensor)
            continue
        name = tensor.name
        scales = np.maximum(np.abs(values).max((1, 2, 3), keepdims=True), np.float32(1e-12)) / np.float32(127)
        parts = {f"{name}.int8": np.int8(np.rint(values / scales)), f"{name}.scales": scales}
        result.graph.initializer.extend(onnx_messages.tensor(*part) for part in parts.items())
        cast = onnx_messages.node("Cast", [f"{name}.int8"], [f"{name}.cast"], to=onnx_messages.FLOAT)
        result.graph.node.extend([cast, onnx_messages.node("Mul", [f"{name}.cast", f"{name}.scales"], [name])])
    result.graph.node.extend(model.graph.node)
    return result


def _agreement(*models: ModelProto) -> float:
    """PSNR in dB between the cartoons of a photo by two models."""
    image = images.to_network(draw_photo(0, 256)[None])
    sessions = (
        runtime().InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]) for model in models
    )
    return images.psnr(*(session.run(None, {"image": image})[0] for session in sessions), 2)


def _page() -> dict[str, bytes]:
    """The files of the page, by their names in the site."""
    paths = [path for part in ("page", "browser") for path in (HERE / part).iterdir()]
    files = {path.name: path.read_bytes() for path in paths if path.is_file() and path.name not in SERVICE}
    html = files["index.html"].decode().replace(CHARSET, CHARSET + HEAD, 1)
    return files | {"index.html": html.encode()}


def _runtime() -> dict[str, bytes]:
    """The files of ONNX Runtime, by their names in the site; downloaded unless they are in the user's cache folder."""
    registry = os.environ.get("npm_config_registry") or REGISTRY  # noqa: SIM112 npm's name
    name = PACKAGE.rpartition("/")[2]
    package = fetch(f"{registry.rstrip('/')}/{PACKAGE}", cache_home() / "ppcartoon" / "npm" / name, CHECKSUM)
    wanted = {f"package/dist/{source}": target for target, source in RUNTIME.items()}
    found = {}
    try:
        with tarfile.open(package) as archive:
            for entry in archive:
                if entry.isfile() and entry.size <= MOST_BYTES and (target := wanted.get(entry.name)):
                    data = archive.extractfile(entry).read()
                    found[target] = _packed(data) if target.endswith(".gz") else data
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise InputError(f"{package}: not a package of npm, or a damaged one; remove it ({error})") from error
    if missing := sorted(RUNTIME.keys() - found.keys()):
        raise InputError(f"{package}: has no {RUNTIME[missing[0]]}")
    return found


def _packed(data: bytes) -> bytes:
    return gzip.compress(data, 9, mtime=0)


def _about(weights: Weights) -> dict:
    """What the page knows of itself; as `page.json` of the service, and what the network needs."""
    return {
        "version": __version__,
        "styles": [{"name": weights.style, "license": weights.licence, "attribution": weights.attribution}],
        "limits": {"megapixels": MEGAPIXELS},
        "examples": [EXAMPLE],
        "videos": False,
        "network": {"edge_target": weights.edge_target, "levels": weights.levels},
    }
