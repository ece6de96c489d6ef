"""The numbers of a report, all computed before anything is drawn."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone

from wrlso._state.merits import standing
from wrlso._state.settings import surrogate_or_default
from wrlso.catalogue import Catalogue
from wrlso.history import History, Record
from wrlso.models.inference import evaluating, to_model
from wrlso.models.protocol import LatentModel
from wrlso.outcomes import aims_of
from wrlso.surrogate.atom_contributions import atom_contributions, has_atom_contributions
from wrlso.surrogate.points import points_for
from wrlso.surrogate.predictions import predict_measurements
from wrlso.surrogate.protocol import Surrogate
from wrlso.surrogate.sparse_gp import SparseGP

__all__ = [
    "MIN_PREDICTIONS",
    "N_FITTED",
    "Campaign",
    "Predictions",
    "asked_predictions",
    "contributions_now",
    "format_time",
    "held_out_predictions",
    "predict_now",
    "thin",
]

Array = NDArray[np.float64]
Rows = NDArray[np.int64]

MIN_PREDICTIONS = 10  # fewer say nothing about calibration
MIN_VALUES = 5  # as in the optimizer: below, a surrogate knows too little
_N_FOLDS = 5
N_FITTED = 600  # points that a surrogate of a report is fitted to, so that a report takes seconds
_N_INDUCING = 150
_CHUNK = 256


@dataclass(frozen=True)
class Campaign:
    """An optimizer's state at one moment, so that all parts of a report agree.

    Attributes
    ----------
    rows, y : ndarray (n,)
        Records with a value, in the order of their first value, and these values in the user's sign.
    weights : ndarray (n,)
        Their weights in training, mean 1.
    n_start : int
        How many of them are starting data.
    pending, failed, unlabelled : ndarray (m,)
        Other records by status.
    names : dict
        What candidates of a catalogue are called, by x.
    sign : float
        1 when larger is better, else -1. With several goals ``y`` are merits: minus the number of the front.
    satisfies : ndarray (n,) or None
        Whether all limits hold; None where there are none, and one goal.
    outcome : str or None
        The one that ``y`` are values of; None: the only goal, or merits.
    """

    opt: Any
    history: History
    model: LatentModel
    rows: Rows
    y: Array
    weights: Array
    n_start: int
    pending: Rows
    failed: Rows
    unlabelled: Rows
    sign: float
    names: dict[Any, str]
    satisfies: NDArray[np.bool_] | None = None
    outcome: str | None = None

    @classmethod
    def of(cls, opt: Any) -> "Campaign":
        """Read the state; raises NotFittedError when nothing has been given yet."""
        aims = aims_of(opt.outcomes, opt.direction)
        sign = aims.goals[0][1] if len(aims.goals) == 1 else 1.0
        with opt._session.lock:  # another thread may tell meanwhile
            history, model, weights = opt.history_, opt.model_, opt.weights_
            state = standing(history, aims)
            pending, failed, unlabelled = (history.rows_with(s) for s in ("pending", "failed", "unlabelled"))
        known = np.arange(len(state.rows))
        y = state.merit  # of several goals
        if len(aims.goals) == 1:
            known = np.flatnonzero(~np.isnan(state.goals[:, 0]))
            y = history.observations(aims.goals[0][0], state.rows).y
        n_start = int(np.count_nonzero(known < history.n_start))
        satisfies = None if aims.is_one_number else state.satisfies[known]
        names: dict[Any, str] = {}
        if isinstance(opt.candidates, Catalogue):
            names = opt.candidates.names_of(record.x for record in history)
        return cls(
            opt, history, model, state.rows[known], y[known], weights[known], n_start, pending, failed,
            unlabelled, sign, names, satisfies,
        )  # fmt: skip

    def of_outcome(self, name: str, sign: float) -> "Campaign":
        """Return the same with the exact values of one outcome, of which larger is better for sign 1."""
        rows = self.history.measured_rows(name)
        seen = self.history.observations(name, rows)
        exact = seen.bound == 0
        n_start = int(np.isin(rows[exact], self.history.observed_rows[: self.history.n_start]).sum())
        return replace(
            self, rows=rows[exact], y=seen.y[exact], weights=np.ones(int(exact.sum())), n_start=n_start,
            sign=sign, satisfies=None, outcome=name,
        )  # fmt: skip

    def predicted(self, row: int | np.integer[Any]) -> tuple[float, float] | None:
        """Return mean and standard deviation that were expected of ``y`` when a row was asked for."""
        record = self.record(row)
        known = (record.expected or {}).get(self.outcome or "")
        aims = aims_of(self.opt.outcomes, self.opt.direction)
        is_goal = self.outcome is None or [self.outcome] == [name for name, _ in aims.goals]
        return known or (record.prediction if is_goal else None)

    @property
    def best(self) -> int | None:
        """Position of the best value among ``y``, None without values, or where none satisfies the limits."""
        good = np.ones(len(self.y), dtype=bool) if self.satisfies is None else self.satisfies
        return int(np.argmax(np.where(good, self.sign * self.y, -np.inf))) if good.any() else None

    @property
    def recommended(self) -> int | None:
        """Row of the measured point of which most is expected; None where there is no best one."""
        return None if self.best is None else int(self.opt._session.recommended())

    def record(self, row: int | np.integer[Any]) -> Record:
        """Return the record of a row."""
        return self.history.records[int(row)]

    def encode(self, rows: Rows) -> Array:
        """Return the encodings (m, d) of rows by the present model."""
        chunks = [np.empty((0, self.model.latent_dim))]
        with evaluating(self.model):
            for part in torch.from_numpy(rows).split(_CHUNK):
                inputs = to_model(self.model, self.history.inputs[part], like_weights=False)
                chunks.append(np.asarray(self.model.encode(inputs).to("cpu", torch.float64).numpy()))
        return np.concatenate(chunks)

    def decode(self, Z: Array) -> list[Any]:
        """Return what the present model decodes Z (m, d) to."""
        with evaluating(self.model):
            return self.model.decode(to_model(self.model, torch.from_numpy(Z)))


@dataclass(frozen=True)
class Predictions:
    """Means and standard deviations (n,) of measurements (n,), and whether they were made before these."""

    mean: Array
    deviation: Array
    measured: Array
    in_advance: bool


def asked_predictions(campaign: Campaign) -> Predictions | None:
    """Return the predictions recorded when points were asked; None for too few points."""
    found = [
        (*predicted, y)
        for row, y in zip(campaign.rows, campaign.y, strict=True)
        if (predicted := campaign.predicted(row)) is not None
    ]
    if len(found) < MIN_PREDICTIONS:
        return None
    mean, deviation, measured = np.array(found, dtype=np.float64).T
    return Predictions(mean, deviation, measured, in_advance=True)


def held_out_predictions(campaign: Campaign) -> Predictions | None:
    """Return predictions of points, each by a surrogate that saw four fifths of them but not it.

    None for too few points. Of many points the best and some others are taken; see :func:`thin`.
    """
    chosen = thin(campaign.sign * campaign.y, N_FITTED)
    if len(chosen) < MIN_PREDICTIONS:
        return None
    rng = np.random.default_rng(0)
    folds = rng.permutation(len(chosen)) % _N_FOLDS
    points = _points(campaign, campaign.rows[chosen])
    values = campaign.sign * campaign.y[chosen]
    mean, deviation = np.empty(len(chosen)), np.empty(len(chosen))
    for fold in range(_N_FOLDS):
        inside, outside = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        surrogate = _fit(campaign, _take(points, inside), values[inside], rng)
        mean[outside], deviation[outside] = predict_measurements(surrogate, _take(points, outside))
    return Predictions(campaign.sign * mean, deviation, campaign.y[chosen], in_advance=False)


def predict_now(campaign: Campaign, rows: Rows) -> tuple[Array, Array] | None:
    """Return mean and standard deviation (m,) of rows given all that is known; None for too few values."""
    surrogate = _fitted_now(campaign)
    if surrogate is None or len(rows) == 0:
        return None
    mean, deviation = predict_measurements(surrogate, _points(campaign, rows))
    return campaign.sign * mean, deviation


def contributions_now(campaign: Campaign, X: Sequence[str]) -> list[Array] | None:
    """Return what each atom of molecules adds to their predictions, in the user's sign and units.

    None for too few values, for several goals, and for a process that does not predict by atoms.
    """
    several = len(aims_of(campaign.opt.outcomes, campaign.opt.direction).goals) > 1
    if several or not has_atom_contributions(_template(campaign)):
        return None
    surrogate = _fitted_now(campaign)
    return None if surrogate is None else [campaign.sign * atom_contributions(surrogate, x) for x in X]


def _fitted_now(campaign: Campaign) -> Surrogate | None:
    """Return the process given all that is known; None for too few values."""
    if len(campaign.y) < MIN_VALUES:
        return None
    values = campaign.sign * campaign.y
    chosen = thin(values, N_FITTED)
    points = _points(campaign, campaign.rows[chosen])
    return _fit(campaign, points, values[chosen], np.random.default_rng(0))


def thin(y: Array, most: int) -> Rows:
    """Return positions of at most so many values, in order: the best half, and the rest evenly spaced."""
    if len(y) <= most:
        return np.arange(len(y))
    order = np.argsort(-y, kind="stable")
    best, others = order[: most // 2], np.sort(order[most // 2 :])
    spaced = np.linspace(0, len(others) - 1, most - len(best)).round().astype(np.int64)
    return np.sort(np.concatenate([best, others[spaced]]))


def _template(campaign: Campaign) -> Surrogate:
    return surrogate_or_default(campaign.opt.surrogate)


def _fit(campaign: Campaign, points: Any, values: Array, rng: np.random.Generator) -> Surrogate:
    """Fit a fresh surrogate, of the optimizer's kind, to larger-is-better values (m,)."""
    surrogate: Any = clone(_template(campaign), safe=False)
    if isinstance(surrogate, SparseGP):
        surrogate.n_inducing = min(surrogate.n_inducing, _N_INDUCING)
    fitted: Surrogate = surrogate.fit(points, torch.from_numpy(values), rng)
    return fitted


def _points(campaign: Campaign, rows: Rows) -> Any:
    """Return rows as the surrogate takes them: encodings, the objects themselves, or both."""
    return points_for(
        _template(campaign),
        campaign.model,
        lambda: [campaign.record(row).x for row in rows],
        lambda: torch.from_numpy(campaign.encode(rows)),
    )


def _take(points: Any, positions: Rows) -> Any:
    return [points[i] for i in positions] if isinstance(points, list) else points[positions]


def format_time(stamp: str | None) -> str:
    """Return a time (ISO 8601, UTC) to the minute; nothing for None."""
    return datetime.fromisoformat(stamp).strftime("%Y-%m-%d %H:%M") if stamp else ""
