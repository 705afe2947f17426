"""Files by path or by URI (s3://, gs://, abfs://, hdfs://, file://): found, read and written alike.

The path of a URI is taken as it stands, without percent-encoding. Options of the file system may follow, as in
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
from ...errors import InputError, OutputError
from ...images import Picture
from ...utils.files import atomic

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


def name(place: str) -> str:
    return posixpath.basename(place.partition("?")[0] if is_uri(place) else place)


def contains(folder: str, place: str) -> bool:
    """Whether a place is below a folder, and not the folder itself."""
    if is_uri(folder):
        folder, place = folder.partition("?")[0], place.partition("?")[0]
    return place.rstrip("/").startswith(folder.rstrip("/") + "/")


def locate(uri: str) -> tuple[fs.FileSystem, str]:
    """The file system of a URI, and the path there.

    Raises:
        InputError: there is no such file system, or it cannot be reached.
    """
    scheme, rest = uri.split("://", 1)
    rest, _, options = rest.partition("?")
    host, _, path = rest.partition("/")
    try:
        system, root = _filesystem(f"{scheme}://{host}/?{options}".rstrip("?"))
    except (OSError, ValueError) as error:
        raise InputError(f"{uri}: {first_line(error)}") from error
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
        raise InputError(f"{place}: {first_line(error)}") from error
    return (info.path[len(path) :].lstrip("/") for info in infos if info.is_file)


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
        raise InputError(f"cannot be read ({first_line(error)})") from error
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
        raise OutputError(f"{place}: cannot be written ({first_line(error)})") from error


def first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
