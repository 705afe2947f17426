"""Files by path or by URI (s3://, gs://, abfs://, hdfs://, file://): found, read and written alike.

The path of a URI is taken as it stands, without percent-encoding. Options of the file system may follow, as in
s3://bucket/photos?region=eu-west-1; see pyarrow.fs.FileSystem.from_uri.
"""

from __future__ import annotations

import functools
import importlib.util
import io
import os
import posixpath
import uuid
from collections.abc import Iterator
from contextlib import suppress
from itertools import takewhile
from pathlib import Path

from . import images
from .errors import InputError, OutputError
from .files import atomic
from .images import Picture
from .plan import search

if not all(importlib.util.find_spec(name) for name in ("ray", "pyarrow")):
    raise InputError('a cluster needs Ray: pip install "ppcartoon[ray]"')
from pyarrow import fs

ATOMIC = ("s3", "gcs", "abfs")  # where an object appears whole or not at all

_real = functools.lru_cache(os.path.realpath)
_filesystem = functools.cache(lambda root: fs.FileSystem.from_uri(root))


def absolute(text: str) -> str:
    """The place that a user means: a path from the root whose folders are no links, or a URI."""
    text = text.removeprefix("file://")
    if is_uri(text):
        return text
    folder, name = os.path.split(os.path.abspath(text))
    return os.path.join(_real(folder), name)


def is_uri(place: str) -> bool:
    return "://" in place


def below(place: str, relative: str) -> str:
    """The place of what has the path `relative` in the folder `place`."""
    folder, mark, options = place.partition("?") if is_uri(place) else (place, "", "")
    return f"{folder.rstrip('/')}/{relative}{mark}{options}"


def contains(folder: str, place: str) -> bool:
    """Whether a place is below a folder, and not the folder itself."""
    if is_uri(folder):
        folder, place = folder.partition("?")[0], place.partition("?")[0]
    return place.rstrip("/").startswith(folder.rstrip("/") + "/")


def locate(place: str) -> tuple[fs.FileSystem, str]:
    """The file system of a place, and the path there.

    Raises:
        InputError: there is no such file system, or it cannot be reached.
    """
    if not is_uri(place):
        return fs.LocalFileSystem(), place
    scheme, rest = place.split("://", 1)
    rest, _, options = rest.partition("?")
    host, _, path = rest.partition("/")
    try:
        system, root = _filesystem(f"{scheme}://{host}/?{options}".rstrip("?"))
    except (OSError, ValueError) as error:
        raise InputError(f"{place}: {_first_line(error)}") from error
    return system, posixpath.join(root, path).rstrip("/")


def listing(place: str, recursive: bool) -> Iterator[str]:
    """The files in a folder, by their paths below it; none where there is no such folder.

    Raises:
        InputError: the folder cannot be read.
    """
    if not is_uri(place):
        return (os.path.join(parent, name)[len(place) + 1 :] for parent, _, files in os.walk(place) for name in files)
    system, path = locate(place)
    try:
        infos = system.get_file_info(fs.FileSelector(path, allow_not_found=True, recursive=recursive))
    except OSError as error:
        raise InputError(f"{place}: {_first_line(error)}") from error
    return (info.path[len(path) :].lstrip("/") for info in infos if info.is_file)


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
    elif is_uri(place := absolute(text)):
        yield from _stored(place, output, recursive)
    else:
        yield from ((absolute(str(path)), str(relative)) for path, relative in search(place, Path(output), recursive))


def _listed(file: str) -> Iterator[tuple[str, str]]:
    try:
        lines = [absolute(line) for line in Path(file).read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read as a list of images ({error})") from error
    if not lines:
        raise InputError(f"{file}: an empty list; give a path or URI a line")
    shared = takewhile(lambda pair: pair[0] == pair[1], zip(min(lines), max(lines)))
    root = posixpath.dirname("".join(letter for letter, _ in shared))
    yield from ((line, _tidy(line[len(root) :])) for line in lines)


def _stored(place: str, output: str, recursive: bool) -> Iterator[tuple[str, str]]:
    system, path = locate(place)
    try:
        is_file = system.get_file_info(path).is_file
    except OSError as error:
        raise InputError(f"{place}: {_first_line(error)}") from error
    if is_file:
        yield place, posixpath.basename(path)
        return
    empty = True
    for relative in listing(place, recursive):
        source = below(place, relative)
        if not contains(output, source) and not any(part.startswith(".") for part in relative.split("/")):
            empty = False
            yield source, _tidy(relative)
    if empty:
        raise InputError(f"{place}: no files there" + ("" if recursive else "; --recursive looks into subfolders"))


def _tidy(path: str) -> str:
    """A path that stays below the folder it is joined to."""
    return posixpath.normpath("/" + path.replace("://", "/")).lstrip("/")


def read(place: str) -> Picture:
    """The image at a place.

    Raises:
        InputError: as `images.read` does, without naming the place.
    """
    if not is_uri(place):
        return images.read(Path(place))
    system, path = locate(place)
    try:
        with system.open_input_stream(path) as file:
            data = file.read()
    except OSError as error:
        raise InputError(f"cannot be read ({_first_line(error)})") from error
    return images.read(io.BytesIO(data))


def write(place: str, data: bytes) -> None:
    """Writes a file whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    if not is_uri(place):
        with atomic(Path(place)) as temporary:
            temporary.write_bytes(data)
        return
    system, path = locate(place)
    try:
        if system.type_name in ATOMIC:
            with system.open_output_stream(path) as file:
                file.write(data)
            return
        temporary = f"{path}.{uuid.uuid4().hex}"
        system.create_dir(posixpath.dirname(path))
        try:
            with system.open_output_stream(temporary) as file:
                file.write(data)
            with suppress(FileNotFoundError):
                system.delete_file(path)  # HDFS would not replace it
            system.move(temporary, path)
        except OSError:
            with suppress(OSError):
                system.delete_file(temporary)
            raise
    except OSError as error:
        raise OutputError(f"{place}: cannot be written ({_first_line(error)})") from error


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
