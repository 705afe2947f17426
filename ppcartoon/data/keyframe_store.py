"""SQLite database, beside the key frames, of which frames were examined, so that an interrupted run can resume."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import DiskFullError, InputError, OutputError

FILE = ".frames.sqlite"  # its table and column names are part of the file format
TABLES = """
CREATE TABLE IF NOT EXISTS film (name TEXT PRIMARY KEY, options TEXT, broken INTEGER);
CREATE TABLE IF NOT EXISTS picture (
    film TEXT, time REAL, fate TEXT, cropped INTEGER, file TEXT, hash BLOB, contrast REAL, PRIMARY KEY (film, time)
);
"""


class KeptFrame(NamedTuple):
    """A frame that was kept.

    Attributes:
        video: name of the video file.
        time: position in the video, in seconds.
        file: name of the image file.
        bits: bool [64], perceptual hash.
        contrast: standard deviation of the luma.
    """

    video: str
    time: float
    file: str
    bits: np.ndarray
    contrast: float


class KeyframeStore:
    """The examined frames of all videos of a folder.

    Args:
        db: connection to the database.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        db.executescript(TABLES)

    def begin(self, video: str, options: dict) -> None:
        """Starts or resumes a video.

        Raises:
            InputError: this video was begun with other options, or another video of the same name was.
        """
        text = json.dumps(options, sort_keys=True)
        known = dict(self.db.execute("SELECT name, options FROM film"))
        for other in known:
            if other != video and Path(other).stem == Path(video).stem:
                raise InputError(
                    f"{video}: its frames would have the same names as those of {other}; choose another --output"
                )
        if video in known and known[video] != text:
            then = json.loads(known[video])
            words = [
                f"{key} {then.get(key)} instead of {options[key]}" for key in options if options[key] != then.get(key)
            ]
            raise InputError(
                f"{video}: the folder has frames of a video of this name, with {', '.join(words)}; --overwrite "
                "replaces them, another --output keeps them"
            )
        self.db.execute("INSERT OR IGNORE INTO film VALUES (?, ?, NULL)", (video, text))
        self.db.commit()

    def forget(self, video: str) -> None:
        """Deletes a video and its frames from the database."""
        for table, column in (("picture", "film"), ("film", "name")):
            self.db.execute(f"DELETE FROM {table} WHERE {column} = ?", (video,))
        self.db.commit()

    def files(self, video: str) -> list[str]:
        """Names of all image files that were written for a video."""
        rows = self.db.execute("SELECT file FROM picture WHERE film = ? AND file NOT NULL", (video,))
        return [file for (file,) in rows]

    def broken(self, video: str) -> int | None:
        """Number of packets and frames that could not be decoded; None until the video is finished."""
        return self.db.execute("SELECT broken FROM film WHERE name = ?", (video,)).fetchone()[0]

    def finish(self, video: str, broken: int) -> None:
        """Marks a video as finished; `broken` packets and frames could not be decoded."""
        self.db.execute("UPDATE film SET broken = ? WHERE name = ?", (broken, video))
        self.db.commit()

    def last(self, video: str) -> tuple[float, str | None]:
        """Time and outcome of the last examined frame; -1 and None before the first."""
        rows = self.db.execute("SELECT time, fate FROM picture WHERE film = ? ORDER BY time DESC LIMIT 1", (video,))
        return rows.fetchone() or (-1, None)

    def add(self, video: str, time: float, outcome: str, cropped: bool, kept: KeptFrame | None = None) -> None:
        """Adds an examined frame, with `kept` if it was kept; permanent after the next `commit`."""
        rest = (kept.file, np.packbits(kept.bits).tobytes(), kept.contrast) if kept else (None, None, None)
        self.db.execute("INSERT INTO picture VALUES (?, ?, ?, ?, ?, ?, ?)", (video, time, outcome, cropped, *rest))

    def drop(self, kept: KeptFrame, outcome: str) -> None:
        """Changes the outcome of a frame that was kept."""
        self.db.execute("UPDATE picture SET fate = ? WHERE film = ? AND time = ?", (outcome, kept.video, kept.time))

    def kept(self) -> list[KeptFrame]:
        """The kept frames of all videos, sorted by video and time."""
        rows = self.db.execute(
            "SELECT film, time, file, hash, contrast FROM picture WHERE fate = 'kept' ORDER BY film, time"
        )
        return [
            KeptFrame(*row[:3], np.unpackbits(np.frombuffer(row[3], np.uint8)).astype(bool), row[4]) for row in rows
        ]

    def counts(self, video: str) -> Counter[str]:
        """Number of frames by outcome, and "cropped" for kept frames whose black bars were cropped."""
        rows = self.db.execute(
            "SELECT fate, count(*), sum(cropped AND fate = 'kept') FROM picture WHERE film = ? GROUP BY fate", (video,)
        )
        found: Counter[str] = Counter()
        for outcome, number, cropped in rows:
            found += Counter({outcome: number, "cropped": cropped})
        return found


@contextmanager
def open_store(folder: Path) -> Iterator[KeyframeStore]:
    """Opens the database of a folder; makes both if they are missing.

    Raises:
        InputError: the database is damaged, or another process uses it.
        OutputError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(folder / FILE, timeout=1, isolation_level="EXCLUSIVE")
        db.execute("PRAGMA locking_mode = EXCLUSIVE")  # two processes would not see each other's frames
        try:
            yield KeyframeStore(db)
        finally:
            db.close()
    except FileExistsError as error:
        raise OutputError(f"{folder}: a file, not a folder; choose another --output") from error
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise InputError(f"{folder}: another process is writing to it") from error
        kind = DiskFullError if "disk is full" in str(error) else OutputError
        raise kind(f"{folder / FILE}: cannot be written ({error})") from error
    except sqlite3.DatabaseError as error:
        raise InputError(f"{folder / FILE}: damaged ({error}); remove it and the frames of its videos") from error
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror or error})") from error
