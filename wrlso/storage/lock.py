"""The lock of a campaign's folder: one process at a time asks or trains. And who works on it."""

import getpass
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout, lock_descriptor

from wrlso.exceptions import StorageError

__all__ = ["AUTHOR", "WorkLock", "author", "holder"]

AUTHOR = "WRLSO_USER"  # the variable that names who works, in place of the user of the operating system
_NAME = 100  # characters of a name
_QUIET = 1.0  # seconds of waiting after which it is said

_logger = logging.getLogger(__name__)


class WorkLock:
    """Lets one process at a time ask, fit or retrain; the system frees it when its holder dies."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = FileLock(
            path, thread_local=False, poll_interval=0.02, preserve_lock_file=True, on_acquired=_sign
        )

    @contextmanager
    def held(self) -> Iterator[None]:
        """Wait for the lock, with a message when it takes long, and hold it inside the block."""
        self._acquire()
        try:
            yield
        finally:
            self._lock.release()

    def _acquire(self) -> None:
        try:
            self._check_folder()
            try:
                self._lock.acquire(timeout=_QUIET)
            except Timeout:
                who = holder(self.path) or "another process"
                _logger.warning(
                    "waiting for %s, which works on %s; for as long as it takes", who, self.path.parent
                )
                self._lock.acquire(cancel_check=lambda: not self.path.parent.is_dir())
        except Timeout:
            self._check_folder()
            raise
        except RuntimeError as error:
            raise StorageError(
                f"this thread already works on {self.path.parent} with another optimizer, for which it would "
                "wait for ever: use that one"
            ) from error
        except OSError as error:
            raise StorageError(
                f"{self.path} cannot be locked: {error}; allow writing to the folder"
            ) from error

    def _check_folder(self) -> None:
        """Raise StorageError where the folder is gone: the lock would make it anew."""
        if not self.path.parent.is_dir():
            raise StorageError(
                f"there is no folder {self.path.parent}: look whether the campaign was moved, renamed or "
                "never begun"
            )


def holder(path: Path) -> str | None:
    """Return who holds the lock of this file now, or None."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            free = lock_descriptor(file.fileno(), blocking=False)
            return None if free else file.read(200) or "another process"
    except OSError:
        return None  # nobody has ever held it


def author() -> str:
    """Return who makes the changes of this process; "" where the system does not say."""
    name = os.environ.get(AUTHOR, "").strip()
    if not name:
        with suppress(OSError, KeyError, ImportError):
            name = getpass.getuser()
    return "".join(c for c in name if c.isprintable())[:_NAME]


def _sign(descriptor: int) -> None:
    with suppress(OSError):  # who it is only serves a message; the disk may be full
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode())
