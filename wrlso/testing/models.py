"""``check_latent_model``: one method per property of a LatentModel."""

import copy
from collections.abc import Hashable, Sequence
from functools import partial
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from wrlso._utils.random import isolated_torch_rng
from wrlso._utils.validation import check_real
from wrlso.exceptions import DataError
from wrlso.models.protocol import Crosses, LatentModel, Mutates
from wrlso.testing.checks import Checks, describe, global_random_state, isolated_global_rng, short_repr

__all__ = ["check_latent_model"]

_N_LOSSES = 64
_STANDARD_ERRORS = 6.0  # far enough for a seeded comparison never to fail by chance in practice

_METHODS = [name for name in vars(LatentModel) if name[0] != "_" and name != "latent_dim"]


def check_latent_model(
    model: LatentModel,
    X: Sequence[Any],
    *,
    tolerance: float = 1e-4,
    seconds: float = 60.0,
) -> None:
    """Check that a model keeps the contract of :class:`wrlso.models.LatentModel`.

    And of :class:`wrlso.models.Mutates` and :class:`wrlso.models.Crosses`, where it has their methods.

    The checks run on a deep copy, so the model stays as it is, and so does all global random state.

    Parameters
    ----------
    model : LatentModel
        The model.
    X : sequence of n ≥ 2 objects
        Valid inputs of the model, no two of them the same point. A handful is enough.
    tolerance : float, default=1e-4
        Relative difference allowed between a batch and its examples one by one, > 0.
    seconds : float, default=60
        How long one call of ``decode`` on a few points may take, > 0.

    Raises
    ------
    CheckFailedError
        If a property does not hold; the message names it and the input.
    DataError
        If X holds fewer than two objects.
    ParameterError, ParameterTypeError
        If tolerance or seconds is not a finite number > 0.

    Examples
    --------
    >>> import numpy as np
    >>> from torch import nn
    >>> from wrlso.models import VAE
    >>> from wrlso.testing import check_latent_model
    >>> check_latent_model(VAE(nn.Linear(6, 4), nn.Linear(2, 6)), np.eye(6))
    """
    check_real("tolerance", tolerance, above=0)
    check_real("seconds", seconds, above=0)
    if len(X) < 2:
        raise DataError(f"X must hold at least two objects, got {len(X)}")
    with isolated_global_rng():
        checks = ModelChecks(model, X, tolerance, seconds)
        checks.check_tensorize()
        checks.check_encode()
        checks.check_keys()
        checks.check_decode()
        checks.check_variation()
        checks.check_loss()
        checks.check_gradients()
        checks.check_state_dict()


class ModelChecks(Checks):
    """One model under check. The methods run in the order in which check_latent_model calls them."""

    def __init__(self, model: LatentModel, X: Sequence[Any], tolerance: float, seconds: float) -> None:
        super().__init__(model)
        self.need_methods(model, "LatentModel", _METHODS)
        self.X = list(X)
        self.tolerance = tolerance
        self.seconds = seconds
        self.model = self.copied(model)
        self.model.train(False)

    def check_tensorize(self) -> None:
        must = "tensorize n objects into a tensor (n, ...), always the same, each object by itself"
        self.inputs = self.tensorize(must, self.X)
        if not torch.equal(self.inputs, self.tensorize(must, self.X)):
            self.fail(must, "a second call gave another tensor", self.X)
        for x, row in zip(self.X, self.inputs, strict=True):
            alone = self.tensorize(must, [x])[0]
            if alone.dtype != row.dtype or not torch.equal(alone, row):
                self.fail(must, f"alone it gives {short_repr(alone)}, among others {short_repr(row)}", x)

    def check_encode(self) -> None:
        must = "encode n inputs into a finite tensor (n, latent_dim)"
        dim = self.attempt("have a latent_dim", lambda: self.model.latent_dim, self.X)
        if isinstance(dim, bool) or not isinstance(dim, int) or dim < 1:
            self.fail("have a latent_dim", f"it must be an integer >= 1, got {dim!r}", self.X)
        self.Z = self.attempt(must, lambda: self.encode(self.inputs), self.X)
        shape = (len(self.X), dim)
        if not isinstance(self.Z, Tensor) or self.Z.shape != shape or not self.Z.is_floating_point():
            self.fail(must, f"expected a float tensor of shape {shape}, got {describe(self.Z)}", self.X)
        for x, z in zip(self.X, self.Z, strict=True):
            if not torch.isfinite(z).all():
                self.fail(must, f"got {z.tolist()}", x)
        again = self.encode(self.inputs)
        if not torch.equal(self.Z, again):
            difference = float((self.Z - again).abs().max())
            must = "encode deterministically in evaluation mode"
            self.fail(must, f"two calls differ by up to {difference:.3g}", self.X)
        must = "encode an input the same alone as in a batch"
        for i, x in enumerate(self.X):
            alone = self.attempt(must, partial(self.encode, self.inputs[i : i + 1]), x)
            if alone.shape != (1, dim) or not self.close(alone[0], self.Z[i]):
                self.fail(must, f"alone it gives {alone.tolist()}, in a batch {self.Z[i].tolist()}", x)

    def check_decode(self) -> None:
        generator = torch.Generator().manual_seed(0)
        directions = torch.randn(4, self.Z.shape[1], generator=generator)
        directions /= directions.norm(dim=1, keepdim=True)
        for Z in (self.Z[:8], 0 * directions[:1], directions, 10 * directions, 1e3 * directions):
            for temperature in (0.0, 1.0):
                for x in self.check_one_decode(Z.to(self.Z), temperature):
                    if x is not None:
                        self.check_one_key(x)
                self.decode(Z.to(self.Z.device, torch.float64), temperature)  # the search's own precision

    def check_one_decode(self, Z: Tensor, temperature: float) -> list[Any]:
        what = f"temperature={temperature:g}"
        state = global_random_state()
        X = self.decode(Z, temperature)
        if state != global_random_state():
            must = "decode with randomness from the generator only"
            self.fail(must, f"with {what} it changed the global random state", Z)
        with isolated_global_rng(seed=1):
            again = self.decode(Z, temperature)
        must = "decode reproducibly" + (" from one state of the generator" if temperature else "")
        for z, x, y in zip(Z, X, again, strict=True):
            if self.key(x) != self.key(y):
                self.fail(must, f"with {what} two calls gave {short_repr(x)} and {short_repr(y)}", z)
        return X

    def check_variation(self) -> None:
        """Check ``mutate`` and ``cross``, which not all models have."""
        if isinstance(self.model, Mutates):
            self.check_one_variation("mutate", "mutates", 1)
        if isinstance(self.model, Crosses):
            self.check_one_variation("cross", "crosses", 2)

    def check_one_variation(self, name: str, does: str, n_parents: int) -> None:
        state = global_random_state()
        found = self.varied(name, does, n_parents)
        if state != global_random_state():
            must = f"{name} with randomness from the generator only"
            self.fail(must, "it changed the global state", self.X)
        with isolated_global_rng(seed=1):
            again = self.varied(name, does, n_parents)
        must = f"{name} reproducibly from one state of the generator"
        for x, y, z in zip(self.X, found, again, strict=True):
            if self.key(y) != self.key(z):
                self.fail(must, f"two calls gave {short_repr(y)} and {short_repr(z)}", x)
            if y is not None:
                self.check_one_key(y, f"{does} into")

    def varied(self, name: str, does: str, n_parents: int) -> list[Any]:
        """Vary copies of X with a generator in its first state; what changes them is refused.

        Parents of one object are neighbours in X.
        """
        must = f"{name} n objects into a list of n, None where nothing valid comes out"
        X = list(self.X)
        originals = [X[i:] + X[:i] for i in range(n_parents)]
        parents = copy.deepcopy(originals)
        method = getattr(self.model, name)
        found = self.attempt(must, lambda: method(*parents, torch.Generator().manual_seed(0)), self.X)
        if not isinstance(found, list) or len(found) != len(X):
            self.fail(must, f"for {len(X)} objects it returned {describe(found)}", self.X)
        must = f"leave the objects that it {does} as they are"
        for x, y in zip(chain(*originals), chain(*parents), strict=True):
            if self.key(x) != self.key(y):
                self.fail(must, f"it made {short_repr(y)} of it", x)
        return found

    def check_keys(self) -> None:
        owners: dict[Hashable, Any] = {}
        for x in self.X:
            self.check_one_key(x)
            if (key := self.key(x)) in owners:
                must = "give different points different keys (X must not hold a point twice)"
                self.fail(must, f"both have the key {short_repr(key)}", [owners[key], x])
            owners[key] = x

    def check_one_key(self, x: Any, what: str = "decodes") -> None:
        must = "give a point one key, hashable and always the same"
        key, key_of_copy = self.key(x), self.key(copy.deepcopy(x))
        if key != self.key(x) or key != key_of_copy:
            self.fail(must, f"x has the keys {key!r} and {self.key(x)!r}, its copy {key_of_copy!r}", x)
        self.tensorize(f"tensorize what it {what}", [x])
        if key != self.key(x):
            self.fail(must, f"tensorize changed the key from {key!r} to {self.key(x)!r}", x)

    def check_loss(self) -> None:
        must = "have (n,) finite losses, one per example"
        losses = self.losses(must, self.inputs, seed=1)
        must = "have the same expected loss for an example alone as in a batch"
        is_deterministic = torch.equal(losses, self.losses(must, self.inputs, seed=2))
        n_calls = 1 if is_deterministic else _N_LOSSES
        kept = self.inputs[:4]
        batch = torch.stack([self.losses(must, kept, seed) for seed in range(n_calls)])
        for i, x in enumerate(self.X[:4]):
            one = self.inputs[i : i + 1]
            alone = torch.stack([self.losses(must, one, n_calls + seed) for seed in range(n_calls)])[:, 0]
            difference = abs(float(alone.mean() - batch[:, i].mean()))
            slack = self.tolerance * (1 + abs(float(alone.mean())))
            if not is_deterministic:
                variance = float(alone.var() + batch[:, i].var()) / n_calls
                slack += _STANDARD_ERRORS * variance**0.5
            if not difference <= slack:
                detail = f"alone {float(alone.mean()):.6g}, in a batch {float(batch[:, i].mean()):.6g}"
                self.fail(must, detail + f" (mean of {n_calls} calls)", x)

    def check_gradients(self) -> None:
        must = "have a loss with finite gradients that reach the parameters"
        self.model.train(True)
        parameters = list(self.model.parameters())
        for parameter in parameters:
            parameter.grad = None
        with torch.enable_grad():
            losses = self.attempt(must, lambda: self.model.loss(self.inputs), self.X)
            if not losses.requires_grad:
                self.fail(must, "the loss does not require gradients", self.X)
            self.attempt(must, lambda: losses.sum().backward(), self.X)
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if not any(bool((gradient != 0).any()) for gradient in gradients):
            self.fail(must, "the gradients of all parameters are zero or missing", self.X)
        if not all(bool(torch.isfinite(gradient).all()) for gradient in gradients):
            self.fail(must, "a gradient is NaN or infinite", self.X)
        self.model.train(False)

    def check_state_dict(self) -> None:
        must = "come back exactly through state_dict and load_state_dict"
        before, keys = self.encode(self.inputs), [self.key(x) for x in self.decode(self.Z, 0.0)]
        saved = self.attempt(must, self.model.state_dict, "the model")
        for name, value in saved.items():
            if not isinstance(value, Tensor):
                self.fail(must, f"all its values must be tensors, got {describe(value)}", name)
        saved = {name: value.detach().clone() for name, value in saved.items()}
        self.model.train(True)
        self.attempt(must, lambda: self.model.loss(self.inputs), self.X)  # may move running averages
        with torch.no_grad():
            for parameter in self.model.parameters():
                parameter.add_(torch.randn_like(parameter))
        self.attempt(must, lambda: self.model.load_state_dict(saved), "the model's own state_dict")
        self.model.train(False)
        if not torch.equal(before, self.encode(self.inputs)):
            self.fail(must, "after other weights and back, encode differs", self.X)
        if keys != [self.key(x) for x in self.decode(self.Z, 0.0)]:
            self.fail(must, "after other weights and back, decode differs", self.Z)

    def tensorize(self, must: str, X: list[Any]) -> Tensor:
        inputs = self.attempt(must, lambda: self.model.tensorize(X), X)
        if not isinstance(inputs, Tensor) or inputs.ndim == 0 or len(inputs) != len(X):
            self.fail(must, f"expected {len(X)} rows, got {describe(inputs)}", X)
        return inputs

    def encode(self, inputs: Tensor) -> Tensor:
        with torch.no_grad():
            return self.model.encode(inputs)

    def decode(self, Z: Tensor, temperature: float) -> list[Any]:
        """Decode with a generator in its first state, in a thread so that a call without end is noticed."""
        must = f"decode {Z.dtype} points and end (here with temperature={temperature:g})"

        def decode() -> list[Any]:
            with torch.no_grad():
                generator = torch.Generator().manual_seed(0)
                return self.model.decode(Z, temperature=temperature, generator=generator)

        X = self.within(self.seconds, must, decode, Z)
        if isinstance(X, Exception):
            self.fail(must, f"it raised {type(X).__name__}: {X}", Z, cause=X)
        if not isinstance(X, list) or len(X) != len(Z):
            must = "decode n points into a list of n objects, or None where nothing valid comes out"
            self.fail(must, f"for {len(Z)} points it returned {describe(X)}", Z)
        return X

    def key(self, x: Any) -> Hashable:
        """Return the key of x, None for None."""
        if x is None:
            return None
        key = self.attempt("have a key for every x", lambda: self.model.key(x), x)
        self.attempt("give a point one key, hashable and always the same", lambda: hash(key), x)
        return key

    def losses(self, must: str, inputs: Tensor, seed: int) -> Tensor:
        """Return the losses in evaluation mode, float64, with torch's global generator seeded."""
        with isolated_torch_rng(seed), torch.no_grad():
            losses = self.attempt(must, lambda: self.model.loss(inputs), inputs)
        shape = (len(inputs),)
        if not isinstance(losses, Tensor) or losses.shape != shape or not losses.is_floating_point():
            self.fail(must, f"expected a float tensor of shape {shape}, got {describe(losses)}", inputs)
        if not torch.isfinite(losses).all():
            self.fail(must, f"got {losses.tolist()}", inputs)
        return losses.double().cpu()

    def close(self, a: Tensor, b: Tensor) -> bool:
        return torch.allclose(a, b, rtol=self.tolerance, atol=self.tolerance)
