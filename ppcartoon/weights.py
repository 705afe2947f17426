"""Weights of a style: self-describing float16 .safetensors files, shipped or the user's own; Paddle's .pdparams too.

A file holds the tensors of a `networks.Cartoonizer`, E and G with spectral normalization folded in, or of a baseline's
generator. Its metadata are strings: format ("ppcartoon"), style, network (JSON: the arguments of the Cartoonizer, or
name and arguments of the generator), command (that trained it), attribution, licence, config (JSON: that of the
training run), and optionally edge_target, levels and int8 (JSON, see `Weights`).
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.numpy

from .errors import InputError
from .utils import pdparams
from .utils.files import atomic, read_bytes

FORMAT = "ppcartoon"
MANIFEST = "SHA256SUMS"
TEXTS = ("style", "command", "attribution", "licence", "config")
ENCODERS = ("CartoonLossDiscriminator", "CartoonLossNLayerDiscriminator")
WIDTHS, SWITCH = range(1, 1025), (False, True)
BASELINES = {  # generators by name, and the allowed values of their arguments
    "AnimeGenerator": {},
    "CartoonGANGenerator": {"channels": range(1, 129), "blocks": range(17)},
    "ResnetGenerator": {"input_nc": (3,), "output_nc": (3,), "ngf": range(1, 129), "n_blocks": range(17)},
}
MAX_ACTIVATION = 1e9
MAX_BYTES = 1 << 30  # fifty times the paper's network
PADDLE_METADATA = "ppcartoon"  # key of the metadata in a .pdparams file


@dataclass(frozen=True)
class Weights:
    """The tensors of a style, the arguments of its network, and its origin.

    Attributes:
        tensors: float32 by name, as in the `state_dict()` of a Cartoonizer or of a baseline's generator.
        network: arguments of the Cartoonizer: {"encoder": {"name", "channels"}, "generator": {"in_channels",
            "channels", "depthwise"}}, where a custom generator has a "name" and its own arguments; or, of a baseline,
            {"generator": {"name", ...}}, a key of `BASELINES` and its arguments.
        style: short name.
        command: the command that trained it.
        attribution: whom to credit, and for what.
        licence: license of the weights.
        config: configuration of the training run as JSON, or "unknown".
        edge_target: share of edge pixels, in (0, 1], of the photos that look best at a working size of 512 pixels, see
            `ppcartoon.inference.working_size`; None for the default.
        levels: two luma values of the cartoons, black < white in 0..255, that become 0 and 255, see
            `ppcartoon.inference.levels`; None for no correction.
        int8: lowest and highest value, at most 0 and above 0, of the input of each convolution that can run in int8, by
            the convolution's name, see `ppcartoon.inference.int8`; None if the style was not calibrated.
    """

    tensors: dict[str, np.ndarray]
    network: dict[str, dict]
    style: str
    command: str
    attribution: str
    licence: str
    config: str = "unknown"
    edge_target: float | None = None
    levels: Sequence[int] | None = None
    int8: dict[str, Sequence[float]] | None = None

    @property
    def generator_name(self) -> str | None:
        """The name of a generator other than the paper's, which only Paddle can run; None for the paper's."""
        return self.network["generator"].get("name")


def require_cartoonizer(weights: Weights) -> Weights:
    """Returns the weights.

    Raises:
        InputError: they belong to another generator than the paper's.
    """
    if weights.generator_name:
        raise InputError(
            f"{weights.style}: weights of another network ({weights.generator_name}); "
            "use tools/evaluate.py run --weights"
        )
    return weights


def folder() -> Path:
    """The folder of the shipped weights: inside an installed package, or beside the package in a clone."""
    installed = Path(__file__).with_name("_weights")
    return installed if installed.is_dir() else Path(__file__).parents[1] / "weights"


def manifest() -> dict[str, str]:
    """The shipped styles and the SHA-256 of their files in hexadecimal, from a list in the format of `sha256sum`.

    Raises:
        InputError: the list is missing.
    """
    try:
        lines = (folder() / MANIFEST).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError(f"{folder() / MANIFEST}: {error.strerror}; reinstall ppcartoon, or clone all of it") from error
    return {Path(name).stem: digest for digest, name in (line.split() for line in lines)}


def load_style(style: str) -> Weights:
    """Loads the shipped weights of a style.

    Raises:
        InputError: there is no such style, or its file is missing or was changed.
    """
    shipped = manifest()
    if style not in shipped:
        similar = difflib.get_close_matches(style, shipped, n=3, cutoff=0.4) or sorted(shipped)
        names = " or ".join(similar)
        raise InputError(f"style {style!r}: unknown; did you mean {names}? ppcartoon --list-styles shows all")
    return load(folder() / f"{style}.safetensors", shipped[style])


def load(path: Path, sha256: str | None = None) -> Weights:
    """Reads a weights file.

    Args:
        path: a .safetensors file of ppcartoon; or a .pdparams or .pkl file of Paddle, with the state dict of a
            Cartoonizer, or with those of D and G by the names netD and netG, as ppgan's trainer writes them.
        sha256: expected SHA-256 of the content in hexadecimal; None to skip the check.

    Raises:
        InputError: the file cannot be read, was changed, is truncated, or is not a weights file of ppcartoon.
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
        raise InputError(f"{path}: sha256 differs from {MANIFEST}: the file is damaged or changed; download it again")
    tensors, metadata = (_from_paddle if pdparams.is_pickle(data) else _from_safetensors)(path, data)
    if metadata.get("format") != FORMAT:
        raise InputError(
            f"{path}: not weights of ppcartoon (no metadata format={FORMAT}); see tools/convert_weights.py"
        )
    if not all(_is_finite_float(tensor) for tensor in tensors.values()):
        raise InputError(f"{path}: contains tensors that are not finite float16 or float32")
    if not all(metadata.get(key, "").isprintable() for key in TEXTS):
        raise InputError(f"{path}: contains control characters in its metadata")
    return Weights(
        {name: tensor.astype(np.float32) for name, tensor in tensors.items()},
        _network(path, metadata.get("network", "")),
        **{key: metadata.get(key, "unknown") for key in TEXTS},
        edge_target=_optional(path, metadata, "edge_target", _is_share),
        levels=_optional(path, metadata, "levels", _are_levels),
        int8=_optional(path, metadata, "int8", lambda value: _are_ranges(value, tensors)),
    )


def _is_finite_float(tensor: object) -> bool:
    return isinstance(tensor, np.ndarray) and tensor.dtype in (np.float16, np.float32) and np.isfinite(tensor).all()


def _from_safetensors(path: Path, data: bytes) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The tensors and metadata of a .safetensors file."""
    try:
        tensors = safetensors.numpy.load(data)
        size = int.from_bytes(data[:8], "little")
        return tensors, json.loads(data[8 : 8 + size]).get("__metadata__") or {}
    except Exception as error:  # mostly SafetensorError; KeyError for types that NumPy lacks
        raise InputError(f"{path}: not a complete .safetensors file ({error})") from error


def _from_paddle(path: Path, data: bytes) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The tensors and metadata of a .pdparams file; if it has no metadata, the network follows from the shapes."""
    try:
        tree = pdparams.parse(data, MAX_BYTES)
        if PADDLE_METADATA in tree:
            metadata = json.loads(tree.pop(PADDLE_METADATA))
            tensors = {name: value for name, value in tree.items() if isinstance(value, np.ndarray)}
            return tensors, {key: value for key, value in metadata.items() if isinstance(value, str)}
        tensors = _joined(tree)
        network = network_of(tensors)
    except Exception as error:  # damaged files make pickle and NumPy raise any exception
        raise InputError(
            f"{path}: not Paddle's weights of a CartoonLossGAN, with netD and netG or encoder.* and generator.* "
            f"({f'it has no {error.args[0]}' if isinstance(error, KeyError) else error})"
        ) from error
    return tensors, {"format": FORMAT, "network": json.dumps(network), "style": Path(path).stem}


def training_networks(path: Path) -> dict[str, dict[str, np.ndarray]] | None:
    """The state dicts netD and netG, float32, of a file of ppgan's trainer; None for any other file."""
    try:
        tree = pdparams.parse(read_bytes(path, MAX_BYTES), MAX_BYTES)
        return {
            name: {key: np.asarray(tensor, np.float32) for key, tensor in tree[name].items()}
            for name in ("netD", "netG")
        }
    except Exception:  # reading the file as weights reports the error
        return None


def _joined(tree: dict[str, object]) -> dict[str, np.ndarray]:
    """The tensors of the Cartoonizer, from its own state dict or from those of D and G."""
    if "netG" not in tree:
        return {name: tree[name] for name in tree if name.startswith(("encoder.", "generator."))}
    generator = tree["netG"]
    if not any(name.startswith("encoder.") for name in generator):
        return fold(tree["netD"], generator)
    decoder = {name.removeprefix("generator."): tensor for name, tensor in generator.items() if name[:1] == "g"}
    return fold(generator, decoder)  # an encoder of its own, with or without spectral normalization


def _optional(path: Path, metadata: dict[str, str], key: str, is_valid: Callable[[object], bool]) -> object:
    """The value of an optional metadata key in JSON; None if it is missing."""
    text = metadata.get(key, "null")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = ...
    if value is not None and not is_valid(value):
        raise InputError(f"{path}: metadata key {key}: {text[:80]!r} is out of range")
    return value


def _is_share(value: object) -> bool:
    return type(value) is float and 0 < value <= 1


def _are_levels(value: object) -> bool:
    return type(value) is list and [type(x) for x in value] == [int, int] and 0 <= value[0] < value[1] <= 255


def _are_ranges(value: object, tensors: dict[str, np.ndarray]) -> bool:
    return type(value) is dict and all(
        f"{name}.weight" in tensors
        and type(pair) is list
        and [type(x) for x in pair] == [float, float]
        and -MAX_ACTIVATION < pair[0] <= 0 < pair[1] < MAX_ACTIVATION
        for name, pair in value.items()
    )


def _network(path: Path, text: str) -> dict[str, dict]:
    """Parses the network's arguments from JSON; allows only known networks and plausible widths."""
    try:
        network = json.loads(text)
        if "encoder" in network and "name" not in network["generator"]:
            network["generator"] = {"depthwise": False, **network["generator"]}  # missing in old files
        valid = _is_valid(**network) and network.get("encoder", "") is not None
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
        valid = False
    if not valid:
        raise InputError(
            f"{path}: metadata key network must contain the arguments of encoder and generator, got {text[:80]!r}"
        )
    return network


def _is_valid(generator: dict, encoder: dict | None = None) -> bool:
    """Whether names are known and arguments plausible; beside an encoder, a generator may have any name."""
    arguments = {key: value for key, value in generator.items() if key != "name"}
    if encoder is None:
        return _allowed(arguments, BASELINES[generator["name"]])
    if not _allowed(encoder, {"name": ENCODERS, "channels": WIDTHS}):
        return False
    if "name" not in generator:
        return _allowed(arguments, {"in_channels": WIDTHS, "channels": WIDTHS, "depthwise": SWITCH})
    plausible = {key: SWITCH if type(value) is bool else range(1025) for key, value in arguments.items()}
    return generator["name"].isidentifier() and _allowed(arguments, plausible)


def _allowed(given: dict, allowed: dict) -> bool:
    return given.keys() == allowed.keys() and all(
        type(value) is type(allowed[key][0]) and value in allowed[key] for key, value in given.items()
    )


def save(path: Path, weights: Weights) -> None:
    """Writes weights as float16, atomically.

    Raises:
        InputError: a value is out of the range of float16.
        OutputError: the file cannot be written.
    """
    tensors = {name: np.ascontiguousarray(tensor, np.float16) for name, tensor in weights.tensors.items()}
    if not all(np.isfinite(tensor).all() for tensor in tensors.values()):
        raise InputError(f"{path}: values are out of the range of float16")
    with atomic(path) as temporary:
        temporary.write_bytes(safetensors.numpy.save(tensors, _metadata(weights)))


def save_pdparams(path: Path, weights: Weights) -> None:
    """Writes weights as float32 for `paddle.load`: the state dict of a Cartoonizer, and the metadata as JSON.

    Raises:
        OutputError: the file cannot be written.
    """
    pdparams.write(path, {**weights.tensors, PADDLE_METADATA: json.dumps(_metadata(weights))})


def _metadata(weights: Weights) -> dict[str, str]:
    metadata = {"format": FORMAT, "network": json.dumps(weights.network)}
    for key in TEXTS:  # a command line may contain control characters
        metadata[key] = "".join(c if c.isprintable() else " " for c in getattr(weights, key))
    numbers = {"edge_target": weights.edge_target, "levels": weights.levels, "int8": weights.int8}
    return metadata | {key: json.dumps(value) for key, value in numbers.items() if value is not None}


def fold(discriminator: dict[str, np.ndarray], generator: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Folds spectral normalization into the weights: W / sigma, sigma = u^T W v (Miyato et al. 2018).

    Args:
        discriminator: `state_dict()` of D: weight_orig, weight_u and weight_v of each convolution; only the encoder is
            used.
        generator: `state_dict()` of G; copied.

    Returns:
        The tensors of the Cartoonizer.
    """
    tensors = {f"generator.{name}": tensor for name, tensor in generator.items()}
    for name, tensor in discriminator.items():
        if not name.startswith("encoder.") or name.endswith(("_u", "_v")):
            continue
        if name.endswith("_orig"):
            name = name.removesuffix("_orig")
            u, v = discriminator[f"{name}_u"], discriminator[f"{name}_v"]
            with np.errstate(all="ignore"):  # u and v of a damaged file; refused as not finite
                tensor = tensor / (u @ tensor.reshape(len(u), -1) @ v)
        tensors[name] = tensor
    return tensors


def unfold(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The inverse of `fold` for E: parameters with spectral normalization that compute the same features.

    u and v are the first singular vectors. v is divided by the singular value, so that sigma is 1, since folded weights
    are normalized already. The next step of D makes v a unit vector again, which changes E if sigma was not exact, as
    in running averages.

    Args:
        tensors: of a Cartoonizer.

    Returns:
        The `state_dict()` of D's encoder.
    """
    state = {}
    for name, tensor in tensors.items():
        if not name.startswith("encoder."):
            continue
        name = name.removeprefix("encoder.")
        if tensor.ndim == 4:
            u, sigma, v = np.linalg.svd(tensor.reshape(len(tensor), -1), full_matrices=False)
            state |= {f"{name}_orig": tensor, f"{name}_u": u[:, 0], f"{name}_v": v[0] / sigma[0]}
        else:
            state[name] = tensor
    return state


def from_npz(path: Path) -> tuple[dict[str, np.ndarray], dict[str, dict]]:
    """Reads the tensors and network arguments of an .npz with keys netD.* and netG.*, written by the PyTorch trainer.

    Raises:
        InputError: the file cannot be read or contains something else.
    """
    try:
        with np.load(path, allow_pickle=False) as table:
            if sum(entry.file_size for entry in table.zip.infolist()) > MAX_BYTES:
                raise ValueError(f"more than {MAX_BYTES >> 20} MB")
            discriminator, generator = (
                {key[5:]: table[key].astype(np.float32) for key in table if key.startswith(prefix)}
                for prefix in ("netD.", "netG.")
            )
        tensors = fold(discriminator, generator)
        return tensors, network_of(tensors)
    except Exception as error:  # zipfile, NumPy and missing keys raise different types
        raise InputError(f"{path}: not an .npz with the tensors netD.* and netG.* ({error})") from error


def network_of(tensors: dict[str, np.ndarray]) -> dict[str, dict]:
    """The arguments of the Cartoonizer that has these tensors, by their shapes.

    Raises:
        KeyError: they belong to another network.
    """
    first, expand, middle, out = (  # shapes [out channels, in channels, height, width]
        tensors[f"{name}.weight"].shape
        for name in ("encoder.0", "generator.body.0.body.0.0", "generator.body.0.body.1.0", "generator.out")
    )
    common, n_layer = ENCODERS
    name = n_layer if first[2] == 4 else common  # kernel size
    return {
        "encoder": {"name": name, "channels": first[0]},
        "generator": {"in_channels": expand[1], "channels": 2 * out[1], "depthwise": middle[1] == 1},
    }
