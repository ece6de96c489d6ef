"""The comparison on test functions: known optima, embeddings, the model of the cube, records, the peer."""

import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wrlso import CandidatePool, LogExpectedImprovement
from wrlso.benchmarks.records import read_record
from wrlso.benchmarks.surrogate import functions
from wrlso.benchmarks.surrogate.functions import FUNCTIONS, CubeModel, EmbeddedFunction, main, run, table
from wrlso.benchmarks.surrogate.turbo import SETTINGS, _candidates, _Region, turbo
from wrlso.exceptions import ParameterError, ParameterTypeError
from wrlso.testing import check_latent_model

HARTMANN_AT = [0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573]
names = st.sampled_from(sorted(FUNCTIONS))
seeds = st.integers(0, 10_000)


def best_point(problem):
    x = np.full(problem.dimension, 0.5)
    x[problem.active] = HARTMANN_AT if problem.function == "hartmann" else problem.center
    return x


# ------------------------------------------------------------------ functions


@settings(max_examples=60, deadline=None)
@given(names, st.integers(10, 60), seeds)
def test_nothing_beats_the_optimum_and_only_active_coordinates_matter(name, dimension, seed):
    problem = EmbeddedFunction(name, dimension, seed)
    rng = np.random.default_rng(seed)
    best = best_point(problem)
    assert problem(best) == pytest.approx(problem.optimum, abs=1e-6)
    assert problem(rng.uniform(size=dimension)) < problem.optimum
    near = best + 0.01 * rng.normal(size=dimension)
    assert problem(near) <= problem.optimum + 1e-6
    elsewhere = rng.uniform(size=dimension)
    elsewhere[problem.active] = near[problem.active]
    assert problem(elsewhere) == problem(near)
    for j in problem.active:
        other = near.copy()
        other[j] = 0.9 * other[j]
        assert problem(other) != problem(near)


@pytest.mark.parametrize(
    ("name", "u", "value"),
    [
        # the first term of Hartmann's sum is 1 there, and of the others little is left
        ("hartmann", [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886], 1.01),
        ("ackley", 1.0, -(20.0 - 20.0 * np.exp(-0.2))),
        ("levy", 1.0, None),
    ],
)
def test_values_known_in_closed_form(name, u, value):
    problem = EmbeddedFunction(name, 10, 0)
    x = np.full(10, 0.5)
    if name == "hartmann":
        x[problem.active] = u
        assert problem(x) == pytest.approx(value, abs=0.01)
        return
    # one unit away from the optimum in every variable, where the waves of Ackley's function are over
    x[problem.active] = problem.center + u / FUNCTIONS[name][1]
    if value is None:  # w = 1.25 everywhere
        middle = 0.0625 * (1 + 10 * np.sin(1.25 * np.pi + 1) ** 2)
        value = -(np.sin(1.25 * np.pi) ** 2 + 9 * middle + 0.0625 * (1 + np.sin(2.5 * np.pi) ** 2))
    assert problem(x) == pytest.approx(value, rel=1e-9)


def test_starting_points_are_shared_and_fill_the_cube():
    problem = EmbeddedFunction("levy", 25, 3)
    X, y = problem.initial_data(50)
    again, _ = EmbeddedFunction("ackley", 25, 3).initial_data(50)
    np.testing.assert_array_equal(X, again)
    assert X.shape == (50, 25)
    assert y[7] == problem(X[7])
    assert np.abs(X.mean(axis=0) - 0.5).max() < 0.1


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("branin", 10, 0), ParameterError, "function must be one of"),
        (("levy", 9, 0), ParameterError, "dimension must be an integer of at least 10"),
        (("levy", 10, -1), ParameterError, "seed must be"),
        (("levy", 10.0, 0), ParameterTypeError, "dimension must be"),
    ],
)
def test_impossible_functions_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        EmbeddedFunction(*arguments)


# ------------------------------------------------------------------ model and runs


def test_the_cube_is_a_latent_model():
    rng = np.random.default_rng(0)
    X = [tuple(x) for x in rng.uniform(size=(20, 5)).tolist()]
    model = CubeModel(5)
    check_latent_model(model, X)
    np.testing.assert_allclose(model.decode(model.encode(model.tensorize(X))), X, rtol=1e-12)
    assert model.decode(torch.full((1, 5), 9.0)) == [(1.0,) * 5]
    prior = model.sample_prior(2000, torch.Generator().manual_seed(0))
    assert prior.std() == pytest.approx(1.0, abs=0.02)


def test_runs_are_recorded_once_and_compared(tmp_path, capsys, monkeypatch):
    quick = LogExpectedImprovement(CandidatePool(100, generations=1))
    monkeypatch.setitem(functions.METHODS, "pool", lambda: quick)
    options = {"functions": ["hartmann"], "dimensions": [6], "methods": ["pool"], "seeds": [100]}
    (path,) = run(tmp_path, **options, budget=6, batch=4, progress=False)
    record = read_record(path)
    assert len(record["y"]) == 6
    assert record["options"]["max_noise"] == SETTINGS["noise"][1]  # like for like
    assert set(record["seconds"]) >= {"total", "processor"}
    problem = EmbeddedFunction("hartmann", 6, 100)
    best = max(*record["y"], problem.initial_data(12)[1].max())
    assert record["regret"] == pytest.approx(problem.optimum - best, rel=1e-4)
    before = path.stat().st_mtime_ns
    monkeypatch.setattr(functions, "_record", None)  # is not called again
    arguments = "--functions hartmann --dimensions 6 --methods pool --seeds 100 --budget 6 --out"
    assert main([*arguments.split(), str(tmp_path)]) == 0
    assert path.stat().st_mtime_ns == before
    assert f"{record['regret']:.3g}" in capsys.readouterr().out
    with pytest.raises(ParameterError, match="budget is 6 there and 8 here"):
        run(tmp_path, **options, budget=8, progress=False)
    with pytest.raises(ParameterError, match="methods must be one of"):
        run(tmp_path, methods=["magic"], progress=False)


def test_the_table_compares_seed_by_seed():
    def record(method, seed, regret):
        about = {"function": "levy", "dimension": 10, "seconds": {"total": 2.0}}
        return about | {"method": method, "seed": seed, "regret": regret}

    records = [record("turbo", 0, 1.0), record("turbo", 1, 0.5), record("pool", 2, 0.1)]
    records += [record("pool", 0, 1.0), record("pool", 1, 0.6)]
    records[-1]["seconds"] = {"total": 5.0, "processor": 4.0}  # earlier runs did not record it
    assert table(records).splitlines()[1:] == [
        "levy,10,pool,3,0.6,0.1,1,1 of 2,3,4",
        "levy,10,turbo,2,0.75,0.5,1,–,2,–",
    ]


# ------------------------------------------------------------------ the peer


def test_without_botorch_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "botorch", None)
    with pytest.raises(ParameterError, match="pip install botorch"):
        turbo(sum, np.zeros((2, 3)), np.zeros(2), 1, 1, 0)


def test_the_peers_region_follows_its_settings():
    region = _Region(best=-1.0, failures_wanted=3)
    for i in range(SETTINGS["successes"]):
        region.update(-0.9 + 0.1 * i)
    assert (region.length, region.best) == (1.6, pytest.approx(0.0))
    for _ in range(3):
        region.update(0.0)
    assert region.length == 0.8
    region.best = -1.0
    region.update(-0.9995)  # a tenth of a percent is needed
    assert region.failures == 1


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 80), st.floats(0.01, 1.6), seeds)
def test_the_peers_candidates_lie_in_its_region(d, length, seed):
    rng = np.random.default_rng(seed)
    center, scales = torch.from_numpy(rng.uniform(size=d)), torch.from_numpy(rng.uniform(0.1, 4, size=d))
    points = _candidates(center, scales, length, rng)
    assert len(points) == min(5000, max(2000, 200 * d))
    sides = length * scales / torch.exp(torch.log(scales).mean())
    assert ((points - center).abs() <= 0.5 * sides + 1e-9).all()
    assert (points.min() >= 0) & (points.max() <= 1)
    moved = (points != center).sum(dim=1)
    assert moved.min() >= 1
    assert float(moved.double().mean()) == pytest.approx(min(d, 20), rel=0.1)
