"""The point of which most is expected: under noise the largest measurement is a lucky one."""

import threading

import numpy as np
import torch

from wrlso._state.learned import Learned
from wrlso._state.merits import best_position, standing
from wrlso._state.observed import values_of
from wrlso._state.settings import Settings, acquisition_of
from wrlso.history import History
from wrlso.outcomes import aims_of

__all__ = ["recommended_row"]

_FEWEST = 5  # values of a process


def recommended_row(settings: Settings, learned: Learned, history: History, lock: threading.RLock) -> int:
    """Return the row of the point with the largest mean of the process, among those that keep the limits.

    It has seen all values, as in the next ask. With too few values, or a search without a process, it is the
    point with the best value.

    Raises
    ------
    NotFittedError
        Where there is no best value.
    ParameterError
        For several goals.
    """
    aims = aims_of(settings.outcomes, settings.direction)
    with lock:  # another thread may tell meanwhile
        stands = standing(history, aims)
        best = int(stands.rows[best_position(history, aims)])
        values = values_of(history, *aims.goals[0])
    if len(values.rows) < _FEWEST or not acquisition_of(settings).uses_surrogate:
        return best
    draft = learned.draft()
    rows, _ = draft.refresh(history, values, settings.surrogate, settings.refit_every, fit=True)
    allowed = rows[np.isin(rows, stands.rows[stands.satisfies])]
    surrogate = draft.fitted.surrogate
    if surrogate is None or not len(allowed):
        return best
    with torch.no_grad():
        mean, _ = surrogate.predict(draft.points(surrogate, history, allowed))
    return int(allowed[int(mean.argmax())])
