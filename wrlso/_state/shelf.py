"""The candidates of an optimizer with all that an ask needs of them, computed once and in chunks.

A million candidates have no records in the history: an object gets one when it is asked for or told. Until
then there is its identity, a hash of the model's key, by which known objects are left out, and what the
surrogate sees of it: features, or where it lies in Z.
"""

import copy
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from typing import Any

import joblib
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from wrlso._chemistry.smiles import read_molecule
from wrlso._utils.progress_bar import ProgressBar
from wrlso.catalogue import Catalogue
from wrlso.exceptions import DataError
from wrlso.models.inference import Array, encoded, evaluating, key_of, tensorized, to_array, to_model
from wrlso.models.molecules.base import MoleculeVAE
from wrlso.surrogate.feature_gp import FeatureGP
from wrlso.surrogate.morgan import MorganCounts, morgan
from wrlso.surrogate.points import Described, Points, features_of
from wrlso.surrogate.tanimoto_gp import TanimotoGP
from wrlso.surrogate.tanimoto_screening import Counted

__all__ = ["Shelf", "hash_of_key"]

Rows = NDArray[np.int64]
Hashes = NDArray[np.uint64]

CHUNK = 4096  # objects at once
_PARALLEL = 20_000  # molecules from which on processes are worth their start
_UNREADABLE = np.uint64(0)


def hash_of_key(key: Any) -> int:
    """Return 64 bits that stand for a model's key, the same in every process."""
    text = key if isinstance(key, bytes) else repr(key).encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "little") or 1


class Shelf:
    """Candidates by row; see the module.

    Parameters
    ----------
    catalogue : Catalogue
    verbose : int
        From 1 on a progress bar is shown.
    """

    def __init__(self, catalogue: Catalogue, verbose: int = 0) -> None:
        self.catalogue = catalogue
        self.verbose = verbose
        self.keys: Hashes = np.empty(0, dtype=np.uint64)
        self.counted: Counted | None = None
        self.tag = ""  # of the model and the fingerprint that keys and counts are of
        self.kept_in: tuple[Any, str] | None = None  # the folder in which they are, and their tag then
        self._order: Rows = np.empty(0, dtype=np.int64)  # of the keys, increasing
        self._features: tuple[Any, Any] | None = None  # of a surrogate's own function
        self._seen: tuple[Any, Any] | None = None  # the model, and points by it

    def __len__(self) -> int:
        return len(self.catalogue)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Shelf":
        return copy.copy(self)  # nothing changes what was computed

    # ---------------------------------------------------------------- identities

    def identify(self, model: Any, surrogate: Any = None) -> Hashes:
        """Return the hash (n,) of each object's key, 0 where the model cannot read it.

        Counts of substructures for a process that wants them are made on the way.
        """
        fingerprint = _fingerprint_of(surrogate) if isinstance(model, MoleculeVAE) else None
        tag = _tag(model, fingerprint)
        if tag == self.tag or (fingerprint is None and self.tag.startswith(tag)):
            return self.keys
        if isinstance(model, MoleculeVAE):
            self.restore(tag, *self._molecules(model, fingerprint))
        else:
            chunks = self._chunks("candidates", lambda X: _hashes(model, X))
            self.restore(tag, np.array([key for chunk in chunks for key in chunk], dtype=np.uint64), None)
        return self.keys

    def restore(self, tag: str, keys: Hashes, counted: Counted | None) -> None:
        """Put in place what was computed of the objects with a model and a fingerprint, the tag."""
        self.tag, self.keys, self.counted = tag, keys, counted
        self._order = np.argsort(keys, kind="stable")

    def _molecules(
        self, model: MoleculeVAE, fingerprint: MorganCounts | None
    ) -> tuple[Hashes, Counted | None]:
        parts = self._chunks(
            "candidates",
            _molecules,
            type(model),
            bool(model.stereo),
            str(model.salts),
            None if fingerprint is None else fingerprint.get_params(),
        )
        keys, places, counts, sizes = (np.concatenate(each) for each in zip(*parts, strict=True))
        if fingerprint is None:
            return keys, None
        vocabulary, inverse = np.unique(places, return_inverse=True)
        ends = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        return keys, Counted(vocabulary, inverse.astype(np.int32), counts, ends)

    def _chunks(self, what: str, work: Callable[..., Any], *options: Any) -> list[Any]:
        """Return what a function makes of each chunk; molecules go to processes where there are many."""
        starts = range(0, len(self), CHUNK)
        bar = ProgressBar(total=len(self), desc=what, unit=" objects", disable=self.verbose < 1)
        several = work is _molecules and len(self) >= _PARALLEL and joblib.cpu_count() > 1
        parallel = joblib.Parallel(n_jobs=joblib.cpu_count() if several else 1, return_as="generator")
        found = []
        with bar:
            made = parallel(joblib.delayed(work)(self._objects(i), *options) for i in starts)
            for i, part in zip(starts, made, strict=True):
                found.append(part)
                bar.update(min(CHUNK, len(self) - i))
        return found

    def _objects(self, start: int) -> Sequence[Any] | np.ndarray:
        found: Sequence[Any] | np.ndarray = self.catalogue[start : start + CHUNK]
        return found

    def unreadable(self) -> Rows:
        """Return the rows that the model cannot read."""
        return np.flatnonzero(self.keys == _UNREADABLE)

    def row_of(self, key: Any) -> int | None:
        """Return the first row of an object with a key; None where there is none."""
        hashed = np.uint64(hash_of_key(key))
        place = int(np.searchsorted(self.keys, hashed, sorter=self._order))
        if place == len(self._order) or self.keys[self._order[place]] != hashed:
            return None
        return int(self._order[place])

    def open_rows(self, known: Iterable[Any]) -> Rows:
        """Return the rows (m,) that are readable, repeat no earlier row, and have none of some keys."""
        hashes = np.fromiter((hash_of_key(key) for key in known), dtype=np.uint64)
        keys = self.keys[self._order]
        first = np.ones(len(keys), dtype=bool)
        first[1:] = keys[1:] != keys[:-1]
        return np.sort(self._order[first & (keys != _UNREADABLE) & ~np.isin(keys, hashes)])

    # ---------------------------------------------------------------- what a surrogate sees

    def points(self, surrogate: Any, model: Any, rows: Rows) -> Any:
        """Return rows in the form that a surrogate takes."""
        if surrogate.space != "features":
            return self._placed(surrogate, model, rows)
        counted = self.counts_for(surrogate)
        if counted is not None:
            return Described(self.catalogue, rows, _csr(counted, rows))
        features = self._described(surrogate)
        if features is None:
            return list(self.catalogue.take(rows))
        return Described(self.catalogue, rows, features[rows])

    def _described(self, surrogate: Any) -> Any:
        """Return the features of all objects by a process's own function; None for other surrogates."""
        if not isinstance(surrogate, FeatureGP | TanimotoGP):
            return None
        own: Any = surrogate.features if isinstance(surrogate, FeatureGP) else surrogate.fingerprint
        if self._features is None or self._features[0] is not own:
            make = surrogate._features if isinstance(surrogate, FeatureGP) else surrogate._counts
            parts = self._chunks("features", make)
            if isinstance(surrogate, FeatureGP):
                whole: Any = torch.cat(parts).numpy()
            else:
                from scipy.sparse import vstack

                whole = csr_array(vstack(parts))
            self._features = (own, whole)
        return self._features[1]

    def _placed(self, surrogate: Any, model: Any, rows: Rows) -> Any:
        """Return Z, or Z and features, by this model: they move with each training."""
        if self._seen is None or self._seen[0] is not model:
            with_features = surrogate.space == "both"
            parts = self._chunks("latent points", lambda X: _seen(model, X, with_features))
            Z = np.concatenate([part[0] for part in parts])
            features = None if parts[0][1] is None else np.concatenate([part[1] for part in parts])
            self._seen = (model, (Z, features))
        Z, features = self._seen[1]
        points = torch.from_numpy(Z[rows].astype(np.float64))
        if surrogate.space == "latent":
            return points
        if features is None:
            return Points(points)
        return Points(points, torch.from_numpy(features[rows].astype(np.float64)))

    def counts_for(self, surrogate: Any) -> Counted | None:
        """Return the counts of substructures that a process looks at, where they are known."""
        fingerprint = _fingerprint_of(surrogate)
        return self.counted if fingerprint is not None and self.tag.endswith(_said(fingerprint)) else None

    def encodable(self, surrogate: Any, model: Any, rows: Rows) -> Rows:
        """Return the rows that have a latent point."""
        self._placed(surrogate, model, rows[:0])
        return rows if self._seen is None else rows[np.isfinite(self._seen[1][0][rows]).all(axis=1)]


def _fingerprint_of(surrogate: Any) -> MorganCounts | None:
    """Return the fingerprint of molecules that a process sees; None for anything else."""
    if not isinstance(surrogate, TanimotoGP):
        return None
    fingerprint = MorganCounts() if surrogate.fingerprint is None else surrogate.fingerprint
    return fingerprint if type(fingerprint) is MorganCounts else None


def _tag(model: Any, fingerprint: MorganCounts | None = None) -> str:
    """Return what keys and counts depend on, as text."""
    options = [getattr(model, name, None) for name in ("stereo", "salts")]
    text = f"{type(model).__name__} {options}"
    return text if fingerprint is None else f"{text} {_said(fingerprint)}"


def _said(fingerprint: MorganCounts) -> str:
    return str(sorted(fingerprint.get_params().items()))


def _hashes(model: Any, X: Sequence[Any] | np.ndarray) -> list[int]:
    """Return the hashes of keys, 0 where the model cannot read an object."""
    try:
        tensorized(model, X)
        return [hash_of_key(key_of(model, x)) for x in X]
    except DataError:
        if len(X) == 1:
            return [int(_UNREADABLE)]
    return [key for i in range(len(X)) for key in _hashes(model, X[i : i + 1])]


def _molecules(
    X: Sequence[str], model: type[MoleculeVAE], stereo: bool, salts: str, fingerprint: dict[str, Any] | None
) -> tuple[Hashes, Rows, NDArray[np.uint16], Rows]:
    """Return hashes of keys (n,), features and counts (all,), and how many each molecule has (n,).

    A function of its own, since processes need it.
    """
    keys = np.zeros(len(X), dtype=np.uint64)
    sizes, places, counts = np.zeros(len(X), dtype=np.int64), [], []
    for i, x in enumerate(X):
        try:
            keys[i] = hash_of_key(read_molecule(x, stereo=stereo, salts=salts))  # type: ignore[arg-type]
        except DataError:
            continue
        row = None if fingerprint is None else morgan(x, **fingerprint)
        if row is not None:
            order = np.argsort(row[0])
            sizes[i] = len(order)
            places.append(row[0][order])
            counts.append(row[1][order].astype(np.uint16))
    none = np.empty(0, dtype=np.int64)
    joined = np.concatenate([none, *places]), np.concatenate([none.astype(np.uint16), *counts])
    return keys, *joined, sizes


def _csr(counted: Counted, rows: Rows) -> csr_array:
    places, counts, ends = counted.part(rows)
    return csr_array((counts, counted.vocabulary[places], ends), shape=(len(rows), 2**32))


def _seen(model: Any, X: Any, with_features: bool) -> tuple[Array, Array | None]:
    """Return latent points (n, d), NaN where the model cannot read x, and features (n, D) where wanted."""

    def encodings(objects: Any) -> Array:
        return to_array(encoded(model, to_model(model, tensorized(model, objects), like_weights=False)))

    with evaluating(model):
        try:
            Z = encodings(X)
        except DataError:
            Z = np.full((len(X), model.latent_dim), np.nan)
            for i, x in enumerate(X):
                try:
                    Z[i] = encodings([x])
                except DataError:
                    continue
    features = features_of(model, list(X)) if with_features else None
    return _compact(Z), None if features is None else _compact(features.numpy())


def _compact(values: Array) -> np.ndarray:
    """Return float32 where it says the same."""
    single = values.astype(np.float32)
    return single if np.array_equal(single, values, equal_nan=True) else values
