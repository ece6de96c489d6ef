"""check_surrogate: all surrogates of this library pass, and each broken one fails with its own message."""

import copy
import random
from typing import ClassVar

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator

from wrlso import FeatureGP, SparseGP, TanimotoGP
from wrlso.exceptions import DataError, ParameterError, ParameterTypeError
from wrlso.surrogate import HasWorkingScale, KnowsNoise, Surrogate
from wrlso.testing import CheckFailedError, check_surrogate
from wrlso.testing.checks import global_random_state

WORDS = ["a" * i + "b" * j for i in range(1, 6) for j in range(1, 6)]


def counts(X):
    return np.array([[x.count("a"), x.count("b")] for x in X])


def sparse(**parameters):
    return SparseGP(**({"max_iter": 10, "train_iter": 10} | parameters))


@pytest.mark.parametrize(
    "surrogate",
    [
        sparse(),
        sparse(kernel="matern52"),
        sparse(kernel="linear+rbf"),
        sparse(kernel="linear+matern52", ard=False),
        sparse(transform="winsorize"),
        sparse(transform="floor", max_noise=1e-3),
        sparse(n_inducing=12, n_trained=5),
        sparse(n_inducing=12, n_trained=0, train_iter=100),
        sparse(n_inducing=12, grow_inducing=False),
        sparse(n_best=5, n_random=10),
    ],
    ids=repr,
)
def test_sparse_processes_pass(surrogate):
    check_surrogate(surrogate)


@pytest.mark.parametrize(
    "surrogate",
    [
        FeatureGP(counts),
        FeatureGP(counts, sparse(kernel="linear+rbf", transform="floor")),
        TanimotoGP(counts),
        TanimotoGP(counts, linear=0.0, transform="winsorize"),
        TanimotoGP(counts, linear=0.5, transform="standardize", n_random=3, n_best=9),
    ],
    ids=lambda surrogate: type(surrogate).__name__,
)
def test_processes_on_features_pass(surrogate):
    check_surrogate(surrogate, WORDS)


def test_molecules_pass():
    pytest.importorskip("rdkit")
    check_surrogate(TanimotoGP(), ["C" * i + "O" * j for i in range(1, 5) for j in range(3)])


class Linear(BaseEstimator):
    """Bayesian linear regression, which keeps the contract; each broken one below changes one method."""

    space = "latent"

    def __init__(self, noise=0.1):
        self.noise = noise

    def fit(self, Z, y, rng):
        d = Z.shape[1] + 1
        self.precision_ = torch.eye(d, dtype=torch.float64)
        self.weighted_ = torch.zeros(d, dtype=torch.float64)
        return self._add(Z, y)

    def _add(self, Z, y):
        phi = self.features(Z)
        self.precision_ = self.precision_ + phi.T @ phi / self.noise
        self.weighted_ = self.weighted_ + phi.T @ y / self.noise
        return self

    def features(self, Z):
        return torch.cat([torch.ones_like(Z[:, :1]), Z], dim=1)

    def condition_on(self, Z, y):
        return copy.copy(self)._add(Z, y)

    def moments(self, Z):
        phi = self.features(Z)
        mean = phi @ torch.linalg.solve(self.precision_, self.weighted_)
        return mean, phi @ torch.linalg.solve(self.precision_, phi.T)

    def predict(self, Z):
        mean, covariance = self.moments(Z)
        return mean, covariance.diagonal()

    def joint(self, Z):
        return *self.moments(Z), self.noise

    def sample(self, Z, n, generator):
        mean, covariance = self.moments(Z)
        root = torch.linalg.cholesky(covariance + 1e-9 * torch.eye(len(Z), dtype=torch.float64))
        return mean + torch.randn(n, len(Z), dtype=torch.float64, generator=generator) @ root.T

    def noise_variance(self):
        return self.noise

    def working_scale(self, y):
        return self, y


class HasNoSpace(Linear):
    space = "somewhere"


class CannotBeCopied(Linear):
    def __deepcopy__(self, memo):
        raise TypeError("no copies")


class FitReturnsNone(Linear):
    def fit(self, Z, y, rng):
        super().fit(Z, y, rng)


class FitRaises(Linear):
    def fit(self, Z, y, rng):
        raise ValueError("too few")


class FitSortsY(Linear):
    def fit(self, Z, y, rng):
        super().fit(Z, y, rng)
        y.copy_(y.sort().values)
        return self


class FitUsesPythonsState(Linear):
    def fit(self, Z, y, rng):
        random.random()
        return super().fit(Z, y, rng)


class FitDrawsByItself(Linear):
    own = np.random.default_rng(0)

    def fit(self, Z, y, rng):
        return super().fit(Z, y + torch.from_numpy(self.own.uniform(size=len(y))), rng)


class CannotBeCloned(Linear):
    def __init__(self, noise=0.1):
        self.noise = float(noise) + 0.0


class FitChangesParameters(Linear):
    def fit(self, Z, y, rng):
        self.noise = 0.5
        return super().fit(Z, y, rng)


class FitNeedsMoreThanOne(Linear):
    def fit(self, Z, y, rng):
        if len(y) == 1:
            raise ValueError("one is too few")
        return super().fit(Z, y, rng)


class FitNeedsManyValues(Linear):
    def fit(self, Z, y, rng):
        return super().fit(Z, y / y.std(), rng)


class PredictsTheMeanOnly(Linear):
    def predict(self, Z):
        return super().predict(Z)[0]


class PredictsSinglePrecision(Linear):
    def predict(self, Z):
        mean, variance = super().predict(Z)
        return mean.float(), variance


class PredictsColumns(Linear):
    def predict(self, Z):
        mean, variance = super().predict(Z)
        return mean, variance[:, None]


class PredictsNegativeVariances(Linear):
    def predict(self, Z):
        mean, variance = super().predict(Z)
        return mean, variance - 0.01


class PredictsNaN(Linear):
    def predict(self, Z):
        mean, variance = super().predict(Z)
        return mean.log(), variance


class PredictsByTheBatch(Linear):
    def predict(self, Z):
        mean, variance = super().predict(Z)
        return mean - mean.mean(), variance


class PredictsByPlace(Linear):
    def predict(self, Z):
        mean, variance = super().predict(Z)
        return mean + torch.arange(len(Z)), variance


class PredictsWithoutGradient(Linear):
    def predict(self, Z):
        with torch.no_grad():
            return super().predict(Z)


class PredictsWithInfiniteSlope(Linear):
    def predict(self, Z):
        mean, variance = super().predict(Z)
        return mean + (Z - Z.detach()).sum(dim=1).abs().sqrt(), variance


class SamplesOnce(Linear):
    def sample(self, Z, n, generator):
        return super().sample(Z, 1, generator)


class SamplesByTorchsState(Linear):
    def sample(self, Z, n, generator):
        return super().sample(Z, n, None)


class SamplesByItself(Linear):
    own = torch.Generator().manual_seed(0)

    def sample(self, Z, n, generator):
        return super().sample(Z, n, self.own)


class SamplesElsewhere(Linear):
    def sample(self, Z, n, generator):
        return super().sample(Z, n, generator) + 0.1


class SamplesTooWide(Linear):
    def sample(self, Z, n, generator):
        mean, _ = self.predict(Z)
        return mean + 2.0 * (super().sample(Z, n, generator) - mean)


class ConditionsInPlace(Linear):
    def condition_on(self, Z, y):
        return self._add(Z, y)


class ConditionsTheOldOne(Linear):
    def condition_on(self, Z, y):
        self._add(Z, y)
        return copy.copy(self)


class ConditionsOnTheFirst(Linear):
    def condition_on(self, Z, y):
        return super().condition_on(Z[:1], y[:1])


class ConditionsOnNothing(Linear):
    def condition_on(self, Z, y):
        return copy.copy(self)


class ConditionsBackwards(Linear):
    def condition_on(self, Z, y):
        return super().condition_on(Z, -y)


class ConditionsIntoANumber(Linear):
    def condition_on(self, Z, y):
        return 1.0


class CopiesShareState(Linear):
    shared: ClassVar[dict[str, float]] = {}

    def fit(self, Z, y, rng):
        self.shared["center"] = float(y.mean())
        return super().fit(Z, y, rng)

    def moments(self, Z):
        mean, covariance = super().moments(Z)
        return mean + self.shared["center"], covariance


class NoiseIsNegative(Linear):
    def noise_variance(self):
        return -1.0


class ScaleTurnsValues(Linear):
    def working_scale(self, y):
        return self, -y


class JointForgetsThePosterior(Linear):
    def predict(self, Z):
        mean, variance = super().predict(Z)
        return mean, 0.5 * variance


class JointIsNoCovariance(Linear):
    def joint(self, Z):
        mean, covariance = self.moments(Z)
        opposed = torch.full_like(covariance, -float(covariance.max()))
        opposed.diagonal().copy_(covariance.diagonal())
        return mean, opposed, self.noise


def test_the_linear_one_passes():
    assert isinstance(Linear(), Surrogate)
    assert isinstance(Linear(), KnowsNoise)
    assert isinstance(Linear(), HasWorkingScale)
    check_surrogate(Linear())


POINTS = r"input: \[\["
BROKEN = [
    (HasNoSpace, "have a space, 'latent', 'features' or 'both': it is 'somewhere'"),
    (CannotBeCopied, "be copied by copy.deepcopy: it raised TypeError: no copies"),
    (FitReturnsNone, f"fit to n observations and return itself: it returned NoneType; {POINTS}"),
    (FitRaises, f"fit to n observations and return itself: it raised ValueError: too few; {POINTS}"),
    (FitSortsY, r"leave what fit is given as it is: now \["),
    (FitUsesPythonsState, f"fit without global random state: it changed that state; {POINTS}"),
    (FitDrawsByItself, "fit the same from one state of rng: predictions of two fits differ by up to"),
    (
        CannotBeCloned,
        "be cloned by sklearn.base.clone, and keep its parameters in fit: it raised",
    ),
    (FitChangesParameters, r"keep its parameters in fit: the clone has the parameters {'noise': 0.5}"),
    (
        FitNeedsMoreThanOne,
        "fit to a few observations, .* it raised ValueError: one is too few",
    ),
    (FitNeedsManyValues, r"predict a finite mean .* the mean is \[nan"),
    (PredictsTheMeanOnly, r"predict a finite mean and .*: it returned torch.float64 of shape \(10,\)"),
    (PredictsSinglePrecision, r"the mean is torch.float32 of shape \(10,\), expected torch.float64"),
    (PredictsColumns, r"the variance is torch.float64 of shape \(10, 1\), expected .* \(10,\)"),
    (PredictsNegativeVariances, "the variance not negative: a variance is -0.0"),
    (PredictsNaN, r"predict a finite mean .*: the mean is \[.*nan"),
    (PredictsByTheBatch, r"predict a point the same alone, among others.*: means differ by"),
    (PredictsByPlace, "in any order: means of the points in another order differ by up to 9"),
    (PredictsWithoutGradient, f"predict with finite gradients in Z: the mean has none; {POINTS}"),
    (PredictsWithInfiniteSlope, r"predict with finite gradients in Z: that of the mean is \[\[nan"),
    (SamplesOnce, r"sample n joint values .*the sample is .*\(1, 10\), expected .*\(2000, 10\)"),
    (SamplesByTorchsState, "sample without global random state"),
    (SamplesByItself, "from the generator only: two calls with one state of the generator differ"),
    (SamplesElsewhere, "sample with the mean and the variance that it predicts: the means of 2000"),
    (SamplesTooWide, "sample with the mean and the variance that it predicts: samples have the deviations"),
    (ConditionsInPlace, "take in observations by condition_on, into a new surrogate: it returned itself"),
    (ConditionsTheOldOne, "into a new surrogate: the old one predicts something else now"),
    (ConditionsOnTheFirst, "predict the same whether observations came at once or one by one"),
    (ConditionsOnNothing, "move the mean towards a new observation: the value is .*, the mean was .* and is"),
    (ConditionsBackwards, "move the mean towards a new observation"),
    (ConditionsIntoANumber, "have the methods of Surrogate: fit, condition_on, predict, sample missing"),
    (CopiesShareState, "have copies that are independent of it: after a copy was fitted to other values it"),
    (NoiseIsNegative, r"have a finite noise_variance\(\) that is not negative: it is -1.0"),
    (ScaleTurnsValues, "have a working scale that keeps the order of values: they are"),
    (JointForgetsThePosterior, "be jointly normal .* with the variances that it predicts there"),
    (JointIsNoCovariance, r"be jointly normal .*: \[\[.* is not positive semi-definite"),
]


@pytest.mark.parametrize(("surrogate", "message"), BROKEN)
def test_broken_surrogates_fail(surrogate, message):
    state = global_random_state()
    with pytest.raises(CheckFailedError, match=f"^{surrogate.__name__} must .*{message}"):
        check_surrogate(surrogate())
    assert global_random_state() == state


def test_methods_are_named_that_are_missing():
    with pytest.raises(CheckFailedError, match="Surrogate: fit, condition_on, predict, sample missing"):
        check_surrogate(object())


def test_gradients_can_be_waived():
    check_surrogate(PredictsWithoutGradient(), differentiable=False)


def test_the_surrogate_and_global_random_state_stay_as_they_were():
    Z = torch.randn(12, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    surrogate = sparse().fit(Z, Z[:, 0], np.random.default_rng(0))
    before, state = surrogate.predict(Z), global_random_state()
    check_surrogate(surrogate, Z, Z[:, 1])
    assert global_random_state() == state
    assert all(torch.equal(a, b) for a, b in zip(surrogate.predict(Z), before, strict=True))


def test_arguments_are_checked():
    with pytest.raises(DataError, match="a surrogate of features of x needs objects .*, got None"):
        check_surrogate(TanimotoGP(counts))
    with pytest.raises(DataError, match="Z must hold at least 8 points, got 3"):
        check_surrogate(TanimotoGP(counts), WORDS[:3])
    with pytest.raises(DataError, match="y must hold 25 finite values, not all equal"):
        check_surrogate(TanimotoGP(counts), WORDS, torch.ones(25, dtype=torch.float64))
    with pytest.raises(ParameterError, match="tolerance must be a finite number > 0, got 0"):
        check_surrogate(sparse(), tolerance=0)
    with pytest.raises(ParameterTypeError, match="differentiable"):
        check_surrogate(sparse(), differentiable=1)
