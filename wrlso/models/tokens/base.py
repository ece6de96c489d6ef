"""What models of tokens have in common: training by themselves, and the file of a trained model."""

import copy
import json
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from wrlso._utils.files import write_whole
from wrlso._utils.random import seed_of
from wrlso._utils.validation import check_count, check_flag, check_real
from wrlso.exceptions import DataError, DataTypeError, ModelError, ParameterError, ParameterTypeError
from wrlso.models.protocol import Objects
from wrlso.models.tokens.training import SequenceTraining

__all__ = ["TokenVAE", "read_header"]


class TokenVAE(nn.Module):
    """Base of models of texts that have a vocabulary; not public."""

    vocabulary: list[str]
    _FORMAT: ClassVar[int | str]  # of the file; the model refuses other formats
    _CHANGEABLE: ClassVar[tuple[str, ...]]  # parameters that do not shape the weights
    _WORD: ClassVar[str]  # name of an entry of the vocabulary
    _TEXT: ClassVar[str]  # what its x are

    @property
    @abstractmethod
    def latent_dim(self) -> int:
        """Dimension d of the latent space."""

    @abstractmethod
    def loss(self, inputs: Tensor) -> Tensor:
        """Return the negative ELBOs (n,) of rows."""

    @abstractmethod
    def tensorize(self, X: Objects) -> Tensor:
        """Return the rows of n texts."""

    @abstractmethod
    def extend(self, X: Iterable[str]) -> Self:
        """Add the missing entries for some texts to the vocabulary, in place; return self."""

    @abstractmethod
    def _grow(self, new: Sequence[str]) -> Self:
        """Add new entries to the vocabulary."""

    @abstractmethod
    def _parameters_to_keep(self) -> dict[str, Any]:
        """Return the constructor arguments of this model, without the vocabulary."""

    def get_state(self) -> dict[str, Any]:
        """Return the state beside the weights, for :meth:`set_state`."""
        return {"vocabulary": list(self.vocabulary)}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Extend the vocabulary to the stored one, which must begin with this model's."""
        stored = [str(word) for word in state["vocabulary"]]
        if stored[: len(self.vocabulary)] != self.vocabulary:
            raise ModelError(
                f"the stored model's vocabulary of {len(stored)} {self._WORD}s does not begin with this "
                f"model's {len(self.vocabulary)}: create the model with the original vocabulary"
            )
        self._grow(stored[len(self.vocabulary) :])

    def to_file(self, path: str | Path, *, half: bool = True, about: Mapping[str, Any] | None = None) -> None:
        """Write weights, vocabulary and parameters as one safetensors file.

        Raises ModelError when weights are not finite, or too large for half precision.

        Parameters
        ----------
        path : str or Path
        half : bool, default=True
            Whether to round weights to half precision.
        about : mapping, default=None
            Notes on the training for the file; any JSON values.
        """
        from safetensors.torch import save

        check_flag("half", half)
        header = {
            "format": self._FORMAT,
            "vocabulary": self.vocabulary,
            "parameters": self._parameters_to_keep(),
            "about": dict(about or {}),
        }
        dtype = torch.float16 if half else torch.float32
        weights = {name: tensor.to(dtype).contiguous().cpu() for name, tensor in self.state_dict().items()}
        if (name := _not_finite(weights)) is not None:
            raise ModelError(
                f"weights must be finite{' in half precision' if half else ''}, but {name} has NaN or "
                "infinity"
            )
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_whole(Path(path), save(weights, metadata={"wrlso": json.dumps(header)}))

    @classmethod
    def from_file(cls, path: str | Path, **changes: Any) -> Self:
        """Return the model that :meth:`to_file` wrote.

        Parameters
        ----------
        path : str or Path
        **changes
            New values of parameters that do not shape the weights; None keeps the stored value.

        Raises
        ------
        ParameterError
            For a change of any other parameter; the error names the allowed ones.
        ModelError
            When the file holds no model of this class, or its weights do not fit or are not finite.
        OSError
            When the file cannot be read.
        """
        if set(changes) - set(cls._CHANGEABLE):
            unknown = ", ".join(sorted(set(changes) - set(cls._CHANGEABLE)))
            raise ParameterError(f"changes must be among {', '.join(cls._CHANGEABLE)}, got {unknown}")
        header, weights = _read_file(Path(path))
        vocabulary: Any = header.get("vocabulary")
        parameters: Any = header.get("parameters")
        whole = isinstance(vocabulary, list) and isinstance(parameters, dict)
        if header.get("format") != cls._FORMAT or not whole:
            raise ModelError(
                f"{path} holds no {cls.__name__}: its header does not come from to_file of this class "
                f"(format {header.get('format')!r}, expected {cls._FORMAT!r})"
            )
        if (name := _not_finite(weights)) is not None:
            raise ModelError(f"{path} is damaged: {name} has weights that are not finite")
        newer = sorted(set(parameters) - (set(signature(cls.__init__).parameters) - {"self", "vocabulary"}))
        if newer:
            raise ModelError(f"{path} comes from another version: unknown parameters {newer}")
        given = {name: value for name, value in changes.items() if value is not None}
        try:
            model = cls(vocabulary, **(parameters | given))
            model.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
        except (ParameterError, ParameterTypeError, RuntimeError) as error:
            if given and not isinstance(error, RuntimeError):
                raise  # the caller's changes are more likely wrong than the file
            raise ModelError(f"{path} does not fit this version's {cls.__name__}: {error}") from error
        return model.eval()

    def _fit(
        self, X: Sequence[str], epochs: float, batch_size: int, lr: float, random_state: Any, verbose: int
    ) -> Self:
        """Train a copy on a list of texts, then take its weights; a failed training changes nothing."""
        check_real("epochs", epochs, above=0)
        check_count("batch_size", batch_size)
        check_real("lr", lr, above=0)
        seed = seed_of(random_state)
        check_count("verbose", verbose, minimum=0)
        several = not isinstance(X, str | bytes) and hasattr(X, "__len__") and getattr(X, "ndim", 1) > 0
        if not several or not len(X):
            raise DataTypeError(f"X must be a sequence of at least one {self._TEXT}, got {X!r:.80}")
        model = copy.deepcopy(self).extend(X)
        inputs = model.tensorize(X)
        training = SequenceTraining(model, lr=lr, batch_size=batch_size, random_state=seed)
        training.run(inputs, epochs, verbose=verbose)
        self._grow(model.vocabulary[len(self.vocabulary) :])
        self.load_state_dict(model.state_dict())
        return self.eval()

    def _points(self, Z: Any, n: int | None = None) -> Tensor:
        """Return latent points (n, d), float32; raise DataError for another shape."""
        expected = f"({'n' if n is None else n}, {self.latent_dim})"
        try:
            points = torch.as_tensor(Z)
        except (TypeError, ValueError, RuntimeError) as error:
            raise DataTypeError(f"Z must be latent points {expected}, got {Z!r:.80}") from error
        if points.is_complex():
            raise DataTypeError(f"Z must be real latent points {expected}, got {points.dtype}")
        points = points.to(torch.float32)
        if points.ndim != 2 or points.shape[1] != self.latent_dim or n not in (None, len(points)):
            raise DataError(f"Z must have shape {expected}, got {tuple(points.shape)}")
        return points


def read_header(path: Path) -> dict[str, Any]:
    """Return the header of a model's file, empty without one; raise ModelError for any other file."""
    return _read_file(path, weights=False)[0]


def _not_finite(weights: Mapping[str, Tensor]) -> str | None:
    """Return the name of a tensor that has NaN or infinity, or holds no real numbers."""
    wrong = (
        name
        for name, tensor in weights.items()
        if not tensor.is_floating_point() or not bool(torch.isfinite(tensor).all())
    )
    return next(wrong, None)


def _read_file(path: Path, weights: bool = True) -> tuple[dict[str, Any], dict[str, Tensor]]:
    from safetensors import SafetensorError, safe_open

    path.open("rb").close()  # raises a clearer OSError than safe_open does
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("wrlso", "{}"))
            names = file.keys() if weights else ()
            found = {name: file.get_tensor(name) for name in names}
            return header if isinstance(header, dict) else {}, found
    except (SafetensorError, json.JSONDecodeError) as error:
        raise ModelError(f"{path} must be a file from to_file: {error}") from error
