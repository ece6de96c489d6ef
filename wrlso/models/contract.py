"""What a user's encoder, decoder and codec return: the checks behind :class:`wrlso.VAE`."""

import copy
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from wrlso.exceptions import DataError, DataTypeError, ModelError
from wrlso.models.protocol import Objects

__all__ = [
    "Misfit",
    "check_below",
    "check_classes",
    "checked_output",
    "dtype_of",
    "from_codec",
    "run_once",
    "single",
    "split_posterior",
    "to_codec",
]

_T = TypeVar("_T")


class Misfit(Exception):
    """Two networks that do not fit x, and how far x came."""

    def __init__(self, message: str, *, passed_encoder: bool, cause: Exception | None = None) -> None:
        super().__init__(message)
        self.passed_encoder = passed_encoder
        self.__cause__ = cause


def dtype_of(*modules: nn.Module) -> torch.dtype:
    """Return the precision of the first module that has one, float32 where none has parameters."""
    for module in modules:
        for parameter in module.parameters():
            if parameter.is_floating_point():
                return parameter.dtype
    return torch.float32


def single(tensor: Tensor) -> Tensor:
    """Return a tensor in float32 where its precision is less, else itself."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def _describe(value: Any) -> str:
    """Say what came in place of a tensor: shapes, or types."""
    if isinstance(value, Tensor):
        return f"{tuple(value.shape)}" + ("" if value.is_floating_point() else f" of {value.dtype}")
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_describe(part) for part in value) + "]"
    if isinstance(value, dict):
        return f"a dict with the keys {', '.join(map(repr, value))}"
    return f"{value!r:.80} of type {type(value).__name__}"


def split_posterior(output: Any, n: int) -> tuple[Tensor, Tensor]:
    """Accept (mean, log-variance) or one tensor with both halves; raise ModelError for anything else."""
    if _is_float(output) and output.ndim == 2 and output.shape[1] % 2 == 0 and len(output) == n:
        mean, log_variance = output.chunk(2, dim=1)
        if mean.shape[1]:
            return mean, log_variance
    if isinstance(output, tuple | list) and len(output) == 2 and all(map(_is_float, output)):
        mean, log_variance = output
        if mean.ndim == 2 and mean.shape == log_variance.shape and len(mean) == n and mean.shape[1]:
            return mean, log_variance
    raise ModelError(
        f"the encoder must return mean and log-variance, each ({n}, d), or one tensor ({n}, 2d), of floats, "
        f"got {_describe(output)}"
    )


def checked_output(output: Any, n: int) -> Tensor:
    """Return what a decoder made of n points; raises ModelError unless it is a float tensor (n, ...)."""
    if not _is_float(output) or output.ndim == 0 or len(output) != n:
        raise ModelError(f"the decoder must return a float tensor ({n}, ...), got {_describe(output)}")
    return single(output)


def run_once(encoder: nn.Module, decoder: nn.Module, shown: Tensor) -> tuple[Tensor, Tensor]:
    """Return means (n, d) and the decoder's output for what the encoder is shown (n, ...).

    Raises Misfit when a network fails, returns something else or numbers that are not finite.
    """
    mean, log_variance = _or_misfit(
        lambda: split_posterior(encoder(shown), len(shown)),
        f"the encoder must take batches of x, but failed on one of shape {tuple(shown.shape)} and "
        f"{shown.dtype}",
        passed_encoder=False,
    )
    if not (torch.isfinite(mean).all() and torch.isfinite(log_variance).all()):
        raise Misfit("the encoder must return finite numbers, got NaN or infinity", passed_encoder=True)
    output = _or_misfit(
        lambda: checked_output(decoder(mean.to(dtype_of(decoder, encoder))), len(shown)),
        f"the decoder must take latent points of the encoder's dimension {mean.shape[1]}, "
        f"but failed on an input of shape {tuple(mean.shape)}",
        passed_encoder=True,
    )
    return mean, output


def _or_misfit(call: Callable[[], _T], complaint: str, *, passed_encoder: bool) -> _T:
    """Return what a user's network gives; raise Misfit, whatever it raises."""
    try:
        return call()
    except ModelError as error:
        raise Misfit(str(error), passed_encoder=True) from error
    except Exception as error:
        message = f"{complaint}: {type(error).__name__}: {error}"
        raise Misfit(message, passed_encoder=passed_encoder, cause=error) from error


def check_classes(
    encoder: nn.Module, inputs: Tensor, n_classes: int, expand: Callable[[Tensor], Tensor]
) -> None:
    """Raise unless the data hold, and the encoder takes, each class that the decoder gives.

    Parameters
    ----------
    encoder : torch.nn.Module
        In evaluation mode.
    inputs : Tensor (n, ...)
        Class indices of the data.
    n_classes : int
        Number of classes that the decoder gives.
    expand : callable
        Turns class indices into what the encoder takes.
    """
    check_below(inputs, n_classes)
    # an index out of range on a GPU ends the process's use of it
    if any(parameter.device.type != "cpu" for parameter in encoder.parameters()):
        encoder = copy.deepcopy(encoder).cpu()
    sample = torch.zeros_like(inputs[:1], dtype=torch.int64, device="cpu")
    if not sample.numel() or _takes(encoder, expand(sample + (n_classes - 1))):
        return
    known = next(c for c in range(n_classes) if not _takes(encoder, expand(sample + c)))
    check_below(inputs, known)
    raise ModelError(
        f"the encoder must take every class that the decoder gives, integers in [0, {n_classes}), but it "
        f"takes those in [0, {known}) only"
    )


def check_below(inputs: Tensor, n_classes: int) -> None:
    """Raise DataError, with the row, for a class that is too large."""
    if inputs.numel() and int(inputs.max()) >= n_classes:
        row = int((inputs.reshape(len(inputs), -1) >= n_classes).any(dim=1).nonzero()[0])
        raise DataError(
            f"x must hold classes, integers in [0, {n_classes}), got {int(inputs[row].max())} in row {row}"
        )


def _takes(encoder: nn.Module, classes: Tensor) -> bool:
    try:
        encoder(classes)
    except IndexError:
        return False
    except RuntimeError as error:  # what one_hot says; other errors have another cause than the class
        return "class" not in str(error).lower()
    return True


def to_codec(codec: Any, X: Objects) -> np.ndarray:
    """Return the array (n, ...) of numbers that a codec makes of n objects.

    Raises
    ------
    DataError, DataTypeError
        For objects that the codec refuses.
    ModelError
        When it returns something else than one row of numbers for each.
    """
    made = _transformed(codec, X)
    try:
        array = np.asarray(made.toarray() if hasattr(made, "toarray") else made)
    except (ValueError, TypeError, RuntimeError) as error:
        raise ModelError(f"codec.transform must return one array for all objects: {error}") from error
    if array.ndim == 0 or len(array) != len(X) or array.dtype.kind not in "buif":
        raise ModelError(
            f"codec.transform must return an array of numbers of shape ({len(X)}, ...), one row for each "
            f"object, got {array.dtype} of shape {array.shape}"
        )
    return array


def _transformed(codec: Any, X: Objects) -> Any:
    try:
        return codec.transform(X)
    except Exception as error:
        kind = DataTypeError if isinstance(error, TypeError) else DataError
        # what a codec raises for its users says what it expects; anything else needs its name
        reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise kind(f"{reason} (codec.transform cannot read x{_refused(codec, X)})") from error


def _refused(codec: Any, X: Objects) -> str:
    """Name the first object that a codec refuses by itself."""
    if len(X) == 1:
        return f" = {X[0]!r:.80}"
    for row, x in enumerate(X):
        try:
            codec.transform([x])
        except Exception:
            return f" in row {row}, {x!r:.80}"
    return ""


def from_codec(codec: Any, arrays: np.ndarray) -> Sequence[Any]:
    """Return the n objects that a codec makes of arrays (n, ...); raises ModelError for anything else."""
    try:
        objects = codec.inverse_transform(arrays)
        objects = objects if hasattr(objects, "__len__") else list(objects)
    except Exception as error:
        raise ModelError(
            "codec.inverse_transform must return an object, or None for an invalid one, for every array, but "
            f"raised {type(error).__name__}: {error}"
        ) from error
    if isinstance(objects, str | bytes | dict) or len(objects) != len(arrays):
        got = type(objects).__name__ if isinstance(objects, str | bytes | dict) else f"{len(objects)}"
        raise ModelError(
            "codec.inverse_transform must return one object, or None for an invalid one, for each of "
            f"{len(arrays)} arrays, got {got}"
        )
    return list(objects)


def _is_float(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()
