"""The names of the files in the folder of a campaign."""

from pathlib import Path

from wrlso.exceptions import StorageError

__all__ = [
    "CATALOGUE",
    "JOURNAL",
    "LOCK",
    "NEW_JOURNAL",
    "PRETRAINED",
    "TELL_LOCK",
    "WEIGHTS",
    "check_campaign",
    "is_campaign",
    "strangers",
]

JOURNAL = "journal.sqlite"
NEW_JOURNAL = "journal.sqlite.new"  # until it is complete
WEIGHTS = "weights-*.safetensors*"  # unfinished ones too
CATALOGUE = "catalogue-*.safetensors*"  # candidates, and what was computed of them
LOCK = "work.lock"
TELL_LOCK = "tell.lock"  # of the shell: one command at a time makes a campaign, or records results
PRETRAINED = "pretrained.safetensors"  # the copy of the model's file that the shell was given


def is_campaign(path: Path) -> bool:
    """Whether a folder holds a journal."""
    return (path / JOURNAL).is_file()


def check_campaign(path: Path) -> None:
    """Raise StorageError where a folder holds no campaign: where it is gone, is a file, or has no journal."""
    if is_campaign(path):
        return
    if path.is_dir():
        why = f"the folder {path} holds no campaign: {JOURNAL} is missing"
    elif path.exists():
        why = f"{path} is a file, and a campaign is a folder"
    else:
        why = f"there is no folder {path}: look whether the campaign was moved, renamed or never begun"
    raise StorageError(why)


def strangers(path: Path) -> list[str]:
    """Return the names of the files in a folder that making a campaign there does not leave."""
    names = {file.name: file for file in sorted(path.iterdir())}
    patterns = [f"{JOURNAL}*", WEIGHTS, CATALOGUE, LOCK, TELL_LOCK]
    if LOCK in names or TELL_LOCK in names:  # without them the file may be the user's own
        patterns.append(f"{PRETRAINED}*")
    return [name for name, file in names.items() if not any(map(file.match, patterns))]
