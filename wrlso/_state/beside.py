"""Training beside a search that goes on: how it is given up, and how its result takes effect."""

import threading
from dataclasses import dataclass

from torch import Tensor

from wrlso._state.learned import Core
from wrlso.history import History, RowSubset

__all__ = ["StoppableRows", "TrainingStopped", "swap_in"]


class TrainingStopped(Exception):
    """Somebody asked that a training be given up."""


@dataclass(frozen=True)
class StoppableRows(RowSubset):
    """Rows that raise :class:`TrainingStopped` once an event is set: training ends at its next minibatch."""

    stop: threading.Event | None = None

    def __getitem__(self, index: Tensor) -> Tensor:
        """Return the rows at int64 indices (m,) into the subset."""
        if self.stop is not None and self.stop.is_set():
            raise TrainingStopped
        return super().__getitem__(index)


def swap_in(trained: Core, seen: History, core: Core, history: History) -> Core | None:
    """Return the present core with a model trained meanwhile; None where that came too late.

    Parameters
    ----------
    trained : Core
        A draft of an earlier core, with its model trained on ``seen``.
    core, history
        What is current now: others may have asked since, which counts on, or trained, which wins.
    """
    if history.uid != seen.uid or core.n_trainings >= trained.n_trainings:
        return None
    draft = core.draft()
    draft.take_training(trained)
    return draft
