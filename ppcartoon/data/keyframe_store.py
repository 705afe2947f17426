"""What was looked at in which film, kept beside the pictures, so that a run that was killed goes on where it was."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import InputError, OutputError

FILE = ".frames.sqlite"
TABLES = """
CREATE TABLE IF NOT EXISTS film (name TEXT PRIMARY KEY, options TEXT, broken INTEGER);
CREATE TABLE IF NOT EXISTS picture (
    film TEXT, time REAL, fate TEXT, cropped INTEGER, file TEXT, hash BLOB, contrast REAL, PRIMARY KEY (film, time)
);
"""


class Kept(NamedTuple):
    """A picture that was kept.

    Attributes:
        film: name of its film.
        time: in the film, in seconds.
        file: its name.
        bits: bool [64], its perceptual hash.
        contrast: standard deviation of its luma.
    """

    film: str
    time: float
    file: str
    bits: np.ndarray
    contrast: float


class Record:
    """The pictures of all films in a folder.

    Args:
        db: where it is kept.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        db.executescript(TABLES)

    def begin(self, film: str, options: dict) -> None:
        """Starts or goes on with a film.

        Raises:
            InputError: the film, or another of that name, was looked at with other options.
        """
        text = json.dumps(options, sort_keys=True)
        known = dict(self.db.execute("SELECT name, options FROM film"))
        for other in known:
            if other != film and Path(other).stem == Path(film).stem:
                raise InputError(f"{film}: its pictures would have the names of {other}'s; take another --output")
        if film in known and known[film] != text:
            then = json.loads(known[film])
            words = [
                f"{key} {then.get(key)} instead of {options[key]}" for key in options if options[key] != then.get(key)
            ]
            raise InputError(
                f"{film}: there are pictures of a film of this name already, with {', '.join(words)}; --overwrite "
                "replaces them, another --output keeps them"
            )
        self.db.execute("INSERT OR IGNORE INTO film VALUES (?, ?, NULL)", (film, text))
        self.db.commit()

    def forget(self, film: str) -> None:
        """Takes a film and its pictures out of the record."""
        for table, column in (("picture", "film"), ("film", "name")):
            self.db.execute(f"DELETE FROM {table} WHERE {column} = ?", (film,))
        self.db.commit()

    def files(self, film: str) -> list[str]:
        """Names of a film's pictures that were written, whatever became of them."""
        rows = self.db.execute("SELECT file FROM picture WHERE film = ? AND file NOT NULL", (film,))
        return [file for (file,) in rows]

    def broken(self, film: str) -> int | None:
        """Pieces of the film that could not be decoded; None while it is not finished."""
        return self.db.execute("SELECT broken FROM film WHERE name = ?", (film,)).fetchone()[0]

    def finish(self, film: str, broken: int) -> None:
        """Notes that all of the film was looked at, but for so many pieces."""
        self.db.execute("UPDATE film SET broken = ? WHERE name = ?", (broken, film))
        self.db.commit()

    def last(self, film: str) -> tuple[float, str | None]:
        """Time and fate of the last picture that was looked at; -1 and None before the first."""
        rows = self.db.execute("SELECT time, fate FROM picture WHERE film = ? ORDER BY time DESC LIMIT 1", (film,))
        return rows.fetchone() or (-1, None)

    def add(self, film: str, time: float, fate: str, cropped: bool, kept: Kept | None = None) -> None:
        """A picture that was looked at; `kept` if it was kept. It is certain to stay after the next `commit`."""
        rest = (kept.file, np.packbits(kept.bits).tobytes(), kept.contrast) if kept else (None, None, None)
        self.db.execute("INSERT INTO picture VALUES (?, ?, ?, ?, ?, ?, ?)", (film, time, fate, cropped, *rest))

    def drop(self, kept: Kept, fate: str) -> None:
        """A picture that was kept, and is no more."""
        self.db.execute("UPDATE picture SET fate = ? WHERE film = ? AND time = ?", (fate, kept.film, kept.time))

    def kept(self) -> list[Kept]:
        """Of all films, in the order of time."""
        rows = self.db.execute(
            "SELECT film, time, file, hash, contrast FROM picture WHERE fate = 'kept' ORDER BY film, time"
        )
        return [Kept(*row[:3], np.unpackbits(np.frombuffer(row[3], np.uint8)).astype(bool), row[4]) for row in rows]

    def fates(self, film: str) -> Counter[str]:
        """How many pictures had which fate, and "cropped" for those kept that lost black bars."""
        rows = self.db.execute(
            "SELECT fate, count(*), sum(cropped AND fate = 'kept') FROM picture WHERE film = ? GROUP BY fate", (film,)
        )
        found: Counter[str] = Counter()
        for fate, number, cropped in rows:
            found += Counter({fate: number, "cropped": cropped})
        return found


@contextmanager
def open_record(folder: Path) -> Iterator[Record]:
    """The record of a folder, which is made if need be.

    Raises:
        InputError: the record is damaged, or another process is at work in the folder.
        OutputError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(folder / FILE, timeout=1, isolation_level="EXCLUSIVE")
        db.execute("PRAGMA locking_mode = EXCLUSIVE")  # two at work here would not see each other's pictures
        try:
            yield Record(db)
        finally:
            db.close()
    except FileExistsError as error:
        raise OutputError(f"{folder}: a file is there, where a folder is to be") from error
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise InputError(f"{folder}: another process is at work there") from error
        raise OutputError(f"{folder / FILE}: cannot be written ({error})") from error
    except sqlite3.DatabaseError as error:
        raise InputError(f"{folder / FILE}: damaged ({error}); remove it, and the pictures of its films") from error
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror or error})") from error
