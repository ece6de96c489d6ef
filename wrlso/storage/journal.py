"""The journal of a campaign: one SQLite file, changed in transactions only.

Every row carries a checksum of itself and rows are counted, so that damage is found when they are read.
"""

import json
import logging
import os
import sqlite3
import threading
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory
from typing import Any

from wrlso._state.codec import dump, load
from wrlso.exceptions import StorageError
from wrlso.history import Event
from wrlso.storage.lock import holder
from wrlso.storage.names import JOURNAL, LOCK, TELL_LOCK, check_campaign

__all__ = ["FORMAT", "Journal", "open_journal"]

_logger = logging.getLogger(__name__)

FORMAT = 3  # 2 lacks notes, outcomes that were not measured, and releases of points that are told in part
_READABLE = (2, 3)
_APPLICATION_ID = 0x77726C73  # "wrls": tells the file from other programs' databases
_EVENT = "generation, number, kind, row, value, time, data, crc"
_PATIENCE = 60.0  # seconds that a transaction waits for another process's
_QUIET = 2.0  # seconds of these after which it says so
# Never close: connections of the parent process, which it may still use.
_INHERITED: list[sqlite3.Connection] = []
_SCHEMA = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL, crc INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE notes (key TEXT PRIMARY KEY, value TEXT NOT NULL, crc INTEGER NOT NULL) WITHOUT ROWID",
    """CREATE TABLE objects (
        generation INTEGER NOT NULL, first INTEGER NOT NULL, n INTEGER NOT NULL, data BLOB NOT NULL,
        crc INTEGER NOT NULL, UNIQUE (generation, first))""",
    """CREATE TABLE events (
        generation INTEGER NOT NULL, number INTEGER NOT NULL, kind TEXT NOT NULL, row INTEGER NOT NULL,
        value REAL, time INTEGER NOT NULL, data BLOB, crc INTEGER NOT NULL,
        PRIMARY KEY (generation, number)) WITHOUT ROWID""",
    """CREATE TABLE arrays (
        id INTEGER PRIMARY KEY, kind TEXT NOT NULL, data BLOB NOT NULL, crc INTEGER NOT NULL)""",
)


class Journal:
    """Reads and writes the tables of one file; several processes and threads may do so at once.

    Parameters
    ----------
    path : Path
        The file, which must exist.
    read_only : bool
        Whether to read the journal as it is now, from a copy in memory: nothing is written, and no writer has
        to wait for a reader that takes its time.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self.read_only = read_only
        self._lock = threading.RLock()
        self._connect()

    @classmethod
    def create(cls, path: Path) -> "Journal":
        """Make a new file; the caller gives it its final name once it is complete."""
        journal = cls.__new__(cls)
        journal.path, journal.read_only, journal._lock = path, False, threading.RLock()
        with _translated(path):
            journal._db = _open(path, "mode=rwc")
            journal._pid = os.getpid()
            # nobody opens it before it has its final name, so that SQLite need not guard against crashes
            journal._db.execute("PRAGMA journal_mode = OFF")
            journal._db.execute("PRAGMA synchronous = OFF")
            journal._db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            for statement in _SCHEMA:
                journal._db.execute(statement)
            journal._db.execute(f"PRAGMA user_version = {FORMAT}")
            journal.put("format", str(FORMAT))
        return journal

    def close(self) -> None:
        """Close the file; another use opens it again."""
        with self._lock:
            self._db.close()
            self._pid = -1

    def __del__(self) -> None:
        """Close the file; from Python 3.13 on a connection that is left open is a warning."""
        if getattr(self, "_pid", -1) == os.getpid():
            self._db.close()

    @contextmanager
    def transaction(self, *, write: bool = True) -> Iterator[None]:
        """Commit all changes made inside, so that they survive a power cut, or none of them.

        Raises StorageError when they cannot be committed; then nothing has been written.
        """
        with self._lock, _translated(self.path):
            if self._pid != os.getpid():  # closed, or this process was forked from the one that opened it
                _INHERITED.append(self._db)
                self._connect()
            if not (self.read_only or self.path.exists()):
                check_campaign(self.path.parent)  # an open file goes on to be there when its folder is moved
            _patiently(self._db, self.path, "BEGIN IMMEDIATE" if write else "BEGIN")
            try:
                yield
                _patiently(self._db, self.path, "COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def get(self, key: str, table: str = "meta") -> str | None:
        """Return the text stored under a key, or None."""
        row = self._db.execute(f"SELECT value, crc FROM {table} WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        self._verify(row[1], table, key, row[0])
        return str(row[0])

    def put(self, key: str, value: str, table: str = "meta") -> None:
        """Store a text under a key."""
        statement = f"REPLACE INTO {table} (key, value, crc) VALUES (?, ?, ?)"
        self._db.execute(statement, (key, value, _crc(table, key, value)))

    def notes(self) -> dict[str, str]:
        """Return all notes."""
        notes: dict[str, str] = {}
        for key, value, crc in self._db.execute("SELECT key, value, crc FROM notes ORDER BY key"):
            self._verify(crc, "notes", key, value)
            notes[key] = value
        return notes

    def remove_note(self, key: str) -> None:
        """Remove a note."""
        self._db.execute("DELETE FROM notes WHERE key = ?", (key,))

    @property
    def generation(self) -> tuple[int, str]:
        """Number and identity of the history that is current."""
        number, uid = json.loads(self.get("generation") or "[0, null]")
        return int(number), str(uid)

    def counts(self, generation: int) -> tuple[int, int]:
        """Return the numbers of records and events of a history."""
        last_block, last_event = (
            self._db.execute(statement, (generation,)).fetchone()
            for statement in (
                "SELECT first + n FROM objects WHERE generation = ? ORDER BY first DESC LIMIT 1",
                "SELECT number + 1 FROM events WHERE generation = ? ORDER BY number DESC LIMIT 1",
            )
        )
        return last_block[0] if last_block else 0, last_event[0] if last_event else 0

    def add_objects(self, generation: int, first: int, n: int, data: bytes) -> None:
        """Add a block of objects whose rows begin at ``first``."""
        row = (generation, first, n, data)
        statement = "INSERT INTO objects (generation, first, n, data, crc) VALUES (?, ?, ?, ?, ?)"
        self._db.execute(statement, (*row, _crc(*row)))

    def objects(self, generation: int, first: int) -> Iterator[tuple[int, int, bytes]]:
        """Yield (first, n, data) of the blocks from a row on."""
        rows = self._db.execute(
            "SELECT first, n, data, crc FROM objects WHERE generation = ? AND first >= ? ORDER BY first",
            (generation, first),
        )
        for start, n, data, crc in rows:
            self._verify(crc, generation, start, n, data)
            self.expect(start == first, f"the objects from row {first} on are missing")
            first += n
            yield start, n, data

    def add_events(self, generation: int, number: int, events: Sequence[Event]) -> None:
        """Add events, the first of which has this number."""
        rows = (
            (generation, i, e.kind, e.row, e.value, e.time, None if e.data is None else dump(e.data))
            for i, e in enumerate(events, start=number)
        )
        if self.format < FORMAT and any(map(_needs_new_format, events)):
            self._db.execute(f"PRAGMA user_version = {FORMAT}")
            self.put("format", str(FORMAT))
        statement = f"INSERT INTO events ({_EVENT}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        self._db.executemany(statement, ((*row, _crc(*row)) for row in rows))

    def events(self, generation: int, number: int) -> Iterator[Event]:
        """Yield the events from a number on."""
        rows: Iterable[Any] = self._db.execute(
            f"SELECT {_EVENT} FROM events WHERE generation = ? AND number >= ? ORDER BY number",
            (generation, number),
        )
        for *row, crc in rows:
            self._verify(crc, *row)
            self.expect(row[1] == number, f"event {number} is missing")
            number += 1
            _, _, kind, record, value, time, data = row
            yield Event(kind, record, value, time, None if data is None else load(data))

    @property
    def format(self) -> int:
        """The version of the format that it has."""
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    def sign(self, generation: int, number: int, author: str) -> None:
        """Note who adds the events from a number on; written only where it is somebody else than before."""
        known = self.authors(generation)
        if author != (known[-1][1] if known else ""):
            self.put("authors", json.dumps([generation, [*known, (number, author)]]))

    def authors(self, generation: int) -> list[tuple[int, str]]:
        """Return (number of the first event, who added it and those behind it), in order; "" is unknown."""
        of, found = json.loads(self.get("authors") or "[0, []]")
        return [(int(number), str(author)) for number, author in found] if of == generation else []

    def expect_objects(self, n_rows: int, events: Sequence[Event]) -> None:
        """Raise StorageError when events are about objects behind the first ``n_rows``."""
        last = max((event.row for event in events), default=-1)
        self.expect(last < n_rows, f"the objects from row {n_rows} on are missing")

    def add_array(self, kind: str, data: bytes) -> None:
        """Add one part of what was learned."""
        statement = "INSERT INTO arrays (kind, data, crc) VALUES (?, ?, ?)"
        self._db.execute(statement, (kind, data, _crc(kind, data)))

    def arrays(self) -> list[tuple[str, bytes]]:
        """Return all (kind, data) in the order in which they were added."""
        arrays = []
        for kind, data, crc in self._db.execute("SELECT kind, data, crc FROM arrays ORDER BY id"):
            self._verify(crc, kind, data)
            arrays.append((kind, data))
        return arrays

    def remove_arrays(self, *kinds: str) -> None:
        """Remove the arrays of some kinds."""
        self._db.executemany("DELETE FROM arrays WHERE kind = ?", [(kind,) for kind in kinds])

    def check(self) -> None:
        """Raise StorageError when the file's structure is damaged; damaged rows are found on reading them."""
        (verdict,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
        self.expect(verdict == "ok", str(verdict))
        self.expect(self.get("format") == str(self.format), "its two records of the format version disagree")

    def _verify(self, crc: Any, *fields: Any) -> None:
        self.expect(crc == _crc(*fields), "a checksum differs")

    def expect(self, condition: bool, otherwise: str) -> None:
        """Raise StorageError, and say what is damaged, unless a condition holds."""
        if not condition:
            raise StorageError(f"{self.path} is damaged ({otherwise}): put back a copy")

    def _connect(self) -> None:
        with _translated(self.path):
            check_campaign(self.path.parent)
            self._db = _snapshot(self.path) if self.read_only else _open(self.path, "mode=rw")
            self._pid = os.getpid()
            _check_format(self._db, self.path)
            if not self.read_only:
                _prepare(self._db, self.path)


def _open(path: Path, how: str) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?{how}"
    return sqlite3.connect(uri, uri=True, timeout=_QUIET, isolation_level=None, check_same_thread=False)


def _patiently(db: sqlite3.Connection, path: Path, statement: str) -> Any:
    """Execute a statement and return its first row; wait for others, and say so when that takes long."""
    try:
        return db.execute(statement).fetchone()
    except sqlite3.OperationalError as error:
        if not (getattr(error, "sqlite_errorname", "") or "").startswith("SQLITE_BUSY"):
            raise
    who = holder(path.parent / TELL_LOCK) or holder(path.parent / LOCK) or "another process"
    _logger.warning("waiting for %s, which writes to %s; for %g s at most", who, path.parent, _PATIENCE)
    db.execute(f"PRAGMA busy_timeout = {int(1000 * max(_PATIENCE - _QUIET, 0))}")
    try:
        return db.execute(statement).fetchone()
    finally:
        db.execute(f"PRAGMA busy_timeout = {int(1000 * _QUIET)}")


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    """Make every commit survive a power cut; raise now, rather than at the first change, where it cannot."""
    # No write-ahead log, which earlier versions used: it is unsafe on network drives, and SQLite drops all
    # that follows damage in it without a word. TRUNCATE, as a deleted file may come back after a power cut.
    try:
        _patiently(db, path, "PRAGMA journal_mode = TRUNCATE")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname != "SQLITE_BUSY":
            raise
        # an earlier version has it open; each commit goes on from its log into the file at once
        db.execute("PRAGMA wal_autocheckpoint = 1")
    db.execute("PRAGMA synchronous = FULL")
    _patiently(db, path, "BEGIN IMMEDIATE")
    (version,) = db.execute("PRAGMA user_version").fetchone()
    db.execute(f"PRAGMA user_version = {version}")  # a write that changes nothing
    db.execute("ROLLBACK")


def _snapshot(path: Path) -> sqlite3.Connection:
    """Return a copy of a journal in memory; nothing is written beside it."""
    log, index, undo = (path.with_name(path.name + ending) for ending in ("-wal", "-shm", "-journal"))
    # opened like this, SQLite refuses what it could only read after it has written
    with closing(_open(path, "mode=ro&nolock=1")) as db:
        try:
            db.execute("PRAGMA user_version").fetchone()
            obstacle = ""
        except sqlite3.Error as error:
            obstacle = error.sqlite_errorname
    if obstacle == "SQLITE_READONLY_ROLLBACK":  # a process was killed while it committed
        return _mended(path, undo)
    if obstacle == "SQLITE_CANTOPEN" and not index.exists():  # has a log, which nobody has open
        if log.exists() and log.stat().st_size > 0:
            return _mended(path, log)
        return _in_memory(_open(path, "mode=ro&immutable=1"), path)
    return _in_memory(_open(path, "mode=ro"), path)


def _mended(path: Path, side: Path) -> sqlite3.Connection:
    """Return a copy of a journal, to which SQLite has applied its side file in another folder."""
    try:
        with TemporaryDirectory(prefix="wrlso-") as folder:
            for file in (path, side):
                copyfile(file, Path(folder) / file.name)
            return _in_memory(_open(Path(folder) / path.name, "mode=rw"), path)
    except OSError as error:
        raise StorageError(
            f"{path} was left in the middle of a change, and reading it takes room elsewhere: {error}; "
            "make room, or set TMPDIR to a folder that has some"
        ) from error


def _in_memory(source: sqlite3.Connection, path: Path) -> sqlite3.Connection:
    memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    with closing(source):
        source.execute("BEGIN")  # waits for a commit, and not for ever as a backup does
        _patiently(source, path, "PRAGMA user_version")
        source.backup(memory)
    return memory


def _crc(*fields: Any) -> int:
    """Checksum of a row's fields."""
    crc = zlib.crc32(repr([value for value in fields if type(value) is not bytes]).encode())
    for value in fields:
        if type(value) is bytes:
            crc = zlib.crc32(value, crc)
    return crc


def _needs_new_format(event: Event) -> bool:
    return event.kind == "note" or bool(event.not_measured) or (event.kind == "release" and event.row >= 0)


def _check_format(db: sqlite3.Connection, path: Path) -> None:
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if application != _APPLICATION_ID:
        raise StorageError(f"{path} is an SQLite database of another program, not the journal of a campaign")
    if version < 1:
        raise StorageError(f"{path} is damaged (it has no format): put back a copy")
    if version < _READABLE[0]:
        raise StorageError(
            f"{path} has format {version}, from before the first release, and this wrlso reads format "
            f"{FORMAT}: open it with the version that wrote it, and begin a new campaign with its values"
        )
    if version > FORMAT:
        raise StorageError(
            f"{path} has format {version}, and this wrlso reads format {FORMAT}: install a newer one"
        )


_EXPLANATIONS = {
    "SQLITE_FULL": "the disk is full: make room and try again",
    "SQLITE_READONLY": "the file or its folder is read-only: allow writing, or load with autosave=False",
    "SQLITE_CANTOPEN": "the file cannot be opened: see whether its folder exists and may be written to, or "
    "load with autosave=False",
    "SQLITE_IOERR": "the disk refuses the data: see whether it is full, over quota or gone",
    "SQLITE_BUSY": f"another process has been using it for {_PATIENCE:g} s: try again, or end it",
    "SQLITE_CORRUPT": "the file is damaged: put back a copy",
    "SQLITE_NOTADB": "the file is no SQLite database, or a damaged one: put back a copy",
}


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into StorageError, with what to do about them."""
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "") or ""
        known = next((text for code, text in _EXPLANATIONS.items() if name.startswith(code)), None)
        advice = known or "the file may be damaged: put back a copy"
        raise StorageError(
            f"{path}: {error}; {advice}. What this call would have changed is not saved"
        ) from error


def open_journal(path: Path, *, read_only: bool = False) -> Journal:
    """Open the journal of a campaign."""
    check_campaign(path)
    return Journal(path / JOURNAL, read_only=read_only)
