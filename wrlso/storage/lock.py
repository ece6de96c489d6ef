"""The lock of a campaign's folder: one process at a time asks or trains."""

import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from wrlso.exceptions import StorageError

__all__ = ["WorkLock"]

_logger = logging.getLogger(__name__)


class WorkLock:
    """Lets one process at a time ask, fit or retrain; the system frees it when its owner dies."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._depth = 0
        self._file: IO[Any] | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Wait for the lock, with a message when it takes long, and hold it inside the block."""
        if self._depth == 0:
            self._acquire()
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if self._depth == 0 and self._file is not None:
                self._file.close()  # which frees the lock
                self._file = None

    def _acquire(self) -> None:
        try:
            file = open(self.path, "ab", buffering=0)  # noqa: SIM115
        except OSError as error:
            raise StorageError(
                f"{self.path} cannot be opened: {error}; allow writing to the folder"
            ) from error
        start, told = time.monotonic(), False
        while not _try_lock(file):
            if not told and time.monotonic() - start > 1.0:
                _logger.warning("waiting for %s, which works on this campaign", _owner(self.path))
                told = True
            time.sleep(0.02)
        self._file = file
        with suppress(OSError):  # who it is only serves a message; the disk may be full
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}".encode())


def _owner(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")[:200] or "another process"
    except OSError:
        return "another process"


def _try_lock(file: IO[Any]) -> bool:
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
