"""Weights of a style: float16 .safetensors files that say what they are, and the ones that are shipped.

A file holds the tensors of a `networks.Cartoonizer`, E and G with spectral normalisation folded in, or those of the
generator of a baseline. Its metadata are strings: format ("ppcartoon"), style, network (JSON: the arguments of the
Cartoonizer, or name and arguments of the generator), command (that trained it), attribution, licence, and config (JSON:
the training run's).
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.numpy

from .errors import InputError
from .utils.files import atomic

FORMAT = "ppcartoon"
MANIFEST = "SHA256SUMS"
TEXTS = ("style", "command", "attribution", "licence", "config")
ENCODERS = ("CartoonLossDiscriminator", "CartoonLossNLayerDiscriminator")
WIDTHS, SWITCH = range(1, 1025), (False, True)
BASELINES = {  # generators by name, and what their arguments may be
    "AnimeGenerator": {},
    "CartoonGANGenerator": {"channels": range(1, 129), "blocks": range(17)},
    "ResnetGenerator": {"input_nc": (3,), "output_nc": (3,), "ngf": range(1, 129), "n_blocks": range(17)},
}
MAX_BYTES = 1 << 30  # fifty times the paper's network


@dataclass(frozen=True)
class Weights:
    """A style's network and where it comes from.

    Attributes:
        tensors: float32 by name, as in the `state_dict()` of a Cartoonizer, or of a baseline's generator.
        network: arguments of the Cartoonizer: {"encoder": {"name", "channels"}, "generator": {"in_channels",
            "channels", "depthwise"}}, where another generator has a "name" and its own arguments; or, of a baseline,
            {"generator": {"name", ...}}, a key of `BASELINES` and arguments that it allows.
        style: short name.
        command: the command that trained it.
        attribution: whom to name, and for what.
        licence: of the weights.
        config: of the training run, as JSON; "unknown" where there was none.
    """

    tensors: dict[str, np.ndarray]
    network: dict[str, dict]
    style: str
    command: str
    attribution: str
    licence: str
    config: str = "unknown"

    @property
    def generator_name(self) -> str | None:
        """The name of a generator that is not the paper's, which runs in Paddle alone; None for the paper's."""
        return self.network["generator"].get("name")


def require_cartoonizer(weights: Weights) -> Weights:
    """The same weights.

    Raises:
        InputError: they are of another generator than the paper's.
    """
    if weights.generator_name:
        raise InputError(
            f"{weights.style}: weights of another network ({weights.generator_name}); "
            "tools/evaluate.py run --weights runs them"
        )
    return weights


def folder() -> Path:
    """Where the shipped weights are: inside the installed package, or beside it in a clone."""
    installed = Path(__file__).with_name("_weights")
    return installed if installed.is_dir() else Path(__file__).parents[1] / "weights"


def manifest() -> dict[str, str]:
    """The shipped styles and the sha256 of their files, in hexadecimal; the format is that of `sha256sum`.

    Raises:
        InputError: the list is missing.
    """
    try:
        lines = (folder() / MANIFEST).read_text().splitlines()
    except OSError as error:
        raise InputError(
            f"{folder() / MANIFEST}: {error.strerror}; install ppcartoon again, or clone it whole"
        ) from error
    return {Path(name).stem: digest for digest, name in (line.split() for line in lines)}


def load_style(style: str) -> Weights:
    """The shipped weights of a style.

    Raises:
        InputError: there is no such style, or its file is missing or not the one that was shipped.
    """
    shipped = manifest()
    if style not in shipped:
        near = difflib.get_close_matches(style, shipped, n=3, cutoff=0.4) or sorted(shipped)
        names = " or ".join(near)
        raise InputError(f"style {style!r}: unknown; did you mean {names}? ppcartoon --list-styles shows all")
    return load(folder() / f"{style}.safetensors", shipped[style])


def load(path: Path, sha256: str | None = None) -> Weights:
    """Reads a weights file.

    Args:
        path: the file.
        sha256: what its content must hash to, in hexadecimal; None for a file of one's own.

    Raises:
        InputError: the file cannot be read, was changed, is cut short, or is no weights file of ppcartoon.
    """
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            raise InputError(f"{path}: not a file")
        if os.path.getsize(path) > MAX_BYTES:
            raise InputError(f"{path}: larger than a weights file can be ({MAX_BYTES >> 20} MB)")
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise InputError(f"{path}: sha256 differs from {MANIFEST}: the file is damaged or changed, fetch it again")
    try:
        tensors = safetensors.numpy.load(data)
        size = int.from_bytes(data[:8], "little")
        metadata = json.loads(data[8 : 8 + size]).get("__metadata__") or {}
    except Exception as error:  # SafetensorError for most, KeyError for types that NumPy lacks
        raise InputError(f"{path}: not a whole .safetensors file ({error})") from error
    if metadata.get("format") != FORMAT:
        raise InputError(
            f"{path}: not weights of ppcartoon (no metadata format={FORMAT}); see tools/convert_weights.py"
        )
    if not all(t.dtype in (np.float16, np.float32) and np.isfinite(t).all() for t in tensors.values()):
        raise InputError(f"{path}: has tensors that are not of finite float16 or float32")
    if not all(metadata.get(key, "").isprintable() for key in TEXTS):
        raise InputError(f"{path}: has metadata with control characters")
    return Weights(
        {name: tensor.astype(np.float32) for name, tensor in tensors.items()},
        _network(path, metadata.get("network", "")),
        **{key: metadata.get(key, "unknown") for key in TEXTS},
    )


def _network(path: Path, text: str) -> dict[str, dict]:
    """The network's arguments from their JSON: known networks and sensible widths, nothing else."""
    try:
        network = json.loads(text)
        if "encoder" in network and "name" not in network["generator"]:
            network["generator"] = {"depthwise": False, **network["generator"]}  # earlier files do not tell
        possible = _possible(**network) and network.get("encoder", "") is not None
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
        possible = False
    if not possible:
        raise InputError(
            f"{path}: metadata key network must hold the arguments of encoder and generator, got {text[:80]!r}"
        )
    return network


def _possible(generator: dict, encoder: dict | None = None) -> bool:
    """Whether names are known, except a generator's beside an encoder, and arguments sensible."""
    arguments = {key: value for key, value in generator.items() if key != "name"}
    if encoder is None:
        return _fit(arguments, BASELINES[generator["name"]])
    if not _fit(encoder, {"name": ENCODERS, "channels": WIDTHS}):
        return False
    if "name" not in generator:
        return _fit(arguments, {"in_channels": WIDTHS, "channels": WIDTHS, "depthwise": SWITCH})
    kinds = {key: SWITCH if type(value) is bool else range(1025) for key, value in arguments.items()}
    return generator["name"].isidentifier() and _fit(arguments, kinds)


def _fit(given: dict, allowed: dict) -> bool:
    return given.keys() == allowed.keys() and all(
        type(value) is type(allowed[key][0]) and value in allowed[key] for key, value in given.items()
    )


def save(path: Path, weights: Weights) -> None:
    """Writes weights as float16, whole or not at all.

    Raises:
        InputError: a value is beyond float16.
        OutputError: the file cannot be written.
    """
    metadata = {"format": FORMAT, "network": json.dumps(weights.network)}
    for key in TEXTS:  # a command line may hold anything
        metadata[key] = "".join(c if c.isprintable() else " " for c in getattr(weights, key))
    tensors = {name: np.ascontiguousarray(tensor, np.float16) for name, tensor in weights.tensors.items()}
    if not all(np.isfinite(tensor).all() for tensor in tensors.values()):
        raise InputError(f"{path}: float16 cannot hold these weights")
    with atomic(path) as temporary:
        temporary.write_bytes(safetensors.numpy.save(tensors, metadata))


def fold(discriminator: dict[str, np.ndarray], generator: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The Cartoonizer's tensors from the `state_dict()` of D and G: W / sigma, sigma = u^T W v (Miyato et al. 2018).

    Args:
        discriminator: weight_orig, weight_u and weight_v of each convolution; only its encoder is used.
        generator: taken as it is.
    """
    tensors = {f"generator.{name}": tensor for name, tensor in generator.items()}
    for name, tensor in discriminator.items():
        if not name.startswith("encoder.") or name.endswith(("_u", "_v")):
            continue
        if name.endswith("_orig"):
            name = name.removesuffix("_orig")
            u, v = discriminator[f"{name}_u"], discriminator[f"{name}_v"]
            tensor = tensor / (u @ tensor.reshape(len(u), -1) @ v)
        tensors[name] = tensor
    return tensors


def from_npz(path: Path) -> tuple[dict[str, np.ndarray], dict[str, dict]]:
    """Tensors and network of an .npz with keys netD.* and netG.*, as the PyTorch trainer writes them.

    Raises:
        InputError: the file cannot be read or holds something else.
    """
    try:
        with np.load(path, allow_pickle=False) as table:
            nets = [{k[5:]: table[k].astype(np.float32) for k in table if k.startswith(p)} for p in ("netD.", "netG.")]
        tensors = fold(*nets)
        first, z, middle, out = (
            tensors[f"{name}.weight"].shape
            for name in ("encoder.0", "generator.body.0.body.0.0", "generator.body.0.body.1.0", "generator.out")
        )
    except Exception as error:  # zipfile, NumPy and a missing key each raise their own
        raise InputError(f"{path}: not an .npz with the tensors netD.* and netG.* ({error})") from error
    encoder = {"name": ENCODERS[first[2] == 4], "channels": first[0]}  # 4x4 kernels are the n-layer variant's
    generator = {"in_channels": z[1], "channels": 2 * out[1], "depthwise": middle[1] == 1}
    return tensors, {"encoder": encoder, "generator": generator}
