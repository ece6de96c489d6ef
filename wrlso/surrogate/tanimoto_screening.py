"""Bounds of what a Tanimoto process predicts for very many objects, at a fraction of a prediction's cost.

The mean is that of the process, in single precision. The variance is bounded by what the most informative
single observation alone would leave of it: more observations can only leave less. An acquisition function
that grows with the variance is bounded so, and only objects with a high bound need the whole posterior.

Symbols as in :mod:`wrlso.surrogate.minmax_kernel`. For a feature f and l ≥ 1 the row U(f, l) holds
min(l, c_f(x_i)) for all n observations, so that ∧ of an object with all of them is a sum of a few rows of U.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from wrlso.surrogate.minmax_kernel import held
from wrlso.surrogate.protocol import Array
from wrlso.surrogate.tanimoto_gp import TanimotoGP
from wrlso.surrogate.tanimoto_posterior import TanimotoPosterior

__all__ = ["Counted", "TanimotoBounds"]

Integers = NDArray[np.int64]
_SINGLE = 3e-7  # error of a product in single precision, relative to the sum of the weights
_LEVEL_BITS = 16


class Counted(NamedTuple):
    """Counts of features of n objects in compact form.

    Attributes
    ----------
    vocabulary : ndarray of int64, (V,)
        The features that occur, increasing.
    places : ndarray of int32, (all,)
        Places in the vocabulary, increasing in each row, one row after the other.
    counts : ndarray of uint16, (all,)
        How often each occurs, at least once.
    ends : ndarray of int64, (n + 1,)
        Where rows begin, and the end.
    """

    vocabulary: Integers
    places: NDArray[np.int32]
    counts: NDArray[np.uint16]
    ends: Integers

    def part(self, rows: Integers) -> tuple[Integers, Integers, Integers]:
        """Return places, counts and ends of some rows."""
        sizes = self.ends[rows + 1] - self.ends[rows]
        ends = np.concatenate([[0], np.cumsum(sizes)])
        entries = np.arange(ends[-1]) + np.repeat(self.ends[rows] - ends[:-1], sizes)
        return self.places[entries].astype(np.int64), self.counts[entries].astype(np.int64), ends


class TanimotoBounds:
    """Bounds for the objects of a list, from one posterior.

    Parameters
    ----------
    surrogate : TanimotoGP
        Fitted, on the scale on which bounds are wanted (see :meth:`TanimotoGP.working_scale`).
    counted : Counted
        Of the whole list.
    """

    def __init__(self, surrogate: TanimotoGP, counted: Counted) -> None:
        posterior: TanimotoPosterior = surrogate.posterior_
        self._counted = counted
        self._posterior = posterior
        L, v = posterior._factors
        weights = solve_triangular(L, v, lower=True, trans="T", check_finite=False)
        self._weights = torch.from_numpy(weights.astype(np.float32))
        self._error = _SINGLE * float(np.abs(weights).sum())
        own = posterior.kernel.diagonal(posterior.levels, posterior._reach)
        self._totals = torch.from_numpy((own + posterior._all_ratios).astype(np.float32))
        self._sizes = torch.from_numpy(posterior.levels.sizes.astype(np.float32))
        self._index(posterior)

    def _index(self, posterior: TanimotoPosterior) -> None:
        """Make U, and where the rows of each feature of the list begin in it."""
        keys, inverse = np.unique(posterior.levels.keys, return_inverse=True)
        n = len(posterior.levels)
        ones = np.zeros((len(keys) + 1, n), dtype=np.float32)  # the last row stays zero
        ones[inverse, np.repeat(np.arange(n), posterior.levels.sizes)] = 1.0
        features, first, depth = np.unique(keys >> _LEVEL_BITS, return_index=True, return_counts=True)
        for level in range(1, int(depth.max(initial=0))):
            rows = first[depth > level] + level
            ones[rows] += ones[rows - 1]
        vocabulary = self._counted.vocabulary
        place = np.searchsorted(features, vocabulary).clip(max=max(len(features) - 1, 0))
        known = features[place] == vocabulary if len(features) else np.zeros(len(vocabulary), dtype=bool)
        self._depth = np.where(known, depth[place], 0) if len(features) else np.zeros(len(vocabulary), int)
        self._first = np.where(known, first[place], len(keys)) if len(features) else self._depth
        self._overlaps = torch.from_numpy(ones)
        self._linear = self._linear_part(posterior, keys, features, first, depth)

    def _linear_part(
        self,
        posterior: TanimotoPosterior,
        keys: Integers,
        features: Integers,
        first: Integers,
        depth: Integers,
    ) -> torch.Tensor | None:
        """Return what one count of a feature adds to the linear kernel with each observation."""
        if not posterior.kernel.linear:
            return None
        counts = self._overlaps.numpy()[first + depth - 1]  # of all observations: the deepest level
        factor = posterior.kernel.linear / posterior.kernel.scale * held(posterior.levels, posterior._reach)
        parts = np.zeros((len(keys) + 1, counts.shape[1]), dtype=np.float32)
        parts[first] = counts * factor.astype(np.float32)
        return torch.from_numpy(parts)

    def of(self, rows: Integers) -> tuple[Array, Array]:
        """Return mean (q,) and a bound of the variance (q,) of rows (q,) of the list."""
        posterior, kernel = self._posterior, self._posterior.kernel
        places, counts, ends = self._counted.part(rows)
        first, depth = self._first[places], self._depth[places]
        offsets = torch.from_numpy(ends[:-1])
        rows_of_U = torch.from_numpy(np.where(depth > 0, first + np.minimum(counts, depth) - 1, first))
        overlap = torch.nn.functional.embedding_bag(rows_of_U, self._overlaps, offsets, mode="sum")
        sizes = torch.from_numpy(np.add.reduceat(np.append(counts, 0), ends[:-1]) * (np.diff(ends) > 0))
        union = sizes.float()[:, None] + self._sizes - overlap
        K = torch.where(union > 0, overlap / union.clamp_min(1.0), 1.0)
        diagonal = np.ones(len(rows))
        if self._linear is not None:
            norms = np.add.reduceat(np.append(counts**2, 0), ends[:-1]) * (np.diff(ends) > 0)
            shrunk = np.minimum(1.0, posterior._reach / np.sqrt(np.maximum(norms, 1)))
            products = torch.nn.functional.embedding_bag(
                torch.from_numpy(first),
                self._linear,
                offsets,
                mode="sum",
                per_sample_weights=torch.from_numpy(counts.astype(np.float32)),
            )
            K = (1.0 - kernel.linear) * K + products * torch.from_numpy(shrunk.astype(np.float32))[:, None]
            held_norms = np.minimum(norms, posterior._reach**2)
            diagonal = (1.0 - kernel.linear) + kernel.linear / kernel.scale * held_norms
        mean = posterior.mean + (K @ self._weights).double().numpy() + self._error
        left = diagonal - (K.square() / self._totals).amax(dim=1).double().numpy() * (1.0 - 1e-5)
        return mean, posterior.signal * left.clip(1e-12)
