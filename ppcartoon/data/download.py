"""Downloads the paper's data set and pretrained weights, and unpacks the data set."""

from __future__ import annotations

import glob
import hashlib
import os
import re
import shutil
import stat
import time
import uuid
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple
from urllib.request import url2pathname

import requests
from tqdm import tqdm
from urllib3.exceptions import MaxRetryError, ReadTimeoutError

from ..errors import InputError, OutputError
from ..utils.files import cache_home

TIMEOUT = 10, 30  # seconds to connect, and between two chunks
ATTEMPTS = 5  # in a row that bring no new byte
PAUSE = 1.0  # seconds before the second attempt; doubles with each further one
CHUNK = 1 << 13  # bytes; a connection that breaks loses the chunk that is being read
CHECKSUM = r"md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}"
OFFLINE = "no connection"
RATIO = 20  # unpacked size to packed size, at most; images hardly shrink, zip bombs exceed a thousand
ENTRIES = 200_000  # files in an archive, at most
DAMAGED = "not a zip file, or a damaged one; remove it to download it again"
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, UnicodeError)
IGNORED = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")


class _RetryableError(Exception):
    """This attempt failed; the next may succeed."""


def fetch(url: str, path: Path, checksum: str | None = None, resume: bool = False) -> Path:
    """Downloads a file unless it exists.

    With a checksum, an incomplete download stays beside the target as `.part`, and the next call requests the rest
    only. Processes that do this at once write the same bytes to the same offsets. Without a checksum every attempt
    starts anew in a temporary file of its own, as a changed file on the server would go unnoticed.

    Args:
        url: address of the file, or see `local_file`.
        path: target; appears complete or not at all.
        checksum: "md5:..." or "sha256:..."; None if unknown.
        resume: resume without a checksum too; for archives, whose CRCs are verified later.

    Raises:
        InputError: the server cannot be reached, has no such file, or sends one with another checksum.
        OutputError: the file cannot be written.
    """
    checksum = checksum and checksum.lower()
    if checksum and not re.fullmatch(CHECKSUM, checksum):
        raise InputError(f"{checksum}: not a checksum like sha256:... or md5:..., with 64 or 32 hexadecimal digits")
    if path.is_dir():
        raise InputError(f"{path}: a folder has the name of the file; rename it")
    if path.exists():
        if checksum and (found := digest(path, checksum)) != checksum:
            raise InputError(f"{path}: has {found} instead of {checksum}; remove it to download it again")
        return path
    resume, part = resume or checksum is not None, path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = part if resume else _temporary(path)
        try:
            _receive(url, file, resume)
            if checksum and (found := digest(file, checksum)) != checksum:
                file.unlink(missing_ok=True)
                raise InputError(f"{url}: the download has {found} instead of {checksum} and was removed")
            os.replace(file, path)
            part.unlink(missing_ok=True)
        except OSError:
            file.unlink(missing_ok=True)
            if not path.exists():  # or another process has finished the same download
                raise
        finally:
            if not resume:
                file.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error})") from error
    return path


def local_file(url: str) -> Path | None:
    """The path of a file, if `url` is one or begins with file://; None for the address of a server.

    Raises:
        InputError: there is no such file.
    """
    scheme, _, path = url.rpartition("://")
    if scheme not in ("", "file"):
        return None
    file = Path(url2pathname(path) if scheme else url).expanduser()
    if not file.is_file():
        raise InputError(f"{url}: no such file; the address of a server begins with https:// or http://")
    return file


def digest(path: Path, checksum: str) -> str:
    """A file's checksum, of the kind that `checksum` begins with."""
    kind = checksum.partition(":")[0]
    found = hashlib.new(kind)
    with open(path, "rb") as file:
        while data := file.read(1 << 20):
            found.update(data)
    return f"{kind}:{found.hexdigest()}"


def _temporary(path: Path) -> Path:
    """A hidden path beside `path` for this process alone; removes those of processes that were killed a day ago."""
    for old in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
        with suppress(OSError):
            if time.time() - old.stat().st_mtime > 86400:
                shutil.rmtree(old) if old.is_dir() else old.unlink()
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _receive(url: str, file: Path, resume: bool) -> None:
    """Copies a local file; else retries with growing pauses, until ATTEMPTS in a row have brought no new byte."""
    if local := local_file(url):
        shutil.copyfile(local, file)
        return
    failures, most = 0, (start := _size(file))
    while True:
        try:
            return _attempt(url, file, resume)
        except InputError:
            raise
        except requests.exceptions.SSLError as error:
            raise InputError(f"{url}: no secure connection ({' '.join(str(error).split())})") from error
        except ValueError as error:  # of requests and urllib3
            raise InputError(f"{url}: not a valid address ({error})") from error
        except (_RetryableError, requests.RequestException) as error:
            have, cause = _size(file), _cause(error)
            failures = 1 if have > most else failures + 1
            if failures == ATTEMPTS or (cause == OFFLINE and most == start):
                so_far = f", with {have / 1e6:.1f} MB so far in {file}" if have and resume else ""
                raise InputError(f"{url}: {cause}{so_far}") from error
            most = max(most, have)
            time.sleep(PAUSE * 2 ** (failures - 1))


def _attempt(url: str, file: Path, resume: bool) -> None:
    """One request, for the whole file or for the rest of it."""
    have = _size(file) if resume else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
        status, content_range = answer.status_code, answer.headers.get("Content-Range", "")
        if status == 416 and content_range == f"bytes */{have}":
            return  # nothing is missing
        if status in (408, 429) or status >= 500:
            raise _RetryableError(f"the server says {status} {answer.reason}")
        if status not in (200, 206, 416):
            raise InputError(f"{url}: the server says {status} {answer.reason}")
        if status == 200:
            have, total = 0, re.fullmatch(r"(\d+)", answer.headers.get("Content-Length", ""))
        elif not (total := re.fullmatch(rf"bytes {have}-\d+/(\d+|\*)", content_range)):
            file.unlink(missing_ok=True)
            raise _RetryableError("the server sends another part than requested")
        total = int(total[1]) if total and total[1] != "*" else None
        file.touch()
        bar = tqdm(total=total, initial=have, desc=Path(url).name, unit="B", unit_scale=True, disable=None)
        with bar, open(file, "r+b") as out:  # not truncated: another process may be writing the same bytes
            out.seek(have)
            for chunk in answer.iter_content(CHUNK):
                out.write(chunk)
                bar.update(len(chunk))
            if total is not None and out.tell() < total:
                raise _RetryableError("the server sends only a part")
            out.truncate()


def _cause(error: Exception) -> str:
    inner = error.args[0] if error.args else None
    if isinstance(error, requests.ConnectTimeout) or isinstance(inner, MaxRetryError):
        return OFFLINE
    if isinstance(error, requests.Timeout) or isinstance(inner, ReadTimeoutError):
        return "no answer in time"
    if isinstance(error, requests.ConnectionError | requests.exceptions.ChunkedEncodingError):
        return "the connection broke off"
    return str(error)


def unpack(archive: Path, folder: Path, holding: str) -> None:
    """Unpacks a zip file into a new folder, which appears complete or not at all.

    Args:
        archive: the zip file.
        folder: target; gets the contents of the archive's outermost folder that contains `holding`.
        holding: name of a folder.

    Raises:
        InputError: the archive is no zip file, is damaged, has paths that lead outside the folder, has links, is a zip
            bomb, or has no `holding`.
        OutputError: the folder cannot be written.
    """
    try:
        source = zipfile.ZipFile(archive)
    except (*DAMAGE, OSError) as error:
        raise InputError(f"{archive}: {DAMAGED} ({error})") from error
    with source:
        entries, temporary = _entries(archive, source), _temporary(folder)
        try:
            temporary.mkdir(parents=True)
            for path, entry in tqdm(entries.items(), "unpacking", unit="file", disable=None):
                target = temporary / path
                target.parent.mkdir(parents=True, exist_ok=True)
                with _open(source, entry) as packed, open(target, "xb") as out:
                    shutil.copyfileobj(packed, out)
            found = [path.parent for path in temporary.rglob(holding) if path.is_dir()]
            if not found:
                raise InputError(f"{archive}: has no {holding} in it; is it the right file?")
            os.replace(min(found), folder)
        except DAMAGE as error:
            raise InputError(f"{archive}: {DAMAGED} ({entry.filename}: {error})") from error
        except OSError as error:
            if not filled(folder):  # or another process has unpacked the same archive
                name = error.filename or folder
                raise OutputError(f"{name}: cannot be written ({error.strerror or error})") from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def filled(folder: Path) -> bool:
    """Whether the folder exists and is not empty."""
    return folder.is_dir() and any(folder.iterdir())


def _open(source: zipfile.ZipFile, entry: zipfile.ZipInfo) -> IO[bytes]:
    try:
        return source.open(entry)
    except OSError as error:  # an offset outside of the file
        raise zipfile.BadZipFile(str(error)) from error


def _entries(archive: Path, source: zipfile.ZipFile) -> dict[PurePosixPath, zipfile.ZipInfo]:
    """The files to unpack, by their paths.

    Raises:
        InputError: unpacking the archive would do harm.
    """
    entries: dict[PurePosixPath, zipfile.ZipInfo] = {}
    for entry in source.infolist():
        path = PurePosixPath(entry.filename.replace("\\", "/"))
        if not path.parts or path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
            raise InputError(f"{archive}: refused, {entry.filename!r} leads outside the folder")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise InputError(f"{archive}: refused, {entry.filename!r} is a link")
        if entry.flag_bits & 1 or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise InputError(f"{archive}: refused, {entry.filename!r} is encrypted or compressed in an unusual way")
        if entry.filename.endswith(("/", "\\")) or any(part in IGNORED for part in path.parts):
            continue
        if path in entries:
            raise InputError(f"{archive}: refused, {entry.filename!r} occurs twice")
        entries[path] = entry
    size, packed = sum(entry.file_size for entry in entries.values()), archive.stat().st_size
    if size > RATIO * packed or len(entries) > ENTRIES:
        raise InputError(
            f"{archive}: refused, {len(entries)} files of {size / 1e6:.0f} MB from {packed / 1e6:.0f} MB are no images"
            f"; at most {ENTRIES} files and {RATIO} times its size are unpacked"
        )
    if not entries:
        raise InputError(f"{archive}: is empty")
    return entries


class RemoteFile(NamedTuple):
    """A file on a server.

    Attributes:
        title: what it is.
        url: its address.
        checksum: "md5:..." or "sha256:..."; None if none was published.
    """

    title: str
    url: str
    checksum: str | None

    @property
    def name(self) -> str:
        """The file's name."""
        return self.url.rpartition("/")[2]


SOURCES = {
    "dataset": RemoteFile(  # footnote 4; the CRCs inside of it are verified
        "AnimeGAN's data set",
        "https://github.com/TachibanaYoshino/AnimeGAN/releases/download/dataset-1/dataset.zip",
        None,
    ),
    "vgg19": RemoteFile(  # footnote 2
        "VGG19",
        "https://paddlegan.bj.bcebos.com/models/vgg19_no_fc.npy",
        "md5:8ea1ef2374f8684b6cea9f300849be81",
    ),
    "inception": RemoteFile(  # footnote 10
        "Inception-V3",
        "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
        "sha256:6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    ),
}

PAPER = {  # images in each folder, section IV-A
    "train_photo": 6656,
    "test/test_photo256": 790,  # the test images, of 256x256
    "test/test_photo": 790,
    "test/HR_photo": 45,
    "Hayao/style": 1792,
    "Shinkai/style": 1650,
    "SummerWar/style": 1357,  # Hosoda
    "Paprika/style": 1553,
}


def weights_folder() -> Path:
    """Where downloaded weights are kept; on Linux ppgan's own folder."""
    return cache_home() / "ppgan"


def missing(name: str, path: str | None) -> Path | None:
    """The file `path` if it does not exist; None for the path that `download(name)` would write."""
    file = weights_folder() / SOURCES[name].name if path is None else Path(path).expanduser()
    return None if file.exists() else file


def download(name: str, folder: Path | None = None, url: str | None = None, checksum: str | None = None) -> Path:
    """Downloads a file unless it exists; returns its path.

    Args:
        name: "dataset", "vgg19" or "inception".
        folder: target folder; None for `weights_folder()`.
        url: address of a mirror, or see `local_file`; None for the origin.
        checksum: expected checksum of a file that has no published one; None for no check.

    Raises:
        InputError: the download failed; the message says how to get the file by hand.
    """
    source = SOURCES[name]
    path = (folder or weights_folder()) / source.name
    try:
        return fetch(url or source.url, path, source.checksum or checksum, resume=url is None)
    except OutputError:
        raise
    except InputError as error:
        known = f" ({source.checksum})" if source.checksum else ""
        raise InputError(
            f"{source.title} cannot be downloaded: {error}. Try again, or download that file{known} by hand and save "
            f"it as {path}"
        ) from error


def download_dataset(folder: Path, url: str | None = None, checksum: str | None = None) -> Path:
    """Downloads AnimeGAN's data set into `folder` and unpacks it, unless that is done; returns the unpacked folder.

    Args:
        folder: gets `dataset.zip` and `dataset/`.
        url: address of a mirror; None for the origin. A local file is unpacked where it is, without a copy of it.
        checksum: expected checksum of `dataset.zip`; None for no check.

    Raises:
        InputError: the download failed, or the archive is damaged or another one.
    """
    target = folder / "dataset"
    if not filled(target):
        local = url and local_file(url)
        archive = fetch(url, local, checksum) if local else download("dataset", folder, url, checksum)
        unpack(archive, target, "train_photo")
    return target


def count_images(dataset: Path) -> dict[str, int]:
    """The number of images in each folder of `PAPER`; 0 for a missing one."""
    from .image_folder import image_files  # which imports OpenCV; weights are downloaded without it

    counts = {}
    for name in PAPER:
        try:
            counts[name] = len(image_files(dataset / name))
        except InputError:
            counts[name] = 0
    return counts
