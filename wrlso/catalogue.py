"""A list of objects to choose from, with their names, in little memory."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from wrlso.exceptions import DataError, DataTypeError

__all__ = ["Catalogue", "Texts"]

_UTF8 = {"encoding": "utf-8", "errors": "surrogatepass"}


class Texts(Sequence[str]):
    """Many texts as one array of bytes, which may lie in a file that is mapped into memory.

    Parameters
    ----------
    data : ndarray of uint8, (all,)
        Their UTF-8, one after the other.
    ends : ndarray of int64, (n + 1,)
        Where each begins, and the end.

    Examples
    --------
    >>> texts = Texts.of(["CCO", "CCN", "c1ccccc1"])
    >>> len(texts), texts[2]
    (3, 'c1ccccc1')
    """

    def __init__(self, data: NDArray[np.uint8], ends: NDArray[np.int64]) -> None:
        self.data = data
        self.ends = ends

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Texts":
        """Pack texts."""
        packed = [text.encode(**_UTF8) for text in texts]
        ends = np.cumsum([0, *map(len, packed)], dtype=np.int64)
        return cls(np.frombuffer(bytearray().join(packed), dtype=np.uint8), ends)

    def __len__(self) -> int:
        """Return the number of texts."""
        return len(self.ends) - 1

    def __getitem__(self, row: Any) -> Any:
        """Return one text, or the texts of a slice as a list."""
        if isinstance(row, slice):
            return [self[i] for i in range(*row.indices(len(self)))]
        row = range(len(self))[row]
        return self.data[self.ends[row] : self.ends[row + 1]].tobytes().decode(**_UTF8)


class Catalogue(Sequence[Any]):
    """Objects that can be had, and what they are called: the ``candidates`` of an optimizer.

    Parameters
    ----------
    X : sequence of n objects, or ndarray (n, ...)
        Objects that the model reads. Texts are packed; an array is kept as it is, and must not change.
    names : sequence of n str, default=None
        Such as catalogue numbers. None: without names.

    Raises
    ------
    DataError, DataTypeError
        When X is empty or no sequence, or names are no texts or of another number.

    Examples
    --------
    >>> catalogue = Catalogue(["CCO", "CCN"], names=["V-101", "V-102"])
    >>> len(catalogue), catalogue[1], catalogue.name(1)
    (2, 'CCN', 'V-102')
    """

    def __init__(self, X: Sequence[Any] | np.ndarray, names: Sequence[str] | None = None) -> None:
        self.X = _packed(X)
        self.names: Texts | None = None if names is None else _packed_names(names, len(self.X))
        self._digest: str | None = None

    @classmethod
    def of(cls, candidates: Any) -> "Catalogue":
        """Return the candidates as a catalogue."""
        return candidates if isinstance(candidates, Catalogue) else cls(candidates)

    @staticmethod
    def check(candidates: Any) -> None:
        """Raise DataError or DataTypeError for what is no list of objects; takes no time."""
        several = hasattr(candidates, "__len__") and getattr(candidates, "ndim", 1) > 0
        if isinstance(candidates, str | bytes | dict | set) or not several:
            raise DataTypeError(
                "candidates must be a list, an array or a wrlso.Catalogue of objects, got "
                f"{type(candidates).__name__}"
            )
        if hasattr(candidates, "columns"):
            raise DataTypeError(
                f"candidates must be a list or an array of objects, got a table ({type(candidates).__name__}"
                "): give one of its columns, and another as names of a wrlso.Catalogue"
            )
        if len(candidates) == 0:
            raise DataError("candidates must hold at least one object, got none")

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.X)

    def __getitem__(self, row: Any) -> Any:
        """Return an object, or those of a slice."""
        return self.X[row]

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return itself: nothing changes a catalogue."""
        return self

    def __repr__(self) -> str:
        """Say how many objects there are."""
        return f"<Catalogue of {len(self):,} objects>"

    def take(self, rows: Iterable[int]) -> Sequence[Any] | np.ndarray:
        """Return the objects of some rows."""
        if isinstance(self.X, np.ndarray):
            return self.X[np.fromiter(rows, dtype=np.int64)]
        return [self.X[int(row)] for row in rows]

    def name(self, row: int) -> str:
        """Return the name of a row; blank without one."""
        return "" if self.names is None else str(self.names[row])

    def names_of(self, X: Iterable[Any]) -> dict[Any, str]:
        """Return the names of some texts that are candidates, by text."""
        if self.names is None or not isinstance(self.X, Texts):
            return {}
        wanted = {x for x in X if isinstance(x, str)}
        return {x: self.name(row) for row, x in reversed(list(enumerate(self.X))) if x in wanted}

    @property
    def digest(self) -> str | None:
        """Checksum of objects and names; None for objects that are neither texts nor numbers."""
        fields = self.fields()
        if fields is None:
            return None
        if self._digest is None:
            sha = hashlib.sha256()
            for name, array in sorted(fields.items()):
                sha.update(f"{name} {array.dtype.str} {array.shape}".encode())
                sha.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
            self._digest = sha.hexdigest()
        return self._digest

    def fields(self) -> dict[str, np.ndarray] | None:
        """Return all of it as arrays by name, for a file; None where that is not possible."""
        if isinstance(self.X, Texts):
            found: dict[str, np.ndarray] = {"x": self.X.data, "x_ends": self.X.ends}
        elif isinstance(self.X, np.ndarray) and self.X.dtype.kind in "buif":
            found = {"x": self.X}
        else:
            return None
        if isinstance(self.names, Texts):
            found |= {"names": self.names.data, "names_ends": self.names.ends}
        return found

    @classmethod
    def from_fields(cls, fields: Mapping[str, np.ndarray]) -> "Catalogue":
        """Return the catalogue of which :meth:`fields` were."""
        X = Texts(fields["x"], fields["x_ends"]) if "x_ends" in fields else fields["x"]
        names = Texts(fields["names"], fields["names_ends"]) if "names" in fields else None
        return cls(X, names)


def _packed(X: Any) -> Sequence[Any] | np.ndarray:
    Catalogue.check(X)
    if isinstance(X, Tensor):
        X = X.detach().cpu().numpy()
    if isinstance(X, Texts) or (isinstance(X, np.ndarray) and X.dtype.kind in "buif"):
        return X
    rows = list(X)
    return Texts.of(rows) if all(isinstance(x, str) for x in rows) else rows


def _packed_names(names: Any, n: int) -> Texts:
    if isinstance(names, str) or not hasattr(names, "__len__"):
        raise DataTypeError(f"names must be a sequence of texts, got {names!r:.80}")
    if len(names) != n:
        raise DataError(f"names must be as many as the objects, {n}, got {len(names)}")
    return names if isinstance(names, Texts) else Texts.of(map(str, names))
