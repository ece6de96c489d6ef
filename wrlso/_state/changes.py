"""The changes of one call to a history: first collected and checked, then applied together."""

import time
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from wrlso._state.isomers import warn_of_isomers
from wrlso._state.merits import check_names
from wrlso._state.reading import Told
from wrlso._utils.copies import keep
from wrlso.history import Event, EventKind, History
from wrlso.models.inference import key_of, spelled, tensorized
from wrlso.models.protocol import LatentModel, Objects
from wrlso.outcomes import Aims, Reading

__all__ = ["Changes", "NewObjects"]


class NewObjects(NamedTuple):
    """New objects with their identities and their tensor (n, ...)."""

    X: Sequence[Any]
    keys: Sequence[Hashable]
    inputs: Tensor


class Changes:
    """New objects and events that :meth:`apply` adds to a history together."""

    def __init__(self, history: History, learned: Any = None) -> None:
        self.history = history
        self.learned = learned  # the learned part, when it changes too
        self.objects: list[NewObjects] = []
        self.events: list[Event] = []
        self._n_rows = len(history)
        self._new: dict[Hashable, int] = {}
        self._time = time.time_ns() // 1000

    def add(self, model: LatentModel, X: Objects) -> list[int]:
        """Return the rows of all X, with a new row for each new object.

        Raises DataError and adds nothing when the model cannot read one of them.
        """
        X = spelled(model, X)
        keys = [key_of(model, x) for x in X]
        first = self._first_of_each(keys)
        if first:
            rows = list(first.values())
            # one copy of an array: its rows are the objects, and the tensor may share its memory
            if isinstance(X, np.ndarray) and X.dtype != object:
                objects: Objects = X[rows]
            else:
                objects = [keep(X[i]) for i in rows]
            self._stage(list(first), list(objects), tensorized(model, objects).cpu())
        warn_of_isomers(model, X, keys, self.history)
        return [self._row(key) for key in keys]

    def add_start(
        self, model: LatentModel, X: Objects, values: Sequence[Told], failed: Sequence[bool]
    ) -> None:
        """Add starting data; equal objects become one point with several values as replicates."""
        X = spelled(model, X)
        inputs = tensorized(model, X).cpu()
        keys = [key_of(model, x) for x in X]
        warn_of_isomers(model, X, keys, self.history)
        first = self._first_of_each(keys)
        shared = isinstance(X, np.ndarray) and inputs.data_ptr() == X.ctypes.data
        inputs = inputs[torch.tensor(list(first.values()), dtype=torch.int64)]
        # when the tensor shares the array's memory, the objects are its rows: one copy of the data, not two
        objects = list(inputs.numpy()) if shared else [keep(X[i]) for i in first.values()]
        self._stage(list(first), objects, inputs)
        for key, value, has_failed in zip(keys, values, failed, strict=True):
            if value is not None or has_failed:
                self.tell("start", self._row(key), value)

    def expect(self, aims: Aims) -> None:
        """Take in the units of outcomes that are new; raise ParameterError where the history has others."""
        check_names(self.history, aims)
        if aims.are_named and any(self.history.units.get(name) != unit for name, unit in aims.units.items()):
            self.note("outcomes", data={**self.history.units, **aims.units})

    def tell(self, kind: EventKind, row: int, told: Told, reason: str | None = None) -> None:
        """Add a "start", "tell" or "update" with what was told of an experiment."""
        if kind == "update":
            record = self.history.records[row]
            before, are_plain = _fields_of_all(record.readings), record.details is None
            if are_plain and not isinstance(told, dict) and reason is None:
                self.note(kind, row, told, list(record.values))
            else:
                now = {} if told is None else {"now": _fields(_readings(told))}
                why = {} if reason is None else {"reason": reason}
                self.note(kind, row, _plain_value(told), now | {"before": before} | why)
        elif isinstance(told, dict):
            if told:
                self.note(kind, row, _plain_value(told), _fields(told))
        else:
            self.note(kind, row, told, reason if told is None else None)

    def note(self, kind: EventKind, row: int = -1, value: float | None = None, data: Any = None) -> None:
        """Add an event."""
        if value is not None:
            value += 0.0  # SQLite knows no negative zero
        self.events.append(Event(kind, row, value, self._time, data))

    def apply(self) -> None:
        """Add all objects and events to the history."""
        for new in self.objects:
            self.history.add(*new)
        for event in self.events:
            self.history.apply(event)

    def _first_of_each(self, keys: list[Hashable]) -> dict[Hashable, int]:
        """Return the position of the first occurrence of each new key."""
        first: dict[Hashable, int] = {}
        for i, key in enumerate(keys):
            if self.history.row(key) is None and key not in self._new:
                first.setdefault(key, i)
        return first

    def _stage(self, keys: list[Hashable], objects: list[Any], inputs: Tensor) -> None:
        self.objects.append(NewObjects(objects, keys, inputs))
        self._new |= {key: self._n_rows + i for i, key in enumerate(keys)}
        self._n_rows += len(keys)

    def _row(self, key: Hashable) -> int:
        row = self.history.row(key)
        return self._new[key] if row is None else row


def _readings(told: Told) -> Mapping[str, Reading | None]:
    return told if isinstance(told, dict) else {} if told is None else {"": Reading(told)}


def _plain_value(told: Told) -> float | None:
    """Return the number without a name, if it was told and is exact."""
    reading = _readings(told).get("")
    return None if reading is None or reading.bound else reading.value


def _fields(readings: Mapping[str, Reading | None]) -> dict[str, list[Any] | None]:
    """Return readings as they are stored."""
    return {name: None if r is None else [r.value, r.sd, r.bound, r.n] for name, r in readings.items()}


def _fields_of_all(readings: Mapping[str, Sequence[Reading]]) -> dict[str, list[list[Any]]]:
    return {name: [[r.value, r.sd, r.bound, r.n] for r in told] for name, told in readings.items()}
