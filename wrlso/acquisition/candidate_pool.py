"""A search strategy that takes the best of many decoded and re-encoded candidates."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from wrlso._utils.validation import check_count, check_real
from wrlso.acquisition.apart import Apart
from wrlso.acquisition.ask_record import AskRecord
from wrlso.acquisition.belief import Belief, safe_scores
from wrlso.acquisition.goals import GoalsBelief, belief_of, choosers
from wrlso.acquisition.landscape import Landscape
from wrlso.acquisition.plausible import Plausible
from wrlso.acquisition.prior_sampling import PriorSampling
from wrlso.acquisition.protocol import Criterion
from wrlso.acquisition.recombination import Parents
from wrlso.acquisition.screening import Screener
from wrlso.acquisition.selection import CHOICE, choose, foremost
from wrlso.acquisition.shares import on_plateau, shares_of, stalled
from wrlso.acquisition.sources import SUPPLIED, Making, Source, usable
from wrlso.acquisition.state import KnowsSuccess, Proposal, SearchState
from wrlso.exceptions import ParameterError, ParameterTypeError
from wrlso.models.inference import Array

__all__ = ["CandidatePool"]

_MARGIN, _QUANTILE = 1.1, 0.999  # decoded points stay in the box ± margin × this quantile of |Z|
_LEAST_NEW = 0.2  # if a smaller share of the candidates is new, the search has collapsed
_ROUNDS = 3  # of making more where candidates were not new, in one generation
_WIDE = 2.0  # how much farther a stalled search looks
_LEAP = 1.5  # least improvement that counts then, and on a plateau, in standard deviations of the values
_LEFT_OUT = 0.01  # share of the best points that a stalled search leaves out as parents
_FLAT = 10.0  # how much flatter it samples them
_LISTED = 300  # of the user's list that compete
_logger = logging.getLogger(__name__)


@dataclass
class _Found:
    """The candidates of one ask so far: objects, where they came from, and their encodings."""

    Z: Array
    X: list[Any] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    plausible: Plausible | None = None
    odd: list[tuple[Any, str]] = field(default_factory=list)  # not plausible in any turn
    excess: dict[int, Array] = field(
        default_factory=dict
    )  # by the object's id: by how much too odd, each turn
    success: Array | None = None  # how probably an experiment on each succeeds; None while none has failed

    def sift(self, X: list[Any], source: str) -> list[Any]:
        """Return the objects that are plausible in some turn; put the others aside."""
        if self.plausible is None:
            return X
        excess = self.plausible.excess(X)
        self.excess |= {id(x): excess[:, i] for i, x in enumerate(X)}
        plausible: list[bool] = np.any(excess >= 0, axis=0).tolist()
        self.odd += [(x, source) for x, fits in zip(X, plausible, strict=True) if not fits]
        return [x for x, fits in zip(X, plausible, strict=True) if fits]

    def add(self, X: list[Any], Z: Array, source: str) -> None:
        """Add candidates with their encodings."""
        self.X += X
        self.Z = np.concatenate([self.Z, Z])
        self.sources += [source] * len(X)

    def complete(self, n: int, screener: Screener) -> None:
        """Add the least odd candidates where there are fewer than n plausible ones."""
        for x, source in sorted(self.odd, key=lambda each: -self.excess[id(each[0])].max()):
            if len(self.X) >= n:
                break
            self.add(*screener.encode([x]), source)

    def fitting(self, n: int) -> Array | None:
        """Return by how much each candidate is too odd in each of n turns (n, q); None where nothing is."""
        if self.plausible is None:
            return None
        free = np.zeros(n)  # what the user supplied
        return np.stack([self.excess.get(id(x), free) for x in self.X], axis=1)

    def judge(self, success: KnowsSuccess | None) -> None:
        """Complete the probabilities of success."""
        if success is None:
            return
        known = np.empty(0) if self.success is None else self.success
        new = slice(len(known), len(self.X))
        if len(known) < len(self.X):
            found = success.probability(self.X[new], torch.from_numpy(self.Z[new]))
            self.success = np.concatenate([known, found])

    def proposal(self, i: int, value: float) -> Proposal:
        """Return the i-th candidate as a proposal."""
        chance = None if self.success is None else float(self.success[i])
        return Proposal(self.X[i], torch.from_numpy(self.Z[i].copy()), value, self.sources[i], chance)


class CandidatePool(BaseEstimator):
    """Make many candidates, keep what is new, encode it and take the best.

    Candidates come from several sources: latent points near incumbents and samples of the prior, decoded;
    what the model's own ``mutate`` and ``cross`` make of incumbents; for some models spliced and rewritten
    latent points. Their shares start even and follow what came of their candidates: which were chosen, were
    among the best, or improved on all before. Later generations start at the best candidates so far. No
    gradient is needed, and a candidate is scored at its own encoding, so that a decoder that does not invert
    the encoder does no harm. Works with surrogates of Z and of features of x. Candidates that the user
    supplied compete as well.

    Where nothing has improved for a while the search looks farther, starts at other points than the best,
    and comes back. All this is computed from the campaign's history at every ask.

    Parameters
    ----------
    n_candidates : int, default 600
        New candidates made in one ask, equally many in each generation.
    generations : int, default 3
        Rounds in which they are made.
    sources : sequence or None, default None
        Names of sources ("near", "prior", "splice", "rewrite", "mutate", "cross"), or objects such as
        ``Near(sigma=(0.05, 0.5))``. None: all that the model can be used with.
    parents : tuple of float, default (0.02, 2.0)
        Incumbents are sampled among all N points with a value, by rank weights with these k N, equally many
        with each: a small one stays at the best point, a large one reaches others.
    max_attempts : int or None, default None
        Candidates before the search gives up because too few are new; it looks farther meanwhile.
        None: five times ``n_candidates``.
    apart : float in [0, 1] or None, default None
        Least Tanimoto distance (ECFP4) between two molecules of a batch, and from those that are pending,
        where candidates allow it. None: none. For x that are SMILES; others have none.
    plausibility : float in [0, 1] or None, default None
        What the model counts as odd (:class:`wrlso.models.CountsOddities`) is as rare among the proposals as
        among the points with a value, without the oddest of them: this share. Candidates are also at least as
        likely as this quantile of the points (:class:`wrlso.models.HasLikelihood`). So the bound follows the
        data. Where too few candidates are plausible, the least odd of the others are added. None: no bound.
    """

    def __init__(
        self,
        n_candidates: int = 600,
        *,
        generations: int = 3,
        sources: Sequence[str | Source] | None = None,
        parents: tuple[float, ...] = (0.02, 2.0),
        max_attempts: int | None = None,
        apart: float | None = None,
        plausibility: float | None = None,
    ) -> None:
        self.n_candidates = n_candidates
        self.generations = generations
        self.sources = sources
        self.parents = parents
        self.max_attempts = max_attempts
        self.apart = apart
        self.plausibility = plausibility

    def beginning(self) -> PriorSampling:
        """Return what proposes while there are too few values, as plausible and as far apart."""
        return PriorSampling(plausibility=self.plausibility, apart=self.apart)

    def propose(
        self, state: SearchState, n: int, rng: np.random.Generator, criterion: Criterion
    ) -> tuple[list[Proposal], AskRecord]:
        """Return n proposals; see :class:`wrlso.acquisition.Acquisition`."""
        self._check_parameters()
        check_count("n", n)
        sources = usable(self.sources, state)
        turns = choosers(criterion, state, n)
        screener = Screener(state, type(self).__name__, rng)
        belief = belief_of(state, turns[0], screener.generator)
        y = state.all_measured.achieved
        if isinstance(belief, Belief) and (stalled(state.past, y) or on_plateau(state.past, y)):
            belief = belief.demanding(_LEAP)
        found = self._gather(state, belief, sources, screener, criterion, turns, rng)
        found.complete(n + CHOICE - 1, screener)
        X, Z = found.X, found.Z
        if len(X) < n:
            raise screener.give_up(len(X), n)
        found.judge(state.success)
        apart, points = Apart(X, self.apart, state.pending_X), belief.points(X, Z)
        chosen = choose(turns, belief, points, screener.generator, found.success, apart, found.fitting(n))
        proposals = [found.proposal(i, value) for i, value in chosen]
        for name, count in Counter(proposal.source for proposal in proposals).items():
            screener.record.sources[name]["chosen"] += count
        return proposals, screener.finish()

    def _gather(
        self,
        state: SearchState,
        belief: Belief | GoalsBelief,
        sources: Sequence[Source],
        screener: Screener,
        criterion: Criterion,
        turns: list[Criterion],
        rng: np.random.Generator,
    ) -> _Found:
        """Make, screen and encode until the generations are over and there are at least n candidates."""
        making, n = self._making(state, screener, rng), len(turns)
        start = {source.name: source.share for source in sources}
        shares = shares_of(start, state.past, state.all_measured.achieved)
        plausible = Plausible.of(state, self.plausibility, n)
        found = _Found(np.empty((0, state.model.latent_dim)), plausible=plausible)
        _supply(state, found, screener)
        if state.listed is not None:
            _supply_foremost(state, n, criterion, found, screener)
        limit = self._limit
        size = -(-min(self.n_candidates, limit) // self.generations)
        generation = 0
        while (before := screener.record.n_decoded) < limit:
            self._make(size, sources, shares, making, found)
            generation += 1
            n_made = screener.record.n_decoded
            if n_made == before:
                break
            found.judge(state.success)
            n_new = sum(screener.record.sources[source.name]["new"] for source in sources)
            collapsed = n_new < _LEAST_NEW * n_made
            if collapsed and generation == 1:
                _logger.info("%d of %d candidates are new: widening", n_new, n_made)
            last = generation >= self.generations
            if last and len(found.X) >= n and (not collapsed or generation >= 2 * self.generations):
                break
            if last or collapsed:
                making.wide *= 2.0 if collapsed else 1.5
            if not last and len(found.X) > 0:
                chosen = _foremost(turns, belief, found, screener.generator)
                making.parents.best_X = [found.X[i] for i in chosen]
                making.parents.best_Z = found.Z[chosen]
        return found

    def _making(self, state: SearchState, screener: Screener, rng: np.random.Generator) -> Making:
        """Return what sources make candidates of; a stalled search uses other parents, and goes farther."""
        landscape = Landscape.of(state, rng, _MARGIN, _QUANTILE)
        y = state.all_measured.achieved
        if not (level := stalled(state.past, y)):
            parents = Parents.sample(state, landscape, rng, self.parents)
            return Making(state, landscape, parents, screener, rng)
        spread = [_FLAT * each for each in self.parents]
        left_out = level * int(np.ceil(_LEFT_OUT * len(y)))
        parents = Parents.sample(state, landscape, rng, spread, left_out)
        return Making(state, landscape, parents, screener, rng, _WIDE)

    @property
    def _limit(self) -> int:
        return 5 * self.n_candidates if self.max_attempts is None else self.max_attempts

    def _make(
        self, size: int, sources: Sequence[Source], shares: dict[str, float], making: Making, found: _Found
    ) -> None:
        """Make candidates, and more in place of those that are not new, by sources that made new ones."""
        screener = making.screener
        shares, missing = dict(shares), size
        for _ in range(_ROUNDS):
            missing = min(missing, self._limit - screener.record.n_decoded)
            for source, count in zip(
                sources, _split(missing, [shares[s.name] for s in sources]), strict=True
            ):
                made = source.make(count, making) if count else []
                admitted = [x for x in made if screener.admit(x, "duplicate")]
                plausible = found.sift(admitted, source.name)
                found.add(*screener.encode(plausible), source.name)
                odd = len(admitted) - len(plausible)
                screener.count(source.name, len(made), len(admitted))
                screener.reject("implausible", odd)
                missing -= len(admitted) - odd
                shares[source.name] *= (len(admitted) - odd) / max(len(made), 1) if count else 1.0
            if missing < size // 10 or sum(shares.values()) < _LEAST_NEW:
                break

    def _check_parameters(self) -> None:
        for name in ("n_candidates", "generations"):
            check_count(name, getattr(self, name))
        check_count("max_attempts", self.max_attempts, none="five times n_candidates")
        check_real("plausibility", self.plausibility, minimum=0.0, maximum=1.0, none="any candidate")
        check_real("apart", self.apart, minimum=0.0, maximum=1.0, none="no distance")
        if not isinstance(self.parents, tuple | list):
            raise ParameterTypeError(f"parents must be a tuple of numbers, got {self.parents!r}")
        if not self.parents:
            raise ParameterError(f"parents must hold at least one number, got {self.parents!r}")
        for i, each in enumerate(self.parents):
            check_real(f"parents[{i}]", each, above=0.0, finite=False)


def _split(size: int, shares: Sequence[float]) -> NDArray[np.int64]:
    """Return whole numbers of this sum in proportion to the shares."""
    ends = np.rint(size * np.cumsum(shares) / max(sum(shares), 1e-300)).astype(np.int64)
    return np.diff(ends, prepend=0)


def _foremost(
    turns: list[Criterion], belief: Belief | GoalsBelief, found: _Found, generator: torch.Generator
) -> NDArray[np.int64]:
    """Return the best tenth of the candidates: each criterion's share is that of the points it chooses."""
    points = belief.points(found.X, found.Z)
    if isinstance(belief, GoalsBelief):
        belief, points = belief.over(points)
    chosen: list[int] = []
    for criterion in {id(each): each for each in turns}.values():
        share = sum(each is criterion for each in turns) / len(turns)
        scores = safe_scores(criterion, belief, points, generator, found.success)
        size = int(np.ceil(share * -(-len(points) // 10)))
        chosen += np.argsort(-scores, kind="stable")[:size].tolist()
    return np.array(list(dict.fromkeys(chosen)), dtype=np.int64)


def _supply(state: SearchState, found: _Found, screener: Screener) -> None:
    """Add the user's own candidates that may be proposed, with their encodings."""
    if state.candidates_Z is None or len(state.candidates) == 0:
        return
    rows = [i for i, x in enumerate(state.candidates) if screener.admit(x, "duplicate")]
    found.X = [state.candidates[i] for i in rows]
    found.Z = np.asarray(state.candidates_Z[rows].numpy(), dtype=np.float64)
    found.sources = [SUPPLIED] * len(rows)
    screener.count(SUPPLIED, len(state.candidates), len(rows))


def _supply_foremost(
    state: SearchState, n: int, criterion: Criterion, found: _Found, screener: Screener
) -> None:
    """Add the best of the user's list."""
    listed = state.listed
    if listed is None:
        return
    rows = foremost(
        listed, criterion, Belief.of(state), state.turn, n, _LISTED, lambda x: screener.admit(x, "duplicate"),
        screener.generator,
    )  # fmt: skip
    kept, Z = screener.encode([listed.x(int(row)) for row in rows])
    found.X, found.Z = found.X + kept, np.concatenate([found.Z, Z])
    found.sources += [SUPPLIED] * len(kept)
    screener.count(SUPPLIED, len(rows), len(kept))
