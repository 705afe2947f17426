"""Unpacking of zip files that anybody may have made."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import zipfile
import zlib
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import IO

from tqdm import tqdm

from ..errors import InputError, OutputError
from .download import room

RATIO = 20  # of what comes out to what goes in; images hardly shrink, bombs are beyond a thousand
ENTRIES = 200_000
DAMAGED = "not a zip file, or a damaged one; remove it to fetch it again"
LITTER = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")


def unpack(archive: Path, folder: Path, holding: str) -> None:
    """Unpacks a zip file into a folder that is not there yet, and appears whole or not at all.

    Args:
        archive: the zip file.
        folder: what becomes of the archive's folder, or root, that has `holding` in it.
        holding: name of a folder.

    Raises:
        InputError: it is no zip file, is damaged, would write outside the folder, has links, is a bomb, or has no
            `holding`.
        OutputError: the disk is too small, or the folder cannot be written.
    """
    with ExitStack() as stack:
        try:
            data = stack.enter_context(open(archive, "rb"))
            fcntl.flock(data, fcntl.LOCK_EX)  # another process may be at it
            if filled(folder):
                return
            source = stack.enter_context(zipfile.ZipFile(data))
            entries = _entries(archive, source)
        except (zipfile.BadZipFile, OSError, NotImplementedError, UnicodeError) as error:
            raise InputError(f"{archive}: {DAMAGED} ({error})") from error
        partial = folder.with_name(f".{folder.name}.partial")
        try:
            if partial.exists():
                shutil.rmtree(partial)  # of a run that was killed
            partial.mkdir(parents=True)
            room(partial, sum(entry.file_size for entry in entries.values()))
            for path, entry in tqdm(entries.items(), "unpacking", unit="file", disable=None):
                target = partial / path
                target.parent.mkdir(parents=True, exist_ok=True)
                with _open(source, entry) as packed, open(target, "xb") as out:
                    shutil.copyfileobj(packed, out)
            within = [path.parent for path in partial.rglob(holding) if path.is_dir()]
            if not within:
                raise InputError(f"{archive}: has no {holding} in it; is it the right file?")
            os.replace(min(within), folder)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise InputError(f"{archive}: {DAMAGED} ({error})") from error
        except OSError as error:
            raise OutputError(f"{error.filename or folder}: cannot be written ({error.strerror or error})") from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def filled(folder: Path) -> bool:
    """Whether there is a folder with anything in it."""
    return folder.is_dir() and any(folder.iterdir())


def _open(source: zipfile.ZipFile, entry: zipfile.ZipInfo) -> IO[bytes]:
    try:
        return source.open(entry)
    except (OSError, UnicodeError) as error:  # it lies outside the file, or its name there is damaged
        raise zipfile.BadZipFile(str(error)) from error


def _entries(archive: Path, source: zipfile.ZipFile) -> dict[PurePosixPath, zipfile.ZipInfo]:
    """The files to unpack by their paths.

    Raises:
        InputError: the archive would do harm.
    """
    entries: dict[PurePosixPath, zipfile.ZipInfo] = {}
    for entry in source.infolist():
        path = PurePosixPath(entry.filename.replace("\\", "/"))
        if not path.parts or path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
            raise InputError(f"{archive}: refused, {entry.filename!r} leads out of the folder")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise InputError(f"{archive}: refused, {entry.filename!r} is a link")
        if entry.flag_bits & 1:
            raise InputError(f"{archive}: refused, {entry.filename!r} is encrypted")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise InputError(f"{archive}: refused, {entry.filename!r} is packed in an unusual way")
        if entry.filename.endswith(("/", "\\")) or any(part in LITTER for part in path.parts):
            continue
        if path in entries:
            raise InputError(f"{archive}: refused, {entry.filename!r} is there twice")
        entries[path] = entry
    size, packed = sum(entry.file_size for entry in entries.values()), archive.stat().st_size
    if size > RATIO * packed or len(entries) > ENTRIES:
        raise InputError(
            f"{archive}: refused, {len(entries)} files of {size / 1e6:.0f} MB out of {packed / 1e6:.0f} MB "
            f"are no images: at most {ENTRIES} files, and {RATIO} times its size, are unpacked"
        )
    if not entries:
        raise InputError(f"{archive}: has nothing in it")
    return entries
