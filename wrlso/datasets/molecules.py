"""Molecules to start from, and scoring many of them: fetched, checked, parallel, kept on disk.

Glossary: X list of molecules (SMILES), y (n,) their scores.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch

from wrlso._chemistry.smiles import canonical, optional_module
from wrlso._utils.cache import cache_folder, content_hash, keep_lines, keep_values, kept_lines, kept_values
from wrlso._utils.progress_bar import ProgressBar
from wrlso._utils.validation import check_jobs
from wrlso.datasets.downloads import TextFile, find_text
from wrlso.datasets.molecule_table import read_molecule_table
from wrlso.exceptions import DataError, DataTypeError

__all__ = ["cache_folder", "canonical_smiles", "fetch_zinc250k", "load_molecules", "score"]

Values = NDArray[np.float64]
Result = TypeVar("Result")

_ZINC250K = TextFile(
    name="zinc250k.smi",
    sha256="df0aa677c770f15c9943684d6600cba8e7076c67be6a090c12f24da3aaa55b70",
    url="https://raw.githubusercontent.com/wenhao-gao/mol_opt/main/data/zinc.txt.gz",
    about="249,455 molecules",
)
_SHIPPED = Path(__file__).parents[1] / "data" / "molecules.csv.xz"
_CHUNK = 500  # molecules of one parallel task: about a second
_FEW = 2 * _CHUNK  # starting workers would take longer than scoring these


def fetch_zinc250k(data_home: str | Path | None = None) -> list[str]:
    """Return the 249,455 drug-like molecules of ZINC250k.

    A file ``zinc250k.smi`` or ``zinc250k.smi.xz`` is looked for in ``data_home``, in the folder that the
    variable ``WRLSO_DATA`` names, and among earlier downloads. When there is none, a public copy is
    downloaded, to ``data_home`` if it is given, else to :func:`cache_folder`. The content is always checked.

    Parameters
    ----------
    data_home : str or Path, optional
        Folder of the file.

    Returns
    -------
    list of 249,455 str
        SMILES, all of single molecules, in the order of the file.

    Raises
    ------
    DataError
        When the file that was found or downloaded is not the one expected, or when it cannot be downloaded.

    References
    ----------
    Irwin et al., "ZINC: A Free Tool to Discover Chemistry for Biology", 2012; the selection is that of
    Gómez-Bombarelli et al., "Automatic Chemical Design", 2018.
    """
    return find_text(_ZINC250K, data_home, cache_folder() / "datasets").split()


def load_molecules(path: str | Path | None = None) -> Bunch:
    """Read a table of molecules and their properties, as :mod:`wrlso.benchmarks.molecules.data` writes it.

    Parameters
    ----------
    path : str or Path, optional
        A ``.csv`` or ``.csv.xz`` file whose first line names the columns, ``smiles`` among them. None: the
        molecules that come with the package.

    Returns
    -------
    Bunch
        ``smiles``, a list of n str, and every other column as an ndarray of shape (n,), float64.

    Raises
    ------
    DataError
        When the file cannot be read, has no column ``smiles``, or a row does not fit; names file and row.
    """
    return Bunch(**read_molecule_table(_SHIPPED if path is None else Path(path)))


def score(
    objective: Callable[[Any], float | None],
    X: Sequence[Any],
    *,
    n_jobs: int | None = -1,
    cache: str | bool = True,
    progress: bool = True,
) -> Values:
    """Return the objective's value of every x, computed in parallel and remembered on disk.

    Parameters
    ----------
    objective : callable
        x -> float; None and NaN say that it failed.
    X : sequence of n objects
    n_jobs : int or None, default=-1
        Number of processes, -1: one per core, None: one. Up to 1000 objects are scored in this process.
    cache : str or bool, default=True
        A name under which the values are kept in :func:`cache_folder`, and found again for the same X; it
        should say the objective and its version. True: the objective's own ``cache_key``; nothing is kept
        when it has none. False: nothing is kept. Objects that are not str are never kept.
    progress : bool, default=True
        Whether to show a progress bar, when more than 1000 objects are scored.

    Returns
    -------
    ndarray of shape (n,), float64
        NaN where the objective failed.

    Raises
    ------
    DataTypeError
        When the objective returns neither a number nor None; names the row.
    DataError
        When it returns infinity; names the row.
    ParameterError, ParameterTypeError
        When ``n_jobs`` is impossible.

    Examples
    --------
    >>> score(len, ["CC", "CCO"], cache=False)
    array([2., 3.])
    """
    check_jobs(n_jobs, none="one process")
    key = _cache_key(objective, X, cache)
    if key is not None and (kept := kept_values(key, len(X))) is not None:
        return kept
    parts = _in_chunks(partial(_score_rows, objective), X, n_jobs, "scoring" if progress else None)
    values = np.concatenate([np.empty(0), *parts])
    if key is not None:
        keep_values(key, values)
    return values


def canonical_smiles(
    X: Sequence[str],
    *,
    stereo: bool = True,
    n_jobs: int | None = -1,
    cache: bool = True,
    progress: bool = True,
) -> list[str | None]:
    """Return the canonical SMILES of molecules, None for invalid SMILES; parallel, remembered like scores.

    Parameters
    ----------
    X : sequence of n str
    stereo : bool, default=True
        Whether stereochemistry is kept.
    n_jobs, cache, progress
        As for :func:`score`.

    Returns
    -------
    list of n str or None

    Raises
    ------
    ParameterError, ParameterTypeError
        When ``n_jobs`` is impossible.
    """
    check_jobs(n_jobs, none="one process")
    name = f"canonical-2-{'stereo' if stereo else 'flat'}-rdkit{_rdkit_version()}" if cache else False
    key = _cache_key(canonical, X, name)
    if key is not None and (kept := kept_lines(key, len(X))) is not None:
        return [line or None for line in kept]
    parts = _in_chunks(
        partial(_spell_rows, bool(stereo)), X, n_jobs, "canonical SMILES" if progress else None
    )
    spellings = [spelling for part in parts for spelling in part]
    if key is not None:
        keep_lines(key, [spelling or "" for spelling in spellings])
    return spellings


def _rdkit_version() -> str:
    version: str = optional_module("rdkit").__version__
    return version


def _cache_key(objective: Any, X: Sequence[Any], cache: str | bool) -> str | None:
    """Return the name under which results are kept, None to keep none."""
    if not isinstance(cache, str | bool):
        raise DataTypeError(f"cache must be a name, True or False, got {cache!r}")
    name = getattr(objective, "cache_key", None) if cache is True else cache
    if not name or not all(isinstance(x, str) for x in X):
        return None
    return f"{name}-{content_hash(X)}"


def _in_chunks(
    work: Callable[[int, Sequence[Any]], Result], X: Sequence[Any], n_jobs: int | None, bar: str | None
) -> list[Result]:
    """Return the results of ``work`` for pieces of X, in order; it also gets the first row's number."""
    pieces = [(start, X[start : start + _CHUNK]) for start in range(0, len(X), _CHUNK)]
    results: Iterator[Result]
    if n_jobs in (None, 1) or len(X) <= _FEW:
        results = (work(start, rows) for start, rows in pieces)
    else:
        from joblib import Parallel, delayed

        results = Parallel(n_jobs=n_jobs, return_as="generator")(
            delayed(work)(start, rows) for start, rows in pieces
        )
    done = []
    with ProgressBar(total=len(X), desc=bar, unit="mol", disable=bar is None or len(X) <= _FEW) as shown:
        for (_, rows), result in zip(pieces, results, strict=True):
            done.append(result)
            shown.update(len(rows))
    return done


def _spell_rows(stereo: bool, start: int, rows: Sequence[str]) -> list[str | None]:
    return [canonical(x, stereo) for x in rows]


def _score_rows(objective: Callable[[Any], float | None], start: int, rows: Sequence[Any]) -> Values:
    values = np.empty(len(rows))
    for i, x in enumerate(rows):
        try:
            value = objective(x)
        except Exception as error:
            error.add_note(f"the objective raised this for row {start + i}, {x!r:.100}")
            raise
        try:
            values[i] = np.nan if value is None else float(value)
        except (TypeError, ValueError) as error:
            raise DataTypeError(
                f"the objective must return a number, or None or NaN when it failed; "
                f"for row {start + i}, {x!r:.100}, it returned {value!r:.100}"
            ) from error
        if np.isinf(values[i]):
            raise DataError(
                f"the objective must be finite, or None or NaN when it failed; "
                f"for row {start + i}, {x!r:.100}, it returned {values[i]}"
            )
    return values
