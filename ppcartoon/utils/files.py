"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import InputError, OutputError


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Gives a temporary path beside `path` to write to, and renames it to `path` when the block ends well.

    Raises:
        OutputError: the file or its folder cannot be written.
        InputError: its name alone is what is wrong: too long, or a folder's.
    """
    temporary = path.with_name(f".{uuid.uuid4().hex}{path.suffix}")  # as `remove_left_overs` knows them
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except FileExistsError as error:
        raise OutputError(f"{path.parent}: a file is there, where a folder is to be") from error
    except OSError as error:
        kind = InputError if error.errno in (errno.ENAMETOOLONG, errno.EISDIR) else OutputError
        raise kind(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def remove_left_overs(folder: Path) -> None:
    """Removes the temporary files of writers that were killed, from a folder where nobody else writes now."""
    for path in folder.iterdir():
        if re.fullmatch(r"\.[0-9a-f]{32}(\..*)?", path.name):
            path.unlink()
