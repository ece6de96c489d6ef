"""A variational autoencoder made of any encoder and decoder."""

import hashlib
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, cast

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor, nn

from wrlso._utils.validation import check_choice, check_instance, check_real
from wrlso.exceptions import DataError, DataTypeError, ModelError, ParameterError, ParameterTypeError
from wrlso.models.contract import (
    Misfit,
    check_below,
    check_classes,
    checked_output,
    dtype_of,
    from_codec,
    run_once,
    single,
    split_posterior,
    to_codec,
)
from wrlso.models.likelihoods import LIKELIHOODS, Gaussian
from wrlso.models.moves import Values, crossed, mutated
from wrlso.models.neighbours import neighbours
from wrlso.models.protocol import Objects

__all__ = ["VAE", "Codec"]

_CHUNK = 1024  # examples encoded or decoded at once: small for memory, large for speed


class Codec(Protocol):
    """A scikit-learn style transformer between user objects and arrays.

    Examples
    --------
    Words of four letters as numbers of letters:

    >>> class Words:
    ...     def transform(self, X):
    ...         return np.array([[ord(letter) - ord("a") for letter in x] for x in X])
    ...
    ...     def inverse_transform(self, array):
    ...         return ["".join(chr(ord("a") + int(i)) for i in row) for row in array]
    >>> codec: Codec = Words()
    >>> codec.inverse_transform(codec.transform(["latent", "spaces"]))
    ['latent', 'spaces']
    """

    def transform(self, X: Objects) -> np.ndarray:
        """Return the (n, ...) array of n objects."""

    def inverse_transform(self, array: np.ndarray) -> Sequence[Any]:
        """Return n objects, None for each invalid one."""


class VAE(nn.Module):
    """Variational autoencoder (Kingma & Welling, 2014) from an encoder and a decoder.

    The class implements :class:`wrlso.models.LatentModel`. With the first x it reads the latent dimension
    from the encoder's output and checks that the shapes of both networks match.

    Parameters
    ----------
    encoder : torch.nn.Module
        Takes a batch (n, ...) of x, in the precision of its weights (int64 class indices for the categorical
        likelihood, standardised x for the Gaussian one); returns mean and log-variance, each (n, d), or one
        tensor (n, 2d) with the means first.
    decoder : torch.nn.Module
        Takes (n, d); returns Bernoulli logits (n, ...), categorical logits (n, ..., classes), or the mean
        (n, ...) of a Gaussian in standardised units.
    likelihood : {"bernoulli", "categorical", "gaussian"}, default="bernoulli"
        How the decoder's output is compared with x.
    beta : float, default=1.0
        Weight of the Kullback-Leibler term of the loss.
    codec : object with ``transform`` and ``inverse_transform``, default=None
        Translates between objects and arrays, like a scikit-learn transformer.
    label_smoothing : float in [0, 1), default=0.0
        Share of each binary or categorical part of x that the training loss spreads evenly over all classes.
        This bounds the logits, so that retraining can still learn parts that no good x has had so far.

    Notes
    -----
    With the Gaussian likelihood, x may be in any units. Each feature's mean and standard deviation are
    learned once, from the first x; the encoder is shown (x - mean) / deviation, the decoder's output is read
    in these units, and what is decoded is in the units of x. The variance around the decoder's mean is one
    number in these units, trained with the networks and at least 1e-4. A feature that is constant in the
    first x is constant in all that is decoded. Integers come back as integers. Losses and likelihoods are
    those of the standardised x. Where the first x is a single one, its magnitude stands for the deviation
    until the first training that sees several. Numbers of float64 or wide integers are kept in float64: for
    devices without it, give float32.

    With the categorical likelihood, x may be one-hot, (n, ..., classes): then the logits have the shape of x,
    the encoder takes one-hot floats or class indices (n, ...), and what is decoded is one-hot.

    Examples
    --------
    >>> import numpy as np
    >>> from torch import nn
    >>> from wrlso.models import VAE
    >>> vae = VAE(nn.Linear(6, 4), nn.Linear(2, 6))
    >>> inputs = vae.tensorize(np.eye(6))
    >>> vae.latent_dim, tuple(vae.encode(inputs).shape), tuple(vae.loss(inputs).shape)
    (2, (6, 2), (6,))
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        likelihood: str = "bernoulli",
        beta: float = 1.0,
        codec: Codec | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        for name, part in (("encoder", encoder), ("decoder", decoder), ("codec", codec)):
            check_instance(name, part)
        for name, module in (("encoder", encoder), ("decoder", decoder)):
            if not isinstance(module, nn.Module):
                raise ParameterTypeError(f"{name} must be a torch.nn.Module, got {module!r}")
        for method in ("transform", "inverse_transform"):
            if codec is not None and not callable(getattr(codec, method, None)):
                raise ParameterTypeError(f"codec must have a method {method}, got {codec!r}")
        check_choice("likelihood", likelihood, LIKELIHOODS)
        check_real("beta", beta, minimum=0)
        check_real("label_smoothing", label_smoothing, minimum=0, maximum=0.99)
        if label_smoothing and likelihood == "gaussian":
            raise ParameterError("label_smoothing must be 0 for the Gaussian likelihood: it has no classes")
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood = likelihood
        self.beta = beta
        self.codec = codec
        self.label_smoothing = label_smoothing
        self._likelihood = LIKELIHOODS[likelihood]()
        self._latent_dim: int | None = None
        self._x_shape: tuple[int, ...] | None = None
        self._x_dtype: np.dtype | None = None  # of the first x; decoded objects have it, too
        self._n_classes: int | None = None

    @property
    def latent_dim(self) -> int:
        """Dimension d of the latent space, known once the first x has been seen."""
        if self._latent_dim is None:
            raise ModelError("the latent dimension is unknown before the first x: call tensorize first")
        return self._latent_dim

    def tensorize(self, X: Objects) -> Tensor:
        """Return n objects as one compact tensor (n, ...): uint8, int64, float32 or float64.

        Raises
        ------
        DataError
            When objects differ in shape from each other or from earlier ones, are not finite, lie outside
            the likelihood's range, or the codec refuses them.
        ModelError
            When the first x shows that encoder and decoder do not fit each other or x, or the codec returns
            something else than numbers.
        """
        array = self._to_array(X)
        if self._x_shape is None:
            return self._learn_shapes(array)
        if array.shape[1:] != self._x_shape:
            raise DataError(f"x must have shape {self._x_shape}, got {array.shape[1:]}")
        inputs = self._likelihood.compact(array)
        if self._n_classes is not None:
            check_below(inputs, self._n_classes)
        return inputs

    @torch.no_grad()
    def encode(self, inputs: Tensor) -> Tensor:
        """Return the (n, d) posterior means, always in evaluation mode.

        Raises ModelError when the encoder returns something else, or not finite numbers.
        """
        with _evaluating(self):
            chunks = [self._posterior(chunk)[0] for chunk in inputs.split(_CHUNK)]
        Z = torch.cat(chunks) if chunks else torch.empty(0, self.latent_dim)
        if not torch.isfinite(Z).all():
            row = int((~torch.isfinite(Z)).any(dim=1).nonzero()[0])
            raise ModelError(f"the encoder must return finite means, got NaN or infinity in row {row}")
        return Z

    @torch.no_grad()
    def decode(
        self, Z: Tensor, temperature: float = 0.0, generator: torch.Generator | None = None
    ) -> list[Any]:
        """Decode (n, d) points: the mode at temperature 0, else samples from the softened likelihood.

        Returns a list of n arrays with the dtype of the first x, or of the codec's objects. None for an
        output that is not finite or that the codec cannot turn into an object.
        """
        check_real("temperature", temperature, minimum=0)
        device = next(self.decoder.parameters(), torch.empty(0)).device
        objects: list[Any] = []
        with _evaluating(self):
            for chunk in torch.as_tensor(Z, dtype=dtype_of(self.decoder, self.encoder)).split(_CHUNK):
                output = self._decoder_output(chunk.to(device)).cpu()
                finite = torch.isfinite(output).reshape(len(output), -1).all(dim=1)
                # replace NaN before sampling, because multinomial refuses a whole batch for one NaN
                output = torch.where(finite.reshape(-1, *[1] * (output.ndim - 1)), output, 0.0)
                array = self._likelihood.sample(output, temperature, generator).numpy()
                array = self._likelihood.as_given(array, self._x_dtype or array.dtype)
                objects += self._to_objects(array, finite.numpy())
        return objects

    def loss(self, inputs: Tensor) -> Tensor:
        """Return the (n,) negative ELBOs: one-sample reconstruction plus beta times the divergence."""
        likelihood = self._likelihood
        if self.training and isinstance(likelihood, Gaussian) and likelihood.is_provisional:
            likelihood.learn(inputs)
        mean, log_variance = self._posterior(inputs)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        divergence = 0.5 * (log_variance.exp() + mean.square() - 1.0 - log_variance).sum(dim=1)
        reconstruction = likelihood.nll(self._decoder_output(z), inputs, self.label_smoothing)
        return reconstruction + self.beta * divergence

    def log_likelihood(self, inputs: Tensor, Z: Tensor) -> Tensor:
        """Return the (n,) values log p(x_i | z_i), differentiable with respect to Z (n, d)."""
        return -self._likelihood.nll(self._decoder_output(Z), inputs)

    def features(self, X: Objects) -> np.ndarray:
        """Return n objects as numbers (n, D) float64: bits, one-hot classes, or standardised reals.

        With a codec those of the arrays that it makes.
        """
        inputs = self.tensorize(X)
        return np.asarray(self._likelihood.features(inputs, self._n_classes).reshape(len(inputs), -1).numpy())

    def parts(self, X: Objects) -> csr_array:
        """Return how often each pair of neighbouring values occurs in n objects, as sparse counts (n, P).

        Pairs are of bits or classes, next to each other on any axis. Real numbers have none.

        Raises
        ------
        DataError
            As :meth:`tensorize`.
        """
        inputs = self.tensorize(X).numpy()
        return neighbours(inputs, self._values(inputs).n_classes)

    def mutate(self, X: Objects, generator: torch.Generator | None = None) -> list[Any]:
        """Return n objects, each of X (n) with one small random change, as its likelihood suggests.

        Bits and classes: one or a few new values, a value inserted or left out, a part copied, rotated,
        reversed or filled, two places swapped. Real numbers: steps of 1 to 100 % of the data's spread in one,
        some or all places, or by a share of the difference of two of X; integers stay integers, and what has
        one sign in all X keeps it. With a codec this happens to the codec's arrays, unless it has a
        ``mutate(X, generator)`` of its own. None for what the codec cannot turn into an object.

        Raises
        ------
        DataError
            As :meth:`tensorize`.
        """
        if callable(own := getattr(self.codec, "mutate", None)):
            return list(own(X, generator))
        arrays, rng = self.tensorize(X).numpy(), _generator(generator)
        return self._restored(mutated(arrays, self._values(arrays), rng))

    def cross(self, X: Objects, Y: Objects, generator: torch.Generator | None = None) -> list[Any]:
        """Return n objects, the i-th of parts of X[i] and Y[i] (n objects each), which stay where they are.

        The parts are single places, a run of neighbouring places or, in images, a box; some real numbers lie
        between both parents. With a codec this happens to the codec's arrays, unless it has a
        ``cross(X, Y, generator)`` of its own. None for what the codec cannot turn into an object.

        Raises
        ------
        DataError
            As :meth:`tensorize`, and when X and Y differ in length.
        """
        if len(X) != len(Y):
            raise DataError(f"X and Y must have the same length, got {len(X)} and {len(Y)}")
        if callable(own := getattr(self.codec, "cross", None)):
            return list(own(X, Y, generator))
        first, second, rng = self.tensorize(X).numpy(), self.tensorize(Y).numpy(), _generator(generator)
        return self._restored(crossed(first, second, self._values(first), rng))

    def key(self, x: Any) -> Hashable:
        """Return the identity of x: its values, or x itself if there is a codec and x is hashable.

        Arrays of equal values are one point, also with different dtypes.
        """
        if self.codec is not None and _has_hash(x):
            return cast("Hashable", x)
        array = self._identity(x)
        digest = hashlib.blake2b(array.tobytes(), digest_size=16)
        digest.update(f"{array.dtype.kind}{array.shape}".encode())
        return digest.digest()

    def get_state(self) -> dict[str, Any]:
        """Return the shapes and dtypes learned from the first x, for :meth:`set_state`."""
        return {
            "latent_dim": self._latent_dim,
            "x_shape": self._x_shape,
            "x_dtype": None if self._x_dtype is None else self._x_dtype.str,
            "n_classes": self._n_classes,
            **self._likelihood.get_state(),
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore the state that :meth:`get_state` returned."""
        self._latent_dim, self._x_shape = state["latent_dim"], state["x_shape"]
        self._x_dtype = None if state["x_dtype"] is None else np.dtype(state["x_dtype"])
        self._n_classes = state["n_classes"]
        self._likelihood.set_state(state)

    def restore(self, inputs: np.ndarray) -> np.ndarray:
        """Return arrays in the form and dtype of the first x, of what :meth:`tensorize` made of them."""
        return self._likelihood.as_given(inputs, self._x_dtype or inputs.dtype)

    def extra_repr(self) -> str:
        """Show the parameters that are not modules."""
        return f"likelihood={self.likelihood!r}, beta={self.beta}"

    def _posterior(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        device = next(self.parameters(), torch.empty(0)).device
        shown = self._likelihood.expand(inputs.to(device), dtype_of(self.encoder, self.decoder))
        mean, log_variance = split_posterior(self.encoder(shown), len(inputs))
        return single(mean), single(log_variance)

    def _decoder_output(self, Z: Tensor) -> Tensor:
        return checked_output(self.decoder(Z.to(dtype_of(self.decoder, self.encoder))), len(Z))

    def _to_array(self, X: Objects) -> np.ndarray:
        if self.codec is not None:
            return to_codec(self.codec, X)
        if isinstance(X, np.ndarray) and X.dtype != object:
            return X
        arrays = [x.detach().cpu().numpy() if isinstance(x, Tensor) else np.asarray(x) for x in X]
        for row, array in enumerate(arrays):
            if array.dtype.kind not in "buif":
                raise DataTypeError(
                    f"x must be an array of numbers, got {type(X[row]).__name__} in row {row}; "
                    "give a codec for other objects"
                )
            expected = self._x_shape if self._x_shape is not None else arrays[0].shape
            if array.shape != expected:
                raise DataError(f"x must have shape {expected}, got {array.shape} in row {row}")
        return np.stack(arrays) if arrays else np.empty((0, *(self._x_shape or ())))

    def _identity(self, x: Any) -> np.ndarray:
        # skip the conversion of decoded arrays: every ask compares thousands of candidates
        if (
            self.likelihood == "bernoulli"
            and self.codec is None
            and isinstance(x, np.ndarray)
            and x.dtype == np.uint8
            and x.shape == self._x_shape
            and (x.size == 0 or x.max() <= 1)
        ):
            return np.packbits(x)
        row: np.ndarray = self._likelihood.identity(self._to_array([x]))[0]
        return row

    def _values(self, inputs: np.ndarray) -> Values:
        return self._likelihood.values(inputs, self._x_dtype or inputs.dtype, self._n_classes)

    def _restored(self, inputs: np.ndarray) -> list[Any]:
        return self._to_objects(self.restore(inputs), np.ones(len(inputs), dtype=bool))

    def _to_objects(self, arrays: np.ndarray, valid: np.ndarray) -> list[Any]:
        if self.codec is None:
            # copies, so that a kept row does not keep its whole batch in memory
            return [array.copy() if ok else None for array, ok in zip(arrays, valid, strict=True)]
        objects: list[Any] = [None] * len(arrays)
        rows = np.flatnonzero(valid)
        for row, x in zip(rows, from_codec(self.codec, arrays[rows]) if len(rows) else [], strict=True):
            objects[row] = x
        return objects

    def _learn_shapes(self, array: np.ndarray) -> Tensor:
        """Learn how the first x (n, ...) are read, and return them in compact form; checks both networks."""
        before, likelihood = self._likelihood.get_state(), self._likelihood
        misfits: list[Misfit] = []
        try:
            for way in likelihood.ways(array):
                likelihood.set_state({**before, **way})
                inputs = likelihood.compact(array)
                try:
                    mean, output = self._run_once(inputs)
                except Misfit as misfit:
                    misfits.append(misfit)
                    continue
                before = likelihood.get_state()
                self._latent_dim = mean.shape[1]
                self._x_shape, self._x_dtype = array.shape[1:], array.dtype
                self._n_classes = output.shape[-1] if self.likelihood == "categorical" else None
                return inputs
        finally:
            likelihood.set_state(before)
        nearest = max(misfits, key=lambda misfit: misfit.passed_encoder)
        raise ModelError(str(nearest)) from nearest.__cause__

    @torch.no_grad()
    def _run_once(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Run both networks on two x; raises Misfit where they do not fit each other or x."""
        sample, likelihood = inputs[:2], self._likelihood
        device = next(self.parameters(), torch.empty(0)).device
        dtype = dtype_of(self.encoder, self.decoder)
        if torch.float16 in (dtype, dtype_of(self.decoder, self.encoder)):
            raise ModelError(
                "the networks must have weights of float32, float64 or bfloat16, got float16, in which the "
                "training's steps are not finite: call .float() on them"
            )
        # class 0 is one that every encoder knows; which others it knows is asked when their number is known
        first = torch.zeros_like(sample) if self.likelihood == "categorical" else sample
        with _evaluating(self):
            mean, output = run_once(self.encoder, self.decoder, likelihood.expand(first.to(device), dtype))
            problem = likelihood.output_shape_error(output, sample)
            if problem:
                raise Misfit(f"the decoder's output does not fit x: {problem}", passed_encoder=True)
            if self.likelihood == "categorical":
                check_classes(self.encoder, inputs, output.shape[-1], likelihood.expand)
                run_once(self.encoder, self.decoder, likelihood.expand(sample.to(device), dtype))
        return mean, output


def _generator(generator: torch.Generator | None) -> np.random.Generator:
    return np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))


def _has_hash(x: Any) -> bool:
    try:
        hash(x)
    except TypeError:
        return False
    return True


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Switch to evaluation mode for the block, then restore each sub-module's mode."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode
