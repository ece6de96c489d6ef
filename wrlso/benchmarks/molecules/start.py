"""Starting molecules of a study, read once and kept on disk, and a model that has already read them.

Reading a quarter of a million SMILES takes minutes, and hundreds of runs share them. So their tokens are kept
in :func:`wrlso.datasets.cache_folder`, beside their scores. "Tokens" are the numbers of a model's rows:
SELFIES tokens, or the numbers of a junction tree.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wrlso._chemistry.smiles import parse
from wrlso._utils.cache import content_hash, keep_lines, kept_lines
from wrlso._utils.progress_bar import ProgressBar
from wrlso.benchmarks.records import file_name
from wrlso.datasets.molecules import canonical_smiles, score
from wrlso.exceptions import DataError, ParameterError
from wrlso.models.files import molecule_model_class
from wrlso.models.junction_tree.vae import JunctionTreeVAE
from wrlso.models.molecules.base import SHIPPED, MoleculeVAE
from wrlso.models.protocol import Objects
from wrlso.models.selfies.vae import SelfiesVAE
from wrlso.models.tokens.base import read_header
from wrlso.tasks.molecules.tasks import QED, GuacaMol, PenalizedLogP

__all__ = [
    "KnownMolecules",
    "Shape",
    "Start",
    "make_task",
    "model_file",
    "prepared_model",
    "shapes",
    "start",
]

Values = NDArray[np.float64]

_CHUNK = 500
_ROW = 12  # numbers in a junction tree's row for each token (chains take 10)


@dataclass(frozen=True)
class Shape:
    """The molecules that a search may propose: bounded in size, without larger rings than the data's.

    To fingerprints of small neighbourhoods a large ring looks like a good long chain, but it scores far less.

    Parameters
    ----------
    max_heavy_atoms : int or None
        None: any size.
    max_ring : int or None
        Atoms of the largest ring; None: any.
    """

    max_heavy_atoms: int | None
    max_ring: int | None

    def __call__(self, x: Any) -> bool:
        """Return whether x is such a molecule."""
        found = _shape(x)
        return found is not None and self.allows(*found)

    def allows(self, heavy_atoms: float, largest_ring: float) -> bool:
        """Return whether a search may propose a molecule of this shape."""
        return (self.max_heavy_atoms is None or heavy_atoms <= self.max_heavy_atoms) and (
            self.max_ring is None or largest_ring <= self.max_ring
        )


def _shape(x: Any) -> tuple[int, int] | None:
    """Return heavy atoms and the atoms of the largest ring, None for an invalid SMILES."""
    molecule = parse(x)
    if molecule is None:
        return None
    rings = molecule.GetRingInfo().AtomRings()
    return molecule.GetNumHeavyAtoms(), max(map(len, rings), default=0)


def _packed_shape(x: Any) -> float:
    found = _shape(x)
    return float("nan") if found is None else 1000.0 * found[0] + found[1]


def shapes(X: Sequence[str]) -> tuple[Values, Values]:
    """Return heavy atoms (n,) and atoms of the largest rings (n,) of n molecules; many are cached."""
    packed = score(_packed_shape, X, n_jobs=1, cache="shapes-1" if len(X) > _CHUNK else False, progress=False)
    heavy_atoms = np.floor(packed / 1000.0)
    return heavy_atoms, packed - 1000.0 * heavy_atoms


def make_task(objective: str, data: str, n_start: int | None = None) -> Any:
    """Return the task of an objective, "penalized-logp", "qed" or one of GuacaMol's, without a cap."""
    kinds = {"penalized-logp": PenalizedLogP, "qed": QED}
    if objective in kinds:
        return kinds[objective](data=data, n_start=n_start)
    return GuacaMol(objective.replace("-", "_"), data=data, n_start=n_start)


@dataclass(frozen=True)
class Start:
    """Starting data of one seed.

    Attributes
    ----------
    X : tuple of n str
        Canonical SMILES that the model can read.
    y : ndarray (n,) float64
    known : KnownMolecules
        Their tokens.
    n_left_out : int
        Molecules of the data that are too large or that the model cannot read.
    """

    X: tuple[str, ...]
    y: Values
    known: "KnownMolecules"
    n_left_out: int


def start(
    objective: str,
    data: str,
    n_start: int | None,
    max_heavy_atoms: int | None,
    max_tokens: int,
    stereo: bool,
    seed: int,
    file: str | None = None,
) -> Start:
    """Return the starting data of a seed, the same for all methods; scores and tokens are kept on disk.

    ``file`` holds the model that reads them; None: the model that ships. Without ``stereo`` only the first of
    the molecules that differ only in stereochemistry is kept.
    """
    content = None if file is None else file_name(file)  # a file's content may change
    return _start(objective, data, n_start, max_heavy_atoms, max_tokens, stereo, seed, file, content)


@lru_cache(maxsize=2)
def _start(
    objective: str,
    data: str,
    n_start: int | None,
    max_heavy_atoms: int | None,
    max_tokens: int,
    stereo: bool,
    seed: int,
    file: str | None,
    content: str | None,
) -> Start:
    model = prepared_model(None, max_tokens, stereo, file)
    X, y = make_task(objective, data, n_start).initial_data(seed)
    if not stereo:
        first: dict[str, int] = {}
        for row, x in enumerate(canonical_smiles(X, stereo=False)):
            if x is not None:
                first.setdefault(x, row)
        X, y = list(first), y[list(first.values())]
    tokens = _tokens(X, model)
    fits = np.array([len(row) > 0 for row in tokens])
    if not fits.any():
        raise DataError(f"none of the {len(X)} molecules of {data} can be read by the model")
    if max_heavy_atoms is not None:
        fits &= shapes(X)[0] <= max_heavy_atoms
    rows = np.flatnonzero(fits)
    if not len(rows):
        raise DataError(f"none of the {len(X)} molecules of {data} has at most {max_heavy_atoms} heavy atoms")
    kept = tuple(X[i] for i in rows)
    known = KnownMolecules(kept, [tokens[i] for i in rows])
    return Start(kept, y[rows], known, len(X) - len(rows))


class KnownMolecules:
    """Molecules with known tokens; copies of a model share this object.

    Parameters
    ----------
    X : sequence of n str
        Canonical SMILES.
    tokens : sequence of n bytes
        Their rows' numbers without the zeros at the end.
    """

    def __init__(self, X: Sequence[str], tokens: Sequence[bytes]) -> None:
        self.rows = {x: row for row, x in enumerate(X)}
        self.tokens = list(tokens)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def tensor(self, X: Sequence[str], like: Tensor) -> Tensor | None:
        """Return the rows of m molecules, of the length and type of ``like`` (0, length); None if unknown."""
        rows = [self.rows.get(x, -1) for x in X]
        if min(rows, default=-1) < 0:
            return None
        length, dtype = like.shape[1], like.numpy().dtype
        padded = b"".join(self.tokens[row].ljust(length * dtype.itemsize, b"\0") for row in rows)
        return torch.from_numpy(np.frombuffer(padded, dtype).reshape(-1, length).copy())


class _Prepared(MoleculeVAE):
    """A mixin before a model's class: the model has already read the starting molecules."""

    known: KnownMolecules | None = None

    def tensorize(self, X: Objects) -> Tensor:
        """Return the rows of n SMILES."""
        read = super().tensorize  # type: ignore[safe-super]  # of the model
        found = None if self.known is None else self.known.tensor(list(X), read([]))
        return read(X) if found is None else found

    def key(self, x: str) -> str:
        """Return the canonical SMILES."""
        if self.known is not None and x in self.known.rows:
            return x
        return super().key(x)  # type: ignore[safe-super]


class _PreparedSelfies(_Prepared, SelfiesVAE):
    pass


class _PreparedTrees(_Prepared, JunctionTreeVAE):
    pass


def model_file(name: str | None) -> str | None:
    """Return the file of a model, given the name of one that ships or a path; None: the default one."""
    if name is None or name == "selfies":
        return None
    path = SHIPPED.get(name, Path(name))
    if not path.is_file():
        raise ParameterError(f"model must be one of {', '.join(SHIPPED)}, or a file, got {name!r}")
    return str(path)


def prepared_model(
    known: KnownMolecules | None, max_tokens: int, stereo: bool, file: str | None = None
) -> MoleculeVAE:
    """Return the model that ships, or that of a file, with these molecules already read."""
    model: Any
    if file is None:
        model = _PreparedSelfies.pretrained(max_tokens=max_tokens, stereo=stereo)
    elif molecule_model_class(file) is SelfiesVAE:
        model = _PreparedSelfies.from_file(file, max_tokens=max_tokens, stereo=stereo)
    else:
        sizes = read_header(Path(file))["parameters"]
        model = _PreparedTrees.from_file(
            file,
            max_length=max(sizes["max_length"], _ROW * max_tokens),
            max_cliques=max(sizes["max_cliques"], max_tokens),
        )
        model.max_tokens = max_tokens
    if model.stereo != stereo:
        raise ParameterError(f"stereo must be {model.stereo} for the model in {file}, got {stereo}")
    model.known = known
    prepared: MoleculeVAE = model
    return prepared


def _tokens(X: Sequence[str], model: MoleculeVAE) -> list[bytes]:
    """Return the row of each molecule without zeros at its end, empty for an unreadable molecule."""
    what = [*model.vocabulary, str(model.max_tokens)]
    if not isinstance(model, SelfiesVAE):
        what += [type(model).__name__, json.dumps(model._parameters_to_keep(), sort_keys=True)]
    key = f"tokens-1-{content_hash(what)}-{content_hash(X)}"
    lines = kept_lines(key, len(X))
    if lines is None:
        # trees are read by several processes and cached for the whole list; SELFIES are read one by one
        chunk = max(1, len(X)) if isinstance(model, JunctionTreeVAE) else _CHUNK
        lines = []
        few = len(X) < 2 * chunk
        for first in ProgressBar(range(0, len(X), chunk), desc="reading molecules", disable=few):
            rows, readable = model.tensorize_readable(X[first : first + chunk])
            found = (row.numpy().tobytes().rstrip(b"\0").hex() for row in rows)
            lines += [next(found) if there else "" for there in readable]
        keep_lines(key, lines)
    return [bytes.fromhex(line) for line in lines]
