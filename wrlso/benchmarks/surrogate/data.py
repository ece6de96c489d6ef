"""Latent points with values, for studies of the surrogate alone."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wrlso._utils.validation import check_count
from wrlso.exceptions import ParameterError
from wrlso.models.protocol import Objects
from wrlso.models.selfies.vae import SelfiesVAE
from wrlso.tasks.expressions.task import Expressions
from wrlso.tasks.molecules.tasks import QED, GuacaMol, PenalizedLogP
from wrlso.tasks.shapes import Shapes
from wrlso.training.trainer import Trainer

__all__ = ["LATENTS", "MoleculeLatents", "tensor"]

Array = NDArray[np.float64]
_BATCH = 1024
_DIMENSIONS = 104  # latent dimension of the model of molecules


def tensor(values: Any) -> Tensor:
    """Return values as a float64 tensor."""
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float64))


def _encoded(model: Any, X: Objects) -> Array:
    """Return the encodings (n, d) of n objects."""
    with torch.no_grad():
        parts = [model.encode(model.tensorize(X[i : i + _BATCH])) for i in range(0, len(X), _BATCH)]
    return np.asarray(torch.cat(parts).double().numpy())


@lru_cache(maxsize=1)
def _zinc_encodings(n: int, seed: int) -> tuple[list[str], Array]:
    """Return n random molecules of ZINC250k, and their encodings (n, 104) by the model that ships."""
    X, _ = PenalizedLogP(n_start=n, n_jobs=1).initial_data(seed)
    return X, _encoded(SelfiesVAE.pretrained(), X)


@dataclass(frozen=True)
class MoleculeLatents:
    """Encodings of n molecules of ZINC250k by the model that ships, and their penalised logP.

    The space consists of the ``d`` of the model's 104 dimensions with the largest variance. When a point is
    decoded, the others have their means.
    """

    d: int = 56
    n: int = 12_000
    seed: int = 0

    def __post_init__(self) -> None:
        check_count("d", self.d)
        check_count("n", self.n)
        if self.d > _DIMENSIONS:
            raise ParameterError(f"d must be at most {_DIMENSIONS}, got {self.d}")

    @property
    def _molecules(self) -> list[str]:
        return _zinc_encodings(self.n, self.seed)[0]

    @property
    def _encodings(self) -> Array:
        return _zinc_encodings(self.n, self.seed)[1]

    @cached_property
    def _model(self) -> SelfiesVAE:
        return SelfiesVAE.pretrained()

    @cached_property
    def columns(self) -> NDArray[np.int64]:
        """The dimensions (d,) of the model with the largest variance."""
        return np.sort(np.argsort(-self._encodings.std(axis=0), kind="stable")[: self.d])

    @property
    def Z(self) -> Array:
        """Latent points (n, d)."""
        return self._encodings[:, self.columns]

    @cached_property
    def y(self) -> Array:
        """Penalised logP (n,) of the molecules, at least -6."""
        return self.values(PenalizedLogP())

    def values(self, task: Any) -> Array:
        """Return the values (n,) of the molecules in a task."""
        return np.asarray(task.objectives(self._molecules), dtype=np.float64)

    def objective(self, z: Array) -> float:
        """Return the penalised logP of the decoded molecule of a point (d,)."""
        whole = self._encodings.mean(axis=0)
        whole[self.columns] = z
        with torch.no_grad():
            (molecule,) = self._model.decode(torch.from_numpy(whole[None]).float())
        return float(PenalizedLogP().objective(str(molecule)))


def _molecule_values(task: Callable[[], Any]) -> Callable[[int], tuple[Array, Array]]:
    def latents(seed: int) -> tuple[Array, Array]:
        data = MoleculeLatents(_DIMENSIONS, 7000, seed)
        return data.Z, data.values(task())

    return latents


def _shapes(seed: int) -> tuple[Array, Array]:
    """Return encodings of all 1,090 squares by a network trained on them without weights, and areas."""
    task = Shapes(network="coordinate", latent_dim=2)
    return _trained(task, Trainer(initial_epochs=20, batch_size=32), seed)


def _expressions(seed: int) -> tuple[Array, Array]:
    """Return encodings of 5,000 expressions by a grammar VAE trained on them without weights, and scores."""
    return _trained(Expressions(n_start=5000), Trainer(initial_epochs=10, batch_size=64), seed)


def _trained(task: Any, trainer: Trainer, seed: int) -> tuple[Array, Array]:
    X, y = task.initial_data(seed)
    model = task.model(seed)
    trainer.fit(model, model.tensorize(X), np.ones(len(y)), np.random.default_rng(seed))
    model.train(False)
    return _encoded(model, X), np.asarray(y, dtype=np.float64)


LATENTS: dict[str, Callable[[int], tuple[Array, Array]]] = {
    "penalized-logp": _molecule_values(PenalizedLogP),
    "qed": _molecule_values(QED),
    "perindopril-mpo": _molecule_values(lambda: GuacaMol("perindopril_mpo")),
    "shapes": _shapes,
    "expressions": _expressions,
}
"""Tasks: seed → latent points (n, d) and values (n,)."""
