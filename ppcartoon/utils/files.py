"""Atomic file writes."""

from __future__ import annotations

import errno
import os
import re
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import InputError, OutputError


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path` to write to, and renames it to `path` if the block ends without error.

    Raises:
        OutputError: the file or its folder cannot be written.
        InputError: the name is too long, or that of a folder.
    """
    temporary = path.with_name(f".{uuid.uuid4().hex}{path.suffix}")  # matched by `remove_temporary_files`
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except FileExistsError as error:
        raise OutputError(f"{path.parent}: a file is there, where a folder is needed") from error
    except OSError as error:
        kind = InputError if error.errno in (errno.ENAMETOOLONG, errno.EISDIR) else OutputError
        raise kind(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def read_bytes(path: Path, limit: int) -> bytes:
    """The content of a regular file; pipes and devices, which may never end, are refused.

    Args:
        path: of the file.
        limit: bytes of the largest file that is read.

    Raises:
        InputError: it is larger, or not a regular file.
        OSError: it cannot be read.
    """
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path}: a pipe or device, not a file")
    if status.st_size > limit:
        raise InputError(f"{path}: larger than such a file can be ({limit >> 20} MB)")
    with open(path, "rb") as file:
        return file.read(limit)


def remove_temporary_files(folder: Path) -> None:
    """Removes the temporary files of killed writers from a folder; no other process may be writing there."""
    for path in folder.iterdir():
        if re.fullmatch(r"\.[0-9a-f]{32}(\..*)?", path.name):
            path.unlink()
