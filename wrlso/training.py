"""Weighted training and fine-tuning of latent models (Algorithm 1, line 3; appendix A.2).

The training loss is Σ w_i L(x_i) / N with weights of mean 1. The trainer minimises it in minibatches, either
by replication (it visits every point, and points of large weight as several copies) or by sampling (in
proportion to the weights).
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from sklearn.base import BaseEstimator
from torch import Tensor

from wrlso._utils.progress_bar import ProgressBar
from wrlso._utils.random import isolated_torch_rng
from wrlso._utils.validation import check_choice, check_count, check_real
from wrlso.exceptions import DataError, NonFiniteLossError, ParameterError, ParameterTypeError
from wrlso.models.protocol import LatentModel
from wrlso.weighting import normalize_weights, replicate

__all__ = ["GeometricBeta", "Inputs", "Trainer"]

_W_MAX = 5.0

# the bar moves with every step, because one epoch may take half an hour
_BAR_FORMAT = "{l_bar}{bar}| {n:.2f} of {total:.2f} epochs [{elapsed}<{remaining}{postfix}]"


class Inputs(Protocol):
    """n tensorized objects: a tensor (n, ...), or anything that returns its rows for an index tensor."""

    def __len__(self) -> int:
        """Return n."""

    def __getitem__(self, rows: Tensor, /) -> Tensor:
        """Return the rows (m, ...) at the int64 indices (m,)."""


@dataclass(frozen=True)
class GeometricBeta:
    """A schedule for β: constant for ``warmup`` steps, then times ``factor`` each ``every``, up to ``stop``.

    The defaults are those of the published shapes model.
    """

    start: float = 1e-6
    stop: float = 10.0
    factor: float = 1.1
    every: int = 10
    warmup: int = 1000

    def __call__(self, step: int) -> float:
        """Return β for one training step, counted from 0."""
        n_increases = max(0, (step - self.warmup) // self.every)
        # in logarithms, because the power overflows after many steps
        log_beta = math.log(self.start) + n_increases * math.log(self.factor)
        return self.stop if log_beta >= math.log(self.stop) else math.exp(log_beta)


class Trainer(BaseEstimator):
    """Trains any :class:`wrlso.models.LatentModel` on weighted data with Adam.

    Parameters
    ----------
    initial_epochs : float, default=20
        Passes over the weighted data in :meth:`fit`; 0 skips training, a fraction takes a random part.
    retrain_epochs : float, default=1
        Passes in :meth:`fine_tune`. The paper's released code uses 1 at first and 0.1 later.
    initial_steps, retrain_steps : int or None, default=None
        Most steps of one training in :meth:`fit` and in :meth:`fine_tune`: of many data it then takes a part
        of a pass. None: no bound.
    batch_size : int, default=64
        Examples in a minibatch; the batches of a pass differ by at most one.
    lr : float, default=1e-3
        Adam's learning rate in :meth:`fit`.
    retrain_lr : float or None, default=None
        Adam's learning rate in :meth:`fine_tune`; None: ``lr``.
    variance_reduction : {"replicate", "sample"}, default="replicate"
        "replicate": visit every point, those with w > w_max as several copies (appendix A.2), and weight
        the loss of each copy. "sample": sample points in proportion to w, with an unweighted loss.
    w_max : float, default=5.0
        Largest weight of one copy; for "replicate" only.
    retrain : {"finetune", "scratch"}, default="finetune"
        Whether to continue from the current weights or to start again from the given ones (section 4.2).
    grad_clip : float or None, default=None
        Largest Euclidean norm of the gradient; None: no clipping.
    beta_schedule : callable or None, default=None
        Step → β, applied to ``model.beta`` during :meth:`fit`, see :class:`GeometricBeta`. :meth:`fine_tune`
        trains with the ``model.beta`` that the model has.

    Examples
    --------
    >>> import numpy as np
    >>> from torch import nn
    >>> from wrlso import VAE, Trainer, rank_weights
    >>> x = np.eye(8)
    >>> model = VAE(nn.Linear(8, 4), nn.Linear(2, 8))
    >>> rng = np.random.default_rng(0)
    >>> log = Trainer(initial_epochs=3).fit(model, model.tensorize(x), rank_weights(np.arange(8)), rng)
    >>> [entry["epoch"] for entry in log]
    [1.0, 2.0, 3.0]
    """

    def __init__(
        self,
        *,
        initial_epochs: float = 20,
        retrain_epochs: float = 1,
        initial_steps: int | None = None,
        retrain_steps: int | None = None,
        batch_size: int = 64,
        lr: float = 1e-3,
        retrain_lr: float | None = None,
        variance_reduction: str = "replicate",
        w_max: float = _W_MAX,
        retrain: str = "finetune",
        grad_clip: float | None = None,
        beta_schedule: Callable[[int], float] | None = None,
    ) -> None:
        self.initial_epochs = initial_epochs
        self.retrain_epochs = retrain_epochs
        self.initial_steps = initial_steps
        self.retrain_steps = retrain_steps
        self.batch_size = batch_size
        self.lr = lr
        self.retrain_lr = retrain_lr
        self.variance_reduction = variance_reduction
        self.w_max = w_max
        self.retrain = retrain
        self.grad_clip = grad_clip
        self.beta_schedule = beta_schedule

    def fit(
        self,
        model: LatentModel,
        inputs: Inputs,
        weights: np.ndarray,
        rng: np.random.Generator,
        verbose: int = 0,
    ) -> list[dict[str, float]]:
        """Train for ``initial_epochs`` from the model's current weights.

        Parameters
        ----------
        model : LatentModel
            Trained in place.
        inputs : Tensor (n, ...) or Inputs
            The result of ``model.tensorize``; each batch is moved to the model's device.
        weights : ndarray (n,)
            Not negative, sum > 0; normalised to mean 1.
        rng : numpy.random.Generator
            Source of all randomness.
        verbose : int, default=0
            From 1 on show a progress bar.

        Returns
        -------
        list of dict
            One entry a pass: "epoch" (passes so far), "loss" (weighted mean), "n_steps", "lr", "seconds"
            and "beta" where the model has one.

        Raises
        ------
        NonFiniteLossError
            When the loss or a weight becomes NaN or infinite; the model then has the weights of the last
            good pass.
        DataError
            When there are no inputs, or not one weight for each.
        """
        return self._train(model, inputs, weights, rng, verbose, first=True)

    def fine_tune(
        self,
        model: LatentModel,
        inputs: Inputs,
        weights: np.ndarray,
        rng: np.random.Generator,
        verbose: int = 0,
    ) -> list[dict[str, float]]:
        """Train for ``retrain_epochs`` from the model's current weights; see :meth:`fit`."""
        return self._train(model, inputs, weights, rng, verbose, first=False)

    def check_parameters(self) -> None:
        """Raise ParameterError or ParameterTypeError for an invalid parameter."""
        check_real("initial_epochs", self.initial_epochs, minimum=0)
        check_real("retrain_epochs", self.retrain_epochs, minimum=0)
        check_count("initial_steps", self.initial_steps, none="no bound")
        check_count("retrain_steps", self.retrain_steps, none="no bound")
        check_count("batch_size", self.batch_size)
        check_real("lr", self.lr, above=0)
        check_real("retrain_lr", self.retrain_lr, above=0, none="lr")
        check_choice("variance_reduction", self.variance_reduction, ("replicate", "sample"))
        check_real("w_max", self.w_max, above=0, finite=False)
        check_choice("retrain", self.retrain, ("finetune", "scratch"))
        check_real("grad_clip", self.grad_clip, above=0, none="no clipping")
        if self.beta_schedule is not None and not callable(self.beta_schedule):
            raise ParameterTypeError(f"beta_schedule must be callable or None, got {self.beta_schedule!r}")
        if self.beta_schedule is not None and self.initial_epochs == 0:
            raise ParameterError(
                "beta_schedule must be None with initial_epochs=0: it applies to the first training only, "
                "which then takes no step. Set model.beta instead"
            )
        if self.variance_reduction == "sample" and self.w_max != _W_MAX:
            raise ParameterError(
                f"w_max must be {_W_MAX:g}, the default, with variance_reduction='sample', which makes no "
                f"copies that it could bound, got {self.w_max!r}"
            )

    def _train(
        self,
        model: LatentModel,
        inputs: Inputs,
        weights: np.ndarray,
        rng: np.random.Generator,
        verbose: int,
        *,
        first: bool,
    ) -> list[dict[str, float]]:
        self.check_parameters()
        if len(inputs) == 0:
            raise DataError("training needs at least one x, got none")
        weights = normalize_weights(weights, len(inputs))
        epochs, most = self._length(len(inputs), first)
        lr = self.lr if first or self.retrain_lr is None else self.retrain_lr
        schedule = self.beta_schedule if first else None
        if schedule is not None and not hasattr(model, "beta"):
            raise ParameterTypeError("beta_schedule needs a model with an attribute beta")
        loop = _Loop(model, inputs, lr, self.grad_clip, schedule)
        passes = list(_pass_lengths(epochs))
        bar = ProgressBar(
            total=float(epochs), desc="training", disable=not verbose, leave=False, bar_format=_BAR_FORMAT
        )
        try:
            with isolated_torch_rng(int(rng.integers(2**63))), bar:
                for done, length in zip(np.cumsum(passes), passes, strict=True):
                    batches = list(self.batches(weights, length, rng))
                    left = len(batches) if most is None else min(len(batches), most - loop.n_steps)
                    if left == 0:
                        break
                    share = left / len(batches)
                    loop.run_pass(batches[:left], share * length, float(done - (1 - share) * length), bar)
        finally:
            loop.close()
        return loop.log

    def _length(self, n: int, first: bool) -> tuple[float, int | None]:
        """Return the passes over n data of the next training, and its largest number of steps."""
        epochs, most = self.initial_epochs, self.initial_steps
        if not first:
            epochs, most = self.retrain_epochs, self.retrain_steps
        # a part of a pass costs less than a whole one that is cut off, and is as random
        return (epochs if most is None else min(epochs, max(self.batch_size, 2) / n * most)), most

    def batches(
        self, weights: np.ndarray, length: float, rng: np.random.Generator
    ) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Yield (rows, weights or None) of the minibatches of a pass over a share ``length`` of the data."""
        copies: np.ndarray | None = None
        if self.variance_reduction == "sample":
            n_visits = max(1, round(length * len(weights)))
            rows = rng.choice(len(weights), size=n_visits, p=weights / weights.sum())
        else:
            rows, copies = replicate(weights, self.w_max)
            # mean 1 over the copies, so that any minibatch has the full data's expected gradient
            copies = copies * (len(copies) / copies.sum())
            chosen = rng.permutation(len(rows))[: max(1, round(length * len(rows)))]
            rows, copies = rows[chosen], copies[chosen]
        if len(rows) == 1:
            # the same example twice: its mean gradient is the same, and batch normalisation needs two rows
            rows = np.repeat(rows, 2)
            copies = None if copies is None else np.repeat(copies, 2)
        n_batches = max(1, math.ceil(len(rows) / max(self.batch_size, 2)))
        for part in np.array_split(np.arange(len(rows)), n_batches):
            w = None if copies is None else torch.from_numpy(copies[part]).float()
            yield torch.from_numpy(rows[part]), w


class _Loop:
    """The inner loop: steps, checks for finite numbers, and the way back to the last good weights."""

    def __init__(
        self,
        model: LatentModel,
        inputs: Inputs,
        lr: float,
        grad_clip: float | None,
        beta_schedule: Callable[[int], float] | None,
    ) -> None:
        self.model: Any = model
        self.inputs = inputs
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.device = self.parameters[0].device if self.parameters else torch.device("cpu")
        self.optimizer = torch.optim.Adam(self.parameters, lr=lr) if self.parameters else None
        self.lr = lr
        self.grad_clip = grad_clip
        self.beta_schedule = beta_schedule
        self.final_beta = getattr(model, "beta", None)
        self.was_training = bool(getattr(model, "training", False))
        self.n_steps = 0
        self.log: list[dict[str, float]] = []
        model.train(True)

    def run_pass(
        self, batches: Sequence[tuple[Tensor, Tensor | None]], length: float, epoch: float, bar: ProgressBar
    ) -> None:
        last_good = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        start, total, count = time.perf_counter(), 0.0, 0
        for rows, weights in batches:
            loss = self._step(rows, weights)
            if not math.isfinite(loss):
                self._give_up(last_good, f"the loss became {loss}", epoch)
            total += loss * len(rows)
            count += len(rows)
            bar.set_postfix(loss=f"{total / count:.4g}", refresh=False)
            bar.update(length / len(batches))
        if not all(bool(torch.isfinite(p).all()) for p in self.parameters):
            self._give_up(last_good, "a weight became NaN or infinite", epoch)
        entry = {"epoch": epoch, "loss": total / count, "n_steps": self.n_steps, "lr": self.lr}
        if self.final_beta is not None:
            entry["beta"] = float(self.model.beta)
        self.log.append(entry | {"seconds": time.perf_counter() - start})

    def close(self) -> None:
        for parameter in self.parameters:
            parameter.grad = None  # free the gradients, which are as large as the model
        if self.final_beta is not None:
            self.model.beta = self.final_beta
        self.model.train(self.was_training)

    def _step(self, rows: Tensor, weights: Tensor | None) -> float:
        if self.beta_schedule is not None:
            self.model.beta = self.beta_schedule(self.n_steps)
        self.n_steps += 1
        losses = self.model.loss(self.inputs[rows].to(self.device))
        loss = losses.mean() if weights is None else (losses * weights.to(self.device)).mean()
        value = float(loss.detach())
        if self.optimizer is None or not math.isfinite(value):
            return value
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self.grad_clip is not None:
            torch.nn.utils.clip_grad_norm_(self.parameters, self.grad_clip)
        self.optimizer.step()
        return value

    def _give_up(self, last_good: dict[str, Tensor], what: str, epoch: float) -> None:
        self.model.load_state_dict(last_good)
        raise NonFiniteLossError(
            f"training stopped in epoch {epoch:g}, step {self.n_steps}: {what}; the weights of the last good "
            "epoch are in place. Use a smaller lr, set grad_clip, or rescale the data"
        )


def _pass_lengths(epochs: float) -> Iterator[float]:
    """Split 2.5 epochs into passes of 1, 1 and 0.5."""
    whole = int(epochs)
    yield from [1.0] * whole
    if epochs > whole:
        yield float(epochs) - whole
