"""Peers of the surrogate and its search: GPflow and BoTorch, imported on demand.

GPflow runs as in the code released with the paper after every query (weighted_retraining/gp_train.py and
gp_opt.py at github.com/cambridge-mlg/weighted-retraining), without some things that slow that code down: no
extra processes, one computation of the posterior for all gradients of the acquisition function, training from
lengthscales of √d instead of 1, and, as in ours, a box with a width for each dimension. BoTorch is used as in
its documentation.
"""

from collections.abc import Callable
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.cluster import MiniBatchKMeans
from torch import Tensor

from wrlso.benchmarks.surrogate.data import tensor
from wrlso.surrogate.subset import select_subset

__all__ = ["PEERS", "BoTorchExact", "BoTorchVariational", "GPflowPeer", "Peer"]

Array = NDArray[np.float64]
_STARTS = 20


class Peer(Protocol):
    """A model of y over Z with its own search, refitted after every query."""

    incumbent: float
    """Value over which improvement counts, in the units of y."""
    noise: float
    """Variance of an observation's noise, in the units of y."""
    facts: dict[str, Any]
    """Facts about the last fit, for the record."""

    def fit(self, Z: Array, y: Array, seed: int) -> None:
        """Fit to Z (n, d) and y (n,), starting from the last fit if there is one."""

    def propose(self, half_width: Array, seed: int) -> Array:
        """Return the next point (d,) in the box |z_j| ≤ half_width_j."""

    def predict(self, Z: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and variance (q,) of the noise-free objective, in the units of y."""


def _optional(name: str) -> Any:
    """Import a module that only this comparison needs; raise ModuleNotFoundError if it is missing."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        message = (
            f"{error.name} is missing, which only this benchmark needs: install its peers with pip install "
            "'gpflow>=2.11,<2.12' tensorflow-cpu botorch"
        )
        raise ModuleNotFoundError(message, name=error.name) from error


class GPflowPeer:
    """SGPR of GPflow with a squared exponential kernel, trained by Adam as in the released code.

    Parameters
    ----------
    n_inducing : int
        Number of inducing points, from k-means and then trained with the other parameters.
    first_steps, steps : int
        Most training steps of the first fit and of later ones. As in the released code, training stops after
        100 steps that change the loss by less than 0.05 %.
    dtype : {"float32", "float64"}
        The released code uses float32.
    """

    def __init__(
        self, n_inducing: int = 500, first_steps: int = 400, steps: int = 200, dtype: str = "float32"
    ) -> None:
        self.n_inducing = n_inducing
        self.first_steps = first_steps
        self.steps = steps
        self.dtype = dtype
        self.facts: dict[str, Any] = {}
        self._parameters: Any = None

    def fit(self, Z: Array, y: Array, seed: int) -> None:
        """See :class:`Peer`."""
        gpflow, tf = _optional("gpflow"), _optional("tensorflow")
        # GPflow takes the precision from its configuration, which is global to this process
        gpflow.config.set_default_float(np.dtype(self.dtype).type)
        if self._parameters is None and tf.config.threading.get_intra_op_parallelism_threads() == 0:
            tf.config.threading.set_intra_op_parallelism_threads(torch.get_num_threads())
            tf.config.threading.set_inter_op_parallelism_threads(1)
        Z = Z.astype(self.dtype)
        self.center, self.scale = float(y.mean()), float(y.std())
        t = ((y - self.center) / self.scale)[:, None].astype(self.dtype)
        rng = np.random.default_rng(seed)
        first = self._parameters is None
        if first:
            means = MiniBatchKMeans(
                self.n_inducing, batch_size=min(10_000, len(Z)), n_init=25, random_state=seed
            )
            U = means.fit(Z).cluster_centers_
            lengthscales = Z.shape[1] ** 0.5 * np.exp(0.1 * rng.standard_normal(Z.shape[1]))
            self._parameters = (U, lengthscales, 1.0, 0.01)
        U, lengthscales, variance, noise = self._parameters
        kernel = gpflow.kernels.SquaredExponential(variance=variance, lengthscales=lengthscales)
        gp = gpflow.models.SGPR((Z, t), kernel, inducing_variable=U.copy(), noise_variance=noise)
        self.facts = {"steps": self._train(gp, tf, first), "versions": _versions("gpflow", "tensorflow")}
        self._parameters = tuple(
            part.numpy()
            for part in (
                gp.inducing_variable.Z, gp.kernel.lengthscales, gp.kernel.variance, gp.likelihood.variance
            )
        )  # fmt: skip
        self.gp, self._posterior, self._tf = gp, gp.posterior(), tf
        self._Z, self._t = Z, t[:, 0]
        self.noise = float(gp.likelihood.variance.numpy()) * self.scale**2
        self.incumbent = self.center + self.scale * float(np.percentile(self._t, 90))

    def _train(self, gp: Any, tf: Any, first: bool) -> int:
        """Train kernel and noise alone until the loss settles (first fit only), then all parameters."""
        loss = gp.training_loss_closure(compile=False)
        kernel_only = [*gp.kernel.trainable_variables, *gp.likelihood.trainable_variables]
        stages = [(kernel_only, 0.1, 2.5e-2)] if first else []
        stages.append((list(gp.trainable_variables), 3e-2, 5e-4))
        last, done, most = float(loss()), 0, self.first_steps if first else self.steps
        for variables, rate, tolerance in stages:
            step = _adam_step(tf, loss, variables, rate)
            while done < most:
                for _ in range(min(100, most - done)):
                    value = step()
                    done += 1
                change = abs(float(value) - last) / max(abs(last), 1e-10)
                last = float(value)
                if change < tolerance:
                    break
        return done

    def propose(self, half_width: Array, seed: int) -> Array:
        """Maximise expected improvement over the 90th percentile from 20 starts, one after the other."""
        tf, rng = self._tf, np.random.default_rng(seed)
        best = tf.constant((self.incumbent - self.center) / self.scale, self.dtype)
        good = np.flatnonzero(self._t >= np.percentile(self._t, 80))
        half = _STARTS // 2
        near = self._Z[rng.choice(good, size=_STARTS - half, replace=False)]
        starts = np.concatenate([rng.standard_normal((half, len(half_width))), near])

        def loss_and_slope(z: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(z)
                value = -self._improvement(z[None], best)
            return value, tape.gradient(value, z)

        compiled = tf.function(loss_and_slope)

        def loss(z: Array) -> tuple[float, Array]:
            value, slope = compiled(tf.constant(z, self.dtype))
            return float(value[0]), np.asarray(slope.numpy(), dtype=np.float64)

        bounds = np.stack([-half_width, half_width], axis=1)
        found = [minimize(loss, np.clip(z, *bounds.T), jac=True, bounds=bounds) for z in starts]
        self.facts |= {"gradients": int(sum(result.nfev for result in found))}
        return np.asarray(min(found, key=lambda result: float(result.fun)).x)

    def _improvement(self, z: Any, best: Any) -> Any:
        tf = self._tf
        mean, variance = self._posterior.predict_f(z)
        deviation = tf.sqrt(variance)
        u = (mean - best) / deviation
        cdf = 0.5 * tf.math.erfc(-u / np.sqrt(2.0))
        density = tf.exp(-0.5 * u * u) / np.sqrt(2.0 * np.pi)
        return ((mean - best) * cdf + deviation * density)[:, 0]

    def seconds_without_cache(self, repeats: int, clock: Callable[[], float]) -> float:
        """Return the seconds of one gradient of the expected improvement as in the released code."""
        tf = self._tf
        z = tf.constant(self._Z[:1])
        taken = []
        for _ in range(repeats + 1):
            start = clock()
            with tf.GradientTape() as tape:
                tape.watch(z)
                mean, variance = self.gp.predict_f(z)
                value = mean + tf.sqrt(variance)
            tape.gradient(value, z)
            taken.append(clock() - start)
        return float(np.median(taken[1:]))

    def predict(self, Z: Tensor) -> tuple[Tensor, Tensor]:
        """See :class:`Peer`; with gradients."""
        return _FromTensorFlow.apply(Z, self)  # type: ignore[no-untyped-call,no-any-return]

    def moments(self, Z: Any) -> tuple[Any, Any]:
        """Return mean and variance (q,) as TensorFlow tensors."""
        mean, variance = self._posterior.predict_f(self._tf.cast(Z, self.dtype))
        mean, variance = (self._tf.cast(part[:, 0], "float64") for part in (mean, variance))
        return self.center + self.scale * mean, self.scale**2 * variance


class _FromTensorFlow(torch.autograd.Function):
    """Mean and variance of a GPflow model with TensorFlow's gradients, as a PyTorch function."""

    @staticmethod
    def forward(ctx: Any, Z: Tensor, peer: GPflowPeer) -> tuple[Tensor, Tensor]:
        tf = peer._tf
        z = tf.constant(Z.detach().numpy())
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(z)
            mean, variance = peer.moments(z)
        slopes = [tape.gradient(part, z).numpy() for part in (mean, variance)] if Z.requires_grad else []
        ctx.save_for_backward(*map(torch.from_numpy, slopes))
        return torch.from_numpy(mean.numpy().copy()), torch.from_numpy(variance.numpy().copy())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        by_mean, by_variance = ctx.saved_tensors
        return gradients[0][:, None] * by_mean + gradients[1][:, None] * by_variance, None


def _adam_step(tf: Any, loss: Callable[[], Any], variables: list[Any], rate: float) -> Callable[[], Any]:
    """Return a compiled training step of Adam (Kingma and Ba 2015, Algorithm 1), which returns the loss."""
    first = [tf.Variable(tf.zeros_like(variable)) for variable in variables]
    second = [tf.Variable(tf.zeros_like(variable)) for variable in variables]
    count = tf.Variable(0.0, dtype=variables[0].dtype)

    def step() -> Any:
        with tf.GradientTape() as tape:
            value = loss()
        count.assign_add(1.0)
        for variable, slope, m, v in zip(
            variables, tape.gradient(value, variables), first, second, strict=True
        ):
            m.assign(0.9 * m + 0.1 * slope)
            v.assign(0.999 * v + 0.001 * slope**2)
            size = rate / (1.0 - 0.9**count)
            variable.assign_sub(size * m / (tf.sqrt(v / (1.0 - 0.999**count)) + 1e-7))
        return value

    compiled: Callable[[], Any] = tf.function(step)
    return compiled


class _BoTorch:
    """Base of both BoTorch peers: Z in the unit cube, standardised y, log expected improvement."""

    incumbent: float
    noise: float
    model: Any

    def __init__(self) -> None:
        self.facts: dict[str, Any] = {}

    def _standardize(self, Z: Array, y: Array) -> tuple[Tensor, Tensor]:
        """Return inputs (n, d) in the unit cube and values (n, 1) with mean 0 and variance 1."""
        self.low, self.width = tensor(Z.min(axis=0)), tensor(np.ptp(Z, axis=0))
        self.center, self.scale = float(y.mean()), float(y.std())
        self.incumbent = float(y.max())
        return (tensor(Z) - self.low) / self.width, tensor((y - self.center) / self.scale)[:, None]

    def propose(self, half_width: Array, seed: int) -> Array:
        """Maximise log expected improvement over the best value, 20 restarts of 512 raw samples."""
        analytic = _optional("botorch.acquisition.analytic")
        optim = _optional("botorch.optim")
        best = (self.incumbent - self.center) / self.scale
        bounds = (tensor(np.stack([-half_width, half_width])) - self.low) / self.width
        with _seeded(seed):
            criterion = analytic.LogExpectedImprovement(self.model, best_f=best)
            z, _ = optim.optimize_acqf(criterion, bounds, q=1, num_restarts=_STARTS, raw_samples=512)
        return np.asarray((z[0] * self.width + self.low).numpy())

    def predict(self, Z: Tensor) -> tuple[Tensor, Tensor]:
        """See :class:`Peer`."""
        posterior = self.model.posterior((Z - self.low) / self.width)
        return self.center + self.scale * posterior.mean[:, 0], self.scale**2 * posterior.variance[:, 0]

    def _finish(self, **facts: Any) -> None:
        self.noise = float(self.model.likelihood.noise.detach()) * self.scale**2
        self.facts = {**facts, "versions": _versions("botorch", "gpytorch")}


class BoTorchExact(_BoTorch):
    """SingleTaskGP with its default priors on the n_best best and n_random random other points."""

    def __init__(self, n_best: int = 400, n_random: int = 1600) -> None:
        super().__init__()
        self.n_best = n_best
        self.n_random = n_random

    def fit(self, Z: Array, y: Array, seed: int) -> None:
        """See :class:`Peer`; every fit starts anew."""
        models, mlls = _optional("botorch.models"), _optional("gpytorch.mlls")
        rows = select_subset(y, self.n_best, self.n_random, np.random.default_rng(seed))
        inputs, values = self._standardize(Z[rows], y[rows])
        with _seeded(seed):
            self.model = models.SingleTaskGP(inputs, values)
            mll = mlls.ExactMarginalLogLikelihood(self.model.likelihood, self.model)
            _optional("botorch.fit").fit_gpytorch_mll(mll)
        self._finish(points=len(rows))


class BoTorchVariational(_BoTorch):
    """SingleTaskVariationalGP on all points, trained by Adam on minibatches.

    Parameters
    ----------
    n_inducing, epochs, batch_size : int
    rate : float
        Adam's learning rate; a tenth of it in the last third of the epochs.
    """

    def __init__(
        self, n_inducing: int = 500, epochs: int = 20, batch_size: int = 500, rate: float = 0.02
    ) -> None:
        super().__init__()
        self.n_inducing = n_inducing
        self.epochs = epochs
        self.batch_size = batch_size
        self.rate = rate

    def fit(self, Z: Array, y: Array, seed: int) -> None:
        """See :class:`Peer`; every fit starts anew."""
        models, mlls = _optional("botorch.models"), _optional("gpytorch.mlls")
        inputs, values = self._standardize(Z, y)
        with _seeded(seed):
            self.model = model = models.SingleTaskVariationalGP(
                inputs, values, inducing_points=self.n_inducing
            )
            bound = mlls.VariationalELBO(model.likelihood, model.model, num_data=len(y))
            optimizer = torch.optim.Adam(model.parameters(), lr=self.rate)
            schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [2 * self.epochs // 3])
            model.train()
            for _ in range(self.epochs):
                for rows in torch.randperm(len(y)).split(self.batch_size):
                    optimizer.zero_grad()
                    loss = -bound(model.model(inputs[rows]), values[rows, 0])
                    loss.backward()
                    optimizer.step()
                schedule.step()
            model.eval()
        self._finish(epochs=self.epochs)


@contextmanager
def _seeded(seed: int) -> Any:
    """Seed torch's global random state inside the block only, because BoTorch samples from it."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def _versions(*packages: str) -> dict[str, str]:
    return {package: version(package) for package in packages if _installed(package)}


def _installed(package: str) -> bool:
    try:
        version(package)
    except ModuleNotFoundError:  # tensorflow may have another name
        return False
    return True


PEERS: dict[str, Callable[[], Peer]] = {
    "gpflow": GPflowPeer,
    "botorch-exact": BoTorchExact,
    "botorch-variational": BoTorchVariational,
}
"""The peers; every comparison creates new ones."""
