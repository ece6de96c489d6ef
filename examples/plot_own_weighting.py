"""
Your own weighting, checked by its properties
=============================================

A weighting is any function from values (larger is better) to weights. ``check_weighting`` tests properties
(finite, not negative, better is never lighter, equal values weigh the same, …) on generated values. Run it
before an expensive campaign.
"""

import numpy as np

from wrlso import RankWeighting, WeightedRetrainingOptimizer, conv_vae, effective_sample_size
from wrlso.plots import weight_distribution
from wrlso.testing import CheckFailedError, check_weighting


def best_tenth_and_some(y):
    """Full weight for the best tenth, a tenth of it for the others."""
    return np.where(y >= np.quantile(y, 0.9), 1.0, 0.1)


check_weighting(best_tenth_and_some)

# %%
# A common mistake: numpy's argsort breaks ties arbitrarily, so equal values get different weights. The
# message names the broken property and the values.


def argsort_twice(y):
    return 1.0 / (1e-3 * len(y) + np.argsort(np.argsort(-y)))


try:
    check_weighting(argsort_twice)
except CheckFailedError as error:
    print(error)

# %%
# Use it like the library's own weightings.

opt = WeightedRetrainingOptimizer(model=conv_vae("small"), weighting=best_tenth_and_some)

# %%
# The effective number of points in training, of 1,000:

y = np.random.default_rng(0).normal(size=1000)
weightings = {
    "best tenth": best_tenth_and_some,
    "k = 0.1": RankWeighting(0.1),
    "k = 0.001": RankWeighting(1e-3),
}
for name, weighting in weightings.items():
    print(f"{name:12s} {effective_sample_size(weighting(y)):6.0f}")

# %%
# What the model sees of these values under each of them:

weight_distribution(y, {name: weighting(y) for name, weighting in weightings.items()})
