"""From written trees to molecules: bounded search over attachments, one network call for all molecules.

Building always ends: a tree has at most ``max_cliques`` cliques, an attachment at most ``max_candidates``
candidates, a molecule ``max_backtracks`` dead ends and ``max_seconds`` of time. A molecule that exceeds a
bound is None, with the bound's name as the reason.
"""

import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from wrlso.models.junction_tree._assembly import Assembly, Attachment
from wrlso.models.junction_tree._batches import ChoiceBatch, TreeBatch, tree_columns
from wrlso.models.junction_tree._templates import template

__all__ = ["Bounds", "Building", "Preference", "build_all", "fits_around", "tree_batch"]

_MOST_TRIALS = 50  # attachments tried in the check of a clique's neighbours

Preference = Callable[[Tensor, Tensor], Tensor]  # scores (c,) and their choices (c,) to keys, best largest


class Bounds(NamedTuple):
    """Bounds on the decoding of a molecule."""

    max_cliques: int
    max_candidates: int
    max_backtracks: int
    max_isomers: int
    max_seconds: float
    label_tries: int


@lru_cache(maxsize=2**17)
def fits_around(label: str, neighbours: tuple[str, ...]) -> bool:
    """Whether cliques with these labels can all be attached to one clique.

    Also False when a bounded search finds no way.
    """
    trials, fresh = 0, template(label)
    if len(neighbours) > max(8, len(fresh.types) + len(fresh.bonds)):
        return False  # more neighbours than places

    def extend(assembly: Assembly, k: int) -> bool:
        nonlocal trials
        if k == len(neighbours):
            return True
        for candidate in assembly.candidates(0, neighbours[k]):
            trials += 1
            if trials > _MOST_TRIALS:
                return False
            longer = Assembly(label)
            for name, attachment in zip(neighbours, assembly.attachments[1:], strict=False):
                if attachment is not None:
                    longer.attach(0, name, attachment)
            longer.attach(0, neighbours[k], candidate)
            if extend(longer, k + 1):
                return True
        return False

    return extend(Assembly(label), 0)


class Building:
    """One molecule while it is built from a tree of labels."""

    def __init__(self, labels: Sequence[str], parents: Sequence[int], bounds: Bounds) -> None:
        self.labels, self.parents, self.bounds = labels, parents, bounds
        self.assembly = Assembly(labels[0])
        self.reason: str | None = None
        self.candidates: list[Attachment] = []
        self._open: list[tuple[int, list[Attachment]]] = []  # choices with untried candidates, best last
        self._n_backtracks, self._seconds = 0, 0.0

    @property
    def next(self) -> int:
        """Number of the next clique."""
        return len(self.assembly.labels)

    def advance(self) -> bool:
        """Move to the next choice; return False when the molecule is complete or ``reason`` is set."""
        started = time.monotonic()
        while self.reason is None and self.next < len(self.labels):
            k = self.next
            candidates = self.assembly.candidates(self.parents[k], self.labels[k])
            if self._seconds + time.monotonic() - started > self.bounds.max_seconds:
                self.reason = "max_seconds"
            elif len(candidates) > self.bounds.max_candidates:
                self.reason = "max_candidates"
            elif not candidates:
                self._go_back()
            elif len(candidates) == 1:
                self.assembly.attach(self.parents[k], self.labels[k], candidates[0])
            else:
                self.candidates = candidates
                break
        self._seconds += time.monotonic() - started
        return self.reason is None and self.next < len(self.labels)

    def choose(self, order: Sequence[int]) -> None:
        """Attach the first of the candidates in this order, and keep the others for backtracking."""
        k = self.next
        left = [self.candidates[i] for i in reversed(order)]
        best = left.pop()
        self._open.append((k, left))
        self.assembly.attach(self.parents[k], self.labels[k], best)

    def _go_back(self) -> None:
        """Undo the last choice with an untried candidate, and attach that."""
        while self._open and not self._open[-1][1]:
            self._open.pop()
        self._n_backtracks += 1
        if not self._open or self._n_backtracks > self.bounds.max_backtracks:
            self.reason = "max_backtracks" if self._open else "no attachment"
            return
        k, left = self._open[-1]
        made = self.assembly.attachments[1:k]
        self.assembly = Assembly(self.labels[0])
        for number, attachment in enumerate([*made, left.pop()], start=1):
            if attachment is not None:
                self.assembly.attach(self.parents[number], self.labels[number], attachment)


def tree_batch(labels: Sequence[Sequence[int]], parents: Sequence[Sequence[int]]) -> TreeBatch:
    """Return trees, as label numbers and parents in depth-first order, side by side."""
    first, columns = 0, []
    for row, (names, above) in enumerate(zip(labels, parents, strict=True)):
        shape = zip(*tree_columns(above), strict=True)
        for k, (name, parent, (depth, size, height)) in enumerate(zip(names, above, shape, strict=True)):
            columns.append((row, name, first + parent if parent >= 0 else -1, depth, size, height, k))
        first += len(names)
    numbers = torch.tensor(columns, dtype=torch.int64).reshape(-1, 7)
    return TreeBatch(len(labels), *numbers.unbind(1))


def build_all(
    buildings: Sequence[Building],
    numbers: dict[str, int],
    score: Callable[[ChoiceBatch], Tensor],
    prefer: Preference,
) -> None:
    """Complete all buildings.

    ``score`` returns the scores (c,) of a batch's candidates, on the CPU; molecule i is building i.
    """
    first, total = [], 0
    for building in buildings:
        first.append(total)
        total += len(building.labels)
    open_ = list(enumerate(buildings))
    while open_ := [(row, building) for row, building in open_ if building.advance()]:
        batch = _choices(open_, first, total, numbers)
        keys = prefer(score(batch), batch.of)
        counts = torch.bincount(batch.of, minlength=len(open_)).tolist()
        for (_, building), part in zip(open_, keys.split(counts), strict=True):
            building.choose(part.argsort(descending=True, stable=True).tolist())


def _choices(
    open_: Sequence[tuple[int, Building]], first: Sequence[int], total: int, numbers: dict[str, int]
) -> ChoiceBatch:
    choices, of, parents, children = [], [], [], []
    hanging_of, hanging_places, hanging_message = [], [], []
    for s, (row, building) in enumerate(open_):
        k = building.next
        parent, made = building.parents[k], building.assembly.attachments
        labels = building.labels
        choices.append((row, numbers[labels[parent]], numbers[labels[k]], first[row] + k))
        for candidate in building.candidates:
            of.append(s)
            parents.append(_two(candidate.parent))
            children.append(_two(candidate.child))
        own = made[parent]
        hanging = [(first[row] + j, one.parent) for j, one in enumerate(made)
                   if one is not None and building.parents[j] == parent]  # fmt: skip
        if own is not None:
            hanging.append((total + first[row] + parent, own.child))
        for message, places in hanging:
            hanging_of.append(s)
            hanging_places.append(_two(places))
            hanging_message.append(message)
    molecules, above, below, cliques = torch.tensor(choices).unbind(1)
    nothing = torch.full((len(choices),), -1)
    return ChoiceBatch(
        molecules, above, below, cliques, nothing, _numbers(of), _pairs(parents), _pairs(children),
        _numbers(hanging_of), _pairs(hanging_places), _numbers(hanging_message),
    )  # fmt: skip


def _numbers(values: Sequence[int]) -> Tensor:
    return torch.tensor(values, dtype=torch.int64)


def _pairs(values: Sequence[tuple[int, int]]) -> Tensor:
    return torch.tensor(values, dtype=torch.int64).reshape(-1, 2)


def _two(places: Sequence[int]) -> tuple[int, int]:
    return places[0], places[-1]
