"""
Your own weighting, checked by its properties
=============================================

A weighting is any function from values (larger is better) to weights. What it should hold (finite, not
negative, better is never lighter, equal values weigh the same, …) can be checked on generated values
before it decides over an expensive campaign.
"""

import numpy as np

from wrlso import RankWeighting, WeightedRetrainingOptimizer, conv_vae, effective_sample_size
from wrlso.testing import CheckFailedError, check_weighting


def best_tenth_and_some(y):
    """Full weight for the best tenth, a tenth of it for the others."""
    return np.where(y >= np.quantile(y, 0.9), 1.0, 0.1)


check_weighting(best_tenth_and_some)

# %%
# A mistake that is easily made: numpy's argsort breaks ties arbitrarily, so equal values get different
# weights. The message says which property broke, and on which values.


def argsort_twice(y):
    return 1.0 / (1e-3 * len(y) + np.argsort(np.argsort(-y)))


try:
    check_weighting(argsort_twice)
except CheckFailedError as error:
    print(error)

# %%
# Use it like those that come with the library.

opt = WeightedRetrainingOptimizer(model=conv_vae("small"), weighting=best_tenth_and_some)

# %%
# How many points does training effectively see? Out of 1,000:

y = np.random.default_rng(0).normal(size=1000)
for weighting in (best_tenth_and_some, RankWeighting(k=1e-1), RankWeighting(k=1e-3)):
    name = getattr(weighting, "__name__", repr(weighting))
    print(f"{name:24s} {effective_sample_size(weighting(y)):6.0f}")
