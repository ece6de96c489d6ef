"""The data D: every object given, asked for or told, with its values, its status and its tensor.

Each object has one record, however often it is told; the model's ``key(x)`` identifies it. The history is
plain bookkeeping: the optimizer checks all input before it changes the history.
"""

import uuid
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:  # a history of which only records and events are read needs no torch
    from torch import Tensor

__all__ = ["Event", "EventKind", "History", "Record", "Status", "TensorRows", "iso_time"]

Status = Literal["observed", "failed", "pending", "unlabelled", "released"]
_STATUSES: tuple[Status, ...] = ("observed", "failed", "pending", "unlabelled", "released")
EventKind = Literal["start", "tell", "update", "ask", "release", "search", "train"]


class Event(NamedTuple):
    """One event; objects and events in their order make up a history.

    Attributes
    ----------
    kind : str
        "start" and "tell" (a value, or None for a failed experiment), "update" (a correction), "ask",
        "release", "search" (the record of one ask) or "train".
    row : int
        The event's record; -1 for "search" and "train".
    value : float or None
        In the user's sign.
    time : int
        Microseconds since 1970, UTC.
    data : object
        For "update" the earlier values; for "ask" z (d,), the surrogate's prediction, the source of the
        candidate and the probability that its experiment succeeds; campaigns of before lack the last two, and
        others the last one while nothing has failed; for "search" the
        :class:`wrlso.acquisition.AskRecord`; for "train" the log; for the "tell" of a failure its reason,
        or None.
    """

    kind: EventKind
    row: int
    value: float | None
    time: int
    data: Any = None


@lru_cache(maxsize=64)
def iso_time(microseconds: int) -> str:
    """Return a time as text: ISO 8601, UTC."""
    seconds, rest = divmod(microseconds, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest).isoformat()


@dataclass(slots=True)
class Record:
    """One object and its history.

    Attributes
    ----------
    x : object
        The object as given or decoded.
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
        The latent point from which ask decoded x.
    prediction : (float, float) or None
        The surrogate's mean and standard deviation (noise included) at the time of the ask, in the user's
        sign; None for points that were not asked or asked without a surrogate.
    source : str
        Where the candidate came from at the last ask, such as "near" or "mutate"; empty: not said.
    success : float or None
        The probability of a successful experiment at the last ask; None: not said.
    n_failures : int
        Number of failed experiments on x.
    reason : str or None
        Reason of the last failure, if it was told.
    revisions : list of list of float
        The values before each correction.
    asked_at, told_at : str or None
        Time of the last ask, and of the last tell or update: ISO 8601, UTC.
    """

    x: Any
    key: Hashable
    status: Status
    values: list[float] = field(default_factory=list)
    asked: bool = False
    z: np.ndarray | None = None
    prediction: tuple[float, float] | None = None
    source: str = ""
    success: float | None = None
    n_failures: int = 0
    reason: str | None = None
    revisions: list[list[float]] = field(default_factory=list)
    asked_at: str | None = None
    told_at: str | None = None


class TensorRows:
    """The tensors of all records, row by row: the first block as given, later rows in a second block.

    The first block is never copied, because starting data may take a gigabyte.
    """

    def __init__(self) -> None:
        self._head: Tensor | None = None
        self._tail: Tensor | None = None
        self._n_tail = 0

    def __len__(self) -> int:
        """Return the number of rows."""
        return (0 if self._head is None else len(self._head)) + self._n_tail

    def append(self, rows: "Tensor") -> None:
        """Add rows (m, ...) at the end."""
        if self._head is None:
            self._head = rows
            return
        import torch

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

    def __getitem__(self, rows: "Tensor") -> "Tensor":
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
    """Some rows of :class:`TensorRows`, indexed from 0: the trainer's data."""

    data: TensorRows
    rows: "Tensor"

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    def __getitem__(self, index: "Tensor") -> "Tensor":
        """Return the rows at int64 indices (m,) into the subset."""
        return self.data[self.rows[index]]


class History:
    """All records in the order in which they first appeared.

    Two methods change it: :meth:`add` adds objects, :meth:`apply` applies an event. So the same objects and
    events in the same order give the same history.

    Attributes
    ----------
    records : list of Record
        One entry an object.
    inputs : TensorRows
        Row i is the tensor of ``records[i]``.
    events : list of Event
        All events in order.
    asked : list of int
        The row of each "ask" event, in order.
    asks : list
        One :class:`wrlso.acquisition.AskRecord` for each ask.
    trainings : list of dict
        One entry a training: number of distinct values, per-epoch log, seconds, and the reconstruction of
        the best points before and after.
    n_start : int
        Number of observed points before the first training.
    revision : int
        Number of changes of earlier values: replicates and corrections.
    uid : str
        Identity of this history.
    """

    def __init__(self) -> None:
        self.uid = uuid.uuid4().hex
        self.records: list[Record] = []
        self.inputs = TensorRows()
        self.events: list[Event] = []
        self.asked: list[int] = []
        self.asks: list[Any] = []
        self.trainings: list[dict[str, Any]] = []
        self.n_start = 0
        self.revision = 0
        self._row_of: dict[Hashable, int] = {}
        self._status = np.empty(64, dtype=np.uint8)  # of every record, an index into _STATUSES
        self._position = np.empty(64, dtype=np.int64)  # of an observed record among the observed
        self._observed = np.empty(64, dtype=np.int64)  # rows in the order of their first value
        self._y = np.empty(64)  # their values
        self._n_observed = 0

    def __len__(self) -> int:
        """Return the number of records."""
        return len(self.records)

    def __iter__(self) -> Iterator[Record]:
        """Iterate over the records."""
        return iter(self.records)

    def row(self, key: Hashable) -> int | None:
        """Return the row of a key, the first where there are more; None when it has never been seen."""
        return self._row_of.get(key)

    def status(self, key: Hashable) -> Status | None:
        """Return the status of a key, None for a new key."""
        row = self._row_of.get(key)
        return None if row is None else self.records[row].status

    @property
    def n_observed(self) -> int:
        """Number of distinct points with a value."""
        return self._n_observed

    @property
    def n_at_training(self) -> int:
        """Number of distinct points with a value at the last training; 0 before the first."""
        return int(self.trainings[-1]["n_observed"]) if self.trainings else 0

    @property
    def observed_rows(self) -> np.ndarray:
        """Rows (n,) int64 of the points with a value, in the order of their first value."""
        return self._observed[: self._n_observed].copy()

    @property
    def y(self) -> np.ndarray:
        """Their values (n,) float64: means over replicates, in the user's sign."""
        return self._y[: self._n_observed].copy()

    def rows_with(self, *statuses: Status) -> np.ndarray:
        """Return the rows (m,) int64 that have one of these statuses."""
        wanted = [_STATUSES.index(status) for status in statuses]
        return np.flatnonzero(np.isin(self._status[: len(self.records)], wanted)).astype(np.int64)

    def add(self, X: Sequence[Any], keys: Sequence[Hashable], inputs: "Tensor | None") -> None:
        """Add new, distinct objects as unlabelled records.

        ``inputs`` (n, ...) is the tensor made of them, None for a history that is only looked at. Two stored
        objects may have come to have one key: both are kept, and the key finds the first.
        """
        first = len(self.records)
        self._status = _grown(self._status, first + len(X))
        self._position = _grown(self._position, first + len(X))
        self._status[first : first + len(X)] = _STATUSES.index("unlabelled")
        for row, (x, key) in enumerate(zip(X, keys, strict=True), start=first):
            self._row_of.setdefault(key, row)
            self.records.append(Record(x, key, "unlabelled"))
        if inputs is not None:
            self.inputs.append(inputs)

    def apply(self, event: Event) -> None:
        """Apply one event."""
        kind, row, value, time, data = event
        if kind in ("start", "tell"):
            if value is None:
                self._fail(row, data)
            else:
                self._observe(row, value)
            self.records[row].told_at = iso_time(time)
        elif kind == "update":
            self._correct(row, value)
            self.records[row].told_at = iso_time(time)
        elif kind == "ask":
            record = self.records[row]
            record.asked, record.asked_at = True, iso_time(time)
            record.z, record.prediction, *more = data
            record.source = more[0] if more else ""
            record.success = more[1] if len(more) > 1 else None
            self.asked.append(row)
            self._set_status(row, "pending")
        elif kind == "release":
            self._set_status(row, "released")
        elif kind == "search":
            self.asks.append(data)
        else:
            self.trainings.append(data)
        if not self.trainings:
            self.n_start = self._n_observed
        self.events.append(event)

    def _set_status(self, row: int, status: Status) -> None:
        self.records[row].status = status
        self._status[row] = _STATUSES.index(status)

    def _observe(self, row: int, value: float) -> None:
        record = self.records[row]
        record.values.append(value)
        if record.status != "observed":
            self._append_observed(row, value)
            return
        self.revision += 1
        self._y[self._position[row]] = float(np.mean(record.values))

    def _fail(self, row: int, reason: str | None) -> None:
        record = self.records[row]
        record.n_failures += 1
        record.reason = reason
        if record.status != "observed":  # a record that has values keeps them
            self._set_status(row, "failed")

    def _correct(self, row: int, value: float | None) -> None:
        """Replace a record's values by one value, or by a failure (None); the old ones become a revision."""
        self.revision += 1
        record = self.records[row]
        record.revisions.append(record.values)
        record.values = [] if value is None else [value]
        if record.status == "observed" and value is not None:
            self._y[self._position[row]] = value
        elif value is not None:
            self._append_observed(row, value)
        else:
            if record.status == "observed":
                self._remove_observed(row)
            self._set_status(row, "failed")

    def _append_observed(self, row: int, value: float) -> None:
        n = self._n_observed
        self._y, self._observed = _grown(self._y, n + 1), _grown(self._observed, n + 1)
        self._y[n], self._observed[n], self._position[row] = value, row, n
        self._n_observed += 1
        self._set_status(row, "observed")

    def _remove_observed(self, row: int) -> None:
        position, last = self._position[row], self._n_observed - 1
        self._y[position:last] = self._y[position + 1 : last + 1]
        self._observed[position:last] = self._observed[position + 1 : last + 1]
        self._position[self._observed[position:last]] -= 1
        self._n_observed = last


def _grown(array: np.ndarray, size: int) -> np.ndarray:
    """Return the array with room for ``size`` entries; growing at least doubles it."""
    if size <= len(array):
        return array
    grown = np.empty(max(size, 2 * len(array)), dtype=array.dtype)
    grown[: len(array)] = array
    return grown
