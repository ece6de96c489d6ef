"""Weighted training and fine-tuning of latent models (Algorithm 1, line 3; appendix A.2).

The training loss is Σ w_i L(x_i) / N with weights of mean 1. The trainer minimises it in minibatches, either
by replication (it visits every point, and points of large weight as several copies) or by sampling (in
proportion to the weights).
"""

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch

from wrlso._utils.estimator import BaseEstimator
from wrlso._utils.progress_bar import ProgressBar
from wrlso._utils.random import isolated_torch_rng
from wrlso._utils.validation import check_choice, check_count, check_real
from wrlso.exceptions import DataError, ParameterError, ParameterTypeError
from wrlso.models.protocol import LatentModel
from wrlso.training.automatic import Course, seconds_of_step, steps_of_first, steps_of_later
from wrlso.training.loop import Batch, Inputs, Loop
from wrlso.weighting import normalize_weights, replicate

__all__ = ["Trainer"]

_AUTO = "auto"
_W_MAX = 5.0

# the bar moves with every step, because one epoch may take half an hour
_BAR_FORMAT = "{l_bar}{bar}| {n:.2f} of {total:.2f} epochs [{elapsed}<{remaining}{postfix}]"


class Trainer(BaseEstimator):
    """Trains any :class:`wrlso.models.LatentModel` on weighted data with Adam, for as long as the data need.

    Parameters
    ----------
    initial_epochs : float or "auto", default="auto"
        Passes over the weighted data in :meth:`fit`; 0 skips training, a fraction takes a random part.
        "auto": until a tenth that is held out is explained no better, see the notes.
    retrain_epochs : float or "auto", default="auto"
        Passes in :meth:`fine_tune`. The paper's released code uses 1 at first and 0.1 later. "auto": at
        least two steps for each new point, and as long as the loss falls, see the notes.
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
        trains with the ``model.beta`` that the model has. None: β as it is, or with "auto" as the notes say.

    Notes
    -----
    With "auto", a first training of 50 points or more never sees a tenth of them, light ones and heavy ones
    alike, but for the ten heaviest. It looks at their loss every 50 steps. After six looks without a better
    one it ends, and the weights of the best look stay. It takes at most 4,000 steps and 20 passes, and at
    most about a minute on one core, estimated from the multiplications of one batch: no clock decides
    anything. Fewer points are trained for 500 steps.

    β rises from 0 to ``model.beta`` over the first 500 steps, unless the model's latent points already tell
    its objects apart, as those of a trained model do. If in the end all latent points are the same (no
    posterior mean has a variance above 0.01), the training starts again with a tenth of β, and with a
    hundredth. What a training ended with, its ``"beta_share"``, later trainings keep.

    A retraining takes as long as the new points need, whatever the number of old ones: two steps for each of
    them (25 to 1,000 in all), and up to five times as many while the training loss falls by 2 % in 50 steps.
    It takes at most about ten seconds on one core. Its learning rate rises over the first 50 steps, as Adam
    then knows no mean of the gradients yet.

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
        initial_epochs: float | str = _AUTO,
        retrain_epochs: float | str = _AUTO,
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
        """Train for ``initial_epochs``, or as long as the data ask for, from the model's current weights.

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
            One entry a pass, with "auto" one a look: "epoch" (passes so far), "loss" (weighted mean),
            "n_steps", "lr", "seconds" and "beta" where the model has one. With "auto" also "held_out" (the
            weighted mean loss of what is held out), and in the last entry "best_step" (whose weights stay,
            with their "held_out") and "beta_share".

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
        n_new: int | None = None,
        beta_share: float = 1.0,
    ) -> list[dict[str, float]]:
        """Train for ``retrain_epochs`` from the model's current weights; see :meth:`fit`.

        Parameters
        ----------
        model, inputs, weights, rng, verbose
            As of :meth:`fit`.
        n_new : int or None, default=None
            How many points are new since the last training, which decides how long "auto" trains; None: all.
        beta_share : float, default=1.0
            The "beta_share" that the last training ended with; "auto" trains with this share of β.
        """
        return self._train(
            model, inputs, weights, rng, verbose, first=False, n_new=n_new, beta_share=beta_share
        )

    def check_parameters(self) -> None:
        """Raise ParameterError or ParameterTypeError for an invalid parameter."""
        for name in ("initial_epochs", "retrain_epochs"):
            value = getattr(self, name)
            if isinstance(value, str) and value != _AUTO:
                raise ParameterError(f"{name} must be 'auto' or a number of at least 0, got {value!r}")
            if value != _AUTO:
                check_real(name, value, minimum=0)
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
        n_new: int | None = None,
        beta_share: float = 1.0,
    ) -> list[dict[str, float]]:
        self.check_parameters()
        if len(inputs) == 0:
            raise DataError("training needs at least one x, got none")
        weights = normalize_weights(weights, len(inputs))
        schedule = self.beta_schedule if first else None
        if schedule is not None and not hasattr(model, "beta"):
            raise ParameterTypeError("beta_schedule needs a model with an attribute beta")
        if (self.initial_epochs if first else self.retrain_epochs) == _AUTO:
            return self._by_itself(model, inputs, weights, rng, verbose, first, n_new, beta_share)
        epochs, most = self._length(len(inputs), first)
        loop = self._loop(model, inputs, schedule, first)
        passes = list(_pass_lengths(epochs))
        try:
            with isolated_torch_rng(int(rng.integers(2**63))), _bar(epochs, verbose) as bar:
                for done, length in zip(np.cumsum(passes), passes, strict=True):
                    batches = list(self.batches(weights, length, rng))
                    left = len(batches) if most is None else min(len(batches), most - loop.n_steps)
                    if left == 0:
                        break
                    share = left / len(batches)
                    loop.run(batches[:left], share * length, float(done - (1 - share) * length), bar)
        finally:
            loop.close()
        return loop.log

    def _by_itself(
        self,
        model: LatentModel,
        inputs: Inputs,
        weights: np.ndarray,
        rng: np.random.Generator,
        verbose: int,
        first: bool,
        n_new: int | None,
        beta_share: float,
    ) -> list[dict[str, float]]:
        """Train for as long as the data ask for."""
        batch_size, n = max(self.batch_size, 2), len(inputs)
        seconds = seconds_of_step(model, inputs, batch_size)
        if first:
            most, bound = steps_of_first(n, seconds, batch_size), self.initial_steps
        else:
            fewest, most = steps_of_later(n if n_new is None else n_new, seconds)
            bound = self.retrain_steps
        most = most if bound is None else min(most, bound)
        with isolated_torch_rng(int(rng.integers(2**63))), _bar(most * batch_size / n, verbose) as bar:
            course = Course(
                model,
                inputs,
                weights,
                self.batches,
                lambda beta, rise: self._loop(model, inputs, beta, first, rise),
                most,
                batch_size,
                rng,
                bar,
            )
            return course.first(self.beta_schedule) if first else course.later(beta_share, fewest)

    def _loop(
        self,
        model: LatentModel,
        inputs: Inputs,
        beta: Callable[[int], float] | None,
        first: bool,
        rise: int = 0,
    ) -> Loop:
        lr = self.lr if first or self.retrain_lr is None else self.retrain_lr
        return Loop(model, inputs, lr, self.grad_clip, beta, rise)

    def _length(self, n: int, first: bool) -> tuple[float, int | None]:
        """Return the passes over n data of the next training, and its largest number of steps."""
        epochs, most = self.initial_epochs, self.initial_steps
        if not first:
            epochs, most = self.retrain_epochs, self.retrain_steps
        epochs = float(epochs)
        # a part of a pass costs less than a whole one that is cut off, and is as random
        return (epochs if most is None else min(epochs, max(self.batch_size, 2) / n * most)), most

    def batches(self, weights: np.ndarray, length: float, rng: np.random.Generator) -> Iterator[Batch]:
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


def _bar(epochs: float, verbose: int) -> ProgressBar:
    return ProgressBar(
        total=float(epochs), desc="training", disable=not verbose, leave=False, bar_format=_BAR_FORMAT
    )


def _pass_lengths(epochs: float) -> Iterator[float]:
    """Split 2.5 epochs into passes of 1, 1 and 0.5."""
    whole = int(epochs)
    yield from [1.0] * whole
    if epochs > whole:
        yield float(epochs) - whole
