"""One search for new points: update the surrogate, then let the acquisition propose points."""

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.base import clone

from wrlso._state.beliefs import believed, noise_is_known
from wrlso._state.codec import is_alike, is_own
from wrlso._state.fitted import Values, subset_sizes
from wrlso._state.learned import ASKING, Learned
from wrlso._state.listing import open_candidates, place
from wrlso._state.merits import Standing, standing
from wrlso._state.observed import modelled, values_of
from wrlso._state.screen import screen_of
from wrlso._state.searched import progress_of, with_outcomes
from wrlso._state.settings import Settings, acquisition_of, surrogate_or_default
from wrlso._state.shelf import Shelf
from wrlso._state.success import outcomes, success_of
from wrlso._state.weights import weigh
from wrlso._utils.random import stream
from wrlso.acquisition.ask_record import AskRecord
from wrlso.acquisition.beginning import beginning_of
from wrlso.acquisition.protocol import Acquisition
from wrlso.acquisition.state import FEW_VALUES, Measured, Past, Proposal, SearchState, predict_proposals
from wrlso.history import History
from wrlso.models.inference import key_of
from wrlso.models.protocol import LatentModel
from wrlso.outcomes import Aims, aims_of
from wrlso.rules.anchors import anchor_of
from wrlso.rules.book import rules_of
from wrlso.surrogate.auto import AutoSurrogate
from wrlso.surrogate.observations import Observations

__all__ = ["has_small_networks", "largest_product", "search"]

_SMALL_MODEL = 500_000  # parameters
_MOST_PROPOSALS = 300  # that say how well the sources of candidates do
_MAX_CANDIDATES = 10_000  # most x without a value that one ask considers


def largest_product(settings: Settings, history: History) -> float:
    """Return the multiplications of the largest product of an ask: n values, m inducing points, n m²."""
    surrogate = surrogate_or_default(settings.surrogate)
    n = min(history.n_observed, sum(subset_sizes(surrogate)))
    return float(n) * min(n, getattr(surrogate, "n_inducing", 500)) ** 2


def has_small_networks(model: LatentModel) -> bool:
    """Whether a model is too small for several threads, which would wait more than they work."""
    return sum(parameter.numel() for parameter in model.parameters()) < _SMALL_MODEL


def search(
    settings: Settings,
    learned: Learned,
    history: History,
    n: int,
    lock: threading.RLock,
    shelf: Shelf | None = None,
) -> tuple[list[Proposal], list[tuple[float, float] | None], AskRecord]:
    """Return n proposals, the surrogate's prediction of each in the user's sign, and the search's record.

    Raises
    ------
    NoCandidateError
        When a bounded search finds no new point.
    """
    start = time.perf_counter()
    rng, aims = stream(learned.seed, ASKING, learned.n_asks), aims_of(settings.outcomes, settings.direction)
    with lock:  # another thread may tell meanwhile
        seen = _seen(history, aims)
    acquisition = _acquisition(settings, learned, len(seen.values.y))
    state = _state(settings, learned, history, seen, aims, shelf, rng, fit=acquisition.uses_surrogate)
    seconds = {"fit": time.perf_counter() - start}
    proposals, record = _proposed(acquisition, state, learned, n, rng)
    record.seconds = seconds | record.seconds
    if isinstance(state.surrogate, AutoSurrogate):
        record.surrogate = state.surrogate.summary()
    # with several goals the surrogate predicts merits, which say nothing to a user
    told = state.surrogate if len(aims.goals) == 1 else None
    predictions = predict_proposals(told, learned.model, proposals, aims.goals[0][1])
    return _with_expected(proposals, state), predictions, record


def _with_expected(proposals: list[Proposal], state: SearchState) -> list[Proposal]:
    """Return proposals with what the process of each outcome expects of them."""
    by_name = {
        name: predict_proposals(process.surrogate, state.model, proposals, process.sign)
        for name, process in state.outcomes.items()
    }
    return [
        replace(proposal, expected={name: found for name, of in by_name.items() if (found := of[i])})
        for i, proposal in enumerate(proposals)
    ]


class _Seen(NamedTuple):
    """What the history holds when a search begins."""

    pending: np.ndarray  # rows
    unlabelled: np.ndarray  # rows
    standing: Standing
    values: Values
    others: dict[str, Values]  # of the outcomes with a process of their own
    n_told: int
    past: Past
    known: tuple[np.ndarray, np.ndarray]  # rows of experiments, and which of them succeeded


def _seen(history: History, aims: Aims) -> _Seen:
    there = standing(history, aims)
    values = _values(history, aims, there)
    return _Seen(
        pending=history.rows_with("pending"),
        unlabelled=history.rows_with("unlabelled"),
        standing=there,
        values=values,
        others=_values_of_others(history, aims),
        n_told=history.n_observed + len(history.rows_with("failed")),
        past=_past(history, values.rows),
        known=outcomes(history),
    )


def _acquisition(settings: Settings, learned: Learned, n_values: int) -> Acquisition:
    """Return the acquisition of this ask: what it begins with where values are too few for a surrogate."""
    wanted = acquisition_of(settings)
    if is_own(wanted) and not is_alike(learned.acquisition, wanted):  # the user has changed it since fit
        learned.acquisition = clone(wanted, safe=False)
    acquisition: Acquisition = learned.acquisition
    few = acquisition.uses_surrogate and n_values < FEW_VALUES
    return beginning_of(acquisition) if few else acquisition


def _state(
    settings: Settings,
    learned: Learned,
    history: History,
    seen: _Seen,
    aims: Aims,
    shelf: Shelf | None,
    rng: np.random.Generator,
    *,
    fit: bool,
) -> SearchState:
    """Bring the processes up to date, and return all that the search is to know."""
    values, unlabelled = seen.values, seen.unlabelled
    rows, y = learned.refresh(history, values, settings.surrogate, settings.refit_every, fit=fit)
    if fit:
        learned.refresh_others(history, seen.others, settings.surrogate, settings.refit_every)
    if len(unlabelled) > _MAX_CANDIDATES:
        unlabelled = rng.choice(unlabelled, _MAX_CANDIDATES, replace=False)
    measured = _measured(settings, learned, history, values, seen.standing, aims)
    surrogate = learned.fitted.surrogate if fit else None
    state = SearchState(
        model=learned.model,
        surrogate=surrogate,
        Z=learned.encode(history, rows),
        y=torch.from_numpy(y),
        weights=measured.weights[torch.from_numpy(_places(rows, values.rows))],
        pending=learned.encode(history, seen.pending),
        screen=screen_of(learned.model, history, settings.feasible),
        pending_X=[history.records[row].x for row in seen.pending],
        candidates=[history.records[row].x for row in unlabelled],
        candidates_Z=learned.encode(history, unlabelled) if len(unlabelled) else None,
        n_told=seen.n_told,
        point=lambda i: history.records[rows[i]].x,
        measured=measured,
        past=seen.past,
        success=success_of(settings, learned, history, *seen.known),
        noisy=fit and noise_is_known(history, aims.goals[0][0], values.rows),
        anchor=anchor_of(rules_of(settings.feasible), learned.model),
        listed=open_candidates(shelf, learned, history, surrogate),
        generate=settings.generate,
        failed_X=[history.records[row].x for row in history.rows_with("failed")],
    )
    named = fit and aims.are_named
    return with_outcomes(state, learned, history, aims, rows) if named else state


def _proposed(
    acquisition: Acquisition, state: SearchState, learned: Learned, n: int, rng: np.random.Generator
) -> tuple[list[Proposal], AskRecord]:
    """Return proposals that have latent points: another search where the model cannot read one of them."""
    refused: set[Hashable] = set()
    while True:
        proposals, record = acquisition.propose(state, n, rng)
        proposals, unreadable = place(learned, proposals)
        if not unreadable:
            return proposals, record
        refused |= {key_of(learned.model, x) for x in unreadable}
        state = replace(state, screen=_refusing(state.screen, learned.model, refused))


def _refusing(
    screen: Callable[[Any], str | None], model: LatentModel, refused: set[Hashable]
) -> Callable[[Any], str | None]:
    return lambda x: screen(x) or ("unencodable" if key_of(model, x) in refused else None)


def _values(history: History, aims: Aims, state: Standing) -> Values:
    """Return what the surrogate is to predict: the values of the one goal, or merits where there are more."""
    if len(aims.goals) == 1:
        return values_of(history, *aims.goals[0])
    merits = Observations.exact(state.merit)
    return Values(history.observed_rows, merits, history.n_start, history.revision)


def _values_of_others(history: History, aims: Aims) -> dict[str, Values]:
    """Return the values of the outcomes that get a process of their own: all but an only goal."""
    own = modelled(aims)
    if len(aims.goals) == 1:
        own.pop(aims.goals[0][0])
    values = {name: values_of(history, name, sign) for name, sign in own.items()}
    return {name: found for name, found in values.items() if len(found.rows) >= FEW_VALUES}


def _past(history: History, rows: np.ndarray) -> Past:
    """Return the last proposals, with their places among the points with a value, ordered as ``rows``."""
    asked = history.asked[-_MOST_PROPOSALS:]
    places = np.full(len(history), -1, dtype=np.int64)
    places[rows] = np.arange(len(rows))
    return Past(
        [history.records[row].source for row in asked],
        [int(place) if place >= 0 else None for place in places[asked]],
        history.n_start,
        [ask for ask in history.asks[-_MOST_PROPOSALS:] if ask is not None],
        {i for i, row in enumerate(asked) if history.records[row].status == "failed"},
    )


def _measured(
    settings: Settings, learned: Learned, history: History, values: Values, state: Standing, aims: Aims
) -> Measured:
    """Return all points with a value; those outside the search's rows are encoded when they are wanted."""
    merit, noisy = believed(learned, history, aims, state)
    weights = weigh(merit, history.n_start, settings.weighting, noisy)
    places, progress = _places(values.rows, state.rows), progress_of(history, aims, state)
    return Measured(
        torch.from_numpy(merit[places]),
        torch.from_numpy(weights[places]),
        lambda places: learned.encode(history, values.rows[places]),
        lambda place: history.records[values.rows[place]].x,
        None if progress is None else progress[places],
    )


def _places(rows: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Return the place of each row among others."""
    order = np.argsort(among)
    return np.asarray(order[np.searchsorted(among, rows, sorter=order)])
