"""Files that are there completely, or not at all."""

import os
import threading
from pathlib import Path
from tempfile import TemporaryFile

from wrlso.exceptions import ParameterError

__all__ = ["check_folder", "put_whole", "write_whole"]


def check_folder(path: Path) -> None:
    """Raise ParameterError for a folder that cannot be made, or to which no file can be written.

    It is for what takes long: a folder that cannot be used is known before.
    """
    there = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
    if not there.is_dir():
        named = f"{path} is a file" if there == path.absolute() else f"{path} would be in {there}, a file"
        raise ParameterError(f"{named}; name a folder")
    try:
        with TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise ParameterError(f"{there} cannot be written to: {error.strerror or error}") from error


def write_whole(path: Path, data: bytes, *, replace: bool = True) -> None:
    """Write a file so that it appears complete or not at all, and survives a power cut.

    Raises FileExistsError where there is a file already that must not be replaced.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        temporary.write_bytes(data)
        put_whole(temporary, path, replace=replace)
    finally:
        temporary.unlink(missing_ok=True)


def put_whole(temporary: Path, path: Path, *, replace: bool = True) -> None:
    """Move a complete file to its place in the same folder."""
    with temporary.open("rb+") as file:  # Windows syncs only what is open for writing
        os.fsync(file.fileno())
    if replace or not _linked(temporary, path):
        temporary.replace(path)
    _sync_folder(path.parent)


def _linked(temporary: Path, path: Path) -> bool:
    """Give a file a second name; False on a disk without hard links.

    Unlike a renaming, this fails where another process has made a file of that name meanwhile.
    """
    try:
        os.link(temporary, path)
    except OSError as error:
        if path.exists():
            raise FileExistsError(f"{path} exists already") from error
        return False
    return True


def _sync_folder(folder: Path) -> None:
    """Make a new name in a folder survive a power cut, where the system can."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
