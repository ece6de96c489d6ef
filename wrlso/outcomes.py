"""What an experiment measures: outcomes with their goals and limits, and readings of them.

One number needs nothing of this: an optimizer with ``outcomes=None`` maximizes or minimizes what ``tell`` is
given. An experiment with several outcomes names them, and says of each what is wanted::

    outcomes = [Maximize("pIC50"), Minimize("logD"), AtLeast("solubility", 50.0, unit="µM"), Record("purity")]

A name may have one goal and one limit of each kind: ``Maximize("solubility"), AtLeast("solubility", 50.0)``
wants as much as possible, and at least 50.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Literal, NamedTuple

import numpy as np

from wrlso.exceptions import DataError, DataTypeError, ParameterError, ParameterTypeError

__all__ = [
    "Aims",
    "AtLeast",
    "AtMost",
    "Bound",
    "Maximize",
    "Minimize",
    "Outcome",
    "Reading",
    "Record",
    "above",
    "aims_of",
    "below",
    "check_error",
    "combined",
    "mean_of_replicates",
]

Bound = Literal["", "above", "below"]


@dataclass(frozen=True, slots=True)
class Reading:
    """One measured value of one outcome. ``tell`` takes it wherever it takes a number.

    Parameters
    ----------
    value : float
        The value, or the bound of a value that is known by a bound only. In the user's sign.
    sd : float or None, default=None
        Standard error of the value, > 0, in its units; None: not known.
    bound : {"", "above", "below"}, default=""
        "above": the true value lies above ``value`` (">10"), "below": it lies below. Such a reading has no
        ``sd``, and ``n`` is 1.
    n : int, default=1
        Number of replicates whose mean the value is.

    Raises
    ------
    DataError, DataTypeError
        For a value that is no finite number, an sd that is not > 0, an n < 1 or another bound.

    Examples
    --------
    >>> Reading(7.2, sd=0.3)
    Reading(value=7.2, sd=0.3, bound='', n=1)
    """

    value: float
    sd: float | None = None
    bound: Bound = ""
    n: int = 1

    def __post_init__(self) -> None:
        _check_number("the value of a reading", self.value)
        if self.sd is not None:
            check_error("the standard error of a reading", self.sd)
        if self.bound not in ("", "above", "below"):
            raise DataError(f"the bound of a reading must be '', 'above' or 'below', got {self.bound!r}")
        n: Any = self.n
        if isinstance(n, bool) or not isinstance(n, Integral):
            raise DataTypeError(f"the n of a reading must be an integer of at least 1, got {n!r}")
        if int(n) < 1:
            raise DataError(f"the n of a reading must be an integer of at least 1, got {n!r}")
        if self.bound and (self.sd is not None or self.n != 1):
            raise DataError(
                f"a value that is known to lie {self.bound} {self.value:g} has neither a standard error nor "
                f"replicates, got sd={self.sd!r} and n={self.n!r}"
            )

    @property
    def is_plain(self) -> bool:
        """Whether it is a number and nothing more."""
        return self.sd is None and not self.bound and self.n == 1


def above(value: float) -> Reading:
    """Return a reading that says only that the true value lies above this one (">10").

    Examples
    --------
    >>> above(10.0)
    Reading(value=10.0, sd=None, bound='above', n=1)
    """
    return _bounded(value, "above")


def below(value: float) -> Reading:
    """Return a reading that says only that the true value lies below this one ("<0.1").

    Examples
    --------
    >>> below(0.1)
    Reading(value=0.1, sd=None, bound='below', n=1)
    """
    return _bounded(value, "below")


def _bounded(value: float, bound: Bound) -> Reading:
    _check_number(f"the value of {bound}()", value)
    return Reading(float(value), bound=bound)


def _check_number(name: str, value: Any) -> None:
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        raise DataTypeError(
            f"{name} must be a finite number, got {value!r:.80} of type {type(value).__name__}"
        )
    if not math.isfinite(value):
        raise DataError(f"{name} must be finite, got {value!r}")


def check_error(name: str, sd: Any) -> None:
    """Raise DataError or DataTypeError unless ``sd`` is a standard error: a finite number > 0."""
    if isinstance(sd, bool | np.bool_) or not isinstance(sd, Real):
        raise DataTypeError(f"{name} must be a number > 0, got {sd!r:.80} of type {type(sd).__name__}")
    if not (math.isfinite(sd) and float(sd) > 0):
        raise DataError(f"{name} must be a finite number > 0, got {sd!r}")


def mean_of_replicates(value: Reading | float, sd: float | None, n: float | None, where: str) -> Reading:
    """Return the reading of a mean of n replicates with the standard deviation sd: its error is sd / √n.

    Raises DataError, naming ``where``, for an sd that is not > 0, an n that is no whole number from 1 on, or
    a bound with one of them.
    """
    if n is not None and (n < 1 or n != int(n)):
        raise DataError(f"{where}: n must be a whole number from 1 on, got {n:g}")
    if sd is not None:
        check_error(f"{where}: sd", sd)
    number = 1 if n is None else int(n)
    if isinstance(value, Reading):
        if sd is None and number == 1:
            return value
        if not value.is_plain:
            raise DataError(f"{where}: {value} has neither sd nor n, got sd = {sd} and n = {number}")
        value = value.value
    return Reading(value, None if sd is None else sd / math.sqrt(number), n=number)


def combined(readings: Sequence[Reading]) -> tuple[float, int, float, int]:
    """Return what several readings of one outcome on one point say together: y, n, sd and bound.

    y is the mean of the exact readings; bounds beside them are kept, and count for nothing. Where every exact
    reading has a standard error, each counts by the inverse of its square, and sd is the standard error of
    that mean; else each counts by its number of replicates, n is their sum, and sd is NaN.

    Without any exact reading the tightest bound counts: bound is +1 where the truth lies above y, and -1
    where it lies below. Bounds from both sides say that the truth lies between them: y is the middle, and sd
    the standard deviation of a uniform distribution there.

    Examples
    --------
    >>> combined([Reading(7.0), Reading(8.0), above(10.0)])
    (7.5, 2, nan, 0)
    >>> combined([above(10.0), above(30.0)])
    (30.0, 1, nan, 1)
    """
    exact = [reading for reading in readings if not reading.bound]
    if exact:
        return _mean(exact)
    lower = [reading.value for reading in readings if reading.bound == "above"]
    upper = [reading.value for reading in readings if reading.bound == "below"]
    if not (lower and upper):
        return (max(lower), 1, math.nan, 1) if lower else (min(upper), 1, math.nan, -1)
    width = abs(min(upper) - max(lower))
    return max(lower) / 2 + min(upper) / 2, 1, width / math.sqrt(12) if width else math.nan, 0


def _mean(exact: Sequence[Reading]) -> tuple[float, int, float, int]:
    values, n = [reading.value for reading in exact], sum(reading.n for reading in exact)
    errors = [reading.sd for reading in exact if reading.sd is not None]
    if len(exact) == 1:
        return float(values[0]), n, errors[0] if errors else math.nan, 0
    if len(errors) == len(exact):
        least = min(errors)
        precision = [(least / sd) ** 2 for sd in errors]
        return float(np.average(values, weights=precision)), n, least / math.sqrt(sum(precision)), 0
    if n == len(exact):
        return float(np.mean(values)), n, math.nan, 0
    return float(np.average(values, weights=[reading.n for reading in exact])), n, math.nan, 0


@dataclass(frozen=True)
class Maximize:
    """A goal: as large as possible.

    Parameters
    ----------
    name : str
        Of the outcome: the key of a mapping, or the column of a table, that holds its values.
    unit : str, default=""
        Shown in reports, and written to tables. It cannot change while a campaign has values in it.
    reference : float or None, default=None
        With several goals: the value from which on the hypervolume counts. None: a little worse than the
        worst value on the front of the starting data.
    """

    name: str
    unit: str = ""
    reference: float | None = None


@dataclass(frozen=True)
class Minimize:
    """A goal: as small as possible. Its parameters are those of :class:`Maximize`."""

    name: str
    unit: str = ""
    reference: float | None = None


@dataclass(frozen=True)
class AtLeast:
    """A limit: values under ``limit`` are worse than any that satisfy it.

    Parameters
    ----------
    name : str
        Of the outcome, which may have a goal, too, and a limit of the other kind.
    limit : float
        The smallest value that is good enough.
    unit : str, default=""
        As of :class:`Maximize`.
    """

    name: str
    limit: float
    unit: str = ""


@dataclass(frozen=True)
class AtMost:
    """A limit: values over ``limit`` are worse than any that satisfy it. As :class:`AtLeast` otherwise."""

    name: str
    limit: float
    unit: str = ""


@dataclass(frozen=True)
class Record:
    """An outcome that is only written down. Its name and unit are as of :class:`Maximize`.

    Examples
    --------
    >>> outcomes = [Maximize("yield", unit="%"), Record("purity", unit="%")]
    """

    name: str
    unit: str = ""


Outcome = Maximize | Minimize | AtLeast | AtMost | Record


class Aims(NamedTuple):
    """What a list of outcomes says, checked.

    Attributes
    ----------
    names : tuple of str
        Of the outcomes, in the order of their first mention: the columns of an array of values.
    goals : tuple of (str, float)
        Name and sign of each goal; the sign makes larger values better.
    limits : tuple of (str, float, float)
        Name, sign and limit: satisfied where sign * value >= sign * limit.
    units : dict of str to str
        By name; empty: not stated.
    references : dict of str to float
        By name of the goals that have one.

    Examples
    --------
    >>> aims = aims_of([Maximize("pIC50"), AtLeast("solubility", 50.0)])
    >>> aims.names, aims.goals, aims.is_one_number
    (('pIC50', 'solubility'), (('pIC50', 1.0),), False)
    """

    names: tuple[str, ...]
    goals: tuple[tuple[str, float], ...]
    limits: tuple[tuple[str, float, float], ...]
    units: dict[str, str]
    references: dict[str, float]

    @property
    def are_named(self) -> bool:
        """Whether the outcomes have names, in place of one number without a name."""
        return self.names != ("",)

    @property
    def is_one_number(self) -> bool:
        """Whether there is one goal and no limit: what is better is a matter of one number."""
        return len(self.goals) == 1 and not self.limits


def aims_of(outcomes: Iterable[Outcome] | None, direction: str = "maximize") -> Aims:
    """Return what outcomes say; None is one number without a name, larger or smaller as ``direction`` says.

    Raises
    ------
    ParameterError, ParameterTypeError
        When there is no goal; for a name that is empty or not a text, or that has two goals, two limits of
        one kind, limits that contradict, several units, or a Record beside a goal or limit; and for a limit
        that is no finite number.
    """
    if outcomes is None:
        return Aims(("",), (("", -1.0 if direction == "minimize" else 1.0),), (), {"": ""}, {})
    listed = _listed(outcomes)
    by_name: dict[str, list[Outcome]] = {}
    for outcome in listed:
        by_name.setdefault(outcome.name, []).append(outcome)
    for name, entries in by_name.items():
        _check_entries(name, entries)
    _check_side_names(by_name)
    goals = [o for o in listed if isinstance(o, Maximize | Minimize)]
    if not goals:
        raise ParameterError(
            "outcomes must have at least one goal, Maximize(name) or Minimize(name), got "
            + (", ".join(map(repr, listed)) or "none")
        )
    limits = [o for o in listed if isinstance(o, AtLeast | AtMost)]
    return Aims(
        tuple(by_name),
        tuple((o.name, 1.0 if isinstance(o, Maximize) else -1.0) for o in goals),
        tuple((o.name, 1.0 if isinstance(o, AtLeast) else -1.0, float(o.limit)) for o in limits),
        {name: next((o.unit for o in entries if o.unit), "") for name, entries in by_name.items()},
        {o.name: float(o.reference) for o in goals if o.reference is not None},
    )


def _listed(outcomes: Any) -> list[Outcome]:
    """Return outcomes as a list; raise unless each is one of ours, with a proper name, unit and limit."""
    if isinstance(outcomes, str | bytes | dict | Outcome) or not isinstance(outcomes, Iterable):
        raise ParameterTypeError(
            f"outcomes must be None or a list such as [Maximize('pIC50'), AtLeast('solubility', 50.0)], got "
            f"{outcomes!r:.80}"
        )
    listed = list(outcomes)
    for i, outcome in enumerate(listed):
        if not isinstance(outcome, Outcome):
            hint = f": make one, as {outcome.__name__}(name)" if isinstance(outcome, type) else ""
            raise ParameterTypeError(
                f"outcomes[{i}] must be a Maximize, Minimize, AtLeast, AtMost or Record, got "
                f"{outcome!r:.80}{hint}"
            )
        for part in ("name", "unit"):
            text = getattr(outcome, part)
            if not isinstance(text, str):
                raise ParameterTypeError(f"the {part} of outcomes[{i}] must be a text, got {text!r:.80}")
            if text != text.strip() or not text.isprintable() or not (text or part == "unit"):
                raise ParameterError(
                    f"the {part} of outcomes[{i}] must be a text on one line"
                    + (" that is not empty" if part == "name" else "")
                    + f", without spaces around it, got {text!r:.80}"
                )
        if isinstance(outcome, AtLeast | AtMost):
            _check_finite(f"the limit of outcomes[{i}], {outcome.name!r},", outcome.limit)
        elif not isinstance(outcome, Record) and outcome.reference is not None:
            _check_finite(f"the reference of outcomes[{i}], {outcome.name!r},", outcome.reference)
    return listed


def _check_finite(name: str, value: Any) -> None:
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        raise ParameterTypeError(f"{name} must be a finite number, got {value!r:.80}")
    if not math.isfinite(value):
        raise ParameterError(f"{name} must be a finite number, got {value!r}")


def _check_entries(name: str, entries: Sequence[Outcome]) -> None:
    """Raise ParameterError where what is said of one name does not go together."""
    listed = " and ".join(map(repr, entries))
    kinds = [type(outcome) for outcome in entries]
    if len(set(kinds)) < len(kinds) or {Maximize, Minimize} <= set(kinds):
        raise ParameterError(
            f"an outcome must have at most one goal and one limit of each kind, but {name!r} has {listed}"
        )
    if Record in kinds and len(kinds) > 1:
        raise ParameterError(
            f"Record is for an outcome without goal and limit, but {name!r} has {listed}: leave Record out"
        )
    if len({outcome.unit for outcome in entries if outcome.unit}) > 1:
        raise ParameterError(f"an outcome must have one unit, but {name!r} has {listed}")
    lower = next((o.limit for o in entries if isinstance(o, AtLeast)), -math.inf)
    upper = next((o.limit for o in entries if isinstance(o, AtMost)), math.inf)
    if lower > upper:
        raise ParameterError(f"no value of {name!r} can be at least {lower:g} and at most {upper:g}")


def _check_side_names(names: Iterable[str]) -> None:
    """Raise ParameterError where a table's column "name sd" would be an outcome and another's error."""
    known = set(names)
    for name in known:
        for ending in (" sd", " n"):
            if name.endswith(ending) and name.removesuffix(ending) in known:
                raise ParameterError(
                    f"the outcome {name!r} has the name of the column with the "
                    f"{'standard errors' if ending == ' sd' else 'numbers of replicates'} of "
                    f"{name.removesuffix(ending)!r}: give it another name"
                )
