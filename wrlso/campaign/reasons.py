"""Why a point was chosen, and which known point is nearest to it, in words; read without the model."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtr

from wrlso._sequences.alphabets import are_sequences
from wrlso._state.merits import standing
from wrlso.campaign.results_table import current_reading, describe_value
from wrlso.history import History, Record
from wrlso.outcomes import Aims
from wrlso.rules.checks import similarities

__all__ = [
    "Expectation", "best_value", "expectations", "nearest_known", "percent", "said_of", "usual_seconds",
    "why_chosen",
]  # fmt: skip

FOUND = {
    "near": "the model made it from a place near good points",
    "prior": "the model drew it freely",
    "splice": "it joins blocks of good points",
    "rewrite": "it is a good point of which one part was written anew",
    "mutate": "it is a small change of a good point",
    "cross": "it joins parts of two good points",
    "supplied": "it is on the list of candidates",
}
_WIDE = 1.96  # standard deviations to each side, for 95 %
_LEAST = 1e-300  # a standard deviation by which can be divided
_FORMER = 3  # asks and trainings whose time is expected again
_MOST = 5000  # known points that a new one is compared with: the latest


def best_value(history: History, aims: Aims) -> float | None:
    """Return the best value so far that satisfies the limits; None without any, or with several goals."""
    if len(aims.goals) != 1:
        return None
    state = standing(history, aims)
    good = state.goals[state.satisfies, 0]
    return float(aims.goals[0][1] * good.max()) if len(good) else None


class Expectation(NamedTuple):
    """What was expected of one outcome of a point when it was asked for.

    Attributes
    ----------
    name : str
        Of the outcome, "" for the one number without a name.
    mean, low, high : float
        The middle, and the interval that holds 95 % of the measurements.
    chances : list of (str, float)
        Each limit in words, "at least 50", and the probability that a measurement satisfies it.
    """

    name: str
    mean: float
    low: float
    high: float
    chances: list[tuple[str, float]]

    @property
    def interval(self) -> str:
        """The middle and the interval, to two digits of the deviation: "7.57 (6.83 to 8.30)"."""
        deviation = (self.high - self.low) / (2 * _WIDE)
        if not 1e-12 < deviation < 1e12:
            return f"{self.mean:.6g} ({self.low:.6g} to {self.high:.6g})"
        digits = max(0, 1 - math.floor(math.log10(deviation)))
        return f"{self.mean:.{digits}f} ({self.low:.{digits}f} to {self.high:.{digits}f})"


def expectations(record: Record, aims: Aims) -> list[Expectation]:
    """Return what was expected of each outcome, in the order of the aims; nothing where that is not known."""
    known = dict(record.expected or {})
    if record.prediction is not None:
        known.setdefault(aims.goals[0][0], record.prediction)
    found = []
    for name in aims.names:
        if name not in known:
            continue
        mean, deviation = known[name]
        chances = [
            (
                f"{'at least' if sign > 0 else 'at most'} {limit:.10g}",
                float(ndtr(sign * (mean - limit) / max(deviation, _LEAST))),
            )
            for limited, sign, limit in aims.limits
            if limited == name
        ]
        found.append(Expectation(name, mean, mean - _WIDE * deviation, mean + _WIDE * deviation, chances))
    return found


def percent(chance: float) -> str:
    """Return a probability in words: "37 %", "less than 1 %", "more than 99 %".

    Examples
    --------
    >>> percent(0.368), percent(0.0004), percent(1.0)
    ('37 %', 'less than 1 %', 'more than 99 %')
    """
    if chance < 0.01:
        return "less than 1 %"
    return "more than 99 %" if chance > 0.99 else f"{100 * chance:.0f} %"


def why_chosen(
    record: Record, best: float | None, sign: float, unit: str = "", goals: Sequence[str] = ()
) -> str:
    """Return why the search has chosen a point: its chance to be better than the best, and its source.

    Parameters
    ----------
    record : Record
        Of a point that was asked for.
    best : float or None
        The best value that is known.
    sign : float
        1 where larger is better, else -1.
    unit : str, default=""
        Of the value, for the words.
    goals : sequence of str, default=()
        The names of several goals, for which no single value is predicted.
    """
    found = FOUND.get(record.source, f"it comes from the source {record.source}" if record.source else "")
    if len(goals) > 1:
        text = f"It is to widen the front of {' and '.join(goals)}"
    elif record.prediction is None or best is None:
        text = "Too little was known for a prediction" if record.prediction is None else "No value was known"
    else:
        mean, deviation = record.prediction
        gain = sign * (mean - best)
        chance = float(ndtr(gain / deviation)) if deviation > 0 else float(gain > 0)
        known = f"{best:.6g} {unit}".strip()
        text = f"Chance of a better value than the best known one, {known}: {percent(chance)}"
        if gain < 0 and chance >= 0.01:
            text += "; worse is expected, but it is uncertain"
    return f"{text}. {found[:1].upper()}{found[1:]}." if found else f"{text}."


def nearest_known(history: History, x: Any, row: int, *, molecules: bool) -> tuple[int, str] | None:
    """Return the measured point that is most like x, which is at a row, and how alike they are.

    Molecules are compared by Tanimoto similarity (ECFP4), sequences of letters of one length letter by
    letter; other texts, such as formulas, are not compared. None where there is nothing to compare with.
    """
    rows = [int(other) for other in history.observed_rows[-_MOST:] if other != row]
    known = [history.records[other].x for other in rows]
    if not isinstance(x, str) or not known:
        return None
    if molecules:
        found = similarities(x, known)
        best = int(found.argmax())
        return (rows[best], f"Tanimoto similarity {found[best]:.2f}") if found[best] > 0 else None
    return _nearest_text(x, known, rows) if are_sequences([x, *known]) else None


def _nearest_text(x: str, known: Sequence[Any], rows: Sequence[int]) -> tuple[int, str] | None:
    same = [i for i, other in enumerate(known) if isinstance(other, str) and len(other) == len(x)]
    if not same or not x.isalpha():  # letters of a formula say little of how alike two of them are
        return None
    letters = np.array([list(known[i]) for i in same])
    different = (letters != np.array(list(x))).sum(axis=1)
    best = int(different.argmin())
    n = int(different[best])
    return rows[same[best]], f"{n} letter{'s' * (n != 1)} different"


def said_of(record: Record, labels: Sequence[tuple[str, str]]) -> str:
    """Return the values of a point in a few words; labels: (outcome, what it is called)."""
    values = []
    for name, label in labels:
        if (found := current_reading(record, name)) is not None:
            values.append(f"{label} {describe_value(found)}")
    return ", ".join(values)


def usual_seconds(history: History, kind: str, *, trains: bool = False) -> float | None:
    """Return how long an "ask" or "train" should take by the former ones; None: not known.

    ``trains``: whether the ask trains first.
    """
    asks = [sum(ask.seconds.values()) for ask in history.asks[-_FORMER:]]
    trainings = [float(entry["seconds"]) for entry in history.trainings[-_FORMER:]]
    needed = [trainings] if kind == "train" else [asks, trainings] if trains else [asks]
    return sum(float(np.median(found)) for found in needed) if all(needed) else None
