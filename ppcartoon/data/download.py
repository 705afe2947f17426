"""Downloads that go on where they broke off, and that are what they should be."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import stat
import time
import zipfile
import zlib
from contextlib import ExitStack, suppress
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, NamedTuple

import requests
from tqdm import tqdm
from urllib3.exceptions import MaxRetryError, ReadTimeoutError

from ..errors import InputError, OutputError
from .image_folder import image_files

TIMEOUT = 10, 30  # seconds to connect, and between two pieces
ATTEMPTS = 5  # in a row without a byte
PAUSE = 1.0  # seconds before the second attempt, and twice as long before each further one
CHUNK = 1 << 13  # bytes, so few that hardly anything of a broken piece is lost
CHECKSUM = r"md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}"
OFFLINE = "no connection"
SPARE = 1 << 28  # bytes of the disk that are left alone


class _Broken(Exception):
    """This attempt is over; another may go on."""


def fetch(url: str, path: Path, checksum: str | None = None) -> Path:
    """Downloads a file, unless it is there; a broken download lies beside it as `.part`, and is gone on with.

    Args:
        url: where it is.
        path: where it goes, whole or not at all.
        checksum: "md5:..." or "sha256:..."; None where none is known.

    Raises:
        InputError: the server cannot be reached, has no such file, or gives something else than the checksum says.
        OutputError: the disk is too small, or the folder cannot be written.
    """
    checksum = checksum and checksum.lower()
    if checksum and not re.fullmatch(CHECKSUM, checksum):
        raise InputError(f"{checksum}: not a checksum like sha256:... or md5:..., with 64 or 32 hexadecimal digits")
    if path.is_dir():
        raise InputError(f"{path}: a folder is there, where a file is to be")
    if path.exists():
        if checksum and (found := digest(path, checksum)) != checksum:
            raise InputError(f"{path}: is there, but has {found} instead of {checksum}; remove it to fetch it again")
        return path
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(part) as file:
            note = _Note(part, url)
            try:
                if not path.exists():  # another process may have been at it
                    _receive(url, file, note, checksum is not None)
                    file.flush()
                    if checksum and (found := digest(part, checksum)) != checksum:
                        _empty(file)
                        raise InputError(f"{url}: what came has {found} instead of {checksum}, and was thrown away")
                    os.replace(part, path)
            finally:
                if path.exists() or not file.tell():
                    part.unlink(missing_ok=True)
                    note.path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error})") from error
    return path


def _locked(part: Path) -> BinaryIO:
    """Opens a file to append to, as soon as no other process has it."""
    while True:
        file = open(part, "ab")  # noqa: SIM115  the caller closes it
        fcntl.flock(file, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), part.stat()):
                return file
        file.close()  # the other one has moved or removed it


def digest(path: Path, checksum: str) -> str:
    """A file's checksum, of the kind that `checksum` begins with."""
    kind = checksum.partition(":")[0]
    found = hashlib.new(kind)
    with open(path, "rb") as file:
        while data := file.read(1 << 20):
            found.update(data)
    return f"{kind}:{found.hexdigest()}"


class _Note:
    """What is known of the file on the server that a `.part` is the beginning of."""

    def __init__(self, part: Path, url: str) -> None:
        self.path, self.url, self.version = part.with_name(f"{part.name}.json"), url, None
        with suppress(OSError, ValueError, TypeError):
            url_then, version = json.loads(self.path.read_text())
            self.version = version if url_then == url else None

    def write(self, version: str | None) -> None:
        self.version = version
        self.path.write_text(json.dumps([self.url, version]))


def _receive(url: str, file: BinaryIO, note: _Note, verified: bool) -> None:
    """Tries again and again, with longer and longer pauses, as long as that brings something."""
    failures, most = 0, (start := file.tell())
    while True:
        try:
            return _attempt(url, file, note, verified)
        except InputError:
            raise
        except requests.exceptions.SSLError as error:
            raise InputError(f"{url}: no secure connection ({' '.join(str(error).split())})") from error
        except ValueError as error:  # requests' and urllib3's ways to say so
            raise InputError(f"{url}: not an address that can be fetched ({error})") from error
        except (_Broken, requests.RequestException) as error:
            failures = 1 if file.tell() > most else failures + 1
            cause = _cause(error)
            if failures == ATTEMPTS or (cause == OFFLINE and most == start):
                raise InputError(f"{url}: {cause}{_so_far(file)}") from error
            most = max(most, file.tell())
            time.sleep(PAUSE * 2 ** (failures - 1))


def _attempt(url: str, file: BinaryIO, note: _Note, verified: bool) -> None:
    """One request, for all or for the rest. Without a checksum, only a rest of the same version is taken."""
    if not (note.version or verified):
        _empty(file)
    have = file.seek(0, os.SEEK_END)
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-"} | ({"If-Range": note.version} if note.version else {})
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
        if answer.status_code == 416:  # all is there, or more than there should be
            if answer.headers.get("Content-Range") == f"bytes */{have}":
                return
            _empty(file)
            raise _Broken("the server has less than came before")
        if answer.status_code in (408, 429) or answer.status_code >= 500:
            raise _Broken(f"the server says {answer.status_code} {answer.reason}")
        if answer.status_code not in (200, 206):
            raise InputError(f"{url}: the server says {answer.status_code} {answer.reason}{_so_far(file)}")
        version = answer.headers.get("ETag") or answer.headers.get("Last-Modified")
        if answer.status_code == 200:
            _empty(file)
            have, total = 0, re.fullmatch(r"(\d+)", answer.headers.get("Content-Length", ""))
            note.write(version)
        else:
            total = re.fullmatch(rf"bytes {have}-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
            if not total or (note.version and version and version != note.version):
                _empty(file)
                raise _Broken("the server sends another part than was asked for")
        total = int(total[1]) if total and total[1] != "*" else None
        room(Path(file.name), (total or 0) - have)
        with tqdm(total=total, initial=have, desc=Path(file.name).stem, unit="B", unit_scale=True, disable=None) as bar:
            for i, chunk in enumerate(answer.iter_content(CHUNK)):
                if i % 8192 == 0:
                    room(Path(file.name), len(chunk))
                file.write(chunk)
                bar.update(len(chunk))
    if total is not None and file.tell() < total:
        raise _Broken("the server sends a part only")


def _empty(file: BinaryIO) -> None:
    file.seek(0)
    file.truncate()


def room(path: Path, size: int) -> None:
    """Makes sure of the room for `size` more bytes.

    Raises:
        OutputError: there is less.
    """
    free = shutil.disk_usage(path.parent).free - SPARE
    if size > free:
        raise OutputError(f"{path.parent}: {size / 1e6:.0f} MB are needed, {max(0, free) / 1e6:.0f} MB are to be had")


def _cause(error: Exception) -> str:
    inner = error.args[0] if error.args else None
    if isinstance(error, requests.ConnectTimeout):
        return OFFLINE
    if isinstance(error, requests.Timeout) or isinstance(inner, ReadTimeoutError):
        return "no answer in time"
    if isinstance(inner, MaxRetryError):
        return OFFLINE
    if isinstance(error, requests.ConnectionError | requests.exceptions.ChunkedEncodingError):
        return "the connection broke off"
    return str(error)


def _so_far(file: BinaryIO) -> str:
    have = file.tell()
    return f", with {have / 1e6:.1f} MB so far in {file.name}" if have else ""


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


class Source(NamedTuple):
    """A file on a server.

    Attributes:
        title: what it is.
        url: where it is.
        checksum: "md5:..." or "sha256:..."; None where nobody published one.
    """

    title: str
    url: str
    checksum: str | None

    @property
    def name(self) -> str:
        """Of the file."""
        return self.url.rpartition("/")[2]


SOURCES = {
    "dataset": Source(  # footnote 4; its files have checksums inside
        "AnimeGAN's data set",
        "https://github.com/TachibanaYoshino/AnimeGAN/releases/download/dataset-1/dataset.zip",
        None,
    ),
    "vgg19": Source(  # footnote 2
        "VGG19",
        "https://paddlegan.bj.bcebos.com/models/vgg19_no_fc.npy",
        "md5:8ea1ef2374f8684b6cea9f300849be81",
    ),
    "inception": Source(  # footnote 10
        "Inception-V3",
        "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
        "sha256:6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    ),
}

PAPER = {  # images by folder, section IV-A
    "train_photo": 6656,
    "test/test_photo": 790,
    "test/HR_photo": 45,
    "Hayao/style": 1792,
    "Shinkai/style": 1650,
    "SummerWar/style": 1357,  # Hosoda
    "Paprika/style": 1553,
}


def weights_folder() -> Path:
    """Where ppgan looks for weights."""
    return Path.home() / ".cache" / "ppgan"


def download(what: str, folder: Path | None = None, url: str | None = None, checksum: str | None = None) -> Path:
    """Fetches a file, unless it is there, and gives its path.

    Args:
        what: "dataset", "vgg19" or "inception".
        folder: where it goes; None for `weights_folder()`.
        url: of a mirror; None for the origin.
        checksum: what a file without a published one should have; None for no check.

    Raises:
        InputError: it cannot be had; the message says how to get it by hand.
    """
    source = SOURCES[what]
    path = (folder or weights_folder()) / source.name
    try:
        return fetch(url or source.url, path, source.checksum or checksum)
    except OutputError:
        raise
    except InputError as error:
        known = f" ({source.checksum})" if source.checksum else ""
        raise InputError(
            f"{source.title} cannot be had: {error}. Try again, or fetch that file{known} by hand and put it there "
            f"as {path}"
        ) from error


def download_dataset(folder: Path, url: str | None = None, checksum: str | None = None) -> Path:
    """Fetches AnimeGAN's data set into `folder` and unpacks it there, unless that is done; gives its own folder.

    Raises:
        InputError: it cannot be had, or is not what it should be.
    """
    target = folder / "dataset"
    if not filled(target):
        unpack(download("dataset", folder, url, checksum), target, "train_photo")
    return target


def count(dataset: Path) -> dict[str, int]:
    """The images of each folder in `PAPER`."""
    counts = {}
    for name in PAPER:
        try:
            counts[name] = len(image_files(dataset / name))
        except InputError:
            counts[name] = 0
    return counts
