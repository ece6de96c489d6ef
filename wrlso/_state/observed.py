"""What was told of an outcome, in the form in which a surrogate takes it."""

import numpy as np

from wrlso._state.fitted import Values
from wrlso.history import History
from wrlso.outcomes import Aims
from wrlso.surrogate.observations import Observations

__all__ = ["modelled", "values_of"]


def modelled(aims: Aims) -> dict[str, float]:
    """Return the outcomes that get a process, with the sign that makes larger values better.

    What is only recorded gets none. An outcome that has a lower and an upper limit is taken as it is.
    """
    signs = {name: sign for name, sign, _ in reversed(aims.limits)} | dict(aims.goals)
    return {name: signs[name] for name in aims.names if name in signs}


def values_of(history: History, outcome: str, sign: float) -> Values:
    """Return all values of an outcome, larger is better."""
    rows = history.measured_rows(outcome)
    # a starting point whose outcome was told later is one, too
    n_start = int(np.count_nonzero(np.isin(rows, history.observed_rows[: history.n_start])))
    return Values(rows, _observations(history, outcome, rows, sign), n_start, history.revision_of(outcome))


def _observations(history: History, outcome: str, rows: np.ndarray, sign: float) -> Observations:
    seen = history.observations(outcome, rows)
    squares = np.zeros(len(rows))
    for place in np.flatnonzero((seen.n > 1) & np.isnan(seen.sd)):
        squares[place] = _squares(history, int(rows[place]), outcome, float(seen.y[place]))
    return Observations(seen.y, seen.n, seen.sd, seen.bound, squares).flipped(sign)


def _squares(history: History, row: int, outcome: str, mean: float) -> float:
    """Return the sum of squared deviations of replicates from their mean; NaN where only that was told."""
    exact = [reading for reading in history.records[row].readings[outcome] if not reading.bound]
    if any(reading.n > 1 for reading in exact):
        return float("nan")
    return float(sum((reading.value - mean) ** 2 for reading in exact))
