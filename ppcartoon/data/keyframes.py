"""Key frames of a film as pictures to train on: those that show a scene, each scene once."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image
from tqdm import tqdm

from .. import images
from ..errors import InputError
from ..utils.files import remove_temporary_files
from ..utils.grid import contact_sheet
from ..utils.threads import threads
from ..video.reader import Frame, VideoReader
from .cache import center
from .frame_quality import HASH, fault, perceptual_hash, without_bars
from .image_folder import write_png
from .keyframe_store import Kept, Record, open_record

WORKING = 3  # pictures are judged at so many times the size that they get
BRIGHTER = 1.25  # times the contrast: such a near-duplicate takes the other's place, which was fading in or out
ON_SHEET = 600
NOT_YET = ("black", "blank", "blurred")  # fates of the first frame of a scene that fades in
CHUNK = 32  # pictures in memory
SAMPLE = 1 << 16  # bytes
DROPPED = {
    "black": "black",
    "blank": "blank",
    "credits": "with credits",
    "blurred": "blurred",
    "duplicate": "nearly the same as another",
    "spare": "more than --count",
}


class Report(NamedTuple):
    """What became of a film.

    Attributes:
        fates: how many pictures were "kept", "black", "blank", "credits", "blurred", "duplicate", or "spare" (beyond
            the number that was wanted), and how many were "cropped", having black bars.
        broken: pieces of the film that could not be decoded.
        sheet: the contact sheet; None where nothing was kept.
    """

    fates: Counter[str]
    broken: int
    sheet: Path | None

    def summary(self) -> str:
        """In words."""
        words = [f"{self.fates['kept']} of {self.fates.total() - self.fates['cropped']} pictures kept"]
        words += [f"{self.fates[fate]} {name}" for fate, name in DROPPED.items() if self.fates[fate]]
        words += [f"black bars cut off {self.fates['cropped']}"] if self.fates["cropped"] else []
        words += [f"{self.broken} damaged pieces passed over"] if self.broken else []
        return ", ".join(words)


class Judged(NamedTuple):
    """A picture at its final size, and what is wrong with it; `late` as in `reader.Frame`."""

    time: float
    late: bool
    rgb: np.ndarray
    cropped: bool
    fault: str | None


def extract(
    film: Path,
    folder: Path,
    pick: str | float = "keyframes",
    start: float = 0,
    end: float = math.inf,
    count: int | None = None,
    size: int = 256,
    fit: str = "crop",
    jobs: int | None = None,
    overwrite: bool = False,
) -> Report:
    """Writes pictures of a film as PNG files into a folder, and a contact sheet beside the folder.

    A run that was killed is gone on with; a film that is done is not looked at again. Pictures of other films in the
    folder count as scenes that are there already.

    Args:
        film: any video that FFmpeg reads.
        folder: for the pictures.
        pick: "keyframes" (I-frames), "scenes" (the first frame of each, or one a second later where that shows nothing
            yet), or a number for one every so many seconds.
        start: seconds from which frames count.
        end: seconds up to which frames count.
        count: pictures at most, spread over the film; None for all.
        size: their height and width in pixels.
        fit: "crop" for the square in the middle, "resize" to squeeze the whole picture into it.
        jobs: threads; None for as many as cores.
        overwrite: begin anew if the folder has pictures of this film.

    Raises:
        InputError: the film cannot be read, or was looked at with other arguments.
        OutputError: the folder cannot be written.
    """
    if end < start:
        raise InputError(f"the end, at {end:g} s, is before the start, at {start:g} s")
    with VideoReader(film, jobs or 0) as video, open_record(folder) as record:
        options = {"content": _fingerprint(film), "pick": pick, "start": start, "end": end}
        options |= {"count": count, "size": size, "fit": fit}
        remove_temporary_files(folder)
        if overwrite:
            _remove(folder, record.files(film.name))
            record.forget(film.name)
        record.begin(film.name, options)
        if record.broken(film.name) is None:
            shots = video.frames(pick, start, end, record.last(film.name)[0], WORKING * size)
            with tqdm(total=video.duration, desc=film.name, unit=" s of film", disable=None) as bar:
                _keep(_judge(shots, size, fit, jobs), record, film, folder, bar)
            _thin(record, film.name, count)
            record.finish(film.name, video.broken)
        kept = [each for each in record.kept() if each.film == film.name]
        _remove(folder, set(record.files(film.name)) - {each.file for each in kept})
        sheet = _contact_sheet([folder / each.file for each in kept], film, folder)
        return Report(record.fates(film.name), record.broken(film.name), sheet)


def _fingerprint(film: Path) -> str:
    """Tells films of one name apart, without reading all of them."""
    size, found = film.stat().st_size, hashlib.sha256()
    with open(film, "rb") as file:
        for place in (0, size // 2, max(0, size - SAMPLE)):
            file.seek(place)
            found.update(file.read(SAMPLE))
    return f"{size} bytes, {found.hexdigest()[:8]}"


def _remove(folder: Path, files: Iterable[str]) -> None:
    for file in files:
        (folder / file).unlink(missing_ok=True)


def _judge(shots: Iterator[Frame], size: int, fit: str, jobs: int | None) -> Iterator[Judged]:
    def judge(shot: Frame) -> Judged:
        picture = without_bars(shot.rgb)
        if fit == "crop":
            rgb = center(picture, size)
        else:
            rgb = np.asarray(Image.fromarray(picture).resize((size, size), Image.Resampling.LANCZOS))
        return Judged(shot.time, shot.late, rgb, picture.shape != shot.rgb.shape, fault(shot.rgb, picture, size))

    with threads(jobs) as pool:
        while some := list(islice(shots, CHUNK)):
            yield from pool.map(judge, some)


def _keep(judged: Iterator[Judged], record: Record, film: Path, folder: Path, bar: tqdm) -> None:
    """Writes what is fit and new, and notes the fate of each picture."""
    all_kept, before = record.kept(), record.last(film.name)[1]
    for each in judged:
        if each.late and before not in NOT_YET:
            continue
        fate, new = each.fault or "kept", None
        if fate == "kept":
            luma = cv2.cvtColor(each.rgb, cv2.COLOR_RGB2GRAY)
            file = f"{film.stem}_{_clock(each.time)}.png"
            new = Kept(film.name, each.time, file, perceptual_hash(each.rgb), float(luma.std()))
            old = _nearest(new, all_kept)
            if old and old.film == film.name and new.contrast > BRIGHTER * old.contrast:
                record.drop(old, "duplicate")
                all_kept.remove(old)
            elif old:
                fate, new = "duplicate", None
        if new:
            write_png(folder / new.file, each.rgb)
            all_kept.append(new)
        record.add(film.name, each.time, fate, each.cropped, new)
        record.db.commit()
        before = fate
        bar.update(round(each.time) - bar.n)
        bar.set_postfix(kept=len(all_kept))


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(1000 * seconds), 60_000)
    return f"{minutes // 60:02d}-{minutes % 60:02d}-{rest / 1000:06.3f}"


def _nearest(new: Kept, others: list[Kept]) -> Kept | None:
    """The one among others that shows nearly the same, or None."""
    if not others:
        return None
    distances = (np.stack([other.bits for other in others]) != new.bits).sum(1)
    return others[distances.argmin()] if distances.min() <= HASH else None


def _thin(record: Record, film: str, count: int | None) -> None:
    """Marks as spare what is beyond `count`, so that the rest is spread evenly."""
    kept = [each for each in record.kept() if each.film == film]
    if count is not None and len(kept) > count:
        stay = {round(i * (len(kept) - 1) / max(1, count - 1)) for i in range(count)}
        for i in set(range(len(kept))) - stay:
            record.drop(kept[i], "spare")


def _contact_sheet(kept: list[Path], film: Path, folder: Path) -> Path | None:
    """Writes small copies of all as one picture, beside their folder, where training does not take it for a cartoon."""
    there = [file for file in kept if file.exists()]  # users sort out
    if not there:
        return None
    some = [there[i * len(there) // min(len(there), ON_SHEET)] for i in range(min(len(there), ON_SHEET))]
    folder = folder if folder.name else Path.cwd()
    path = folder.with_name(f"{folder.name}_{film.stem}_contact_sheet.jpg")
    sheet = contact_sheet([images.read(file).rgb for file in some], height=96, columns=20)
    images.write(path, images.Picture(sheet))
    return path
