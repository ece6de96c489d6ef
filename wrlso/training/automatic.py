"""Trainings whose length and β follow from the data.

Nothing here depends on a clock, so that the same calls give the same weights: what a step costs is estimated
from the multiplications of one batch.
"""

import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wrlso._utils.progress_bar import ProgressBar
from wrlso._utils.random import isolated_torch_rng
from wrlso.models.inference import evaluating
from wrlso.models.protocol import LatentModel
from wrlso.training.loop import Batch, Inputs, Loop

__all__ = ["Course", "active_dimensions", "seconds_of_step", "steps_of_first", "steps_of_later"]

_logger = logging.getLogger(__name__)

_FEW = 50  # points: of fewer, a tenth says nothing
_STEPS_OF_FEW = 500
_MOST_HELD_OUT = 1000
_NEVER_HELD_OUT = 10  # the heaviest points, which the search starts from
_STEPS, _PASSES, _SECONDS = 4000, 20, 60.0  # bounds of a first training
_STEPS_OF_NEW, _FEWEST_LATER, _LONGER, _MOST_LATER, _LATER_SECONDS = 2, 25, 5, 1000, 10.0  # of a later one
_FALLS = 0.02  # share of the loss by which a retraining that goes on lowers it in a look
_LOOK = 50  # steps between two looks at what is held out
_PATIENCE = 6  # looks without a better one
_WARM_UP = 500  # steps in which β rises from 0
_RISE = 50  # steps in which the learning rate rises from 0
_INFORMED = 1.0  # nats of divergence
_ACTIVE = 0.01  # variance of the posterior means (Burda, Grosse, Salakhutdinov, ICLR 2016)
_SHARES = (1.0, 0.1, 0.01)  # of β, until the latent points are not all the same

Beta = Callable[[int], float]  # by step
Log = list[dict[str, float]]


def seconds_of_step(model: LatentModel, inputs: Inputs, batch_size: int) -> float:
    """Return about how many seconds one step takes on one core: an estimate that no clock changes."""
    from torch.utils.flop_counter import FlopCounterMode

    rows = torch.arange(min(len(inputs), batch_size))
    parameters = list(model.parameters())
    counter = FlopCounterMode(display=False)
    with evaluating(model), isolated_torch_rng(0), counter:
        model.loss(_on_device(model, inputs[rows]))
    # forward and twice as much backward at 20 GFLOP/s; Adam reads and writes each parameter a few times
    return 1e-3 + 3 * counter.get_total_flops() / 2e10 + 4e-9 * sum(p.numel() for p in parameters)


def steps_of_first(n: int, seconds: float, batch_size: int) -> int:
    """Return the most steps of a first training on n points, each of which takes some seconds."""
    steps = _STEPS + _PASSES * n // batch_size if n >= _FEW else _STEPS_OF_FEW
    return max(1, min(steps, int(_SECONDS / seconds)))


def steps_of_later(n_new: int, seconds: float) -> tuple[int, int]:
    """Return the fewest and the most steps of a retraining after n new points."""
    fewest = min(max(_STEPS_OF_NEW * n_new, _FEWEST_LATER), _MOST_LATER)
    affordable = max(1, int(_LATER_SECONDS / seconds))
    return min(fewest, affordable), min(_LONGER * fewest, _MOST_LATER, affordable)


def active_dimensions(model: LatentModel, inputs: Inputs) -> int:
    """Return in how many dimensions the posterior means of at most 500 points differ."""
    rows = torch.from_numpy(np.linspace(0, len(inputs) - 1, min(len(inputs), 500)).astype(np.int64))
    with evaluating(model), isolated_torch_rng(0):
        Z = model.encode(_on_device(model, inputs[rows])).double()
    return int((Z.var(dim=0, correction=0) > _ACTIVE).sum())


def _knows_its_data(model: Any, inputs: Inputs) -> bool:
    """Whether latent points say something of their objects, which those of random weights do not."""
    if not (beta := getattr(model, "beta", 0.0)):
        return False
    rows = torch.from_numpy(np.linspace(0, len(inputs) - 1, min(len(inputs), 100)).astype(np.int64))
    losses = []
    for weight in (beta, 0.0):  # the same noise in both, so that they differ by the divergence only
        model.beta = weight
        with evaluating(model), isolated_torch_rng(0):
            losses.append(float(model.loss(_on_device(model, inputs[rows])).double().mean()))
    model.beta = beta
    return (losses[0] - losses[1]) / beta > _INFORMED


def _on_device(model: LatentModel, tensor: Tensor) -> Tensor:
    parameter = next(iter(model.parameters()), None)
    return tensor if parameter is None else tensor.to(parameter.device)


@dataclass(frozen=True)
class Course:
    """One automatic training.

    Parameters
    ----------
    model, inputs, weights
        As of :meth:`wrlso.training.Trainer.fit`, weights (n,) of mean 1.
    batches : callable
        (weights, length, rng) → minibatches of a pass over this share of the data.
    loop : callable
        (step → β, or None; steps in which the learning rate rises) → a new :class:`Loop`.
    most, batch_size : int
        Most steps, and examples in each.
    rng : numpy.random.Generator
        Source of the batches.
    bar : ProgressBar
        What shows the passes.
    """

    model: Any
    inputs: Inputs
    weights: np.ndarray
    batches: Callable[[np.ndarray, float, np.random.Generator], Iterator[Batch]]
    loop: Callable[[Beta | None, int], Loop]
    most: int
    batch_size: int
    rng: np.random.Generator
    bar: ProgressBar

    def first(self, schedule: Beta | None) -> Log:
        """Train until what is held out is explained no better; the best weights stay."""
        held = _held_out(self.weights, self.rng)
        if schedule is not None:
            return self._train(schedule, self.model.beta, held, 0)
        trained = _knows_its_data(self.model, self.inputs)
        return self._answer_collapse(1.0, held, 0 if trained else min(_WARM_UP, self.most // 2))

    def later(self, share: float, fewest: int) -> Log:
        """Train for as long as the loss falls, with a share of β or less."""
        return self._answer_collapse(share, np.empty(0, np.int64), 0, fewest)

    def _answer_collapse(
        self, largest: float, held: np.ndarray, warm_up: int, fewest: int | None = None
    ) -> Log:
        """Train with ever smaller β until the latent points differ."""
        beta = getattr(self.model, "beta", 0.0)
        if not beta:
            return self._train(None, beta, held, 0, fewest)
        before = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        shares = [share for share in _SHARES if share <= largest]
        for share in shares:
            log = self._train(_warm_up(share * beta, warm_up), share * beta, held, warm_up, fewest)
            log[-1]["beta_share"] = share
            if active_dimensions(self.model, self.inputs) or len(self.inputs) < 2 or share == shares[-1]:
                break
            _logger.info(
                "trained with beta = %g, all latent points are the same: again with less", share * beta
            )
            self.model.load_state_dict(before)
        return log

    def _train(
        self,
        schedule: Beta | None,
        beta: float,
        held: np.ndarray,
        warm_up: int,
        fewest: int | None = None,
    ) -> Log:
        """Train, looking at the held-out rows with the final β from the end of the warm-up on.

        With ``fewest``, after so many steps only as long as the training loss falls.
        """
        loop, best = self.loop(schedule, _RISE), _Best()
        weights, epoch = self.weights.copy(), 0.0
        weights[held] = 0.0
        look = max(1, min(_LOOK, self.most // 10))
        try:
            if len(held):  # the given weights may be the best
                best.see(self._loss_of(held, beta), loop)
            while loop.n_steps < self.most and best.age < _PATIENCE:
                batches, passes = self._next(weights, min(look, self.most - loop.n_steps))
                epoch += passes
                loop.run(batches, passes, epoch, self.bar)
                if len(held) and loop.n_steps >= warm_up:
                    loop.log[-1]["held_out"] = self._loss_of(held, beta)
                    best.see(loop.log[-1]["held_out"], loop)
                if fewest is not None and loop.n_steps >= fewest and not _falls(loop.log):
                    break
            if best.state is not None:
                self.model.load_state_dict(best.state)
                loop.log[-1] |= {"held_out": best.score, "best_step": best.step}
        finally:
            loop.close()
        return loop.log

    def _next(self, weights: np.ndarray, n_steps: int) -> tuple[list[Batch], float]:
        """Return the batches of the next steps, and the passes that they are."""
        length = min(1.0, n_steps * self.batch_size / len(weights))
        batches: list[Batch] = []
        passes = 0.0
        while len(batches) < n_steps:
            batches += self.batches(weights, length, self.rng)
            passes += length
        return batches[:n_steps], passes * n_steps / len(batches)

    def _loss_of(self, rows: np.ndarray, beta: float) -> float:
        """Return the weighted mean loss of rows, with the same noise in every call."""
        total, now = 0.0, getattr(self.model, "beta", None)
        if now is not None:
            self.model.beta = beta
        with evaluating(self.model), isolated_torch_rng(0):
            for part in np.array_split(rows, math.ceil(len(rows) / 256)):
                losses = self.model.loss(_on_device(self.model, self.inputs[torch.from_numpy(part)]))
                total += float((losses.cpu().double() * torch.from_numpy(self.weights[part])).sum())
        if now is not None:
            self.model.beta = now
        return total / float(self.weights[rows].sum())


@dataclass
class _Best:
    """The best weights so far: of which step, and how many looks ago."""

    score: float = math.inf
    state: dict[str, Tensor] | None = None
    step: int = 0
    age: int = 0

    def see(self, score: float, loop: Loop) -> None:
        self.age += 1
        if score < self.score:
            self.score, self.state, self.step, self.age = score, loop.state(), loop.n_steps, 0


def _warm_up(beta: float, steps: int) -> Beta:
    return lambda step: beta * min(1.0, (step + 1) / (steps + 1))


def _falls(log: Log) -> bool:
    if len(log) < 2:
        return True
    before, now = log[-2]["loss"], log[-1]["loss"]
    return now < before - _FALLS * abs(before)


def _held_out(weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a tenth of the rows, spread evenly over light and heavy ones, without the heaviest."""
    positive = np.flatnonzero(weights > 0)
    if len(positive) < _FEW:
        return np.empty(0, np.int64)
    order = rng.permutation(positive)  # so that of equal weights any may be held out
    order = order[np.argsort(-weights[order], kind="stable")][_NEVER_HELD_OUT:]
    n = min(_MOST_HELD_OUT, len(positive) // 10)
    gap = len(order) / n
    return np.sort(order[(gap * (rng.random() + np.arange(n))).astype(np.int64)])
