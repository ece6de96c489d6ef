"""Which molecules of a campaign hold a substructure."""

from collections.abc import Iterable
from typing import Any

from wrlso.exceptions import DataError
from wrlso.history import History

__all__ = ["holding"]

_LENGTH = 500  # characters of a pattern


def holding(history: History, rows: Iterable[int], smarts: str) -> list[int]:
    """Return those of the rows whose molecules hold a substructure, given as SMARTS (SMILES often do).

    Raises
    ------
    DataError
        When it is no SMARTS.
    ModuleNotFoundError
        When RDKit is not installed (the extra ``molecules``).
    """
    from wrlso._chemistry.smiles import optional_module, parse

    with optional_module("rdkit.rdBase").BlockLogs():
        pattern: Any = optional_module("rdkit.Chem").MolFromSmarts(smarts) if smarts.strip() else None
    if pattern is None or len(smarts) > _LENGTH:
        raise DataError(f"a substructure must be a SMARTS, such as c1ccccc1 or C(=O)N, got {smarts!r:.60}")
    found = []
    for row in rows:
        x = history.records[row].x
        molecule = parse(x) if isinstance(x, str) else None
        if molecule is not None and molecule.HasSubstructMatch(pattern):
            found.append(row)
    return found
