"""Extracts key frames of a video as training images: without useless frames and near-duplicates."""

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

from ..errors import InputError
from ..images import Picture, on_white
from ..utils.files import remove_leftovers
from ..utils.threads import threads
from ..video.reader import Frame, VideoReader
from .cache import center
from .frame_quality import HASH, crop_black_bars, find_defect, perceptual_hash
from .image_folder import write_contact_sheet, write_png
from .keyframe_store import KeptFrame, KeyframeStore, open_store

DECODE_SCALE = 3  # frames are decoded and judged at this multiple of the output size
BRIGHTER = 1.25  # times the contrast: such a near-duplicate replaces the kept frame, which was fading in or out
FADING = ("black", "blank", "blurred")  # outcomes of the first frame of a scene that fades in
CHUNK = 32  # frames in memory
SAMPLE = 1 << 16  # bytes
DROPPED = {
    "black": "black",
    "blank": "blank",
    "credits": "with credits",
    "blurred": "blurred",
    "duplicate": "nearly the same as another",
    "spare": "more than --count",
}


class KeyframeReport(NamedTuple):
    """Result of `extract`.

    Attributes:
        counts: frames by outcome: "kept", "black", "blank", "credits", "blurred", "duplicate", or "spare" (beyond
            `count`); and "cropped", the kept frames whose black bars were cropped.
        broken: packets and frames of the video that could not be decoded.
        sheet: the contact sheet; None if no frame was kept.
    """

    counts: Counter[str]
    broken: int
    sheet: Path | None

    def summary(self) -> str:
        """The counts in one line."""
        words = [f"{self.counts['kept']} of {self.counts.total() - self.counts['cropped']} pictures kept"]
        words += [f"{self.counts[outcome]} {name}" for outcome, name in DROPPED.items() if self.counts[outcome]]
        words += [f"black bars cut off {self.counts['cropped']}"] if self.counts["cropped"] else []
        words += [f"{self.broken} damaged pieces passed over"] if self.broken else []
        return ", ".join(words)


class JudgedFrame(NamedTuple):
    """A frame at its final size and its defect, if any; `late` as in `reader.Frame`."""

    time: float
    late: bool
    rgb: np.ndarray
    cropped: bool
    defect: str | None


def extract(
    video: Path,
    folder: Path,
    pick: str | float = "keyframes",
    start: float = 0,
    end: float = math.inf,
    count: int | None = None,
    size: int = 256,
    fit: str = "crop",
    jobs: int | None = None,
    overwrite: bool = False,
) -> KeyframeReport:
    """Writes frames of a video as PNG files into a folder, and a contact sheet beside the folder.

    An interrupted run is resumed; a finished video is not decoded again. Frames that show the same as frames of other
    videos in the folder are dropped as duplicates. Transparent parts become white.

    Args:
        video: any video that FFmpeg reads.
        folder: for the frames.
        pick: "keyframes" (I-frames), "scenes" (the first frame of each scene, or one a second later if the scene fades
            in), or an interval in seconds.
        start: first time, in seconds.
        end: last time, in seconds.
        count: maximum number of frames, spread over the video; None for all.
        size: height and width of the images in pixels.
        fit: "crop" for the center square, "resize" to squeeze the whole frame into a square.
        jobs: threads; None for one per core.
        overwrite: delete existing frames of this video and start anew.

    Raises:
        InputError: the video cannot be read, or its frames in the folder were extracted with other arguments.
        OutputError: the folder cannot be written.
    """
    if end < start:
        raise InputError(f"the end, at {end:g} s, is before the start, at {start:g} s")
    with VideoReader(video, jobs) as reader, open_store(folder) as store:
        options = {"content": _fingerprint(video), "pick": pick, "start": start, "end": end}
        options |= {"count": count, "size": size, "fit": fit}
        remove_leftovers(folder)
        if overwrite:
            _remove(folder, store.files(video.name))
            store.forget(video.name)
        store.begin(video.name, options)
        if store.broken(video.name) is None:
            shots = reader.frames(pick, start, end, store.last(video.name)[0], DECODE_SCALE * size)
            with tqdm(total=reader.duration, desc=video.name, unit=" s of video", disable=None) as bar:
                _keep(_judge(shots, size, fit, jobs), store, video, folder, bar)
            _thin(store, video.name, count)
            store.finish(video.name, reader.broken)
        kept = [frame for frame in store.kept() if frame.video == video.name]
        _remove(folder, set(store.files(video.name)) - {frame.file for frame in kept})
        sheet = write_contact_sheet([folder / frame.file for frame in kept], folder, video.stem)
        return KeyframeReport(store.counts(video.name), store.broken(video.name), sheet)


def _fingerprint(video: Path) -> str:
    """Size and hash of three samples, to distinguish videos of the same name without reading them whole."""
    size, found = video.stat().st_size, hashlib.sha256()
    with open(video, "rb") as file:
        for offset in (0, size // 2, max(0, size - SAMPLE)):
            file.seek(offset)
            found.update(file.read(SAMPLE))
    return f"{size} bytes, {found.hexdigest()[:8]}"


def _remove(folder: Path, files: Iterable[str]) -> None:
    for file in files:
        (folder / file).unlink(missing_ok=True)


def _judge(shots: Iterator[Frame], size: int, fit: str, jobs: int | None) -> Iterator[JudgedFrame]:
    def judge(shot: Frame) -> JudgedFrame:
        whole = on_white(Picture(shot.rgb, shot.alpha))
        inside = crop_black_bars(whole)
        if fit == "crop":
            rgb = center(inside, size)
        else:
            rgb = np.asarray(Image.fromarray(inside).resize((size, size), Image.Resampling.LANCZOS))
        return JudgedFrame(shot.time, shot.late, rgb, inside.shape != whole.shape, find_defect(whole, inside, size))

    with threads(jobs) as pool:
        while chunk := list(islice(shots, CHUNK)):
            yield from pool.map(judge, chunk)


def _keep(frames: Iterator[JudgedFrame], store: KeyframeStore, video: Path, folder: Path, bar: tqdm) -> None:
    """Writes frames without defects and duplicates, and stores the outcome of each frame."""
    all_kept, before = store.kept(), store.last(video.name)[1]
    for frame in frames:
        if frame.late and before not in FADING:
            continue
        outcome, new = frame.defect or "kept", None
        if outcome == "kept":
            luma = cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2GRAY)
            file = f"{video.stem}_{_clock(frame.time)}.png"
            new = KeptFrame(video.name, frame.time, file, perceptual_hash(frame.rgb), float(luma.std()))
            old = _nearest(new, all_kept)
            if old and old.video == video.name and new.contrast > BRIGHTER * old.contrast:
                store.drop(old, "duplicate")
                all_kept.remove(old)
            elif old:
                outcome, new = "duplicate", None
        if new:
            write_png(folder / new.file, frame.rgb)
            all_kept.append(new)
        store.add(video.name, frame.time, outcome, frame.cropped, new)
        store.db.commit()
        before = outcome
        bar.update(round(frame.time) - bar.n)
        bar.set_postfix(kept=len(all_kept))


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(1000 * seconds), 60_000)
    return f"{minutes // 60:02d}-{minutes % 60:02d}-{rest / 1000:06.3f}"


def _nearest(new: KeptFrame, others: list[KeptFrame]) -> KeptFrame | None:
    """The near-duplicate among `others` with the nearest hash, or None."""
    if not others:
        return None
    distances = (np.stack([other.bits for other in others]) != new.bits).sum(1)
    return others[distances.argmin()] if distances.min() <= HASH else None


def _thin(store: KeyframeStore, video: str, count: int | None) -> None:
    """Marks frames beyond `count` as spare, so that the rest is spread evenly."""
    kept = [frame for frame in store.kept() if frame.video == video]
    if count is not None and len(kept) > count:
        stay = {round(i * (len(kept) - 1) / max(1, count - 1)) for i in range(count)}
        for i in set(range(len(kept))) - stay:
            store.drop(kept[i], "spare")
