"""Figures of a molecule model's card: reconstruction, samples of its prior, properties."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy.stats import wasserstein_distance

from wrlso._chemistry.smiles import canonical
from wrlso.models.molecules.base import MoleculeVAE
from wrlso.tasks.molecules.tasks import properties

__all__ = ["measure"]

_PROPERTIES = ("logp", "synthetic_accessibility", "qed", "weight", "heavy_atoms")


def measure(
    model: MoleculeVAE,
    known: Sequence[str],
    held_out: Sequence[str],
    *,
    n_samples: int = 10_000,
    temperature: float = 0.7,
    seed: int = 0,
) -> dict[str, Any]:
    """Return the figures of a model's card.

    Parameters
    ----------
    model : SelfiesVAE or JunctionTreeVAE
    known : sequence of str
        Canonical SMILES of the training data; all others are novel.
    held_out : sequence of n str
        Canonical SMILES outside the training data.
    n_samples : int, default=10000
        Number of samples from the prior.
    temperature : float, default=0.7
        Temperature of the decoding.
    seed : int, default=0
        Seed of the samples.

    Returns
    -------
    dict
        ``reconstruction`` of the held-out molecules from their posterior means: ``exact``, ``without_stereo``
        (equal without stereochemistry) and ``tokens`` (share of correct positions);
        ``prior``: shares ``valid``, ``unique`` of the valid, ``novel`` of the unique; for each property the
        Wasserstein distance to the held-out molecules, their standard deviation and both means;
        ``per_second``: molecules encoded and decoded with torch's number of threads.
    """
    start = time.perf_counter()
    inputs = model.tensorize(held_out)
    Z = model.encode(inputs)
    encoded = time.perf_counter()
    decoded = model.decode(Z)
    rates = {"encode": len(Z) / (encoded - start), "decode": len(Z) / (time.perf_counter() - encoded)}
    generator = torch.Generator().manual_seed(seed)
    samples = model.decode(model.sample_prior(n_samples, generator), temperature, generator)
    valid = [x for x in samples if x is not None]
    unique = list(dict.fromkeys(valid))
    there = set(known)
    return {
        "n_held_out": len(held_out),
        "n_samples": n_samples,
        "temperature": temperature,
        "reconstruction": _reconstruction(model, held_out, decoded, inputs),
        "prior": {
            "valid": len(valid) / n_samples,
            "unique": len(unique) / max(1, len(valid)),
            "novel": sum(x not in there for x in unique) / max(1, len(unique)),
        },
        "properties": _compared(valid, held_out),
        "per_second": {name: round(rate) for name, rate in rates.items()},
        "threads": torch.get_num_threads(),
    }


def _reconstruction(
    model: MoleculeVAE, held_out: Sequence[str], decoded: Sequence[str | None], inputs: torch.Tensor
) -> dict[str, float]:
    pairs = list(zip(held_out, decoded, strict=True))
    flat = [b is not None and canonical(a, False) == canonical(b, False) for a, b in pairs]
    back = torch.zeros_like(inputs)
    rows = [row for row, x in enumerate(decoded) if x is not None]
    back[rows] = model.tensorize([decoded[row] for row in rows])
    there = inputs > 0
    return {
        "exact": float(np.mean([a == b for a, b in pairs])),
        "without_stereo": float(np.mean(flat)),
        "tokens": float(((inputs == back) & there).sum() / there.sum()),
    }


def _compared(samples: Sequence[str], reference: Sequence[str]) -> dict[str, dict[str, float]]:
    ours, theirs = _table(samples), _table(reference)
    return {
        name: {
            "wasserstein": float(wasserstein_distance(ours[:, i], theirs[:, i])),
            "std_of_data": float(theirs[:, i].std()),
            "mean": float(ours[:, i].mean()),
            "mean_of_data": float(theirs[:, i].mean()),
        }
        for i, name in enumerate(_PROPERTIES)
    }


def _table(X: Sequence[str]) -> np.ndarray:
    found = [p for p in (properties(x) for x in X) if p is not None]
    return np.array([[p[name] for name in _PROPERTIES] for p in found], dtype=np.float64)
