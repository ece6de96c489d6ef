"""The surrogate with its data: fitted to a subset of the values, conditioned on later ones."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from sklearn.base import clone
from torch import Tensor

from wrlso._state.codec import is_alike, is_own
from wrlso._state.settings import surrogate_or_default
from wrlso._utils.validation import check_count
from wrlso.surrogate.observations import Observations
from wrlso.surrogate.points import Points
from wrlso.surrogate.protocol import (
    HasWorkingScale,
    LearnsFromErrors,
    Surrogate,
    TakesCorrections,
    TakesObservations,
)
from wrlso.surrogate.refit import refit_is_due, standardized_errors
from wrlso.surrogate.subset import select_subset

__all__ = ["Arrived", "Fitted", "Values", "subset_sizes"]

_NO_ERRORS: np.ndarray = np.empty(0)


def subset_sizes(surrogate: Surrogate) -> tuple[int, int]:
    """Return how many of the best and how many random others of the values a surrogate is fitted to."""
    n_best, n_random = getattr(surrogate, "n_best", 2000), getattr(surrogate, "n_random", 8000)
    check_count("n_best", n_best, minimum=0)
    check_count("n_random", n_random, minimum=0)
    return n_best, n_random


class Values(NamedTuple):
    """All values of a history, larger is better."""

    rows: np.ndarray  # (n,) of the history
    known: Observations  # of n points
    n_start: int  # number of starting points, which come first
    revision: int  # the history's; every correction increases it

    @property
    def y(self) -> np.ndarray:
        """The values (n,)."""
        return self.known.y


class Arrived(NamedTuple):
    """Values told between two fits."""

    rows: np.ndarray  # (m,)
    known: Observations  # of m points
    inputs: Any  # the inputs on which the surrogate was conditioned; None when it was not
    errors: np.ndarray  # standardised errors of the surrogate's predictions, if it made any


@dataclass(frozen=True)
class Fitted:
    """A surrogate and its data. Objects never change: every method returns a new one.

    Attributes
    ----------
    surrogate : Surrogate or None
        None before the first fit, and with acquisitions that need no surrogate.
    rows, y : ndarray (m,) or None
        The search's rows of the history (a subset at the last fit and all later ones) and their values.
    since : tuple of Arrived
        Values told since the last fit.
    errors : ndarray
        Standardised errors of the surrogate at values since the last fit.
    n_seen, n_at_fit : int
        Number of distinct values that the search has seen, and that existed at the last fit.
    revision : int
        The history's revision that the surrogate knows.
    n_corrected : int
        Replicates and corrections that it took in since the last fit.
    """

    surrogate: Surrogate | None = None
    rows: np.ndarray | None = None
    y: np.ndarray | None = None
    since: tuple[Arrived, ...] = ()
    errors: np.ndarray = field(default_factory=lambda: _NO_ERRORS)
    n_seen: int = 0
    n_at_fit: int = 0
    revision: int = -1
    n_corrected: int = 0
    fit: object = None  # differs from fit to fit, with each correction, and with each training

    def without_rows(self) -> Self:
        """Return a copy without data, after the points have moved: only the surrogate, for a warm start."""
        return replace(self, rows=None, y=None, since=(), fit=object())

    def refreshed(
        self,
        values: Values,
        wanted: Surrogate | str | None,
        refit_every: int | str | None,
        inputs: Callable[[Surrogate, np.ndarray], Any],
        rng: Callable[[], np.random.Generator],
        *,
        fit: bool,
    ) -> Self:
        """Return a copy with all values.

        The surrogate is fitted to a subset after a training, and when ``refit_every`` requires it (see
        :mod:`wrlso.surrogate.refit`), for which replicates and corrections count as new values; otherwise it
        takes in what was corrected, and is conditioned on the new values.

        Parameters
        ----------
        values : Values
        wanted : Surrogate, "auto" or None
            The user's; None and "auto": :class:`wrlso.AutoSurrogate`.
        refit_every : int, "auto" or None
        inputs : callable
            ``inputs(surrogate, rows)`` returns the surrogate's inputs.
        rng : callable
            Returns the random generator of a fit.
        fit : bool
            False: the acquisition needs no surrogate, only the rows.
        """
        wanted = surrogate_or_default(wanted)
        current = self._unless_replaced(wanted) if fit else self
        n, stale = len(values.rows), current.rows is None or (fit and current.surrogate is None)
        changed = current.revision != values.revision
        if changed and not stale:
            corrected = current._corrected(values, inputs) if fit else None
            current, stale = (current, True) if corrected is None else (corrected, False)
        learns = fit and isinstance(current.surrogate, LearnsFromErrors)
        if stale and learns and 0 < current.n_seen < n:
            # after a training, too, each value is predicted before it is used
            seen = values._replace(rows=values.rows[: self.n_seen], known=values.known[: self.n_seen])
            current, changed = current._fitted(seen, wanted, inputs, rng(), fit=fit), False
        elif stale:
            return replace(current._fitted(values, wanted, inputs, rng(), fit=fit), n_seen=n)
        if n > current.n_seen or changed:
            new, known = current._arrived(values, refit_every, inputs, fit=fit)
            n_new = n - current.n_at_fit + current.n_corrected
            errors = np.concatenate([current.errors, new.errors]) if known else None
            scored = replace(current, surrogate=_scored(current.surrogate, new))
            if refit_is_due(refit_every, current.n_at_fit, n_new, errors):
                current = scored._fitted(values, wanted, inputs, rng(), fit=fit)
            elif len(new.rows):
                current = current._conditioned(new)
        return replace(current, n_seen=n)

    def _arrived(
        self,
        values: Values,
        refit_every: int | str | None,
        inputs: Callable[[Surrogate, np.ndarray], Any],
        *,
        fit: bool,
    ) -> tuple[Arrived, bool]:
        """Return the values that are new, and whether the surrogate's errors at them are known."""
        new, surrogate = slice(self.n_seen, len(values.rows)), self.surrogate
        rows, known = values.rows[new], values.known[new]
        if not fit or surrogate is None:
            return Arrived(rows, known, None, _NO_ERRORS), False
        points = inputs(surrogate, rows) if len(rows) else None
        errors: np.ndarray | None = None
        if refit_every == "auto":
            errors = _NO_ERRORS if isinstance(surrogate, HasWorkingScale) else None
            if len(rows):
                errors = standardized_errors(surrogate, points, _told(surrogate, known))
        return Arrived(rows, known, points, _NO_ERRORS if errors is None else errors), errors is not None

    def _corrected(self, values: Values, inputs: Callable[[Any, np.ndarray], Any]) -> Self | None:
        """Return a copy with the present values of the rows that it has; None where it must be fitted anew.

        It must where the surrogate cannot take corrections, or a value became a failure. A row outside the
        subset that is now better than all in it joins.
        """
        surrogate: Any = self.surrogate
        rows, seen, known = self.rows, values.rows[: self.n_seen], values.known[: self.n_seen]
        if rows is None or not isinstance(surrogate, TakesCorrections) or len(seen) < self.n_seen:
            return None
        inside = np.isin(seen, rows)
        if np.count_nonzero(inside) < len(rows) or not inside[-1]:
            return None  # order of first values: where one is gone, another took the last place
        inside |= known.y > known.y[inside].max()
        rows, known = seen[inside], known[inside]
        corrected = surrogate.corrected(inputs(self.surrogate, rows), _told(surrogate, known))
        return replace(
            self, surrogate=corrected, rows=rows, y=known.y, since=(), revision=values.revision, fit=object(),
            n_corrected=self.n_corrected + values.revision - self.revision,
        )  # fmt: skip

    def _unless_replaced(self, wanted: Surrogate) -> Self:
        """Return a copy without the surrogate when the user has set another one, or other parameters."""
        comparable = is_own(self.surrogate) or is_own(wanted)  # a user's own class cannot be compared
        if self.surrogate is not None and comparable and not is_alike(self.surrogate, wanted):
            return replace(self, surrogate=None)
        return self

    def _fitted(
        self,
        values: Values,
        template: Surrogate,
        inputs: Callable[[Surrogate, np.ndarray], Any],
        rng: np.random.Generator,
        *,
        fit: bool,
    ) -> Self:
        """Choose a subset of the values, and fit the surrogate to it."""
        # choose the subset first, so that only its members need encoding
        n, (n_best, n_random) = len(values.y), subset_sizes(template)
        chosen = select_subset(values.y, n_best, n_random, rng, n_latest=max(n - values.n_start, 0))
        rows, known, surrogate = values.rows[chosen], values.known[chosen], self.surrogate
        if fit:
            # a copy, because an interrupted ask must not change the last fit
            warm = copy.deepcopy(surrogate) or clone(template, safe=False)
            surrogate = warm.fit(inputs(warm, rows), _told(warm, known), rng)
        return replace(
            self, surrogate=surrogate, rows=rows, y=known.y, since=(), errors=_NO_ERRORS,
            n_at_fit=n, revision=values.revision, n_corrected=0, fit=object(),
        )  # fmt: skip

    def _conditioned(self, new: Arrived) -> Self:
        """Condition the surrogate on new values, if their inputs are known."""
        return replace(self.joined(new), since=(*self.since, new))

    def joined(self, new: Arrived) -> Self:
        """Return a copy with values told since the fit, exactly as they were added then."""
        surrogate, rows, y = self.surrogate, self.rows, self.y
        if rows is not None and y is not None:
            rows, y = np.concatenate([rows, new.rows]), np.concatenate([y, new.known.y])
        if new.inputs is not None and surrogate is not None:
            surrogate = _scored(surrogate, new)
            surrogate = surrogate.condition_on(new.inputs, _told(surrogate, new.known))
        errors = np.concatenate([self.errors, new.errors])
        return replace(self, surrogate=surrogate, rows=rows, y=y, errors=errors)


def _told(surrogate: Any, known: Observations) -> Any:
    """Return values as a surrogate takes them: those measured once as a tensor, as former versions did."""
    if known.plain or not isinstance(surrogate, TakesObservations):
        return torch.from_numpy(known.y)
    return known


def _scored(surrogate: Any, new: Arrived) -> Any:
    """Let a surrogate that learns from its errors see those at new values."""
    if new.inputs is None or not len(new.rows) or not isinstance(surrogate, LearnsFromErrors):
        return surrogate
    return surrogate.scored(new.inputs, _told(surrogate, new.known))


def latent(inputs: Any) -> Tensor | None:
    """Return the part of a surrogate's inputs that is points of Z, None if they are objects."""
    if isinstance(inputs, Points):
        return inputs.Z
    return inputs if isinstance(inputs, Tensor) else None
