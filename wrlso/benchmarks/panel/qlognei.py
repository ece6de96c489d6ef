"""BoTorch's noisy log expected improvement on the problems of the panel.

Its process sees the flattened x. Where x is no table, or one of more than 200 columns, it sees the latent
points of the model that the start has trained. Candidates are mutants and crosses of the best points; numbers
are also optimised by gradient.

It would be slow on all candidates, so a cheaper criterion, log EI over the best predicted mean, chooses
twenty of them first.

Glossary: F (n, D) features of x, y (n,) values, larger better.
"""

import importlib
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wrlso._utils.random import isolated_torch_rng, stream
from wrlso.acquisition.functions import log_h
from wrlso.benchmarks.panel.calls import Calls
from wrlso.benchmarks.panel.spaces import Columns
from wrlso.exceptions import DataError

__all__ = ["MANY_COLUMNS", "optional", "qlognei"]

_PEER = 2  # random stream of a seed
Features = Callable[[Sequence[Any]], Tensor]

MANY_COLUMNS = 200  # beyond which x is no table for methods that model each column
_CROSSED = 0.4
_PARENTS = 20  # best points that candidates are made of
_BASELINE = 20  # points that may be the best one, judged by their means
_SHORTLIST = 20


def optional(name: str, peer: str) -> Any:
    """Import a package that only one peer needs."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"the peer {peer!r} needs the package {name}: pip install 'wrlso[peers]'", name=name
        ) from error


def qlognei(
    calls: Calls, seed: int, *, n_candidates: int = 300, n_data: int = 400, fit_every: int = 25
) -> None:
    """Evaluate the candidate with the largest noisy log expected improvement (Ament et al., 2023).

    Parameters
    ----------
    calls : Calls
    seed : int
    n_candidates : int, default=300
        Mutants and crosses of the 20 best points for each call.
    n_data : int, default=400
        Points of the process: half of them the best, the others the latest, as it costs n³.
    fit_every : int, default=25
        Calls between two fits of the hyperparameters.
    """
    optional("botorch", "qlognei")
    rng = stream(seed, _PEER)
    with warnings.catch_warnings(), isolated_torch_rng(seed):
        warnings.simplefilter("ignore")
        features, readable = _features(calls, seed)
        state: dict[str, Tensor] | None = None
        F = features(calls.X)
        while calls.left:
            rows = _rows(calls, n_data)
            y = torch.tensor(np.maximum(calls.y, np.min(calls.y, where=np.isfinite(calls.y), initial=0.0)))
            fit = state is None or len(calls.told) % fit_every == 0
            process = _process(F[rows], y[rows], state, fit)
            state = process.state_dict()
            X = _candidates(calls, n_candidates, readable, rng)
            x = _choose(calls, process, F[rows], X, features(X), rng)
            calls.evaluate(x)
            F = torch.cat([F, features([x])])


def _features(calls: Calls, seed: int) -> tuple[Features, Callable[[Any], bool]]:
    """Return the features of X, and whether an x has any."""
    space = calls.problem.space
    if isinstance(space, Columns) and len(space.low) <= MANY_COLUMNS:
        return lambda X: torch.from_numpy(space.flat(X)), lambda x: True
    y = np.array(calls.y) * calls.problem.sign
    X: Any = np.stack(calls.X) if isinstance(calls.X[0], np.ndarray) else calls.X
    model = calls.problem.optimizer(X, y, seed, retrain_every=None).model_

    def encoded(X: Sequence[Any]) -> Tensor:
        with torch.no_grad():
            found: Tensor = model.encode(model.tensorize(X)).double().cpu()
        return found

    def readable(x: Any) -> bool:
        try:
            model.tensorize([x])
        except DataError:
            return False
        return True

    return encoded, readable


def _rows(calls: Calls, n: int) -> list[int]:
    best = calls.best(n // 2)
    latest = [i for i in range(len(calls.y) - 1, -1, -1) if i not in set(best)]
    return sorted([*best, *latest[: n - len(best)]])


def _process(F: Tensor, y: Tensor, state: dict[str, Tensor] | None, fit: bool) -> Any:
    """Return a process of standardised values, with fitted or with known hyperparameters."""
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import SingleTaskGP
    from gpytorch.mlls import ExactMarginalLogLikelihood

    scaled = ((y - y.mean()) / y.std().clamp_min(1e-9))[:, None]
    process = SingleTaskGP(F, scaled, outcome_transform=None)
    if state is not None:
        process.load_state_dict(state)
    if fit:
        fit_gpytorch_mll(
            ExactMarginalLogLikelihood(process.likelihood, process),
            optimizer_kwargs={"options": {"maxiter": 50}},
        )
    return process.eval()


def _choose(
    calls: Calls, process: Any, F: Tensor, X: list[Any], points: Tensor, rng: np.random.Generator
) -> Any:
    """Return the best of the candidates X with features ``points``, or the best numbers that there are."""
    from botorch.acquisition import qLogNoisyExpectedImprovement
    from botorch.sampling import SobolQMCNormalSampler

    means = process.posterior(F).mean.detach().squeeze(-1)
    baseline = F[means.argsort(descending=True)[:_BASELINE]]
    sampler = SobolQMCNormalSampler(torch.Size([64]), seed=int(rng.integers(2**31)))
    criterion = qLogNoisyExpectedImprovement(process, baseline, sampler=sampler, prune_baseline=False)
    listed = _log_improvement(process, points, float(means.max())).argsort(descending=True)[:_SHORTLIST]
    X, points = [X[i] for i in listed.tolist()], points[listed]
    space = calls.problem.space
    if isinstance(space, Columns) and not space.is_category.any():
        point = _ascend(criterion, F.shape[1])
        x = space.build(space.low + point.numpy() * (space.high - space.low))
        if space.key(x) not in calls.known:
            X, points = [*X, x], torch.cat([points, point[None]])
    with torch.no_grad():
        return X[int(criterion(points[:, None]).argmax())]


def _log_improvement(process: Any, points: Tensor, best: float) -> Tensor:
    with torch.no_grad():
        posterior = process.posterior(points)
        deviation = posterior.variance.squeeze(-1).sqrt().clamp_min(1e-9)
        found: Tensor = deviation.log() + log_h((posterior.mean.squeeze(-1) - best) / deviation)
    return found


def _ascend(criterion: Any, d: int) -> Tensor:
    from botorch.optim import optimize_acqf

    bounds = torch.stack([torch.zeros(d), torch.ones(d)]).double()
    found, _ = optimize_acqf(criterion, bounds, q=1, num_restarts=4, raw_samples=128, options={"maxiter": 50})
    point: Tensor = found[0].detach()
    return point


def _candidates(calls: Calls, n: int, readable: Callable[[Any], bool], rng: np.random.Generator) -> list[Any]:
    """Return distinct new x that have features: crosses and mutants of the best points."""
    space, parents = calls.problem.space, [calls.X[i] for i in calls.best(_PARENTS)]
    found: dict[Any, Any] = {}

    def proposed() -> Any:
        x = parents[rng.integers(len(parents))]
        if rng.random() < _CROSSED:
            x = space.cross(x, parents[rng.integers(len(parents))], rng)
            return x if x is None or rng.random() < 0.5 else space.mutate(x, rng)
        return space.mutate(x, rng)

    def readable_only() -> Any:
        x = proposed()
        return x if x is not None and readable(x) else None

    for _ in range(n):
        x = calls.new(readable_only)
        found[space.key(x)] = x
    return list(found.values())
