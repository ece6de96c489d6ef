"""A search strategy that maximises the acquisition function over Z with gradients, then decodes."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from wrlso._utils.ascent import ascend
from wrlso._utils.estimator import BaseEstimator
from wrlso._utils.validation import check_count, check_real
from wrlso.acquisition.ask_record import AskRecord
from wrlso.acquisition.belief import Belief, for_turn, safe_scores
from wrlso.acquisition.landscape import Landscape
from wrlso.acquisition.protocol import Criterion
from wrlso.acquisition.screening import Screener
from wrlso.acquisition.state import Proposal, SearchState
from wrlso.exceptions import ParameterError
from wrlso.models.inference import Array

__all__ = ["LatentSearch"]

_TOP_SHARE = 0.2  # share of the best points near which starts lie
_STEPS = (0.1, 0.2, 0.4, 0.8, 1.6)  # of the last resort, in standard deviations of the data


class LatentSearch(BaseEstimator):
    """Maximise the acquisition function over Z from many starts at once, then decode.

    Half of the starts come from where the data lies and half from near its best fifth, each the best of
    ``n_raw`` / 2 samples. Where a maximum decodes to something that may not be proposed, the next-best z
    follow, then stochastic decodings of them, then growing perturbations of the best data. Where experiments
    have failed, all these points are decoded, and the best by value times probability of success is taken.

    Parameters
    ----------
    n_starts : int, default 20
        Starts of the gradient ascent, which moves them all together.
    n_raw : int, default 512
        Points scored to choose the starts.
    margin, quantile : float, default 1.1 and 0.999
        The search stays in a box: ± ``margin`` × the ``quantile`` of |Z| per dimension.
    max_iter : int, default 30
        Gradient steps of all starts, and as many iterations of L-BFGS-B of the best one of them.
    step : float, default 0.1
        Length of the first steps, in standard deviations of the data per dimension.
    temperature : float, default 1.0
        Of the stochastic decodings.
    max_attempts : int, default 1000
        Points decoded for one proposal before the search gives up.
    """

    def __init__(
        self,
        n_starts: int = 20,
        n_raw: int = 512,
        *,
        margin: float = 1.1,
        quantile: float = 0.999,
        max_iter: int = 30,
        step: float = 0.1,
        temperature: float = 1.0,
        max_attempts: int = 1000,
    ) -> None:
        self.n_starts = n_starts
        self.n_raw = n_raw
        self.margin = margin
        self.quantile = quantile
        self.max_iter = max_iter
        self.step = step
        self.temperature = temperature
        self.max_attempts = max_attempts

    def propose(
        self, state: SearchState, n: int, rng: np.random.Generator, criterion: Criterion
    ) -> tuple[list[Proposal], AskRecord]:
        """Return n proposals; see :class:`wrlso.acquisition.Acquisition`."""
        self._check_parameters()
        check_count("n", n)
        belief = Belief.of(state, latent=True)
        if belief.surrogate.space != "latent":
            raise ParameterError(
                f"LatentSearch needs a surrogate of Z, got {type(belief.surrogate).__name__}, which models "
                f"features of x: use CandidatePool"
            )
        landscape = Landscape.of(state, rng, self.margin, self.quantile)
        screener = Screener(state, type(self).__name__, rng)
        proposals: list[Proposal] = []
        turn = state.turn
        while len(proposals) < n:
            chooser = for_turn(criterion, turn + len(proposals))
            proposal = self._one(state, belief, landscape, screener, chooser, rng)
            if proposal is None:
                raise screener.give_up(len(proposals), n)
            proposals.append(proposal)
            if len(proposals) < n:
                belief = belief.add(proposal.z[None])
        return proposals, screener.finish()

    def _one(
        self,
        state: SearchState,
        belief: Belief,
        landscape: Landscape,
        screener: Screener,
        criterion: Criterion,
        rng: np.random.Generator,
    ) -> Proposal | None:
        generator = screener.generator
        raw = self._raw_points(state, landscape, rng)
        scores = safe_scores(criterion, belief, torch.from_numpy(raw), generator)
        order = np.argsort(-scores, kind="stable")
        ranked = raw[order]
        if criterion.differentiable and self.max_iter > 0:
            starts = self._pick_starts(raw, scores)
            finals = self._ascend(starts, belief, landscape, criterion, generator)
            values = safe_scores(criterion, belief, torch.from_numpy(finals), generator)
            ranked = np.concatenate([finals[np.argsort(-values, kind="stable")], ranked])
        attempts = 0
        for Z, temperature in self._stages(ranked, state, landscape, rng):
            Z = Z[: self.max_attempts - attempts]
            attempts += len(Z)
            decoded = screener.decode(Z, temperature)
            if state.success is not None:
                found = self._likeliest(decoded, Z, belief, screener, criterion)
                if found is not None:
                    return found
                decoded = []
            for x, z in zip(decoded, Z[: len(decoded)], strict=True):
                if screener.admit(x, "chosen"):
                    point = torch.from_numpy(z.copy())
                    value = float(safe_scores(criterion, belief, point[None], generator)[0])
                    return Proposal(x, point, value)
            if attempts >= self.max_attempts:
                break
        return None

    def _likeliest(
        self, decoded: list[Any], Z: Array, belief: Belief, screener: Screener, criterion: Criterion
    ) -> Proposal | None:
        """Return the best of some decoded points by value times probability of success; None without any."""
        rows = [i for i, x in enumerate(decoded) if screener.admit(x, "chosen")]
        X, encodings = screener.encode([decoded[i] for i in rows])
        if not X or screener.state.success is None:
            return None
        Z = Z[rows] if len(X) == len(rows) else encodings  # a model that encodes some only is a rare thing
        points = torch.from_numpy(Z.copy())
        success = screener.state.success.probability(X, torch.from_numpy(encodings))
        scores = safe_scores(criterion, belief, points, screener.generator, success)
        best = int(scores.argmax())
        screener.free([x for i, x in enumerate(X) if i != best])
        return Proposal(X[best], points[best], float(scores[best]), success=float(success[best]))

    def _stages(
        self,
        ranked: Array,
        state: SearchState,
        landscape: Landscape,
        rng: np.random.Generator,
    ) -> Iterator[tuple[Array, float]]:
        """Latent points to decode and temperatures, from the best to the last resort; never ends."""
        size = self.n_starts
        if state.success is not None:
            yield ranked, 0.0  # the best of them by value may be likely to fail
        yield ranked[:size], 0.0
        yield ranked[size : 5 * size], 0.0
        for factor in (0.5, 1.0, 2.0):
            yield ranked[: 2 * size], factor * self.temperature
        best = _best_rows(state, 10, landscape)
        while True:
            for step in _STEPS:
                rows = best[rng.integers(len(best), size=size)]
                noise = step * landscape.spread * rng.standard_normal(rows.shape)
                yield landscape.clip(rows + noise), self.temperature

    def _raw_points(self, state: SearchState, landscape: Landscape, rng: np.random.Generator) -> Array:
        half = max(self.n_raw // 2, self.n_starts)
        prior = landscape.sample(state.model, half, rng)
        near = _sampled_best(state, _TOP_SHARE, half, landscape, rng)
        near = near + 0.1 * landscape.spread * rng.standard_normal(near.shape)
        return landscape.clip(np.concatenate([prior, near]))

    def _pick_starts(self, raw: Array, scores: Array) -> Array:
        """Return the best of each half: samples of the prior, and points near the best data."""
        half, share = len(raw) // 2, (self.n_starts + 1) // 2
        prior = np.argsort(-scores[:half], kind="stable")[:share]
        near = half + np.argsort(-scores[half:], kind="stable")[: self.n_starts - share]
        return np.asarray(raw[np.concatenate([prior, near])])

    def _ascend(
        self,
        starts: Array,
        belief: Belief,
        landscape: Landscape,
        criterion: Criterion,
        generator: torch.Generator,
    ) -> Array:
        """Move all starts uphill together, the best one all the way; return the best of each path."""
        unit = torch.from_numpy(landscape.spread)

        def score(steps: Tensor) -> Tensor:
            return criterion.score(belief.surrogate, steps * unit, belief.best, generator)

        def project(steps: Tensor) -> Tensor:
            return landscape.project(steps * unit) / unit

        best, values = ascend(score, torch.from_numpy(starts) / unit, self.max_iter, self.step, project)
        best, top = landscape.project(best * unit), int(values.argmax())
        best[top] = self._polish(best[top], belief, landscape, criterion, generator)
        return np.asarray(best.numpy())

    def _polish(
        self,
        z: Tensor,
        belief: Belief,
        landscape: Landscape,
        criterion: Criterion,
        generator: torch.Generator,
    ) -> Tensor:
        """Take one point (d,) the rest of the way uphill with L-BFGS-B."""

        def loss(flat: Array) -> tuple[float, Array]:
            point = torch.from_numpy(flat[None].copy()).requires_grad_(True)
            value = criterion.score(belief.surrogate, landscape.project(point), belief.best, generator).sum()
            (gradient,) = torch.autograd.grad(value, point)
            return -float(value.detach()), -torch.nan_to_num(gradient).numpy().ravel()

        box = np.stack([-landscape.half_width, landscape.half_width], axis=1)
        options = {"maxiter": self.max_iter, "maxfun": 2 * self.max_iter}
        start = np.asarray(z.numpy())
        found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=box, options=options)
        if not (np.isfinite(found.x).all() and found.fun <= loss(start)[0]):
            return z
        return landscape.project(torch.from_numpy(found.x[None]))[0]

    def _check_parameters(self) -> None:
        for name, least in (("n_starts", 1), ("n_raw", 1), ("max_iter", 0), ("max_attempts", 1)):
            check_count(name, getattr(self, name), minimum=least)
        check_real("step", self.step, above=0.0)
        check_real("margin", self.margin, above=0.0)
        check_real("quantile", self.quantile, above=0.0, maximum=1.0)
        check_real("temperature", self.temperature, minimum=0.0)


def _sampled_best(
    state: SearchState, share: float, size: int, landscape: Landscape, rng: np.random.Generator
) -> Array:
    """Encodings (size, d) sampled from this share of all points with a value, the best of them."""
    data = state.all_measured
    if len(data.y) == 0:
        return np.asarray(landscape.rows[rng.integers(len(landscape.rows), size=size)])
    top = torch.topk(data.y, int(np.ceil(share * len(data.y)))).indices.numpy()
    return data.encoded(top[rng.integers(len(top), size=size)])


def _best_rows(state: SearchState, k: int, landscape: Landscape) -> Array:
    """Encodings of the k best values, in O(n); rows of the landscape when there are no values."""
    n = len(state.y)
    if n == 0:
        return landscape.rows
    k = min(max(k, 1), n)
    return np.asarray(state.Z[torch.topk(state.y, k).indices].numpy())
