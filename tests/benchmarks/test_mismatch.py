"""The measurement of where told points should lie: its points, its table, its refusals."""

import numpy as np
import pytest
import torch
from grid_model import GridModel

from wrlso.benchmarks.surrogate.mismatch import _decoded, run, table
from wrlso.exceptions import DataError, ParameterError


def test_points_are_distinct_and_kept_with_where_they_were_asked():
    rng = np.random.default_rng(0)
    Z, y = torch.from_numpy(rng.normal(size=(50, 2))), rng.normal(size=50)
    model = GridModel()
    asked, X = _decoded(_Double(model), Z, y, 20, rng)
    assert len(set(X)) == len(asked) == 20
    assert model.decode(asked.float()) == X
    model.only = [(0, 0), None]
    with pytest.raises(DataError, match="decodes 1 distinct expressions, 20 are wanted"):
        _decoded(_Double(model), Z, y, 20, rng)


class _Double:
    """A model that takes double precision, as those of expressions do."""

    def __init__(self, model):
        self.decode = lambda Z: model.decode(Z.float())
        self.key = model.key


def test_the_table_has_means_over_seeds():
    result = {"rank_correlation": 0.5, "log_density": -1.0, "exact": 0.25, "moved": 2.0}
    results = [result | {"fit_on": place} for place in ("encoding", "asked", "inverted")]
    results.append(result | {"fit_on": "asked", "moved": 4.0})
    assert table(results).splitlines()[2].split() == ["asked", "0.5000", "-1.0000", "0.2500", "3.0000"]


def test_impossible_sizes_are_refused():
    with pytest.raises(ParameterError, match="n_told must be"):
        run([100], n_told=0)
