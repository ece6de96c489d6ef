"""The names of the files in the folder of a campaign."""

from pathlib import Path

__all__ = ["JOURNAL", "LOCK", "PRETRAINED", "is_campaign"]

JOURNAL = "journal.sqlite"
LOCK = "work.lock"
PRETRAINED = "pretrained.safetensors"  # the copy of the model's file that the shell was given


def is_campaign(path: Path) -> bool:
    """Whether a folder holds a journal."""
    return (path / JOURNAL).exists()
