"""A search strategy that takes the best of many decoded and re-encoded candidates."""

import logging
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from wrlso._utils.validation import check_count, check_real
from wrlso.acquisition.belief import Belief, for_turn, safe_scores
from wrlso.acquisition.landscape import Landscape
from wrlso.acquisition.protocol import Criterion
from wrlso.acquisition.recombination import Parents, rewritten, some_blocks, spliced
from wrlso.acquisition.screening import Screener
from wrlso.acquisition.state import AskRecord, Proposal, SearchState
from wrlso.exceptions import ParameterError
from wrlso.models.inference import Array
from wrlso.models.protocol import Crosses, Mutates

__all__ = ["CandidatePool"]

_FURTHER = 2.5  # times as long is a step that moves one or two blocks as one that moves all
_logger = logging.getLogger(__name__)


class CandidatePool(BaseEstimator):
    r"""Decode many latent points, keep what is new, encode it again and take the best by its own encoding.

    Latent points are perturbed, mixed and recombined incumbents (sampled by the weights of the weighting) and
    samples from where the data lies; some are decoded at temperature 0 and some at ``temperature``. Later
    generations start at the best candidates so far. No gradient is needed, and a candidate is scored at its
    own encoding, so that a decoder that does not invert the encoder does no harm. Works with surrogates of Z
    and of features of x. Candidates that the user supplied compete as well.

    Parameters
    ----------
    n_candidates : int, default 1000
        Candidates made in one ask, equally many in each generation.
    generations : int, default 4
        Rounds in which they are made.
    temperature : float, default 1.0
        Of the stochastic decodings.
    greedy : float in [0, 1], default 0.5
        Share of the decoded ones that is decoded at temperature 0 instead.
    sigma : tuple of two floats, default (0.1, 2.0)
        Smallest and largest perturbation, in standard deviations of the data per dimension.
    margin, quantile : float, default 1.1 and 0.999
        Candidates stay in the box ± ``margin`` × this quantile of \|Z\| per dimension.
    max_attempts : int or None, default None
        Candidates before the search gives up because too few are new; perturbations in Z grow meanwhile.
        None: five times ``n_candidates``.
    splice : float in [0, 1], default 0.0
        Share of the latent points that are made of two incumbents: blocks of coordinates of one, then those
        of the other, sometimes moved to later or earlier blocks. For models whose z is a sequence of blocks
        that each say what stands at one place, such as :class:`wrlso.models.SelfiesVAE`.
    rewrite : float in [0, 1], default 0.0
        Share of the latent points that are incumbents with one to three neighbouring blocks set to zero, the
        mean of N(0, I). For models that were trained with hidden blocks, which fill them plausibly.
    mutate : float in [0, 1], default 0.0
        Share of the candidates that are not decoded: incumbents with a small random change that the model's
        own ``mutate`` makes, see :class:`wrlso.models.Mutates`. The decoder only reproduces what the data
        contain; mutation reaches objects outside of them, which the next training shows to the model.
    cross : float in [0, 1], default 0.0
        Share of the candidates that the model's own ``cross`` makes of two incumbents each, see
        :class:`wrlso.models.Crosses`.
    block : int, default 1
        Coordinates that belong together and move together; ``latent_dim`` must be a multiple. Blocks of
        zeros behind the last other one count as not used.
    k : float, "auto", tuple of these, or None, default None
        Incumbents are sampled among all points with a value, by rank weights with this k; equally many with
        each of several k, where a small one stays near the best points and a large one reaches others.
        "auto": 2.5 / N for the N values of each ask, so that the best few count alike for any N.
        None: by the weights of the optimizer's weighting.
    explore : float in [0, 1], default 1/3
        Share of the others that are sampled from where the data lies, or moved by differences between data.
    least_new : float in [0, 1], default 0.2
        If a smaller share of the candidates is new, the search has collapsed: the perturbations and the share
        that is sampled from where the data lies grow, and up to as many candidates again are made.
    """

    def __init__(
        self,
        n_candidates: int = 1000,
        *,
        generations: int = 4,
        temperature: float = 1.0,
        greedy: float = 0.5,
        sigma: tuple[float, float] = (0.1, 2.0),
        margin: float = 1.1,
        quantile: float = 0.999,
        max_attempts: int | None = None,
        splice: float = 0.0,
        rewrite: float = 0.0,
        mutate: float = 0.0,
        cross: float = 0.0,
        block: int = 1,
        k: float | str | tuple[float | str, ...] | None = None,
        explore: float = 1.0 / 3.0,
        least_new: float = 0.2,
    ) -> None:
        self.n_candidates = n_candidates
        self.generations = generations
        self.temperature = temperature
        self.greedy = greedy
        self.sigma = sigma
        self.margin = margin
        self.quantile = quantile
        self.max_attempts = max_attempts
        self.splice = splice
        self.rewrite = rewrite
        self.mutate = mutate
        self.cross = cross
        self.block = block
        self.k = k
        self.explore = explore
        self.least_new = least_new

    def propose(
        self, state: SearchState, n: int, rng: np.random.Generator, criterion: Criterion
    ) -> tuple[list[Proposal], AskRecord]:
        """Return n proposals; see :class:`wrlso.acquisition.Acquisition`."""
        self._check_parameters()
        check_count("n", n)
        self._check_model(state)
        belief = Belief.of(state)
        screener = Screener(state, type(self).__name__, rng)
        X, Z = self._gather(state, n, belief, screener, criterion, rng)
        if len(X) < n:
            raise screener.give_up(len(X), n)
        belief, points = belief.over(belief.points(X, Z))
        free = np.ones(len(X), dtype=bool)
        proposals: list[Proposal] = []
        turn = state.turn
        while len(proposals) < n:
            chooser = for_turn(criterion, turn + len(proposals))
            scores = safe_scores(chooser, belief, points, screener.generator)
            open_rows = np.flatnonzero(free)
            i = int(open_rows[scores[open_rows].argmax()])
            free[i] = False
            proposals.append(Proposal(X[i], torch.from_numpy(Z[i].copy()), float(scores[i])))
            if len(proposals) < n:
                belief = belief.add(points[i : i + 1])
        return proposals, screener.finish()

    def _gather(
        self,
        state: SearchState,
        n: int,
        belief: Belief,
        screener: Screener,
        criterion: Criterion,
        rng: np.random.Generator,
    ) -> tuple[list[Any], Array]:
        """Decode, screen and encode until the generations are over and there are at least n candidates."""
        landscape = Landscape.of(state, rng, self.margin, self.quantile)
        parents = Parents.sample(state, landscape, rng, self.k)
        X, Z = _supplied(state, screener)
        limit = 5 * self.n_candidates if self.max_attempts is None else self.max_attempts
        size = -(-min(self.n_candidates, limit) // self.generations)
        generation, widen, n_new = 0, 1.0, 0
        while (left := limit - screener.record.n_decoded) > 0:
            made = self._offspring(min(size, left), parents, widen, landscape, screener, rng)
            admitted = [x for x in made if screener.admit(x, "duplicate")]
            n_new += len(admitted)
            new_X, new_Z = screener.encode(admitted)
            X, Z = X + new_X, np.concatenate([Z, new_Z])
            generation += 1
            collapsed = n_new < self.least_new * screener.record.n_decoded
            if collapsed and generation == 1:
                _logger.info("%d of %d candidates are new: widening", n_new, screener.record.n_decoded)
            last = generation >= self.generations
            if last and len(X) >= n and (not collapsed or generation >= 2 * self.generations):
                break
            if last or collapsed:
                widen *= 2.0 if collapsed else 1.5
            if not last and len(X) > 0:
                choosers = [for_turn(criterion, state.turn + i) for i in range(n)]
                chosen = _foremost(choosers, belief, belief.points(X, Z), screener.generator)
                parents.best_X, parents.best_Z = [X[i] for i in chosen], Z[chosen]
        return X, Z

    def _offspring(
        self,
        size: int,
        parents: Parents,
        widen: float,
        landscape: Landscape,
        screener: Screener,
        rng: np.random.Generator,
    ) -> list[Any]:
        """Return candidates, None where nothing valid came out: mutated, crossed, and the others decoded."""
        mutated = parents.objects(round(self.mutate * size), rng)
        n_crossed = min(round(self.cross * size), size - len(mutated))
        pairs = [parents.objects(n_crossed, rng) for _ in range(2)]
        trial = self._recombine(
            size - len(mutated) - len(pairs[0]), parents, widen, landscape, screener.state, rng
        )
        n_greedy = round(self.greedy * len(trial))
        made = screener.decode(trial[:n_greedy], 0.0)
        made += screener.decode(trial[n_greedy:], self.temperature)
        return made + screener.vary("mutate", mutated) + screener.vary("cross", *pairs)

    def _recombine(
        self,
        size: int,
        parents: Parents,
        widen: float,
        landscape: Landscape,
        state: SearchState,
        rng: np.random.Generator,
    ) -> Array:
        """Return latent points (size, d), shuffled: spliced, rewritten, half of the rest perturbed, more."""
        n_spliced = round(self.splice * size)
        n_rewritten = min(round(self.rewrite * size), size - n_spliced)
        size -= n_spliced + n_rewritten
        mixed = int((1.0 - self.explore) * size / 4.0 + 1e-9)
        moved = int(self.explore * size / 2.0 + 1e-9)
        sampled = min(round(widen * moved), 2 * moved, size - mixed - moved)  # more where little else is new
        perturbed = size - mixed - moved - sampled
        share = rng.uniform(size=(mixed, 1))
        rows = landscape.rows[rng.integers(len(landscape.rows), size=(2, moved))]
        trial = [
            spliced(parents.latent(n_spliced, rng), parents.latent(n_spliced, rng), self.block, rng),
            rewritten(parents.latent(n_rewritten, rng), self.block, rng),
            self._perturbed(parents.latent(perturbed, rng), widen, landscape, rng),
            share * parents.latent(mixed, rng) + (1.0 - share) * parents.latent(mixed, rng),
            parents.latent(moved, rng) + widen * rng.uniform(0.2, 0.8, size=(moved, 1)) * (rows[0] - rows[1]),
            landscape.sample(state.model, sampled, rng),
        ]
        return landscape.clip(rng.permutation(np.concatenate(trial)))

    def _perturbed(self, rows: Array, widen: float, landscape: Landscape, rng: np.random.Generator) -> Array:
        n, d = rows.shape
        step = widen * np.exp(rng.uniform(np.log(self.sigma[0]), np.log(self.sigma[1]), size=(n, 1)))
        noise = step * landscape.spread * rng.standard_normal((n, d))
        # half of the steps move a few coordinates only: in high dimensions these stay close to good points
        few = rng.uniform(size=n) < 0.5
        if self.block == 1:
            noise[few] *= rng.uniform(size=(np.count_nonzero(few), d)) < min(1.0, 20.0 / d)
        else:
            noise[few] *= _FURTHER * some_blocks(rows[few], self.block, rng)
        return np.asarray(rows + noise)

    def _check_model(self, state: SearchState) -> None:
        if state.model.latent_dim % self.block:
            raise ParameterError(
                f"block must divide the model's latent_dim, {state.model.latent_dim}, got {self.block}"
            )
        for name, share, protocol in (("mutate", self.mutate, Mutates), ("cross", self.cross, Crosses)):
            if share and not isinstance(state.model, protocol):
                raise ParameterError(
                    f"{name}={share} needs a model with a method {name}, which {type(state.model).__name__} "
                    f"does not have: see wrlso.models.{protocol.__name__}"
                )
            if share and state.point is None and len(state.y):
                raise ParameterError(f"{name}={share} needs a search state with its points, point=…")

    def _check_parameters(self) -> None:
        for name in ("n_candidates", "generations", "block"):
            check_count(name, getattr(self, name))
        check_count("max_attempts", self.max_attempts, none="five times n_candidates")
        for name in ("splice", "rewrite", "mutate", "cross", "explore", "least_new"):
            check_real(name, getattr(self, name), minimum=0.0, maximum=1.0)
        if self.mutate + self.cross > 1.0:
            raise ParameterError(f"mutate + cross must be at most 1, got {self.mutate} + {self.cross}")
        if self.splice + self.rewrite > 1.0:
            raise ParameterError(f"splice + rewrite must be at most 1, got {self.splice} + {self.rewrite}")
        several = self.k if isinstance(self.k, tuple | list) else (self.k,)
        if not several:
            raise ParameterError(f"k must hold at least one number, got {self.k!r}")
        for k in several:
            if k != "auto":
                check_real("k", k, above=0.0, finite=False, none="'auto', or the weighting's weights")
        check_real("temperature", self.temperature, minimum=0.0)
        check_real("greedy", self.greedy, minimum=0.0, maximum=1.0)
        check_real("margin", self.margin, above=0.0)
        check_real("quantile", self.quantile, above=0.0, maximum=1.0)
        if not isinstance(self.sigma, tuple | list) or len(self.sigma) != 2:
            raise ParameterError(f"sigma must be a pair of numbers (smallest, largest), got {self.sigma!r}")
        check_real("sigma[0]", self.sigma[0], above=0.0)
        check_real("sigma[1]", self.sigma[1], minimum=self.sigma[0])


def _foremost(
    choosers: list[Criterion], belief: Belief, points: Any, generator: torch.Generator
) -> NDArray[np.int64]:
    """Return the best tenth of the candidates: each criterion's share is that of the points it chooses."""
    chosen: list[int] = []
    for criterion in {id(each): each for each in choosers}.values():
        share = sum(each is criterion for each in choosers) / len(choosers)
        scores = safe_scores(criterion, belief, points, generator)
        size = int(np.ceil(share * -(-len(points) // 10)))
        chosen += np.argsort(-scores, kind="stable")[:size].tolist()
    return np.array(list(dict.fromkeys(chosen)), dtype=np.int64)


def _supplied(state: SearchState, screener: Screener) -> tuple[list[Any], Array]:
    """The user's own candidates that may be proposed, and their encodings."""
    if state.candidates_Z is None or len(state.candidates) == 0:
        return [], np.empty((0, state.model.latent_dim))
    rows = [i for i, x in enumerate(state.candidates) if screener.admit(x, "duplicate")]
    return [state.candidates[i] for i in rows], np.asarray(state.candidates_Z[rows].numpy(), dtype=np.float64)
