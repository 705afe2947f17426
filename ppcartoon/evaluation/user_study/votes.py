"""The votes in a SQLite database: which sets each voter was shown, and which method was chosen."""

from __future__ import annotations

import secrets
import sqlite3
import threading
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

from ...errors import InputError, printable
from .material import Material

FILE = "votes.sqlite"
TABLES = (
    "CREATE TABLE study (secret BLOB NOT NULL)",
    "CREATE TABLE images (path TEXT PRIMARY KEY, sha256 TEXT NOT NULL)",
    "CREATE TABLE sets (id INTEGER PRIMARY KEY, style TEXT NOT NULL, photo TEXT NOT NULL)",
    """CREATE TABLE turns (
        id INTEGER PRIMARY KEY, voter TEXT NOT NULL, set_id INTEGER NOT NULL REFERENCES sets (id),
        method TEXT, time TEXT, UNIQUE (voter, set_id)
    )""",
    "CREATE INDEX turns_of_set ON turns (set_id, method)",
)
# Shows the voter a new set with as few votes as possible; none while a set is open, or after the last set.
NEXT = """
    INSERT INTO turns (voter, set_id) SELECT :voter, id FROM sets
    WHERE (SELECT count(*) FROM turns WHERE voter = :voter) < :limit
    AND NOT EXISTS (SELECT 1 FROM turns WHERE voter = :voter AND method IS NULL)
    AND id NOT IN (SELECT set_id FROM turns WHERE voter = :voter)
    ORDER BY (SELECT count(method) FROM turns WHERE set_id = sets.id),
        (SELECT count(*) FROM turns WHERE set_id = sets.id), random()
    LIMIT 1
"""


class Set(NamedTuple):
    """A photo in a style, with the outputs of all methods."""

    id: int
    style: str
    photo: str


class Vote(NamedTuple):
    """A vote; voters are numbered from 1, and the time is in UTC."""

    voter: int
    style: str
    photo: str
    method: str
    time: str


class Votes:
    """The votes of a running study; each method call is a transaction that is on disk when the call returns.

    Attributes:
        secret: 32 random bytes of this database.

    Args:
        path: the database; created if missing.
        material: the images of the study.

    Raises:
        InputError: the database cannot be used, or has votes on other images.
    """

    def __init__(self, path: Path, material: Material) -> None:
        self._lock = threading.RLock()
        try:
            self._database = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
            try:
                recorded = self._prepare(material)
            except BaseException:
                self._database.close()
                raise
        except sqlite3.Error as error:
            raise InputError(f"{path}: cannot be used for votes ({error})") from error
        current = material.checksums
        if changed := sorted(path for path in recorded | current if recorded.get(path) != current.get(path)):
            self._database.close()
            more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
            raise InputError(
                f"{path}: belongs to other images: {changed[0]}{more} changed since; move the file away to start again"
            )

    def _prepare(self, material: Material) -> dict[str, str]:
        """Creates missing tables; returns the recorded checksums of the images."""
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        with self._database as db:
            db.execute("BEGIN IMMEDIATE")
            if not db.execute("SELECT 1 FROM sqlite_master").fetchone():
                for table in TABLES:
                    db.execute(table)
                db.execute("INSERT INTO study VALUES (?)", [secrets.token_bytes(32)])
                db.executemany("INSERT INTO images VALUES (?, ?)", material.checksums.items())
                sets = [(style, photo) for style in material.outputs for photo in material.photos]
                db.executemany("INSERT INTO sets (style, photo) VALUES (?, ?)", sets)
            (self.secret,) = db.execute("SELECT secret FROM study").fetchone()
            return dict(db.execute("SELECT path, sha256 FROM images"))

    def _run(self, statement: str, **values: object) -> list[tuple]:
        with self._lock:
            return self._database.execute(statement, values).fetchall()

    def current_set(self, voter: str, limit: int) -> Set | None:
        """The set that the voter has to vote on, a new one after each vote; None after `limit` sets."""
        with self._lock:  # the voter may vote at the same time in another tab
            self._run(NEXT, voter=voter, limit=limit)
            found = self._run(
                "SELECT sets.* FROM sets JOIN turns ON set_id = sets.id WHERE voter = :voter AND method IS NULL",
                voter=voter,
            )
        return Set(*found[0]) if found else None

    def shown_sets(self, voter: str) -> list[Set]:
        """All sets that the voter was shown, including the current one."""
        found = self._run(
            "SELECT sets.* FROM turns JOIN sets ON set_id = sets.id WHERE voter = :voter ORDER BY turns.id", voter=voter
        )
        return [Set(*row) for row in found]

    def cast(self, voter: str, voted: Set, method: str) -> None:
        """Saves a vote; another vote on the same set changes nothing."""
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        self._run(
            "UPDATE turns SET method = :method, time = :now WHERE voter = :voter AND set_id = :id AND method IS NULL",
            voter=voter, id=voted.id, method=method, now=now,
        )  # fmt: skip

    def count(self, voter: str | None = None) -> int:
        """The number of votes, of one voter or of all."""
        condition = "" if voter is None else " WHERE voter = :voter"
        return self._run(f"SELECT count(method) FROM turns{condition}", voter=voter)[0][0]

    def close(self) -> None:
        self._database.close()


def load(path: Path) -> tuple[dict[str, list[str]], list[Vote]]:
    """The methods of each style, and the votes in the order in which the sets were shown; also while people vote.

    Raises:
        InputError: the database does not exist or cannot be read.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; `ppcartoon study serve` creates it")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", timeout=30, uri=True)) as db:
            paths = [row[0].split("/") for row in db.execute("SELECT path FROM images ORDER BY path")]
            rows = db.execute(
                "SELECT voter, style, photo, method, time FROM turns JOIN sets ON set_id = sets.id "
                "WHERE method IS NOT NULL ORDER BY turns.id"
            ).fetchall()
    except sqlite3.Error as error:
        raise InputError(f"{path}: not a readable votes database ({error})") from error
    methods: dict[str, list[str]] = {}
    for style, method in dict.fromkeys(tuple(map(printable, parts[:2])) for parts in paths if len(parts) == 3):
        methods.setdefault(style, []).append(method)
    numbers: dict[str, int] = {}
    return methods, [Vote(numbers.setdefault(voter, len(numbers) + 1), *map(printable, rest)) for voter, *rest in rows]
