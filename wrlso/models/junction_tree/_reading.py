"""Reading molecules as rows of numbers: in parallel, kept on disk, with an error for each problem.

The files hold the labels and not their numbers. So one pass over a data set serves its vocabulary, every
model with this vocabulary, and models that are extended later.
"""

import base64
import zlib
from collections.abc import Container, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from wrlso._chemistry.smiles import SALTS, canonical, listed_smiles, optional_module, read_molecule
from wrlso._utils.cache import content_hash, keep_lines, kept_lines
from wrlso._utils.progress_bar import ProgressBar
from wrlso._utils.validation import check_choice
from wrlso.exceptions import DataError
from wrlso.models.junction_tree._batches import MAX_ATOMS, Row, pack
from wrlso.models.junction_tree._stereo import with_stereo
from wrlso.models.junction_tree._trees import decompose, recompose
from wrlso.models.protocol import Objects

__all__ = ["TreeReading", "read_tree", "read_trees", "readable"]

_REMEMBERED = 2**16  # molecules kept in memory, about 2 kB each
_MANY = 5_000  # from this number on, several processes read molecules and the result is kept on disk
_BLOCK = 500
_VERSION, _STEREO = "trees-1", "isomers-2"  # versions of the kept files, and of their isomers
_PROBLEM = "! "  # begins the line of an unreadable molecule; no SMILES begins so


class TreeReading(NamedTuple):
    """The result for one molecule: canonical SMILES, its cliques' labels and its row, or the problem."""

    smiles: str
    labels: tuple[str, ...]
    packed: bytes
    problem: str | None

    @property
    def row(self) -> Row:
        """The row of numbers; a label is its place in ``labels``."""
        return np.frombuffer(self.packed, dtype="<i2").astype(np.int16)

    def problem_for(self, vocabulary: Container[str], max_length: int) -> str | None:
        """Why a model with this vocabulary and length of rows cannot read it; None where it can."""
        if self.problem is not None:
            return self.problem
        missing = [label for label in self.labels if label not in vocabulary]
        if missing:
            return (
                f"{self.smiles!r:.80} holds {missing[0]}, which is not in the vocabulary; extend(X) adds it"
            )
        n = len(self.packed) // 2
        if n > max_length:
            return f"{self.smiles!r:.80} takes {n} numbers, more than max_length={max_length} allows"
        return None


@lru_cache(maxsize=_REMEMBERED)
def read_tree(smiles: str, salts: str, stereo: bool = False) -> TreeReading:
    """Read one SMILES; ``problem`` says why it cannot be read."""
    try:
        spelling = read_molecule(smiles, stereo=stereo, salts=salts)  # type: ignore[arg-type]
        if stereo:
            return _specified(spelling)
        tree, graph = decompose(spelling)
        if len(graph.atoms) > MAX_ATOMS:
            raise DataError(f"{spelling!r:.80} has {len(graph.atoms)} atoms, more than {MAX_ATOMS}")
        again, choices = recompose(tree)
        if again != spelling:
            raise DataError(f"{spelling!r:.80} cannot be rebuilt from its rings and bonds")
        row = pack(tree, graph, choices)
    except (DataError, ValueError) as error:
        return TreeReading("", (), b"", str(error))
    return TreeReading(spelling, tree.labels, row.astype("<i2").tobytes(), None)


def _specified(spelling: str) -> TreeReading:
    """Return the reading of the flat molecule, with stereochemistry added to its row."""
    flat = read_tree(canonical(spelling, stereo=False) or "", "refuse")
    if flat.problem is not None:
        return flat
    row = with_stereo(flat.row, spelling, flat.smiles)
    return TreeReading(spelling, flat.labels, row.astype("<i2").tobytes(), None)


def read_trees(
    X: Objects,
    salts: str,
    stereo: bool = False,
    *,
    n_jobs: int = -1,
    cache: bool = True,
    progress: bool = False,
) -> list[TreeReading]:
    """Read n SMILES; many are read in parallel and kept in :func:`wrlso.datasets.cache_folder`.

    Raises DataTypeError when X is not a sequence of SMILES, and ParameterError for unknown ``salts``.
    """
    check_choice("salts", salts, SALTS)
    listed = listed_smiles(X)
    if len(listed) < _MANY:
        return _read_block(listed, salts, stereo)
    order = sorted(range(len(listed)), key=listed.__getitem__)  # one file for every order of X
    in_order = [listed[row] for row in order]
    lines = kept_lines(_key(in_order, salts, stereo), len(in_order)) if cache else None
    if lines is None:
        found = _read_many(in_order, salts, stereo, n_jobs, progress)
        if cache:
            _keep(in_order, found, salts, stereo)
    else:
        found = [_from_line(line) for line in lines]
    readings = dict(zip(order, found, strict=True))
    return [readings[row] for row in range(len(listed))]


def _read_many(X: list[str], salts: str, stereo: bool, n_jobs: int, progress: bool) -> list[TreeReading]:
    blocks = [X[start : start + _BLOCK] for start in range(0, len(X), _BLOCK)]
    readings: list[TreeReading] = []
    with ProgressBar(total=len(X), desc="trees", unit="mol", disable=not progress) as bar:
        for part in _in_parallel(blocks, salts, stereo, n_jobs):
            readings += part
            bar.update(len(part))
    return readings


def readable(X: Sequence[str], salts: str, stereo: bool = False, *, progress: bool = False) -> list[str]:
    """Return the readable SMILES among n, and keep the result for this shorter list, too."""
    readings = read_trees(X, salts, stereo, progress=progress)
    found = {x: reading for x, reading in zip(X, readings, strict=True) if reading.problem is None}
    taken = [x for x in X if x in found]
    if _MANY <= len(taken) < len(X):
        in_order = sorted(taken)
        _keep(in_order, [found[x] for x in in_order], salts, stereo)
    return taken


def _key(X: Sequence[str], salts: str, stereo: bool) -> str:
    """Return the key of sorted molecules in the cache."""
    what = [_VERSION, optional_module("rdkit").__version__, salts, *([_STEREO] if stereo else [])]
    return content_hash([*what, *X])


def _keep(X: Sequence[str], readings: Sequence[TreeReading], salts: str, stereo: bool) -> None:
    keep_lines(_key(X, salts, stereo), [_to_line(reading) for reading in readings])


def _in_parallel(
    blocks: Sequence[list[str]], salts: str, stereo: bool, n_jobs: int
) -> Iterable[list[TreeReading]] | Iterator[list[TreeReading]]:
    if n_jobs == 1:
        return (_read_block(block, salts, stereo) for block in blocks)
    from joblib import Parallel, delayed

    found: Iterator[list[TreeReading]] = Parallel(n_jobs=n_jobs, return_as="generator")(
        delayed(_read_block)(block, salts, stereo) for block in blocks
    )
    return found


def _read_block(X: Sequence[str], salts: str, stereo: bool) -> list[TreeReading]:
    return [read_tree(x, salts, stereo) for x in X]


def _to_line(reading: TreeReading) -> str:
    if reading.problem is not None:
        return _PROBLEM + " ".join(reading.problem.splitlines())
    data = base64.b85encode(zlib.compress(reading.packed, 9)).decode()
    return " ".join([reading.smiles, data, *reading.labels])


def _from_line(line: str) -> TreeReading:
    if line.startswith(_PROBLEM):
        return TreeReading("", (), b"", line.removeprefix(_PROBLEM))
    smiles, data, *labels = line.split(" ")
    return TreeReading(smiles, tuple(labels), zlib.decompress(base64.b85decode(data)), None)
