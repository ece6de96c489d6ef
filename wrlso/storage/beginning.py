"""A folder in which a campaign is being made: afterwards it holds a whole campaign, or nothing."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from wrlso.exceptions import StorageError
from wrlso.storage.lock import WorkLock
from wrlso.storage.names import JOURNAL, NEW_JOURNAL, WEIGHTS, is_campaign, strangers

__all__ = ["check_vacant", "new_campaign"]


@contextmanager
def new_campaign(path: Path, lock: str) -> Iterator[None]:
    """Hold a lock while the block makes a campaign; where it makes none, remove all files, and new folders.

    What a killed process has left there is no hindrance.

    Raises StorageError for a folder that cannot be made, that holds something else, or that another process
    has made a campaign of.
    """
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"the folder {path} cannot be made: {error}") from error
        check_vacant(path)
        with WorkLock(path / lock).held():
            if is_campaign(path):
                raise StorageError(f"{path} has just become a campaign of another process: name a new folder")
            # SQLite would take the side files of an earlier journal for the new one's
            _remove(path, NEW_JOURNAL, f"{JOURNAL}-*", WEIGHTS)
            try:
                yield
            except BaseException:
                if not is_campaign(path):
                    _remove(path, "*")
                raise
    except BaseException:
        for folder in made:
            with suppress(OSError):  # others may have put something in it
                folder.rmdir()
        raise


def check_vacant(path: Path) -> None:
    """Raise StorageError for a folder in which there is something else than the remains of a campaign."""
    strange = strangers(path) if path.is_dir() else []
    if strange:
        raise StorageError(
            f"{path} is not empty and no campaign (it holds {', '.join(strange[:3])}): name a new folder"
        )


def _remove(path: Path, *patterns: str) -> None:
    """Remove files of ours."""
    strange = strangers(path)
    for pattern in patterns:
        for file in path.glob(pattern):
            if file.name not in strange:
                with suppress(OSError):
                    file.unlink()
