"""Shared parts of the models of molecules: drawing, mutation, training, and the file of a trained model."""

import copy
import json
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from wrlso._chemistry.cores import Core
from wrlso._chemistry.crossover import crossed, kekulized
from wrlso._chemistry.selfies_tokens import read_part, to_smiles
from wrlso._chemistry.smiles import listed_smiles, molecule_key, parse
from wrlso._chemistry.token_mutation import edited
from wrlso._utils.files import write_whole
from wrlso._utils.random import seed_of
from wrlso._utils.validation import check_count, check_flag, check_real
from wrlso.exceptions import DataError, DataTypeError, ModelError, ParameterError, ParameterTypeError
from wrlso.models.molecules.training import SequenceTraining
from wrlso.models.protocol import Objects

__all__ = ["SHIPPED", "MoleculeVAE", "read_header"]

_DATA = Path(__file__).parents[2] / "data"
SHIPPED = {
    "selfies": _DATA / "selfies_zinc250k.safetensors",
    "junction-tree": _DATA / "junction_tree_zinc250k.safetensors",
}
"""Files of the models that ship, by name."""

_FAMILIAR = 0.5  # share of the new tokens of mutants that come from the other molecules


class MoleculeVAE(nn.Module):
    """Base of models of molecules whose vocabulary can grow; not public."""

    vocabulary: list[str]
    stereo: bool
    salts: str
    max_tokens: int  # of a mutant
    _FORMAT: ClassVar[int | str]  # of the file; the model refuses other formats
    _CHANGEABLE: ClassVar[tuple[str, ...]]  # parameters that do not shape the weights
    _WORD: ClassVar[str]  # name of an entry of the vocabulary

    @property
    @abstractmethod
    def latent_dim(self) -> int:
        """Dimension d of the latent space."""

    @abstractmethod
    def loss(self, inputs: Tensor) -> Tensor:
        """Return the negative ELBOs (n,) of rows."""

    @abstractmethod
    def tensorize(self, X: Objects) -> Tensor:
        """Return the rows of n SMILES."""

    @abstractmethod
    def encode(self, inputs: Tensor) -> Tensor:
        """Return the posterior means (n, d)."""

    @abstractmethod
    def decode(
        self, Z: Tensor, temperature: float = 0.0, generator: torch.Generator | None = None
    ) -> list[str | None]:
        """Return n canonical SMILES, None for invalid ones."""

    @abstractmethod
    def sample_prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Sample n points (n, d) from the region of the last training's data."""

    @abstractmethod
    def extend(self, X: Iterable[str]) -> Self:
        """Add the missing entries for some SMILES to the vocabulary, in place; return self."""

    @abstractmethod
    def key(self, x: str) -> str:
        """Return the identity of a molecule, its canonical SMILES."""

    @abstractmethod
    def _can_read(self, x: str) -> bool:
        """Whether :meth:`tensorize` can read a molecule."""

    @abstractmethod
    def _token_lists(self, X: Objects) -> list[list[str]]:
        """Return the SELFIES tokens of n SMILES; an empty list when SELFIES cannot write a molecule."""

    @abstractmethod
    def _alphabet(self) -> Sequence[str]:
        """Return the SELFIES tokens that the model knows."""

    @abstractmethod
    def _grow(self, new: Sequence[str]) -> Self:
        """Add new entries to the vocabulary."""

    @abstractmethod
    def _parameters_to_keep(self) -> dict[str, Any]:
        """Return the constructor arguments of this model, without the vocabulary."""

    def full_key(self, x: str) -> str:
        """Return the canonical SMILES with its stereochemistry, also where :meth:`key` leaves that out."""
        return molecule_key(x, True, self.salts)

    def draw(self, x: str, size: tuple[int, int] = (220, 160)) -> str:
        """Return a drawing of a molecule as SVG, for plots and reports."""
        from wrlso._chemistry.drawing import molecule_svg

        return molecule_svg(x, size)

    def mutate(self, X: Objects, generator: torch.Generator | None = None) -> list[str | None]:
        """Return n molecules, each of X (n SMILES) with one random change of its SELFIES tokens.

        A change replaces one or several tokens, inserts one, or removes or repeats a part. Half of the new
        tokens are sampled as often as they occur in X, the others uniformly from the model's tokens; so
        mutants leave the data, which ``decode`` hardly ever does. None for a mutant that the model could not
        read (a few with a vocabulary of tokens, a quarter with one of cliques) and for a molecule that
        SELFIES cannot write. Some mutants are the same molecule in another spelling.

        Raises
        ------
        DataError, DataTypeError
            As ``tensorize``.
        """
        rng = _numpy_rng(generator)
        rows = self._token_lists(X)
        sample = self._sampler(rows, rng)

        def mutant(row: list[str]) -> str | None:
            longest = max(self.max_tokens, len(row))  # never cut a molecule that is already longer
            return to_smiles(edited(row, sample, longest, rng), self.stereo) if row else None

        return self._readable([mutant(row) for row in rows])

    def mutate_around(
        self, X: Objects, core: Core, generator: torch.Generator | None = None
    ) -> list[str | None]:
        """Return n molecules, each of X (n SMILES) with one substituent of a core changed as ``mutate`` does.

        Some get a substituent more, or lose one. None also for a molecule without the core.
        """
        rng = _numpy_rng(generator)
        X = listed_smiles(X)
        sample = self._sampler(self._token_lists(X), rng)

        def change(part: str) -> str | None:
            tokens = read_part(part)
            if len(tokens) < 2:
                return None
            return to_smiles([tokens[0], *edited(tokens[1:], sample, self.max_tokens, rng)], self.stereo)

        found = [core.mutated(self.key(x), change, rng) for x in X]
        return self._canonical(found)

    def cross_around(
        self, X: Objects, Y: Objects, core: Core, generator: torch.Generator | None = None
    ) -> list[str | None]:
        """Return n molecules, the i-th X[i] with a part of Y[i] in place of a substituent of a core.

        None also where X[i] has no such core, or none of its places takes a part. Y[i] need not have it.
        """
        rng = _numpy_rng(generator)
        pairs = zip(listed_smiles(X), listed_smiles(Y, "Y"), strict=True)
        return self._canonical([core.crossed(self.key(x), self.key(y), rng) for x, y in pairs])

    def cross(self, X: Objects, Y: Objects, generator: torch.Generator | None = None) -> list[str | None]:
        """Return n molecules, the i-th of a part of X[i] and a part of Y[i] (n SMILES each).

        Both parents are cut at a bond outside rings, or at two bonds of a ring, and joined there. None when
        a few trials give no valid molecule, or one that the model cannot read.

        Raises
        ------
        DataError, DataTypeError
            For an invalid SMILES, when X and Y differ in length, or when one is not a sequence of str.
        """
        X, Y = listed_smiles(X), listed_smiles(Y, "Y")
        if len(X) != len(Y):
            raise DataError(f"X and Y must have the same length, got {len(X)} and {len(Y)}")
        rng = _numpy_rng(generator)
        parents = {x: kekulized(parse(self.key(x))) for x in {*X, *Y}}
        found = [crossed(parents[x], parents[y], rng) for x, y in zip(X, Y, strict=True)]
        return self._canonical(found)

    def tensorize_readable(self, X: Objects) -> tuple[Tensor, list[bool]]:
        """Return the rows of the readable SMILES among n, and whether each of the n is readable."""
        readable = [self._can_read(x) for x in X]
        return self.tensorize([x for x, there in zip(X, readable, strict=True) if there]), readable

    def _readable(self, found: Sequence[str | None]) -> list[str | None]:
        """Return molecules as this model reads them, None for each that it cannot read."""
        return self._as_read([x if x is not None and self._can_read(x) else None for x in found])

    def _as_read(self, found: Sequence[str | None]) -> list[str | None]:
        """Return molecules without charges, where the model takes these away."""
        if self.salts != "neutral":
            return list(found)
        return [None if x is None else self.key(x) for x in found]

    def _canonical(self, found: Sequence[str | None]) -> list[str | None]:
        return [None if x is None else self.key(x) for x in self._readable(found)]

    def _sampler(self, rows: Sequence[Sequence[str]], rng: np.random.Generator) -> Callable[[], str]:
        """Return a source of new tokens: half of them as frequent as in the rows, the others of all."""
        alphabet, present = self._alphabet(), [token for row in rows for token in row]

        def sample() -> str:
            tokens = present if present and rng.random() < _FAMILIAR else alphabet
            return tokens[int(rng.integers(len(tokens)))]

        return sample

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
        """Train a copy on a list of SMILES, then take its weights; a failed training changes nothing."""
        check_real("epochs", epochs, above=0)
        check_count("batch_size", batch_size)
        check_real("lr", lr, above=0)
        seed = seed_of(random_state)
        check_count("verbose", verbose, minimum=0)
        several = not isinstance(X, str | bytes) and hasattr(X, "__len__") and getattr(X, "ndim", 1) > 0
        if not several or not len(X):
            raise DataTypeError(f"X must be a sequence of at least one SMILES, got {X!r:.80}")
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


def _numpy_rng(generator: torch.Generator | None) -> np.random.Generator:
    return np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))


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
