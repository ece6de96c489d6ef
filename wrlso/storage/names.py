"""The names of the files in the folder of a campaign."""

from pathlib import Path

__all__ = [
    "CATALOGUE",
    "JOURNAL",
    "LOCK",
    "NEW_JOURNAL",
    "PRETRAINED",
    "TELL_LOCK",
    "WEIGHTS",
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
    return (path / JOURNAL).exists()


def strangers(path: Path) -> list[str]:
    """Return the names of the files in a folder that making a campaign there does not leave."""
    names = {file.name: file for file in sorted(path.iterdir())}
    patterns = [f"{JOURNAL}*", WEIGHTS, CATALOGUE, LOCK, TELL_LOCK]
    if LOCK in names or TELL_LOCK in names:  # without them the file may be the user's own
        patterns.append(f"{PRETRAINED}*")
    return [name for name, file in names.items() if not any(map(file.match, patterns))]
