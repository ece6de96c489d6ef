"""What the x of a campaign are, as far as that is known without its model: it says which files they fit."""

import re
from collections.abc import Mapping
from typing import Any, Literal

from wrlso.exceptions import ParameterError
from wrlso.history import History

__all__ = ["Contents", "check_fits", "contents_of", "file_endings"]

Contents = Literal["molecules", "sequences", "expressions", "texts", "objects"]

_OF_MODEL: dict[str, Contents] = {
    "selfies": "molecules", "junction-tree": "molecules", "expressions": "expressions",
    "protein": "sequences", "dna": "sequences", "rna": "sequences", "coding-dna": "sequences",
}  # fmt: skip
_OF_CLASS: dict[str, Contents] = {
    "SelfiesVAE": "molecules", "JunctionTreeVAE": "molecules", "SequenceVAE": "sequences",
}  # fmt: skip
_ENDINGS: dict[Contents, tuple[str, ...]] = {
    "molecules": (".csv", ".sdf"), "sequences": (".csv", ".fasta"), "expressions": (".csv",),
    "texts": (".csv", ".fasta", ".sdf"), "objects": (),
}  # fmt: skip
_FIRST = 20  # x that are looked at where the model is the user's own


def contents_of(info: Mapping[str, Any], history: History) -> Contents:
    """Return what the x of a campaign are: by the name of its model, else by the first of them.

    "texts" are those of a model of the user's own that may be molecules or sequences.
    """
    if len(history) and not isinstance(history.records[0].x, str):
        return "objects"
    name, needed = info["notes"].get("model", ""), str(info["needs"].get("model", ""))
    if name in _OF_MODEL:
        return _OF_MODEL[name]
    for kind, found in _OF_CLASS.items():
        if kind in needed:
            return found
    if name.endswith(".safetensors"):  # the shell takes files of models of molecules only
        return "molecules"
    first = [str(record.x) for record in history.records[:_FIRST]]
    return "expressions" if any(re.search(r"\s|\*\*|[+*/] ", x) for x in first) else "texts"


def file_endings(info: Mapping[str, Any], history: History) -> tuple[str, ...]:
    """Return the endings of the files that the points of a campaign fit: ".csv", ".sdf", ".fasta"."""
    return _ENDINGS[contents_of(info, history)]


def check_fits(info: Mapping[str, Any], history: History, wanted: Literal["molecules", "sequences"]) -> None:
    """Raise ParameterError where a file or a choice is for molecules or sequences, and the x are none."""
    found = contents_of(info, history)
    if found in (wanted, "texts"):
        return
    forms = {"molecules": "SDF, ", "sequences": "FASTA, "}.get(found, "")
    what = "SD files and substructures are" if wanted == "molecules" else "FASTA is"
    raise ParameterError(f"{what} for {wanted}, and this campaign holds {found}: write {forms}CSV or JSON")
