"""Reads configs: YAML with `_base_`, options `a.b=c` on top, checked against the schema."""

from __future__ import annotations

import difflib
from itertools import chain
from pathlib import Path
from typing import Any

import pydantic
import yaml

from ..errors import InputError
from ..models.renamed import current_names
from ..utils import files
from .schema import Config, Section

MAX_BYTES = 1 << 20
MAX_NODES = 10_000  # values of a config; ours have 100
MAX_LENGTH = 3000  # characters of a value; Python refuses to write longer numbers
MAX_DEPTH = 20  # sections, and files


def load(path: Path, options: list[str] = ()) -> Config:
    """Reads a config.

    Args:
        path: YAML; `_base_` names a file, relative to this one, whose keys it overrides. A section with another `name`
            than in the base replaces that section completely.
        options: "a.b=value" each, with value in YAML; they override the file.

    Raises:
        InputError: a file cannot be read, or a key is unknown or missing, or its value has a wrong type or range.
    """
    tree = _read(Path(path), ())
    for option in options:
        key, equals, text = option.partition("=")
        parts = key.split(".")
        if not equals or not all(parts) or len(parts) > MAX_DEPTH:
            raise InputError(f"-o {option}: is not of the form section.key=value")
        try:
            value = _parse(text)
        except Exception as error:  # as in `_read`
            raise InputError(f"-o {option}: the value is not YAML ({_one_line(error)})") from error
        for part in reversed(parts):
            value = {part: value}
        tree = _merge(tree, current_names(value, f"-o {option}"))
    return check(tree, str(path))


def check(tree: dict, source: str) -> Config:
    """Validates a config and fills in the keys that follow from others.

    Args:
        tree: nested mappings.
        source: file to name in errors and warnings.

    Raises:
        InputError: names the first invalid key and counts the others.
    """
    tree = current_names(tree, source)
    try:
        return Config.model_validate(tree)
    except pydantic.ValidationError as error:
        first, *more = [_explain(e, tree) for e in error.errors()]
        raise InputError(f"{source}: {first}" + (f" (and {len(more)} more)" if more else "")) from error


def _explain(error: dict, tree: dict) -> str:
    """One of pydantic's errors as one line: the key's path, what is wrong and what to write."""
    keys, node = [], tree
    for key in error["loc"]:
        if (isinstance(node, dict) and key in node) or isinstance(node, list):
            node = node[key]
        elif error["type"] != "missing" or key != error["loc"][-1]:
            continue  # the name of a model or data set, not a key
        keys.append(str(key))
    path, value = ".".join(keys), error.get("input")
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(keys[-1], _known(), n=1)
        return f"{path}: unknown key" + (f"; did you mean {near[0]}?" if near else "")
    if error["type"] in ("missing", "union_tag_not_found"):
        return f"{path}: missing; `_base_: cartoonloss_base.yaml` gives the paper's value"
    if error["type"] == "value_error":
        return f"{path}: {error['ctx']['error']}" if path else str(error["ctx"]["error"])
    hint = ""
    if isinstance(value, str) and "number" in error["msg"]:
        hint = "; YAML reads this as text: write 2e-4 as 0.0002"
    return f"{path}: {error['msg'][0].lower()}{error['msg'][1:]}, got {value!r:.60}{hint}"


def _known() -> set[str]:
    """All keys of all sections, for suggestions."""
    sections, names = [Section], set()
    while sections:
        section = sections.pop()
        sections += section.__subclasses__()
        names |= {field.alias or name for name, field in section.model_fields.items()}
    return names


def _read(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    """A file merged with its bases; `above` has the files that led to it through `_base_`."""
    try:
        text = files.read_bytes(path, MAX_BYTES).decode()
        resolved = path.resolve()
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    if resolved in above:
        raise InputError(f"{path}: _base_ leads back to the same file")
    if len(above) > MAX_DEPTH:
        raise InputError(f"{path}: more than {MAX_DEPTH} files follow each other by _base_")
    try:
        tree = _parse(text)
    except Exception as error:  # the parser raises ValueError, KeyError and others on some values
        raise InputError(f"{path}: not YAML ({_one_line(error)})") from error
    if not isinstance(tree, dict):
        raise InputError(f"{path}: contains no keys")
    tree = current_names(tree, str(path))
    base = tree.pop("_base_", None)
    if base is None:
        return tree
    if not isinstance(base, str):
        raise InputError(f"{path}: _base_: must be a file name, got {base!r:.60}")
    return _merge(_read(path.parent / base, (*above, resolved)), tree)


def _parse(text: str) -> Any:
    """The value of a YAML text.

    Raises:
        Exception: of any type, if it is not YAML, or larger than a config can be.
    """
    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
        nodes = [root] if root else []
        for count, node in enumerate(nodes):  # grows; an alias counts again, so that nested ones end here
            if count > MAX_NODES:
                raise ValueError(f"more than {MAX_NODES} values, with aliases written out")
            if isinstance(node, yaml.ScalarNode):
                if len(node.value) > MAX_LENGTH:
                    raise ValueError(f"a value of more than {MAX_LENGTH} characters")
                if "\0" in node.value:
                    raise ValueError("a value with a null character")
            else:
                nodes += chain.from_iterable(node.value) if isinstance(node, yaml.MappingNode) else node.value
        return loader.construct_document(root) if root else None
    finally:
        loader.dispose()


def _merge(base: Any, over: Any) -> Any:
    """`over` merged into `base`, mapping by mapping."""
    if not isinstance(base, dict) or not isinstance(over, dict):
        return over
    if over.get("name", base.get("name")) != base.get("name"):
        return over
    return {**base, **{key: _merge(base.get(key), value) for key, value in over.items()}}


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
