"""The rings and bonds of a data set's molecules."""

from collections.abc import Iterable, Sequence

from wrlso._chemistry.smiles import canonical, refuse_rows
from wrlso._utils.cache import content_hash
from wrlso._utils.validation import check_jobs
from wrlso.exceptions import ParameterError, ParameterTypeError
from wrlso.models.junction_tree._reading import read_trees
from wrlso.models.junction_tree._templates import AtomType, label_of, template

__all__ = ["clique_vocabulary", "vocabulary_hash"]

_CARBON = AtomType(6, 0, 0)
_MOST = 2**15 - 1  # most labels that int16 can number


def clique_vocabulary(
    X: Sequence[str],
    *,
    salts: str = "refuse",
    n_jobs: int = -1,
    cache: bool = True,
    progress: bool = True,
) -> list[str]:
    """Return the labels of all cliques of some molecules, sorted.

    Parameters
    ----------
    X : sequence of n str
        SMILES; stereochemistry is dropped.
    salts : {"refuse", "largest", "neutral"}, default="refuse"
        For a SMILES of several fragments: refuse it, or take the largest fragment, or this without charges.
    n_jobs : int, default=-1
        Number of processes for 5,000 molecules and more (joblib's; -1: one per core).
    cache : bool, default=True
        Whether to keep the result in :func:`wrlso.datasets.cache_folder` and to reuse it.
    progress : bool, default=True
        Whether to show a progress bar, for 5,000 molecules and more.

    Returns
    -------
    list of str
        Canonical SMILES of rings, of bonds outside rings, and of single atoms where three cliques meet.

    Raises
    ------
    DataError, DataTypeError
        For molecules that cannot be read; the error names row and problem of up to five.
    ParameterError, ParameterTypeError
        When ``salts`` or ``n_jobs`` is invalid.

    References
    ----------
    Jin, Barzilay, Jaakkola, "Junction Tree Variational Autoencoder for Molecular Graph Generation", ICML
    2018.

    Examples
    --------
    >>> clique_vocabulary(["CC(=O)Oc1ccccc1C(=O)O"])
    ['C', 'C=O', 'CC', 'CO', 'c1ccccc1']
    """
    check_jobs(n_jobs)
    readings = read_trees(X, salts, n_jobs=n_jobs, cache=cache, progress=progress)
    refuse_rows([f"row {row}: {r.problem}" for row, r in enumerate(readings) if r.problem is not None])
    return sorted({label for reading in readings for label in reading.labels})


def vocabulary_hash(vocabulary: Iterable[str]) -> str:
    """Return 32 hexadecimal digits that identify these labels in this order."""
    return content_hash(vocabulary)


def checked_vocabulary(vocabulary: Sequence[str]) -> list[str]:
    """Return the labels in the spelling of this RDKit, from any version's spelling.

    Raises ParameterError for invalid or repeated labels, and for more labels than rows can number.
    """
    ordered = isinstance(vocabulary, Sequence) and not isinstance(vocabulary, str | bytes)
    if not ordered or not all(isinstance(label, str) for label in vocabulary):
        raise ParameterTypeError(f"vocabulary must be a sequence of labels, got {vocabulary!r:.80}")
    if len(vocabulary) > _MOST:
        raise ParameterError(f"vocabulary must hold at most {_MOST} labels, got {len(vocabulary)}")
    try:
        labels = [_as_read(label) for label in vocabulary]
    except ValueError as error:
        raise ParameterError(f"vocabulary must hold labels of cliques: {error}") from None
    if not labels or len(set(labels)) < len(labels):
        raise ParameterError(
            f"vocabulary must hold distinct labels, got {len(labels)}, of them {len(set(labels))} distinct"
        )
    return labels


def _as_read(label: str) -> str:
    """Return the label that reading a molecule gives this clique; raise ValueError for an invalid label."""
    found = template(label)
    if len(found.bonds) == len(found.types) and set(found.types) == {_CARBON}:
        # a label in Kekulé's form may be aromatic; for other atoms this depends on their neighbours
        aromatic = canonical(label) or ""
        if "c" in aromatic:
            return aromatic
    return label_of(found.types, found.bonds)[0]
