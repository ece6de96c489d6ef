"""Choice of the inducing points of a sparse Gaussian process."""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from wrlso.surrogate.protocol import Array

__all__ = ["inducing_points"]

_LLOYD_ITERATIONS = 10


def inducing_points(X: Array, m: int, rng: np.random.Generator) -> Array:
    """Choose at most m inducing points for scaled X (n, d): its distinct rows, or else m k-means centres."""
    distinct = np.unique(X, axis=0)
    if len(distinct) <= m:
        return distinct
    from sklearn.cluster import KMeans  # takes long to import, and only a fit needs it

    start = distinct[rng.choice(len(distinct), size=m, replace=False)]
    # tol=0 and one thread: a given start leads to the same centres, however many threads there are
    kmeans = KMeans(m, init=start, n_init=1, max_iter=_LLOYD_ITERATIONS, tol=0.0, random_state=0)
    with threadpool_limits(limits=1, user_api="openmp"), warnings.catch_warnings():
        # rows that differ by rounding only may leave clusters empty
        warnings.simplefilter("ignore", ConvergenceWarning)
        kmeans.fit(distinct)
    return np.asarray(kmeans.cluster_centers_, dtype=np.float64)
