"""The three likelihoods of a decoder.

Each stores x in a compact form (``compact``), turns this into the encoder's input (``expand``), computes
the negative log-likelihood per example (``nll``) and samples an x from the decoder's output (``sample``).
Its state is what it learned from the first x, such as their scale.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wrlso.exceptions import DataError, DataTypeError
from wrlso.models.moves import Values

__all__ = ["LIKELIHOODS", "Bernoulli", "Categorical", "Gaussian", "Likelihood"]


class Likelihood(Protocol):
    """A likelihood of :class:`wrlso.VAE`."""

    name: ClassVar[str]

    def ways(self, array: np.ndarray) -> Sequence[Mapping[str, Any]]:
        """Return the states in which the first x (n, ...) may be read, the likeliest first."""

    def get_state(self) -> Mapping[str, Any]:
        """Return what it has learned from the first x."""

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Put that back."""

    def compact(self, array: np.ndarray) -> Tensor:
        """Check n objects (n, ...) and return them in the smallest lossless form."""

    def identity(self, array: np.ndarray) -> np.ndarray:
        """Check n objects and return arrays that are equal when the objects are, learned or not."""

    def expand(self, inputs: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Turn the compact form into what an encoder of this precision takes."""

    def features(self, inputs: Tensor, n_classes: int | None) -> Tensor:
        """Return what says as numbers (n, ...) float64 what x is."""

    def output_shape_error(self, output: Tensor, inputs: Tensor) -> str | None:
        """Return the error in the shape of a decoder's output, None for a correct shape."""

    def nll(self, output: Tensor, inputs: Tensor, smoothing: float = 0.0) -> Tensor:
        """Return the (n,) negative log-likelihoods of compact ``inputs`` under the decoder's output.

        With ``smoothing`` s, the share s of each part of x is spread evenly over all classes.
        """

    def sample(self, output: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
        """Return n objects (n, ...): the mode at temperature 0, else a sample."""

    def as_given(self, array: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Return sampled or compact objects in the form and dtype of the first x."""

    def values(self, inputs: np.ndarray, dtype: np.dtype, n_classes: int | None) -> Values:
        """Return what a place of compact objects may hold; ``dtype`` is that of the first x.

        ``n_classes`` is the number of classes that the decoder knows, if it knows classes.
        """


def _numeric(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "buif":
        raise DataTypeError(
            f"x must be an array of numbers, got dtype {array.dtype}; give a codec for other objects"
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        row = int(np.argwhere(~np.isfinite(array))[0][0])
        raise DataError(f"x must be finite, got NaN or infinity in row {row}")
    return array


def _as_tensor(array: np.ndarray, dtype: type) -> Tensor:
    # from_numpy shares memory with arrays of the right type: no second copy of large data
    return torch.from_numpy(np.require(array, dtype=dtype, requirements=["C", "W"]))


def _same_shape_error(output: Tensor, inputs: Tensor) -> str | None:
    if output.shape == inputs.shape:
        return None
    return f"expected {tuple(inputs.shape)} like x, got {tuple(output.shape)}"


class Bernoulli:
    """Binary x (or probabilities in [0, 1]); the decoder gives logits of the same shape."""

    name: ClassVar[str] = "bernoulli"

    def ways(self, array: np.ndarray) -> Sequence[Mapping[str, Any]]:
        """Nothing is learned."""
        return [{}]

    def get_state(self) -> Mapping[str, Any]:
        """Nothing is learned."""
        return {}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Nothing is learned."""

    def compact(self, array: np.ndarray) -> Tensor:
        """Return uint8 for binary x, float32 for other x in [0, 1]."""
        array = _numeric(array)
        if array.size and (array.min() < 0 or array.max() > 1):
            row = int(np.argwhere((array < 0) | (array > 1))[0][0])
            raise DataError(
                f"x must lie in [0, 1] for the Bernoulli likelihood, got a value outside it in row {row}; "
                'give likelihood="gaussian" for real numbers, "categorical" for classes'
            )
        binary = array.dtype.kind in "bui" or bool(((array == 0) | (array == 1)).all())
        return _as_tensor(array, np.uint8 if binary else np.float32)

    def identity(self, array: np.ndarray) -> np.ndarray:
        """Return the compact form, eight binary parts in a byte."""
        compact = self.compact(array).numpy()
        if compact.dtype != np.uint8:
            return compact
        return np.packbits(compact.reshape(len(compact), -1), axis=1)

    def expand(self, inputs: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return floats."""
        return inputs.to(dtype)

    def features(self, inputs: Tensor, n_classes: int | None) -> Tensor:
        """Return x itself."""
        return inputs.double()

    def output_shape_error(self, output: Tensor, inputs: Tensor) -> str | None:
        """Logits must have the shape of x."""
        return _same_shape_error(output, inputs)

    def nll(self, output: Tensor, inputs: Tensor, smoothing: float = 0.0) -> Tensor:
        """Binary cross-entropy, summed over the parts of x."""
        targets = self.expand(inputs, output.dtype)
        if smoothing:
            targets = targets * (1 - smoothing) + 0.5 * smoothing
        losses = F.binary_cross_entropy_with_logits(output, targets, reduction="none")
        return losses.reshape(len(inputs), -1).sum(dim=1)

    def sample(self, output: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
        """Threshold the logits, or sample with the logits divided by the temperature."""
        if temperature == 0:
            return (output > 0).to(torch.uint8)
        uniform = torch.rand(output.shape, generator=generator, dtype=output.dtype)
        return (uniform < torch.sigmoid(output / temperature)).to(torch.uint8)

    def as_given(self, array: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Return the dtype of the first x."""
        return array.astype(dtype, copy=False)

    def values(self, inputs: np.ndarray, dtype: np.dtype, n_classes: int | None) -> Values:
        """Return bits, or real numbers in [0, 1]."""
        return Values(2) if inputs.dtype == np.uint8 else Values(spread=0.3, low=0.0, high=1.0)


class Categorical:
    """Class indices, or one-hot rows of them; the decoder gives logits with the classes last.

    For one-hot x the logits have the shape of x, and the encoder takes either x or class indices, whatever
    it was made for.
    """

    name: ClassVar[str] = "categorical"

    def __init__(self) -> None:
        self.one_hot: str | None = None  # what the encoder takes where x is one-hot: "floats" or "classes"
        self.n_classes = 0  # of one-hot x

    def ways(self, array: np.ndarray) -> Sequence[Mapping[str, Any]]:
        """Class indices; or, where x looks like it, one-hot rows that the encoder takes so, or as classes."""
        if array.ndim < 2 or array.shape[-1] < 2 or len(_not_one_hot(array[:2])):
            return [{}]
        return [{}, *({"one_hot": way, "n_classes": array.shape[-1]} for way in ("floats", "classes"))]

    def get_state(self) -> Mapping[str, Any]:
        """Return how one-hot x are read, nothing where x are class indices."""
        return {"one_hot": self.one_hot, "n_classes": self.n_classes} if self.one_hot else {}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Put that back."""
        self.one_hot, self.n_classes = state.get("one_hot"), state.get("n_classes", 0)

    def compact(self, array: np.ndarray) -> Tensor:
        """Return uint8 or int64 indices."""
        array = self._checked(array)
        if self.one_hot:
            array = array.argmax(axis=-1)
        return _as_tensor(array, np.uint8 if not array.size or array.max() < 256 else np.int64)

    def identity(self, array: np.ndarray) -> np.ndarray:
        """Return x itself as uint8 or int64."""
        array = self._checked(array)
        return array.astype(np.uint8 if not array.size or array.max() < 256 else np.int64)

    def _checked(self, array: np.ndarray) -> np.ndarray:
        array = _numeric(array)
        if self.one_hot:
            if len(wrong := _not_one_hot(array)):
                raise DataError(
                    f"x must be one-hot as the first x, one 1 and else 0 along its last axis of "
                    f"{self.n_classes} classes, which row {wrong[0]} is not"
                )
        elif array.dtype.kind == "f" and (array != np.floor(array)).any():
            row = int(np.argwhere(array != np.floor(array))[0][0])
            raise DataError(
                "x must hold whole class indices for the categorical likelihood (or be one-hot), got "
                f"fractions in row {row}"
            )
        elif array.size and array.min() < 0:
            row = int(np.argwhere(array < 0)[0][0])
            raise DataError(f"x must hold class indices of at least 0, got {array[row].min()} in row {row}")
        return array

    def expand(self, inputs: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return int64 class indices, ready for an embedding, or one-hot floats."""
        if self.one_hot == "floats":
            return F.one_hot(inputs.to(torch.int64), self.n_classes).to(dtype)
        return inputs.to(torch.int64)

    def features(self, inputs: Tensor, n_classes: int | None) -> Tensor:
        """Return x as one-hot rows."""
        return F.one_hot(inputs.to(torch.int64), n_classes or self.n_classes).double()

    def output_shape_error(self, output: Tensor, inputs: Tensor) -> str | None:
        """Logits have the shape of the indices and a last axis of classes."""
        if self.one_hot and output.shape != (*inputs.shape, self.n_classes):
            return f"expected {(*inputs.shape, self.n_classes)} like the one-hot x, got {tuple(output.shape)}"
        if output.shape[:-1] == inputs.shape:
            return None
        return f"expected {tuple(inputs.shape)} and a last axis of classes, got {tuple(output.shape)}" + (
            "; logits of the shape of x are for one-hot x, with one 1 and else 0 along the last axis"
            if output.shape == inputs.shape
            else ""
        )

    def nll(self, output: Tensor, inputs: Tensor, smoothing: float = 0.0) -> Tensor:
        """Cross-entropy, summed over the parts of x."""
        logits, targets = output.movedim(-1, 1), inputs.to(torch.int64)
        losses = F.cross_entropy(logits, targets, reduction="none", label_smoothing=smoothing)
        return losses.reshape(len(inputs), -1).sum(dim=1)

    def sample(self, output: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
        """Take the likeliest class, or sample one with the logits divided by the temperature."""
        if temperature == 0:
            return output.argmax(dim=-1)
        probabilities = torch.softmax(output.reshape(-1, output.shape[-1]) / temperature, dim=-1)
        classes = torch.multinomial(probabilities, 1, generator=generator)
        return classes.reshape(output.shape[:-1])

    def as_given(self, array: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Return indices, or one-hot rows where the first x were."""
        if self.one_hot:
            return np.asarray(array[..., None] == np.arange(self.n_classes)).astype(dtype)
        return array.astype(dtype, copy=False)

    def values(self, inputs: np.ndarray, dtype: np.dtype, n_classes: int | None) -> Values:
        """Return the classes."""
        return Values(n_classes)


def _not_one_hot(array: np.ndarray) -> np.ndarray:
    """Return the rows (k,) of an array (n, ..., classes) that are not one-hot along the last axis."""
    good = ((array == 0) | (array == 1)).all(axis=-1) & ((array == 1).sum(axis=-1) == 1)
    return np.flatnonzero(~good.reshape(len(array), -1).all(axis=1))


_SMALLEST_LOG_VARIANCE = math.log(1e-4)  # one percent of a feature's spread
_STEP = 10.0  # the variance may have to fall a thousandfold while the networks' weights move by about 1
_FARTHEST = 1e4  # spreads from the centre; what lies beyond is shown as if it lay there
_LARGEST = 1e300  # squares of what is larger than this times a small number are not finite


class Gaussian(nn.Module):
    """Real x in any units; the decoder gives the mean of a Gaussian in standardised units.

    Each feature's centre and spread (mean and standard deviation) are learned once from the first x. The
    variance, one number for all features in units of the spread, is a parameter that trains with the
    networks (Rybkin et al., "Simple and effective VAE training with calibrated decoders", ICML 2021) and
    begins at 1. Campaigns that were begun before have neither: :meth:`set_state` goes back to variance 1 in
    the units of x.
    """

    name: ClassVar[str] = "gaussian"

    def __init__(self) -> None:
        super().__init__()
        self.raw_variance: nn.Parameter | None
        self._learned: Mapping[str, Any] | None = None
        self.register_parameter("raw_variance", None)
        self.set_state({"standardization": None})

    @property
    def standardizes(self) -> bool:
        """Whether x are standardised, as in all but the oldest campaigns."""
        return self.raw_variance is not None

    @property
    def is_provisional(self) -> bool:
        """Whether what was seen says nothing of the spread: one x, or equal ones."""
        return self._learned is not None and bool(self._learned["provisional"])

    def ways(self, array: np.ndarray) -> Sequence[Mapping[str, Any]]:
        """Return centre and spread of each feature of x (n, ...)."""
        return [{"standardization": self._summary(array)}] if self.standardizes else [{}]

    def learn(self, inputs: Tensor) -> None:
        """Take centre and spread from more x (n, ...) while they are provisional, if these say anything."""
        summary = self._summary(inputs.detach().cpu().numpy())
        if not summary["provisional"]:
            self._learned = summary | {"dtype": (self._learned or summary)["dtype"]}

    def _summary(self, array: np.ndarray) -> dict[str, Any]:
        x = self.compact(array).double().numpy()
        if not len(x):
            x = np.zeros((1, *x.shape[1:]))
        centre = x.mean(axis=0)
        centre = np.where(x.min(axis=0) == x.max(axis=0), x[0], centre)  # a mean may miss it by its last bit
        deviation = np.abs(x - centre)
        largest = deviation.max(axis=0)
        scale = np.where(largest > 0, largest, 1.0)  # squares of tiny deviations would be zero
        spread = largest * np.sqrt(np.square(deviation / scale).mean(axis=0))
        provisional = not (spread > 0).any()
        if provisional:
            spread = _magnitude(centre)
        dtype = np.dtype(self._compact_dtype(array)).str
        units = {"centre": np.asarray(centre), "spread": np.asarray(spread)}
        return units | {"dtype": dtype, "provisional": provisional}

    def get_state(self) -> Mapping[str, Any]:
        """Return what was learned of the units of x."""
        return {"standardization": self._learned} if self.standardizes else {}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Put that back; without it, x stay as they are and the variance is 1."""
        self._learned = state.get("standardization")
        if "standardization" not in state:
            self.raw_variance = None
        elif self.raw_variance is None:
            start = math.log(math.expm1(-_SMALLEST_LOG_VARIANCE)) / _STEP  # where the variance is 1
            self.raw_variance = nn.Parameter(torch.tensor(start))

    def log_variance(self) -> Tensor:
        """Return the logarithm of the variance in units of the spread, at least that of 1e-4."""
        if self.raw_variance is None:
            return torch.zeros(())
        return _SMALLEST_LOG_VARIANCE + F.softplus(_STEP * self.raw_variance)

    def _compact_dtype(self, array: np.ndarray) -> type[np.floating[Any]]:
        """The precision of the first x, so that no integer and no small difference is lost."""
        if not self.standardizes:
            return np.float32
        if self._learned is not None:
            return np.float64 if self._learned["dtype"] == "<f8" else np.float32
        return np.float32 if np.result_type(array.dtype, np.float32).itemsize == 4 else np.float64

    def compact(self, array: np.ndarray) -> Tensor:
        """Return float32 or, where the first x have more digits, float64."""
        dtype = self._compact_dtype(array)
        # adding 0 turns -0.0 into 0.0, which are one value and must be one identity
        tensor = _as_tensor(_numeric(array) + np.float32(0), dtype)
        if dtype is np.float64 and tensor.numel() and (tensor.abs() > _LARGEST).any():
            row = int((tensor.reshape(len(tensor), -1).abs() > _LARGEST).any(dim=1).nonzero()[0])
            raise DataError(f"x must lie within ±{_LARGEST:g}, got a larger number in row {row}")
        return tensor

    def identity(self, array: np.ndarray) -> np.ndarray:
        """Return the numbers in float64, so that it is the same before anything was learned."""
        compact = self.compact(array).numpy()
        return compact.astype(np.float64) if self.standardizes else compact

    def expand(self, inputs: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return floats: how many spreads each feature is from its centre."""
        if self._learned is None:
            return inputs.to(dtype)
        centre, spread = _units(self._learned, inputs.device)
        scale = torch.where(spread > 0, spread, torch.from_numpy(_magnitude(centre.cpu().numpy())).to(spread))
        return ((inputs.double() - centre) / scale).clamp(-_FARTHEST, _FARTHEST).to(dtype)

    def features(self, inputs: Tensor, n_classes: int | None) -> Tensor:
        """Return how many spreads each feature is from its centre."""
        return self.expand(inputs, torch.float64)

    def output_shape_error(self, output: Tensor, inputs: Tensor) -> str | None:
        """The mean must have the shape of x."""
        return _same_shape_error(output, inputs)

    def nll(self, output: Tensor, inputs: Tensor, smoothing: float = 0.0) -> Tensor:
        """Negative logarithm of the normal density of standardised x, summed over the parts of x."""
        errors = (output - self.expand(inputs, output.dtype)).square()
        if self.standardizes:
            log_variance = self.log_variance()
            losses = 0.5 * (errors * (-log_variance).exp() + log_variance) + 0.5 * math.log(2 * math.pi)
        else:
            losses = 0.5 * errors + 0.5 * math.log(2 * math.pi)
        return losses.reshape(len(inputs), -1).sum(dim=1)

    def sample(self, output: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
        """Take the mean, or add normal noise with ``temperature`` times the variance; in the units of x."""
        if temperature:
            noise = torch.randn(output.shape, generator=generator, dtype=output.dtype)
            output = (
                output + math.sqrt(temperature) * math.exp(0.5 * float(self.log_variance().detach())) * noise
            )
        if self._learned is None:
            return output + 0.0
        centre, spread = _units(self._learned, output.device)
        return centre + spread * output.double() + 0.0

    def as_given(self, array: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Return the dtype of the first x, rounded to the nearest number that it has."""
        if not self.standardizes:
            return array.astype(dtype, copy=False)
        if dtype.kind == "f":
            largest = np.finfo(dtype).max
            return np.asarray(np.clip(array, -largest, largest)).astype(dtype, copy=False)
        if dtype.kind == "b":
            return np.asarray(array >= 0.5)
        info = np.iinfo(dtype)
        whole = np.rint(np.nan_to_num(array))
        # clipped in whole numbers, as the largest int64 is no float
        low, high = whole <= float(info.min), whole >= float(info.max)
        inside = np.where(low | high, 0, whole).astype(dtype)
        return np.where(low, info.min, np.where(high, info.max, inside)).astype(dtype)

    def values(self, inputs: np.ndarray, dtype: np.dtype, n_classes: int | None) -> Values:
        """Return real numbers with the spread of the first x."""
        if self._learned is None:
            return Values(spread=inputs.std(axis=0), whole=dtype.kind in "biu")
        return Values(spread=self._learned["spread"], whole=dtype.kind in "biu")


def _units(learned: Mapping[str, Any], device: torch.device) -> tuple[Tensor, Tensor]:
    centre, spread = (torch.tensor(learned[name], device=device) for name in ("centre", "spread"))
    return centre, spread


def _magnitude(centre: np.ndarray) -> np.ndarray:
    """What stands for the spread of a feature of which one value is known."""
    return np.where(centre == 0, 1.0, np.abs(centre))


LIKELIHOODS: dict[str, type[Likelihood]] = {kind.name: kind for kind in (Bernoulli, Categorical, Gaussian)}
