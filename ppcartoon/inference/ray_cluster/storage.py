"""Lists, reads and writes files by location: a local path or a URI (s3://, gs://, abfs://, hdfs://, file://).

The path of a URI is not percent-decoded. Options of the file system may follow it, such as
s3://bucket/photos?region=eu-west-1; see pyarrow.fs.FileSystem.from_uri.
"""

from __future__ import annotations

import functools
import io
import os
import posixpath
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pyarrow import fs

from ... import images
from ...errors import InputError, OutputError, naming
from ...images import Picture
from ...utils.files import atomic

ATOMIC = ("s3", "gcs", "abfs")  # file systems whose writes are atomic


@functools.lru_cache
def _real(folder: str) -> str:
    return os.path.realpath(folder)


@functools.cache
def _filesystem(root: str) -> tuple[fs.FileSystem, str]:
    return fs.FileSystem.from_uri(root)


def absolute(text: str) -> str:
    """A URI as it is; a path as an absolute path whose folders contain no links."""
    text = text.removeprefix("file://")
    if is_uri(text):
        return text
    folder, name = os.path.split(os.path.abspath(text))
    return os.path.join(_real(folder), name)


def is_uri(location: str) -> bool:
    return "://" in location


def join(folder: str, relative: str) -> str:
    """The location of a file by its path relative to a folder."""
    folder, mark, options = folder.partition("?") if is_uri(folder) else (folder, "", "")
    return f"{folder.rstrip('/')}/{relative}{mark}{options}"


def name(location: str) -> str:
    """The file name."""
    return posixpath.basename(location.partition("?")[0] if is_uri(location) else location)


def contains(folder: str, location: str) -> bool:
    """Whether a location is inside a folder; False for the folder itself."""
    if is_uri(folder):
        folder, location = folder.partition("?")[0], location.partition("?")[0]
    return location.rstrip("/").startswith(folder.rstrip("/") + "/")


def locate(uri: str) -> tuple[fs.FileSystem, str]:
    """The file system of a URI, and the path in it.

    Raises:
        InputError: the file system is unknown or cannot be reached.
    """
    scheme, rest = uri.split("://", 1)
    rest, _, options = rest.partition("?")
    host, _, path = rest.partition("/")
    try:
        system, root = _filesystem(f"{scheme}://{host}/?{options}".rstrip("?"))
    except (OSError, ValueError) as error:
        raise InputError(f"{uri}: {first_line(error)}") from error
    return system, posixpath.join(root, path).rstrip("/")


def list_files(folder: str, recursive: bool) -> Iterator[str]:
    """The paths of a folder's files, relative to it; none if the folder does not exist. Local folders: recursive only.

    Raises:
        InputError: the folder cannot be read.
    """
    if not is_uri(folder):
        return (os.path.join(parent, name)[len(folder) + 1 :] for parent, _, files in os.walk(folder) for name in files)
    system, path = locate(folder)
    try:
        infos = system.get_file_info(fs.FileSelector(path, allow_not_found=True, recursive=recursive))
    except OSError as error:
        raise InputError(f"{folder}: {first_line(error)}") from error
    return (info.path[len(path) :].lstrip("/") for info in infos if info.is_file)


def read(location: str) -> tuple[Picture, str]:
    """Reads an image; also returns a remark on its frames or pages that are not used, see `images.left_out`.

    Raises:
        InputError: see `images.read`.
    """
    if not is_uri(location):
        return images.read(Path(location)), images.left_out(Path(location))
    system, path = locate(location)
    with naming(location):
        try:
            with system.open_input_stream(path) as file:
                data = file.read()
        except OSError as error:
            raise InputError(f"cannot be read ({first_line(error)})") from error
        return images.read(io.BytesIO(data)), images.left_out(io.BytesIO(data))


def write(location: str, data: bytes) -> None:
    """Writes a file atomically.

    Raises:
        OutputError: the file cannot be written.
    """
    if not is_uri(location):
        with atomic(Path(location)) as temporary:
            temporary.write_bytes(data)
        return
    system, path = locate(location)
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
                system.delete_file(path)  # HDFS does not replace files
            system.move(temporary, path)
        except OSError:
            with suppress(OSError):
                system.delete_file(temporary)
            raise
    except OSError as error:
        raise OutputError(f"{location}: cannot be written ({first_line(error)})") from error


def first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
