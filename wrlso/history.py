"""The data D: every object given, asked for or told, with its values, its status and its tensor.

Each object has one record, however often it is told; the model's ``key(x)`` identifies it. The history is
plain bookkeeping: the optimizer checks all input before it changes the history.
"""

import uuid
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from wrlso.outcomes import Reading, combined

if TYPE_CHECKING:  # a history of which only records and events are read needs no torch
    from torch import Tensor

__all__ = [
    "POINT_NOTE", "Event", "EventKind", "History", "Observed", "Record", "Status", "TensorRows", "iso_time",
]  # fmt: skip

POINT_NOTE = "point "  # begins the names of former campaigns' notes on points, before their row
Status = Literal["observed", "failed", "pending", "unlabelled", "released", "rejected"]
_STATUSES: tuple[Status, ...] = ("observed", "failed", "pending", "unlabelled", "released", "rejected")
EventKind = Literal["start", "tell", "update", "ask", "release", "note", "search", "train", "outcomes"]
Readings = Mapping[str, Reading]  # of one experiment: by outcome, "" for the one number without a name


class Event(NamedTuple):
    """One event; objects and events in their order make up a history.

    Attributes
    ----------
    kind : str
        "start" and "tell" (a value, readings, or None for a failed experiment), "update" (a correction),
        "ask", "release", "note", "search" (the record of one ask), "train" or "outcomes" (units that became
        known).
    row : int
        The event's record; -1 for "search", "train" and "outcomes".
    value : float or None
        In the user's sign; None for readings of outcomes that have names, and for bounds.
    time : int
        Microseconds since 1970, UTC.
    data : object
        For "release" the reason, or None; for "note" its text. For "start" and "tell": None for a plain
        value; the reason of a failure, or None; else a dict of outcome to the fields of its
        :class:`wrlso.outcomes.Reading`, None where it was not measured. For "update" the earlier values; or,
        unless all are plain and no "reason" was given, a dict with such dicts: what is "now", and lists of
        what was "before". For "ask"
        z (d,), the surrogate's prediction, the source of the candidate, the probability that its experiment
        succeeds (None while none has failed), and what is expected of each outcome with a name; what is not
        known is left out at the end, as in campaigns of before. For "search" the
        :class:`wrlso.acquisition.AskRecord`; for "train" the log; for "outcomes" a dict of name to unit.

    Examples
    --------
    >>> from torch import nn
    >>> from wrlso import WeightedRetrainingOptimizer
    >>> opt = WeightedRetrainingOptimizer(nn.Linear(4, 4), nn.Linear(2, 4))
    >>> opt = opt.tell([[0, 1, 0, 1], [1, 1, 0, 1]], [2.0, None])
    >>> [(event.kind, event.row, event.value) for event in opt.history_.events]
    [('tell', 0, 2.0), ('tell', 1, None)]
    """

    kind: EventKind
    row: int
    value: float | None
    time: int
    data: Any = None

    @property
    def readings(self) -> dict[str, Reading] | None:
        """What a "start", "tell" or "update" says of each outcome; None: the experiment failed."""
        if (now := self._now) is not None:
            return {outcome: Reading(*fields) for outcome, fields in now.items() if fields is not None}
        return None if self.value is None else {"": Reading(self.value)}

    @property
    def not_measured(self) -> tuple[str, ...]:
        """The outcomes of which a "start", "tell" or "update" says that they were not measured."""
        return tuple(outcome for outcome, fields in (self._now or {}).items() if fields is None)

    @property
    def reason(self) -> str | None:
        """Why a point was released, failed or corrected, where that was said."""
        said = self.data.get("reason") if isinstance(self.data, dict) else self.data
        return said if isinstance(said, str) and self.kind in ("release", "tell", "update") else None

    @property
    def _now(self) -> dict[str, Any] | None:
        now = self.data.get("now") if self.kind == "update" and isinstance(self.data, dict) else self.data
        return now if isinstance(now, dict) and self.kind in ("start", "tell", "update") else None


class Observed(NamedTuple):
    """What is known of one outcome at n points.

    Attributes
    ----------
    y : ndarray (n,) of float64
        Mean of the replicates, or the bound, in the user's sign; NaN: not measured.
    n : ndarray (n,) of int64
        Number of replicates; 0: not measured.
    sd : ndarray (n,) of float64
        Standard error of y where it was told, else NaN.
    bound : ndarray (n,) of int8
        0: exact; +1: the truth lies above y, -1: below. See :func:`wrlso.outcomes.combined`.

    Examples
    --------
    >>> observed = Observed(np.array([5.0]), np.array([3]), np.array([0.2]), np.zeros(1, dtype=np.int8))
    >>> float(observed.y[0]), int(observed.n[0])  # the mean of three replicates
    (5.0, 3)
    """

    y: np.ndarray
    n: np.ndarray
    sd: np.ndarray
    bound: np.ndarray


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
        "observed" (has a value), "failed" (told None), "pending" (asked and not yet told), "unlabelled"
        (given without a value, or corrected to none), "released" (asked, then forgotten) or "rejected"
        (released with a reason: not asked again).
    values : list of float
        All replicates in the user's sign; the value of the point is their mean. Empty where outcomes have
        names: see ``readings``.
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
    expected : dict of str to (float, float), or None
        Mean and standard deviation (noise included) of a measurement of each outcome with a name at the time
        of the last ask, in the user's sign; None: not said.
    n_failures : int
        Number of failed experiments on x.
    reason : str or None
        Reason of the last failure, if it was told, or of the last release.
    revisions : list
        The values before each correction: a list of float, or what ``readings`` was then unless all of it
        was plain values.
    asked_at, told_at : str or None
        Time of the last ask, and of the last tell or update: ISO 8601, UTC.
    details : dict or None
        Readings by outcome of those that have more than plain values; None: there are none, and ``values``
        says all.
    not_measured : tuple of str
        Outcomes that were said not to be measured, whatever was told of them since.
    done : bool
        Whether it was released when some of its outcomes had been told: nobody waits for the others.
    notes : tuple of int
        Numbers of the events that are notes on it.
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
    expected: dict[str, tuple[float, float]] | None = None
    n_failures: int = 0
    reason: str | None = None
    revisions: list[Any] = field(default_factory=list)
    asked_at: str | None = None
    told_at: str | None = None
    details: dict[str, list[Reading]] | None = None
    not_measured: tuple[str, ...] = ()
    done: bool = False
    notes: tuple[int, ...] = ()

    @property
    def readings(self) -> dict[str, list[Reading]]:
        """All readings of each outcome in the order of telling; "" is the one number without a name."""
        plain = {"": [Reading(value) for value in self.values]} if self.values else {}
        return plain | {outcome: list(told) for outcome, told in (self.details or {}).items()}

    def lacks(self, outcomes: Iterable[str]) -> list[str]:
        """Return the outcomes that are awaited: of a point that was asked for and is told in part.

        None is where a point is pending, as a whole, or has failed, and once it was released.
        """
        if self.status != "observed" or not self.asked or self.done:
            return []
        known = {*self.readings, *self.not_measured}
        return [name for name in outcomes if name not in known]

    def current(self, outcome: str = "") -> tuple[float, int, float, int] | None:
        """Return y, n, sd and bound of an outcome (:func:`wrlso.outcomes.combined`); None: not measured."""
        readings = self.readings.get(outcome)
        return combined(readings) if readings else None

    def _take(self, outcome: str, reading: Reading) -> None:
        """Add a reading."""
        is_plain = outcome == "" and reading.is_plain and not (self.details and "" in self.details)
        if not is_plain:
            if self.details is None:
                self.details = {}
            before = [Reading(value) for value in self.values] if outcome == "" else []
            self.details.setdefault(outcome, before).append(reading)
        if outcome == "" and not reading.bound:
            self.values.append(reading.value)

    def _leave_out(self, outcomes: tuple[str, ...]) -> None:
        """Note which outcomes were not measured."""
        self.not_measured += tuple(name for name in outcomes if name not in self.not_measured)


class TensorRows:
    """The tensors of all records, row by row: the first block as given, later rows in a second block.

    The first block is never copied, because starting data may take a gigabyte.

    Examples
    --------
    >>> import torch
    >>> rows = TensorRows()
    >>> rows.append(torch.eye(3))
    >>> rows.append(torch.zeros(1, 3))
    >>> len(rows), rows[torch.tensor([0, 3])]
    (4, tensor([[1., 0., 0.],
            [0., 0., 0.]]))
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


class _Column:
    """What is known of one outcome, by row; what has been told nowhere takes no room."""

    def __init__(self) -> None:
        self._y = np.empty(0)
        self._rows = np.empty(0, dtype=np.int64)
        self._n_rows = 0
        self._n = np.empty(0, dtype=np.int64)
        self._sd = np.empty(0)
        self._bound = np.empty(0, dtype=np.int8)
        self.revision = 0  # number of changes of what was known

    def put(self, row: int, y: float, n: int = 1, sd: float = np.nan, bound: int = 0) -> None:
        """Set what is known at a row."""
        if row >= len(self._y):
            self._y = _grown(self._y, row + 1, np.nan)
        if self._y[row] != self._y[row]:  # NaN
            self._rows = _appended(self._rows, self._n_rows, row)
            self._n_rows += 1
        else:
            self.revision += 1
        self._y[row] = y
        if row < len(self._n) or n != 1 or sd == sd or bound:  # rows behind these hold plain values
            self._n, self._sd = _grown(self._n, row + 1, 1), _grown(self._sd, row + 1, np.nan)
            self._bound = _grown(self._bound, row + 1, 0)
            self._n[row], self._sd[row], self._bound[row] = n, sd, bound

    def drop(self, row: int) -> None:
        """Forget what is known at a row."""
        self.put(row, np.nan)
        self._n_rows = _removed(self._rows, self._n_rows, row)

    @property
    def rows(self) -> np.ndarray:
        """Rows (n,) int64 at which something is known, in the order in which it became known."""
        return self._rows[: self._n_rows].copy()

    def at(self, rows: np.ndarray) -> Observed:
        """Return what is known at rows (n,)."""
        # one more, which stands for what lies behind
        y, n, sd, bound = (
            np.append(column, rest)[np.minimum(rows, len(column))]
            for column, rest in ((self._y, np.nan), (self._n, 1), (self._sd, np.nan), (self._bound, 0))
        )
        return Observed(y, np.where(np.isnan(y), 0, n), sd, bound.astype(np.int8))


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
        Number of changes of points that had a value: replicates, other outcomes and corrections.
    units : dict of str to str
        Unit of each outcome that was told by name.
    uid : str
        Identity of this history.

    Examples
    --------
    >>> from torch import nn
    >>> from wrlso import WeightedRetrainingOptimizer
    >>> opt = WeightedRetrainingOptimizer(nn.Linear(4, 4), nn.Linear(2, 4))
    >>> history = opt.tell([[0, 1, 0, 1], [1, 1, 0, 1]], [2.0, None]).history_
    >>> [record.status for record in history], history.y
    (['observed', 'failed'], array([2.]))
    """

    def __init__(self) -> None:
        self.uid: str = uuid.uuid4().hex
        self.records: list[Record] = []
        self.inputs: TensorRows = TensorRows()
        self.events: list[Event] = []
        self.asked: list[int] = []
        self.asks: list[Any] = []
        self.trainings: list[dict[str, Any]] = []
        self.n_start: int = 0
        self.revision: int = 0
        self._row_of: dict[Hashable, int] = {}
        self._status = np.empty(64, dtype=np.uint8)  # of every record, an index into _STATUSES
        self._observed = np.empty(64, dtype=np.int64)  # rows in the order of their first value
        self._n_observed = 0
        self._columns: dict[str, _Column] = {}
        self.units: dict[str, str] = {}

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
        """Their values (n,) float64: means of replicates, in the user's sign; NaN for outcomes by name."""
        return self.observations().y

    @property
    def outcomes(self) -> tuple[str, ...]:
        """Names of the outcomes that have a value; "" is the one number without a name."""
        return tuple(name for name, column in self._columns.items() if len(column.rows))

    def measured_rows(self, outcome: str = "") -> np.ndarray:
        """Return the rows (n,) int64 that have a value of an outcome, in the order of their first one."""
        return self._columns.get(outcome, _Column()).rows

    def revision_of(self, outcome: str = "") -> int:
        """Return the number of changes of points that had a value of an outcome: replicates, corrections."""
        # campaigns of before have counted all changes of the one number, failures of the known among them
        return self._columns[outcome].revision if outcome and outcome in self._columns else self.revision

    def observations(self, outcome: str = "", rows: np.ndarray | None = None) -> Observed:
        """Return what is known of an outcome at rows (n,) int64; None: at ``observed_rows``."""
        return self._columns.get(outcome, _Column()).at(self.observed_rows if rows is None else rows)

    def rows_with(self, *statuses: Status) -> np.ndarray:
        """Return the rows (m,) int64 that have one of these statuses."""
        wanted = [_STATUSES.index(status) for status in statuses]
        return np.flatnonzero(np.isin(self._status[: len(self.records)], wanted)).astype(np.int64)

    def awaited_rows(self, outcomes: Iterable[str]) -> np.ndarray:
        """Return the rows (m,) int64 of which results are to come: pending, or asked for and told in part.

        ``outcomes``: the names of all that an experiment measures, as ``Record.lacks`` takes them.
        """
        names = list(outcomes)
        waits = [r.status == "pending" or bool(r.asked and r.lacks(names)) for r in self.records]
        return np.flatnonzero(waits).astype(np.int64)

    def add(self, X: Sequence[Any], keys: Sequence[Hashable], inputs: "Tensor | None") -> None:
        """Add new, distinct objects as unlabelled records.

        ``inputs`` (n, ...) is the tensor made of them, None for a history that is only looked at. Two stored
        objects may have come to have one key: both are kept, and the key finds the first.
        """
        first = len(self.records)
        self._status = _grown(self._status, first + len(X))
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
            if isinstance(data, dict):
                self._measure(row, event.readings or {}, event.not_measured)
            elif value is None:
                self._fail(row, data)
            elif self.records[row].details is None:
                self._observe(row, value)
            else:
                self._measure(row, {"": Reading(value)})
            self.records[row].told_at = iso_time(time)
        elif kind == "update":
            self._correct(row, event.readings, event.not_measured, is_plain=not isinstance(data, dict))
            self.records[row].told_at = iso_time(time)
        elif kind == "ask":
            record = self.records[row]
            record.asked, record.asked_at = True, iso_time(time)
            record.z, record.prediction, *more = data
            record.source = more[0] if more else ""
            record.success = more[1] if len(more) > 1 else None
            record.expected = more[2] if len(more) > 2 else None
            self.asked.append(row)
            self._set_status(row, "pending")
        elif kind == "release":
            self._release(row, data)
        elif kind == "note":
            self.records[row].notes += (len(self.events),)
        elif kind == "search":
            self.asks.append(data)
        elif kind == "outcomes":
            self.units |= data
        else:
            self.trainings.append(data)
        if not self.trainings:
            self.n_start = self._n_observed
        self.events.append(event)

    def _set_status(self, row: int, status: Status) -> None:
        self.records[row].status = status
        self._status[row] = _STATUSES.index(status)

    def _observe(self, row: int, value: float) -> None:
        """Add a plain value: what :meth:`_measure` does, at once for a million points."""
        self._count(row)
        values = self.records[row].values
        values.append(value)
        mean = value if len(values) == 1 else float(np.mean(values))
        self._column("").put(row, mean, len(values))

    def _count(self, row: int) -> None:
        if self.records[row].status == "observed":
            self.revision += 1
        else:
            self._append_observed(row)

    def _column(self, outcome: str) -> _Column:
        column = self._columns.get(outcome)
        if column is None:
            column = self._columns[outcome] = _Column()
        return column

    def _release(self, row: int, reason: str | None) -> None:
        record = self.records[row]
        record.reason = reason
        record.done = record.status == "observed"
        if not record.done:
            self._set_status(row, "rejected" if reason else "released")

    def _measure(self, row: int, readings: Readings, not_measured: tuple[str, ...] = ()) -> None:
        record = self.records[row]
        record._leave_out(not_measured)
        if readings:  # a point of which nothing was measured stays what it is
            self._count(row)
        for outcome, reading in readings.items():
            record._take(outcome, reading)
            self._column(outcome).put(row, *combined(record.readings[outcome]))

    def _fail(self, row: int, reason: str | None) -> None:
        record = self.records[row]
        record.n_failures += 1
        record.reason = reason
        if record.status != "observed":  # a record that has values keeps them
            self._set_status(row, "failed")

    def _correct(
        self, row: int, readings: Readings | None, not_measured: tuple[str, ...], *, is_plain: bool
    ) -> None:
        """Replace what was told of some outcomes, or all by a failure (None); the old becomes a revision."""
        self.revision += 1
        record = self.records[row]
        before = record.readings
        record.revisions.append(record.values if is_plain else before)
        now = {} if readings is None else before | {name: [reading] for name, reading in readings.items()}
        now = {name: told for name, told in now.items() if name not in not_measured}
        record._leave_out(not_measured)
        record.values, record.details = [], None
        for name in before:
            if name not in now:
                self._columns[name].drop(row)
        if not now:
            if record.status == "observed":
                self._n_observed = _removed(self._observed, self._n_observed, row)
            self._set_status(row, "failed" if readings is None else "unlabelled")
        elif record.status != "observed":
            self._append_observed(row)
        for name, told in now.items():
            for reading in told:
                record._take(name, reading)
            self._column(name).put(row, *combined(told))

    def _append_observed(self, row: int) -> None:
        self._observed = _appended(self._observed, self._n_observed, row)
        self._n_observed += 1
        self._set_status(row, "observed")


def _appended(rows: np.ndarray, n: int, row: int) -> np.ndarray:
    """Return rows with one more behind the first n."""
    rows = _grown(rows, n + 1)
    rows[n] = row
    return rows


def _removed(rows: np.ndarray, n: int, row: int) -> int:
    """Take a row out of the first n, and return how many are left."""
    position = int(np.flatnonzero(rows[:n] == row)[0])
    rows[position : n - 1] = rows[position + 1 : n].copy()
    return n - 1


def _grown(array: np.ndarray, size: int, fill: float = 0) -> np.ndarray:
    """Return the array with room for ``size`` entries, new ones ``fill``; growing at least doubles it."""
    if size <= len(array):
        return array
    grown = np.full(max(size, 2 * len(array), 64), fill, dtype=array.dtype)
    grown[: len(array)] = array
    return grown
