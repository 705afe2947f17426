"""A small copy of AnimeGAN's data set, and a local server as the origin of all downloads."""

import hashlib
import io
import zipfile
from pathlib import Path

from PIL import Image

from ppcartoon.data import download
from ppcartoon.data.samples import draw_cartoon

COUNTS = {folder: 2 + i % 3 for i, folder in enumerate(download.PAPER)}


def jpeg(number):
    out = io.BytesIO()
    Image.fromarray(draw_cartoon(number, 16)).save(out, "jpeg")
    return out.getvalue()


def images(counts=COUNTS):
    """Files by path, in AnimeGAN's layout: every style has smoothed cartoons."""
    smooth = {folder.replace("style", "smooth"): n for folder, n in counts.items() if folder.endswith("style")}
    return {f"{folder}/{i}.jpg": jpeg(i) for folder, n in (counts | smooth).items() for i in range(n)}


def zipped(files, root="dataset/"):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(root + name, data)
    return out.getvalue()


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def checksum(data, kind="sha256"):
    return f"{kind}:{hashlib.new(kind, data).hexdigest()}"


ARCHIVE = zipped(images())


def become_origin(web, home, monkeypatch):
    """Makes a server the origin of all downloads; returns the URLs. Weights go into another home folder."""
    files = {"dataset": ARCHIVE, "vgg19": b"features", "inception": b"distances"}
    for what, data in files.items():
        source = download.SOURCES[what]
        known = checksum(data, source.checksum.partition(":")[0]) if source.checksum else None
        url = web.put(f"/{what}/{source.name}", data)
        monkeypatch.setitem(download.SOURCES, what, source._replace(url=url, checksum=known))
    monkeypatch.setattr(Path, "home", lambda: home)
    return {what: download.SOURCES[what].url for what in files}
