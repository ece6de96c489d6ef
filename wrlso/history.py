"""D: every object that was given, asked for or told, with its values, its status and its tensor.

One object is one record, whatever number of times it is told: identity is the model's ``key(x)``. The
history is plain bookkeeping; what may be told is checked by the optimizer before anything changes here.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

__all__ = ["History", "Record", "Status", "TensorRows"]

Status = Literal["observed", "failed", "pending", "unlabelled", "released"]


@dataclass(slots=True)
class Record:
    """One object and all that is known of it.

    Attributes
    ----------
    x : object
        As it was given or decoded.
    key : hashable
        Its identity.
    status : str
        "observed" (has a value), "failed" (told None or NaN), "pending" (asked and not yet told),
        "unlabelled" (given without a value) or "released" (asked, then forgotten).
    values : list of float
        All replicates in the user's sign; the value of the point is their mean.
    asked : bool
        Whether the optimizer proposed it.
    z : ndarray (d,) or None
        The latent point that was asked, before decoding.
    prediction : (float, float) or None
        Mean and standard deviation, noise included, that the surrogate expected when the point was asked, in
        the user's sign; None where it was not asked or no surrogate took part.
    n_failures : int
        How often an experiment on it failed.
    revisions : list of list of float
        The values before each correction.
    """

    x: Any
    key: Hashable
    status: Status
    values: list[float] = field(default_factory=list)
    asked: bool = False
    z: np.ndarray | None = None
    prediction: tuple[float, float] | None = None
    n_failures: int = 0
    revisions: list[list[float]] = field(default_factory=list)


class TensorRows:
    """The tensors of all records, row by row: the first block is kept as it came, later rows grow behind it.

    Not copying the first block matters when the starting data is a gigabyte.
    """

    def __init__(self) -> None:
        self._head: Tensor | None = None
        self._tail: Tensor | None = None
        self._n_tail = 0

    def __len__(self) -> int:
        """Return the number of rows."""
        return (0 if self._head is None else len(self._head)) + self._n_tail

    def append(self, rows: Tensor) -> None:
        """Add rows (m, ...) at the end."""
        if self._head is None:
            self._head = rows
            return
        dtype = torch.promote_types(self._head.dtype, rows.dtype)
        if dtype != self._head.dtype:
            self._head = self._head.to(dtype)
        if self._tail is None or self._n_tail + len(rows) > len(self._tail) or self._tail.dtype != dtype:
            grown = rows.new_empty((max(64, 2 * (self._n_tail + len(rows))), *rows.shape[1:]), dtype=dtype)
            if self._tail is not None:
                grown[: self._n_tail] = self._tail[: self._n_tail]
            self._tail = grown
        self._tail[self._n_tail : self._n_tail + len(rows)] = rows
        self._n_tail += len(rows)

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Return the rows at int64 indices (m,)."""
        if self._head is None:
            raise IndexError("no rows yet")
        if self._tail is None:
            return self._head[rows]
        n_head = len(self._head)
        in_head = rows < n_head
        if bool(in_head.all()):
            return self._head[rows]
        out = self._head.new_empty((len(rows), *self._head.shape[1:]))
        out[in_head] = self._head[rows[in_head]]
        out[~in_head] = self._tail[rows[~in_head] - n_head]
        return out


@dataclass(frozen=True)
class RowSubset:
    """Some rows of :class:`TensorRows`, indexed from 0: what the trainer sees of the data."""

    data: TensorRows
    rows: Tensor

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    def __getitem__(self, index: Tensor) -> Tensor:
        """Return the rows at int64 indices (m,) into the subset."""
        return self.data[self.rows[index]]


class History:
    """All records in the order in which they first appeared.

    Attributes
    ----------
    records : list of Record
        One entry an object.
    inputs : TensorRows
        Row i is the tensor of ``records[i]``.
    asks : list
        One :class:`wrlso.acquisition.AskRecord` for each ask.
    trainings : list of dict
        One entry a training: number of distinct values seen, per-epoch log, seconds, and how faithfully the
        best points were reconstructed before and after.
    n_start : int
        Number of observed points that were there before the first training.
    revision : int
        Counts the changes of values that were there before: replicates and corrections.
    """

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.inputs = TensorRows()
        self.asks: list[Any] = []
        self.trainings: list[dict[str, Any]] = []
        self.n_start = 0
        self.revision = 0
        self._row_of: dict[Hashable, int] = {}
        self._observed: list[int] = []  # rows in the order of their first value
        self._y = np.empty(64)  # their values, grown by doubling

    def __len__(self) -> int:
        """Return the number of records."""
        return len(self.records)

    def __iter__(self) -> Iterator[Record]:
        """Iterate over the records."""
        return iter(self.records)

    def row(self, key: Hashable) -> int | None:
        """Return the row of a key, or None when it has never been seen."""
        return self._row_of.get(key)

    def status(self, key: Hashable) -> Status | None:
        """Return the status of a key, or None when it has never been seen."""
        row = self._row_of.get(key)
        return None if row is None else self.records[row].status

    @property
    def n_observed(self) -> int:
        """Number of distinct points with a value."""
        return len(self._observed)

    @property
    def observed_rows(self) -> np.ndarray:
        """Rows (n,) int64 of the points with a value, in the order of their first value."""
        return np.array(self._observed, dtype=np.int64)

    @property
    def y(self) -> np.ndarray:
        """Their values (n,) float64: means over replicates, in the user's sign."""
        return self._y[: len(self._observed)].copy()

    def rows_with(self, *statuses: Status) -> np.ndarray:
        """Return the rows (m,) int64 that have one of these statuses."""
        return np.array([i for i, r in enumerate(self.records) if r.status in statuses], dtype=np.int64)

    def add(self, X: Sequence[Any], keys: Sequence[Hashable], inputs: Tensor) -> None:
        """Add new objects, distinct and never seen before, as unlabelled records."""
        for x, key in zip(X, keys, strict=True):
            self._row_of[key] = len(self.records)
            self.records.append(Record(x, key, "unlabelled"))
        self.inputs.append(inputs)

    def mark_pending(
        self, row: int, z: np.ndarray | None = None, prediction: tuple[float, float] | None = None
    ) -> None:
        """Note that the optimizer proposed this record, and what it expected."""
        record = self.records[row]
        record.status, record.asked, record.z, record.prediction = "pending", True, z, prediction

    def mark_released(self, row: int) -> None:
        """Forget that a record is pending."""
        self.records[row].status = "released"

    def observe(self, row: int, value: float) -> bool:
        """Add a replicate; return whether it is the record's first value."""
        record = self.records[row]
        record.values.append(value)
        if record.status != "observed":
            record.status = "observed"
            self._append_observed(row, value)
            return True
        self.revision += 1
        self._y[self._observed.index(row)] = float(np.mean(record.values))
        return False

    def fail(self, row: int) -> None:
        """Note a failed experiment; a record that has values keeps them."""
        record = self.records[row]
        record.n_failures += 1
        if record.status != "observed":
            record.status = "failed"

    def correct(self, row: int, value: float | None) -> None:
        """Replace all values of a record by one, or by a failure (None); the old ones become a revision."""
        self.revision += 1
        record = self.records[row]
        record.revisions.append(record.values)
        if record.status == "observed":
            position = self._observed.index(row)
            if value is not None:
                record.values = [value]
                self._y[position] = value
                return
            self._y[position : len(self._observed) - 1] = self._y[position + 1 : len(self._observed)]
            self._observed.pop(position)
        if value is None:
            record.values, record.status = [], "failed"
        else:
            record.values, record.status = [value], "observed"
            self._append_observed(row, value)

    def _append_observed(self, row: int, value: float) -> None:
        if len(self._observed) == len(self._y):
            self._y = np.concatenate([self._y, np.empty_like(self._y)])
        self._y[len(self._observed)] = value
        self._observed.append(row)
