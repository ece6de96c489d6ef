"""``check_surrogate``: one method per property of a Surrogate."""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from torch import Tensor

from wrlso._utils.estimator import BaseEstimator
from wrlso._utils.validation import check_flag, check_real
from wrlso.exceptions import DataError
from wrlso.surrogate.points import Points
from wrlso.surrogate.protocol import HasWorkingScale, KnowsNoise, Surrogate
from wrlso.testing.checks import Checks, describe, global_random_state, isolated_global_rng, short_repr

__all__ = ["check_surrogate"]

_METHODS = ["fit", "condition_on", "predict", "sample"]
_N_SAMPLES = 2000
_STANDARD_ERRORS = 6.0  # far enough for a seeded comparison never to fail by chance in practice
_FEWEST = 8  # observations: some to fit to, and some that are held out


def check_surrogate(
    surrogate: Surrogate,
    Z: Any = None,
    y: Tensor | None = None,
    *,
    differentiable: bool = True,
    tolerance: float = 1e-5,
) -> None:
    """Check that a surrogate keeps the contract of :class:`wrlso.surrogate.Surrogate`.

    And of :class:`wrlso.surrogate.HasWorkingScale` and :class:`wrlso.surrogate.KnowsNoise`, where it has
    their methods. The checks run on copies, so the surrogate stays as it is, and so does all global random
    state.

    Parameters
    ----------
    surrogate : Surrogate
        Fitted or not.
    Z : Tensor of float64 (n, d), Points, or sequence of n ≥ 8 objects
        Points to check on, no two of them the same, as ``surrogate.space`` says. By default 30 random points
        in three dimensions; a surrogate of features of x needs objects.
    y : Tensor of float64 (n,), default=None
        Their values, not all equal. By default those of a smooth function of Z with noise, or random ones.
    differentiable : bool, default=True
        Whether predictions must have gradients in Z, which :class:`wrlso.LatentSearch` needs. Surrogates of
        features of x never have them.
    tolerance : float, default=1e-5
        Largest difference between what should be equal, > 0, in standard deviations of y.

    Raises
    ------
    CheckFailedError
        If a property does not hold; the message names it and the input.
    DataError
        If there are fewer than 8 points, or objects are missing.
    ParameterError, ParameterTypeError
        If tolerance is not a finite number > 0, or differentiable not a bool.

    Examples
    --------
    >>> from wrlso import SparseGP
    >>> from wrlso.testing import check_surrogate
    >>> check_surrogate(SparseGP(max_iter=5))
    """
    check_flag("differentiable", differentiable)
    check_real("tolerance", tolerance, above=0)
    with isolated_global_rng():
        checks = SurrogateChecks(surrogate, Z, y, tolerance)
        checks.check_fit()
        checks.check_predict()
        if differentiable and checks.space == "latent":
            checks.check_gradients()
        checks.check_sample()
        checks.check_conditioning()
        checks.check_copies()
        checks.check_abilities()
        checks.check_equal_values()


class SurrogateChecks(Checks):
    """One surrogate under check. The methods run in the order in which check_surrogate calls them."""

    def __init__(self, surrogate: Surrogate, Z: Any, y: Tensor | None, tolerance: float) -> None:
        super().__init__(surrogate)
        self.need_methods(surrogate, "Surrogate", _METHODS)
        self.space = getattr(surrogate, "space", None)
        if self.space not in ("latent", "features", "both"):
            self.fail("have a space, 'latent', 'features' or 'both'", f"it is {self.space!r}", surrogate)
        Z, y = self._data(Z, y)
        self.template: Surrogate = self.copied(surrogate)
        self.deviation: float = float(y.std())
        self.tolerance: float = tolerance * self.deviation
        new = len(y) // 3
        self.Z, self.y, self.new_Z, self.new_y = Z[new:], y[new:], Z[:new], y[:new]

    def _data(self, Z: Any, y: Tensor | None) -> tuple[Any, Tensor]:
        generator = torch.Generator().manual_seed(0)
        if Z is None and self.space == "features":
            raise DataError("Z: a surrogate of features of x needs objects to be checked on, got None")
        given = Z is not None
        Z = Z if given else torch.randn(30, 3, dtype=torch.float64, generator=generator)
        if len(Z) < _FEWEST:
            raise DataError(f"Z must hold at least {_FEWEST} points, got {len(Z)}")
        if not given and self.space == "both":
            Z = Points(Z, torch.randn(30, 5, dtype=torch.float64, generator=generator))
        if y is None:
            y = torch.randn(len(Z), dtype=torch.float64, generator=generator)
            if not given:
                latent = Z.Z if isinstance(Z, Points) else Z
                y = torch.sin(latent[:, 0]) + 0.5 * latent[:, 1] + 0.1 * y
        if y.shape != (len(Z),) or not bool(torch.isfinite(y).all()) or float(y.std()) == 0:
            raise DataError(f"y must hold {len(Z)} finite values, not all equal, got {short_repr(y)}")
        return (Z if isinstance(Z, Tensor | Points) else list(Z)), y

    def check_fit(self) -> None:
        must = "fit to n observations and return itself"
        self.surrogate: Surrogate = self.fitted(self.template, self.Z, self.y, must)
        must = "fit the same from one state of rng"
        with isolated_global_rng(seed=1):
            again = self.fitted(self.template, self.Z, self.y, must)
        for mine, others in zip(self.moments(self.surrogate), self.moments(again), strict=True):
            if not torch.equal(mine, others):
                detail = f"predictions of two fits differ by up to {float((mine - others).abs().max()):.3g}"
                self.fail(must, detail, self.Z)
        if isinstance(self.template, BaseEstimator):
            must = "be cloned by sklearn.base.clone, and keep its parameters in fit"
            copied = self.attempt(must, lambda: clone(self.surrogate), self.template)
            if repr(copied.get_params()) != repr(self.template.get_params()):
                self.fail(must, f"the clone has the parameters {copied.get_params()}", self.template)

    def fitted(self, template: Surrogate, Z: Any, y: Tensor, must: str) -> Surrogate:
        """Fit a copy to copies of the data; what changes them, or global random state, is refused."""
        surrogate: Surrogate = self.copied(template)
        fit = self.pure("fit", must, lambda Z, y: surrogate.fit(Z, y, np.random.default_rng(0)), Z, y)
        is_itself = fit is surrogate
        if not is_itself:
            self.fail(must, f"it returned {describe(fit)}", Z)
        return surrogate

    def pure(self, method: str, must: str, call: Any, *inputs: Any) -> Any:
        """Return what a method returns for copies of the inputs, which it must leave as they are."""
        given, state = copy.deepcopy(inputs), global_random_state()
        result = self.attempt(must, lambda: call(*given), inputs[0])
        if state != global_random_state():
            self.fail(f"{method} without global random state", "it changed that state", inputs[0])
        for before, after in zip(inputs, given, strict=True):
            equal = torch.equal(before, after) if isinstance(before, Tensor) else repr(before) == repr(after)
            if not equal:
                self.fail(f"leave what {method} is given as it is", f"now {short_repr(after)}", before)
        return result

    def moments(self, surrogate: Surrogate, Z: Any = None) -> tuple[Tensor, Tensor]:
        """Return mean and variance (q,) at the held-out points, or others, checked."""
        Z = self.new_Z if Z is None else Z
        must = "predict a finite mean and variance (q,) float64, the variance not negative"
        with torch.no_grad():
            found = self.pure("predict", must, surrogate.predict, Z)
        if not isinstance(found, tuple) or len(found) != 2:
            self.fail(must, f"it returned {describe(found)}", Z)
        for name, values in zip(("mean", "variance"), found, strict=True):
            self.check_numbers(must, name, values, (len(Z),), Z)
        if bool((found[1] < 0).any()):
            self.fail(must, f"a variance is {float(found[1].min()):.3g}", Z)
        return found

    def check_numbers(self, must: str, name: str, values: Any, shape: tuple[int, ...], example: Any) -> None:
        if not isinstance(values, Tensor) or values.shape != shape or values.dtype != torch.float64:
            expected = f"expected torch.float64 of shape {shape}"
            self.fail(must, f"the {name} is {describe(values)}, {expected}", example)
        if not bool(torch.isfinite(values).all()):
            self.fail(must, f"the {name} is {short_repr(values)}", example)

    def check_close(self, must: str, what: str, mine: Tensor, expected: Tensor, example: Any) -> None:
        difference = float((mine - expected).abs().max())
        if not difference <= self.tolerance:
            self.fail(must, f"{what} differ by up to {difference:.3g}", example)

    def check_predict(self) -> None:
        mean, variance = self.moments(self.surrogate)
        must = "predict a point the same alone, among others, and in any order"
        order = list(range(len(mean)))[::-1]
        turned = self.moments(self.surrogate, self.take(self.new_Z, order))
        self.check_close(must, "means of the points in another order", turned[0].flip(0), mean, self.new_Z)
        for i in order[:4]:
            one = self.take(self.new_Z, [i])
            alone = self.moments(self.surrogate, one)
            self.check_close(must, "means", alone[0], mean[i : i + 1], one)
            self.check_close(must, "deviations", alone[1].sqrt(), variance[i : i + 1].sqrt(), one)

    def take(self, Z: Any, rows: Sequence[int]) -> Any:
        return Z[list(rows)] if isinstance(Z, Tensor | Points) else [Z[i] for i in rows]

    def check_gradients(self) -> None:
        must = "predict with finite gradients in Z"
        Z = self.new_Z.clone().requires_grad_(True)
        moments = self.attempt(must, lambda: self.surrogate.predict(Z), self.new_Z)
        for name, values in zip(("mean", "variance"), moments, strict=True):
            if not values.requires_grad:
                self.fail(must, f"the {name} has none", self.new_Z)
            (slope,) = torch.autograd.grad(values.sum(), Z, retain_graph=True, allow_unused=True)
            if slope is None or not bool(torch.isfinite(slope).all()):
                self.fail(must, f"that of the {name} is {short_repr(slope)}", self.new_Z)

    def check_sample(self) -> None:
        must = "sample n joint values (n, q), finite and float64, from the generator only"
        found = self.samples(must, seed=0)
        with isolated_global_rng(seed=1):
            again = self.samples(must, seed=0)
        if not torch.equal(found, again):
            self.fail(must, "two calls with one state of the generator differ", self.new_Z)
        mean, variance = self.moments(self.surrogate)
        deviation = variance.sqrt()
        must = "sample with the mean and the variance that it predicts"
        error = (found.mean(dim=0) - mean).abs()
        if bool((error > _STANDARD_ERRORS * deviation / _N_SAMPLES**0.5 + self.tolerance).any()):
            self.fail(must, f"the means of {_N_SAMPLES} samples are off by {error.tolist()}", self.new_Z)
        spread, slack = found.std(dim=0), self.tolerance + 1e-3 * self.deviation
        if bool(((spread > 1.5 * deviation + slack) | (deviation > 1.5 * spread + slack)).any()):
            detail = f"samples have the deviations {spread.tolist()}, predictions {deviation.tolist()}"
            self.fail(must, detail, self.new_Z)

    def samples(self, must: str, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)

        def sample(Z: Any) -> Tensor:
            with torch.no_grad():
                return self.surrogate.sample(Z, _N_SAMPLES, generator)

        found: Tensor = self.pure("sample", must, sample, self.new_Z)
        self.check_numbers(must, "sample", found, (_N_SAMPLES, len(self.new_Z)), self.new_Z)
        return found

    def check_conditioning(self) -> None:
        must = "take in observations by condition_on, into a new surrogate"
        before = self.moments(self.surrogate)
        conditioned = self.conditioned(must, self.surrogate, range(len(self.new_y)))
        if conditioned is self.surrogate:
            self.fail(must, "it returned itself", self.new_Z)
        for mine, others in zip(self.moments(self.surrogate), before, strict=True):
            if not torch.equal(mine, others):
                self.fail(must, "the old one predicts something else now", self.new_Z)
        rows, one_by_one = list(range(len(self.new_y)))[::-1], self.surrogate
        for row in rows:
            one_by_one = self.conditioned(must, one_by_one, [row])
        must = "predict the same whether observations came at once or one by one, in any order"
        means = [self.moments(each, self.Z)[0] for each in (conditioned, one_by_one)]
        self.check_close(must, "means", means[0], means[1], self.new_Z)
        for row in rows[:4]:
            self.check_one_value(self.take(self.new_Z, [row]), before[0][row], before[1][row])

    def check_one_value(self, one: Any, mean: Tensor, variance: Tensor) -> None:
        must = "move the mean towards a new observation"
        value = mean + variance.sqrt() + self.deviation
        conditioned = self.attempt(must, lambda: self.surrogate.condition_on(one, value[None]), one)
        now = self.moments(conditioned, one)[0][0]
        gone, left = float(now - mean), float(value - now)
        if gone <= 1e-9 * self.deviation or left < -self.tolerance:
            self.fail(must, f"the value is {value:.6g}, the mean was {mean:.6g} and is {now:.6g}", one)

    def conditioned(self, must: str, surrogate: Surrogate, rows: Sequence[int]) -> Surrogate:
        Z, y = self.take(self.new_Z, rows), self.new_y[list(rows)]
        found: Surrogate = self.pure("condition_on", must, surrogate.condition_on, Z, y)
        self.need_methods(found, "Surrogate", _METHODS)
        return found

    def check_copies(self) -> None:
        must = "have copies that are independent of it"
        before = self.moments(self.surrogate)
        other = self.copied(self.surrogate)
        for mine, others in zip(self.moments(other), before, strict=True):
            if not torch.equal(mine, others):
                self.fail(must, "a copy predicts something else", self.new_Z)
        rng = np.random.default_rng(1)
        self.attempt("fit a second time", lambda: other.fit(self.Z, -self.y, rng), self.Z)
        self.moments(other)
        for mine, others in zip(self.moments(self.surrogate), before, strict=True):
            if not torch.equal(mine, others):
                self.fail(must, "after a copy was fitted to other values it predicts something else", self.Z)

    def check_abilities(self) -> None:
        """Check what not all surrogates can do."""
        if isinstance(self.surrogate, KnowsNoise):
            must = "have a finite noise_variance() that is not negative"
            noise = self.attempt(must, self.surrogate.noise_variance, self.Z)
            if not isinstance(noise, float) or not 0 <= noise < np.inf:
                self.fail(must, f"it is {noise!r}", self.Z)
        if isinstance(self.surrogate, HasWorkingScale):
            self.check_working_scale(self.surrogate)

    def check_working_scale(self, surrogate: HasWorkingScale) -> None:
        must = "have a working scale that keeps the order of values"
        working, values = self.pure("working_scale", must, surrogate.working_scale, self.y)
        self.check_numbers(must, "array of values", values, (len(self.y),), self.y)
        if bool((values[self.y.argsort()].diff() < 0).any()):
            self.fail(must, f"they are {values.tolist()}", self.y)
        must = "be jointly normal on its working scale, with the variances that it predicts there"
        with torch.no_grad():
            mean, covariance, noise = self.pure("joint", must, working.joint, self.new_Z)
        q = len(self.new_Z)
        self.check_numbers(must, "mean", mean, (q,), self.new_Z)
        self.check_numbers(must, "covariance", covariance, (q, q), self.new_Z)
        if not 0 <= noise < np.inf:
            self.fail(must, f"the noise variance is {noise!r}", self.new_Z)
        largest = float(covariance.diagonal().max())
        if float(torch.linalg.eigvalsh(covariance).min()) < -1e-8 * max(largest, 1e-300):
            self.fail(must, f"{short_repr(covariance)} is not positive semi-definite", self.new_Z)
        for mine, others in zip((mean, covariance.diagonal()), self.moments(working), strict=True):
            if not torch.allclose(mine, others, rtol=1e-6, atol=1e-8 * max(largest, 1.0)):
                self.fail(must, f"{short_repr(mine)}, predicted {short_repr(others)}", self.new_Z)

    def check_equal_values(self) -> None:
        must = "fit to a few observations, also where all values are equal"
        few, equal = self.take(self.Z, range(5)), torch.full((5,), 3.0, dtype=torch.float64)
        for Z, y in ((few, equal), (self.take(self.Z, [0]), equal[:1])):
            self.moments(self.fitted(self.template, Z, y, must))
