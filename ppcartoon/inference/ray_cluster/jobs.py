"""Which images become which cartoons, where there may be millions: files, folders, lists and buckets."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from itertools import islice, takewhile
from pathlib import Path

import numpy as np
import pyarrow as pa

from ...errors import InputError
from ..jobs import IMAGE_ENDINGS, check_suffix, names, search
from . import storage


def plan(
    inputs: list[str], output: str, *, recursive: bool, suffix: str, ext: str, skip_existing: bool
) -> tuple[pa.Table, int]:
    """What is to be done, as columns index, source and target (bytes), and the number of cartoons that may stay.

    Raises:
        InputError: as `plan.plan` does.
    """
    check_suffix(suffix)
    if not storage.is_uri(output := storage.absolute(output)):
        output = os.path.realpath(output)
    if Path(output).suffix.lower() in IMAGE_ENDINGS and not os.path.isdir(output):
        raise InputError(f"{output}: a cluster writes into a folder; give one as the output")
    found: set[str] = set()
    folders: dict[str, list[str]] = {}  # where cartoons go, and their sources
    for text in inputs:
        if len(inputs) > 1 and storage.absolute(text) == output:
            continue  # the shell's * has found the output folder
        inside = recursive and storage.contains(storage.absolute(text), output)
        if inside and not skip_existing and any(storage.listing(output, True)):
            raise InputError(f"{output}: has files, inside an input; --skip-existing keeps them, or remove them")
        for source, relative in find(text, output, recursive):
            if source not in found:
                found.add(source)
                folders.setdefault(posixpath.dirname(relative), []).append(source)

    there = set(storage.listing(output, True)) if skip_existing else ()

    def pairs() -> Iterator[tuple[bytes, bytes]]:
        for folder, sources in folders.items():
            relative = [posixpath.join(folder, storage.name(source)) for source in sources]
            for source, name in zip(sources, names(relative, suffix, ext)):
                if (target := storage.below(output, name)) in found:
                    raise InputError(f"{target}: would replace an input; choose another --output or a --suffix")
                if name not in there:
                    yield os.fsencode(source), os.fsencode(target)

    todo, columns = pairs(), ("source", "target")
    chunks = iter(lambda: list(islice(todo, 1 << 16)), [])
    tables = [pa.table(dict(zip(columns, zip(*chunk)))) for chunk in chunks]
    jobs = pa.concat_tables([pa.schema([(name, pa.binary()) for name in columns]).empty_table(), *tables])
    return jobs.add_column(0, "index", [np.arange(len(jobs))]), len(found) - len(jobs)


def find(text: str, output: str, recursive: bool) -> Iterator[tuple[str, str]]:
    """The files of one input, each with the path that it has below that input.

    Args:
        text: a file, a folder, a glob pattern, a URI of an object or a folder, or @FILE: a text file with a path or URI
            a line, which have their paths below the folder that all share.
        output: a place that is left out.
        recursive: go into subfolders.

    Raises:
        InputError: there are none, or they cannot be read.
    """
    if text.startswith("@"):
        yield from _listed(text[1:])
    elif storage.is_uri(place := storage.absolute(text)):
        yield from _stored(place, output, recursive)
    else:
        yield from (
            (storage.absolute(str(path)), str(relative)) for path, relative in search(place, Path(output), recursive)
        )


def _listed(file: str) -> Iterator[tuple[str, str]]:
    try:
        lines = [storage.absolute(line) for line in Path(file).read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read as a list of images ({error})") from error
    if not lines:
        raise InputError(f"{file}: an empty list; give a path or URI a line")
    shared = takewhile(lambda pair: pair[0] == pair[1], zip(min(lines), max(lines)))
    root = posixpath.dirname("".join(letter for letter, _ in shared))
    yield from ((line, _tidy(line[len(root) :])) for line in lines)


def _stored(place: str, output: str, recursive: bool) -> Iterator[tuple[str, str]]:
    system, path = storage.locate(place)
    try:
        is_file = system.get_file_info(path).is_file
    except OSError as error:
        raise InputError(f"{place}: {storage.first_line(error)}") from error
    if is_file:
        yield place, storage.name(place)
        return
    empty = True
    for relative in storage.listing(place, recursive):
        source = storage.below(place, relative)
        if not storage.contains(output, source) and not any(part.startswith(".") for part in relative.split("/")):
            empty = False
            yield source, _tidy(relative)
    if empty:
        raise InputError(f"{place}: no files there" + ("" if recursive else "; --recursive looks into subfolders"))


def _tidy(path: str) -> str:
    """A path that stays below the folder it is joined to."""
    return posixpath.normpath("/" + path.replace("://", "/")).lstrip("/")
