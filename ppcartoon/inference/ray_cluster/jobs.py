"""Maps millions of images to cartoons: files, folders, lists and buckets."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa

from ...errors import InputError
from ...utils.companions import is_skipped
from ..jobs import IMAGE_ENDINGS, check_suffix, names, search
from . import storage


def plan(
    inputs: list[str], output: str, *, recursive: bool, suffix: str, ext: str, skip_existing: bool
) -> tuple[pa.Table, int]:
    """The jobs, and the number of cartoons that exist and are kept.

    Args:
        inputs: see `find`.
        output: a folder, or its URI.
        recursive: see `inference.jobs.plan`.
        suffix: see there.
        ext: see there.
        skip_existing: see there.

    Returns:
        A table with a row per job and columns index (int), source and target (bytes); the number of skipped jobs.

    Raises:
        InputError: see `inference.jobs.plan`.
    """
    check_suffix(suffix)
    output = storage.absolute(output)
    if not storage.is_uri(output):
        output = os.path.realpath(output)
    if Path(output).suffix.lower() in IMAGE_ENDINGS and not os.path.isdir(output):
        raise InputError(f"{output}: a cluster writes into a folder; give one as the output")
    found: set[str] = set()
    folders: dict[str, list[str]] = {}  # sources by their folder in the output
    for text in inputs:
        if len(inputs) > 1 and storage.absolute(text) == output:
            continue  # the shell expanded * to a list that contains the output folder
        output_in_input = recursive and storage.contains(storage.absolute(text), output)
        if output_in_input and not skip_existing and any(storage.list_files(output, True)):
            raise InputError(
                f"{output}: has files and is inside an input folder; remove them, or keep them by --skip-existing"
            )
        for source, relative in find(text, output, recursive):
            if source not in found:
                found.add(source)
                folders.setdefault(posixpath.dirname(relative), []).append(source)

    existing = set(storage.list_files(output, True)) if skip_existing else ()

    def pairs() -> Iterator[tuple[bytes, bytes]]:
        for folder, sources in folders.items():
            relative = [posixpath.join(folder, storage.name(source)) for source in sources]
            for source, name in zip(sources, names(relative, suffix, ext)):
                target = storage.join(output, name)
                if target in found:
                    raise InputError(f"{target}: would replace an input; choose another --output or a --suffix")
                if name not in existing:
                    yield os.fsencode(source), os.fsencode(target)

    remaining = pairs()
    tables = [pa.schema([("source", pa.binary()), ("target", pa.binary())]).empty_table()]
    while chunk := list(islice(remaining, 1 << 16)):  # not all of a million paths as Python objects at once
        sources, targets = zip(*chunk)
        tables.append(pa.table({"source": sources, "target": targets}))
    jobs = pa.concat_tables(tables)
    return jobs.add_column(0, "index", [np.arange(len(jobs))]), len(found) - len(jobs)


def find(text: str, output: str, recursive: bool) -> Iterator[tuple[str, str]]:
    """The location of each file of one input, with its path relative to that input.

    Args:
        text: a file, a folder, a glob pattern, a URI of an object or a folder, or @FILE: a text file with one path or
            URI per line; relative paths then start at the folder that all lines share.
        output: a folder that is skipped.
        recursive: search subfolders.

    Raises:
        InputError: there are no files, or they cannot be read.
    """
    location = storage.absolute(text)
    if text.startswith("@"):
        yield from _from_list(text[1:])
    elif storage.is_uri(location):
        yield from _from_uri(location, output, recursive)
    else:
        for path, relative in search(location, Path(output), recursive):
            yield storage.absolute(str(path)), str(relative)


def _from_list(file: str) -> Iterator[tuple[str, str]]:
    try:
        lines = [storage.absolute(line) for line in Path(file).read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read as a list of images ({error})") from error
    if not lines:
        raise InputError(f"{file}: an empty list; give one path or URI per line")
    root = posixpath.dirname(posixpath.commonprefix(lines))
    yield from ((line, _inside(line[len(root) :])) for line in lines)


def _from_uri(uri: str, output: str, recursive: bool) -> Iterator[tuple[str, str]]:
    system, path = storage.locate(uri)
    try:
        is_file = system.get_file_info(path).is_file
    except OSError as error:
        raise InputError(f"{uri}: {storage.first_line(error)}") from error
    if is_file:
        yield uri, storage.name(uri)
        return
    empty = True
    for relative in storage.list_files(uri, recursive):
        source = storage.join(uri, relative)
        if not storage.contains(output, source) and not is_skipped(relative):
            empty = False
            yield source, _inside(relative)
    if empty:
        advice = "" if recursive else "; --recursive searches its subfolders"
        raise InputError(f"{uri}: no files there{advice}")


def _inside(path: str) -> str:
    """A relative path without "..", so that it stays inside the folder it is joined to."""
    return posixpath.normpath("/" + path.replace("://", "/")).lstrip("/")
