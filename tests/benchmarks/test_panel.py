"""The panel: objectives with known best values, changes of x, starts, methods, records, tables."""

import contextlib
import itertools
import random
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from some_molecules import MOLECULES

from wrlso.benchmarks.panel import problems as problems_module
from wrlso.benchmarks.panel.calls import Calls, NothingNew, Spent
from wrlso.benchmarks.panel.functions import MATERIALS, NK, Colouring, MaxSAT, ehrlich, welded_beam_cost
from wrlso.benchmarks.panel.peers import PEERS, applies
from wrlso.benchmarks.panel.problems import HALVES, STARTS, BeamCodec, Problem, problem
from wrlso.benchmarks.panel.spaces import bits, categories, reals
from wrlso.benchmarks.panel.study import panel_names, run_panel, start_hash
from wrlso.benchmarks.panel.tables import differences, interval, ranks, score_curve, summarize_panel
from wrlso.benchmarks.records import read_records, write_record
from wrlso.exceptions import DataError, ParameterError
from wrlso.weighting import UniformWeighting

EVERY = [name for names in HALVES.values() for name in names]
WITH_MOLECULES = {"perindopril", "zaleplon"}
PLAIN = [name for name in EVERY if name not in WITH_MOLECULES | {"formula-reference"}]  # this one is slow
SEARCHES = ["genetic", "evolution", "local", "tpe", "qlognei"]

# ------------------------------------------------------------------------------------------ objectives


@given(
    st.integers(0, 1000),
    st.integers(4, 12),
    st.integers(1, 3),
    st.sampled_from([(4, 4), (4, 2), (3, 3), (2, 1)]),
)
def test_an_ehrlich_function_has_a_feasible_optimum(seed, n_classes, n_motifs, sizes):
    motif_length, quantization = sizes
    function = ehrlich(n_classes, 5 * n_motifs, n_motifs, motif_length, quantization, seed)
    assert function(function.optimum()) == 1.0
    X = function.sample(20, np.random.default_rng(seed))
    levels = set(np.arange(quantization + 1) / quantization)
    products = {
        float(np.prod(found))
        for found in np.array(np.meshgrid(*[list(levels)] * n_motifs)).T.reshape(-1, n_motifs)
    }
    # values are those of single precision
    assert all(min(abs(function(x) - product) for product in products) < 1e-6 for x in X)


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_an_ehrlich_value_is_its_definition(seed, other):
    function = ehrlich(6, 12, 2, 4, 2, seed)
    x = np.random.default_rng(other).integers(6, size=12)
    value = 1.0
    for motif, spacing in zip(function.motifs, function.spacings, strict=True):
        there = [
            sum(x[place + gap] == element for element, gap in zip(motif, spacing, strict=True))
            for place in range(12 - spacing[-1])
        ]
        value *= max(there) // 2 / 2
    allowed = all(function.transitions[a, b] > 0 for a, b in itertools.pairwise(x))
    assert function(x) == (value if allowed else None)


def test_ehrlich_forbids_some_transitions_but_no_state():
    function = ehrlich(9, 12, 2, 4, 4, 0)
    assert ((function.transitions == 0).sum(axis=1) == 3).all()
    reached = np.linalg.matrix_power(function.transitions + np.eye(9), 9)
    assert (reached > 0).all()


@given(st.integers(0, 1000), st.integers(1, 3))
@settings(max_examples=20)
def test_the_best_value_of_an_nk_landscape_is_exact(seed, K):
    function = NK(8, K, seed)
    every = (np.arange(256)[:, None] >> np.arange(8)) & 1
    assert function.best == pytest.approx(max(function(x) for x in every))


@given(st.integers(0, 1000))
def test_hidden_solutions_are_optimal(seed):
    sat, graph = MaxSAT(12, 60, seed), Colouring(9, 3, 20, seed)
    assert sat(sat.hidden) == pytest.approx(1.0)
    assert graph(np.eye(3)[graph.hidden]) == pytest.approx(1.0)
    rng = np.random.default_rng(seed)
    assert 0 < sat(rng.integers(2, size=12)) <= 1 + 1e-12
    assert graph(np.eye(3)[np.zeros(9, dtype=int)]) == 0.0


def test_a_known_welded_beam():
    """The classical optimum, with two welded sides of steel, meets its four limits almost exactly."""
    cost, excess = welded_beam_cost("steel", False, 0.2444, 6.2175, 8.2915, 0.2444)
    assert cost == pytest.approx(2.38, abs=0.01)
    assert len(excess) == 4
    assert max(excess) < 0.01
    assert max(welded_beam_cost("brass", False, 0.2, 1.0, 2.0, 0.2)[1]) > 1


# ---------------------------------------------------------------------------------------------- spaces


@given(st.integers(0, 10_000), st.sampled_from(["bits", "categories", "one-hot", "reals"]))
def test_changes_stay_in_the_space(seed, kind):
    rng = np.random.default_rng(seed)
    space = {
        "bits": bits(3, 4),
        "categories": categories(6, 5),
        "one-hot": categories(6, 5, one_hot=True),
        "reals": reals([-1, 10], [1, 1000]),
    }[kind]
    x, other = (
        space.build(
            np.where(space.is_category, rng.integers(space.high + 1), rng.uniform(space.low, space.high))
        )
        for _ in range(2)
    )
    kept = space.key(x)
    mutant, child = space.mutate(x, rng), space.cross(x, other, rng)
    assert space.key(x) == kept != space.key(mutant)
    for found in (mutant, child):
        assert (np.shape(found), found.dtype) == (np.shape(x), x.dtype)
        values = space.values(found)
        assert ((values >= space.low) & (values <= space.high)).all()
        assert space.key(space.build(values)) == space.key(found)
    assert ((space.values(child) == space.values(x)) | (space.values(child) == space.values(other))).all()
    flat = space.flat([x, mutant])
    assert flat.shape[0] == 2
    assert ((flat >= 0) & (flat <= 1)).all()
    assert (flat[0] != flat[1]).any()


@given(st.integers(0, 10_000))
def test_the_beam_codec_reads_back_what_it_writes(seed):
    X = problem("beam").pool(5, np.random.default_rng(seed))
    codec = BeamCodec()
    assert codec.inverse_transform(codec.transform(X)) == X
    assert {x["material"] for x in X} <= set(MATERIALS)


@pytest.mark.parametrize("name", ["formula-paper", "beam"])
def test_changes_of_objects_are_valid(name):
    task, rng = problem(name), np.random.default_rng(0)
    X = task.pool(20, rng)
    for x, other in zip(X[:10], X[10:], strict=True):
        for found in (task.space.mutate(x, rng), task.space.cross(x, other, rng)):
            assert isinstance(task.objective(found), float)


# -------------------------------------------------------------------------------------------- problems


def test_the_halves_have_the_same_kinds():
    assert len(EVERY) == len(set(EVERY)) >= 10
    kinds = [{problem(name).kind for name in names} for names in HALVES.values()]
    assert {"bits", "categories", "images", "reals", "formulas", "molecules"} <= kinds[0] & kinds[1]
    assert all(problem(name).half == half for half, names in HALVES.items() for name in names)


@pytest.mark.parametrize("name", PLAIN)
def test_starts_are_those_of_their_seed(name):
    task = problem(name)
    best = {}
    for start in STARTS:
        X, y = task.start(start, 7)
        assert start_hash(X, y) == start_hash(*task.start(start, 7)) != start_hash(*task.start(start, 8))
        assert len(X) == len(y) == len({task.space.key(x) for x in X})
        assert len(y) == 10 if start == "tiny" else task.n_start * 0.6 <= len(y) <= task.n_start
        assert [task.objective(x) for x in X[:5]] == list(y[:5])
        assert (task.sign * y <= task.sign * task.reference).all()
        best[start] = (task.sign * y).max(), (task.sign * y).min()
    assert best["poor"][0] <= best["rich"][1]


def test_molecules_start_from_zinc(monkeypatch):
    problem.cache_clear()
    monkeypatch.setattr(problems_module, "fetch_zinc250k", lambda: MOLECULES)
    monkeypatch.setattr(problems_module, "_N_MOLECULES", 3)
    task = problem("zaleplon")
    X, y = task.start("poor", 0)
    assert [task.objective(x) for x in X] == list(y)
    assert applies("genetic", task.space)
    assert not applies("tpe", task.space)
    calls = Calls(task, X, y, 4)
    with contextlib.suppress(Spent, NothingNew):
        PEERS["genetic"](calls, 0)
    assert all(isinstance(x, str) for x in calls.X)
    problem.cache_clear()


@pytest.mark.parametrize("name", PLAIN)
def test_users_parts_fit_the_data(name):
    """The networks accept a start: training for nothing tells."""
    from wrlso import Trainer

    task = problem(name)
    X, y = task.start("tiny", 0)
    opt = task.optimizer(X, y, 0, trainer=Trainer(initial_epochs=0))
    assert opt.get_params(deep=False)["surrogate"] is None
    assert len(opt.y_) == 10
    np.testing.assert_array_equal(opt.y_, y)


# ------------------------------------------------------------------------------------------------ peers


def _numpy_state():
    return np.random.get_state()[1].tolist()  # noqa: NPY002


def run(peer, task, budget, seed, start="tiny"):
    calls = Calls(task, *task.start(start, 100), budget)
    with contextlib.suppress(Spent):
        PEERS[peer](calls, seed)
    return calls


@pytest.mark.parametrize("name", ["ehrlich-small", "borehole", "beam", "formula-paper"])
@pytest.mark.parametrize("peer", SEARCHES)
def test_peers_call_for_new_points_and_depend_on_the_seed_only(peer, name):
    task = problem(name)
    if not applies(peer, task.space) or (peer, name) == ("qlognei", "beam"):
        return
    for package in {"tpe": ["optuna"], "qlognei": ["botorch"]}.get(peer, []):
        pytest.importorskip(package)
    before = random.getstate(), _numpy_state(), torch.random.get_rng_state()
    first = run(peer, task, 4, 0)
    assert len(first.told) == 4
    keys = [task.space.key(x) for x in first.X]
    assert len(set(keys)) == len(keys) == 14
    assert run(peer, task, 4, 0).told == first.told
    assert random.getstate() == before[0]
    assert _numpy_state() == before[1]
    assert torch.equal(torch.random.get_rng_state(), before[2])


@pytest.mark.parametrize("peer", ["genetic", "evolution", "local"])
def test_searches_climb(peer):
    task = problem("nk")
    calls = run(peer, task, 300, 1)
    assert max(calls.y[10:]) > max(calls.y[:10]) + 0.03


def test_a_search_ends_where_nothing_is_new():
    space = bits(3)
    task = Problem(
        "small", "bits", "maximize", 3.0, 4, lambda x: float(x.sum()),
        lambda n, rng: rng.integers(2, size=(n, 3)), space, lambda seed: {},
    )  # fmt: skip
    for peer in ("genetic", "evolution", "local"):
        calls = Calls(task, np.eye(3, dtype=np.uint8), [1, 1, 1], 100)
        with pytest.raises(NothingNew):
            PEERS[peer](calls, 0)
        assert len(calls.told) == len(set(map(bytes, calls.X))) - 3 <= 5
        assert max(calls.y) == 3


def test_settings_and_prior_are_what_they_say(monkeypatch):
    seen = {}

    def optimizer(self, X, y, seed, **settings):
        seen[name] = settings
        raise Spent

    monkeypatch.setattr(Problem, "optimizer", optimizer)
    for name in ("both", "weighting", "retraining", "neither", "prior"):
        run(name, problem("nk"), 3, 0)
    assert seen["both"] == {}
    assert seen["weighting"] == {"retrain_every": None}
    assert isinstance(seen["retraining"].pop("weighting"), UniformWeighting)
    assert seen["retraining"] == {}
    assert isinstance(seen["neither"].pop("weighting"), UniformWeighting)
    assert seen["neither"] == {"retrain_every": None}
    assert seen["prior"].keys() == {"acquisition", "retrain_every"}


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ModuleNotFoundError, match=r"peer 'tpe' needs the package optuna: pip install"):
        PEERS["tpe"](Calls(problem("nk"), *problem("nk").start("tiny", 0), 1), 0)


# ------------------------------------------------------------------------------------ records and tables


def test_runs_are_recorded_once(tmp_path):
    def again(**options):
        return run_panel(
            tmp_path, ["nk", "diabetes"], ["tiny"], ["both", "genetic"], [1, 2], progress=False, **options
        )

    paths = again(calls=3)
    assert len(paths) == len(set(paths)) == 8
    records = read_records(tmp_path)
    assert all(len(record["y"]) == 3 and record["stopped"] == "budget" for record in records)
    times = [path.stat().st_mtime_ns for path in paths]
    assert again(calls=3) == paths
    assert [path.stat().st_mtime_ns for path in paths] == times
    with pytest.raises(ParameterError, match="calls is 3 there and 4 here"):
        again(calls=4)
    tables = summarize_panel(tmp_path)
    assert tables.keys() == {f"{kind}-{half}" for kind in ("overall", "problems") for half in HALVES}


def test_unknown_names_are_refused_before_any_run(tmp_path):
    for arguments, message in (
        ((["nk"], ["good"]), "starts must be"),
        ((["nk"], ["tiny"], ["gradient"]), "peers must be"),
        ((["mk"],), "problems must be"),
    ):
        with pytest.raises(ParameterError, match=message):
            run_panel(tmp_path, *arguments)
    with pytest.raises(ParameterError, match="give half or problems"):
        panel_names("development", ["nk"])
    assert panel_names(None, None) == EVERY
    assert panel_names("confirmation", None) == list(HALVES["confirmation"])
    assert not list(tmp_path.iterdir())


def record(y, *, peer="both", seed=0, best=1.0, reference=3.0, direction="maximize", sha="a", name="nk"):
    return {
        "kind": "panel", "problem": name, "half": "development", "start": "poor", "peer": peer, "seed": seed,
        "direction": direction, "reference": reference, "options": {"calls": len(y)}, "y": y,
        "starting_data": {"sha256": sha, "best": best}, "seconds": {"total": 1.0, "processor": 1.0},
    }  # fmt: skip


@given(st.lists(st.one_of(st.none(), st.floats(-5, 5)), min_size=1, max_size=20), st.booleans())
def test_a_score_is_the_share_of_the_way_so_far(y, minimize):
    sign = -1.0 if minimize else 1.0
    turned = [None if value is None else sign * value for value in y]
    curve = score_curve(
        record(turned, best=sign, reference=3.0 * sign, direction="minimize" if minimize else "maximize")
    )
    for i, score in enumerate(curve, start=1):
        assert score == pytest.approx((max([1.0, *(v for v in y[:i] if v is not None)]) - 1.0) / 2.0)


@given(st.dictionaries(st.sampled_from("abcde"), st.floats(0, 1), min_size=1))
def test_ranks_add_up(found):
    (ranked,) = ranks({("nk", "poor", 0): found}).values()
    assert sum(ranked.values()) == pytest.approx(len(found) * (len(found) + 1) / 2)
    for first in found:
        for second in found:
            assert (found[first] > found[second]) == (ranked[first] < ranked[second])


def test_differences_are_paired_by_seed():
    scores = {
        ("nk", "poor", 0): {"both": 0.5, "neither": 0.25},
        ("nk", "rich", 0): {"both": 0.25, "neither": 0.25},
        ("nk", "poor", 1): {"both": 0.5, "neither": 1.0},
        ("nk", "rich", 1): {"both": 0.5},
    }
    assert differences(scores, "both", "neither") == [0.125, -0.5]


def test_an_interval_holds_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = [abs(mean) <= half for mean, half in (interval(rng.normal(size=5)) for _ in range(4000))]
    assert np.mean(held) == pytest.approx(0.95, abs=0.015)
    assert np.isnan(interval([1.0])[1])


def test_tables_come_from_records(tmp_path):
    for seed in (0, 1):
        for peer, gain in (("both", 2.0), ("neither", 1.5), ("genetic", 1.0)):
            write_record(tmp_path / f"{peer}{seed}.json", record([1.0] * 49 + [gain], peer=peer, seed=seed))
    tables = summarize_panel(tmp_path)
    both, genetic = tables["overall-development"]
    assert [row["method"] for row in (both, genetic)] == ["both", "genetic"]
    assert (both["rank at 50"], genetic["rank at 50"]) == ("1.000 ± 0.000", "2.000 ± 0.000")
    assert tables["problems-development"][0]["genetic"] == "0.000 ± 0.000"
    assert tables["settings-development"][0] == {
        "difference": "both − neither", "problem": "all", "seeds": "2", "at 50": "0.250 ± 0.000"
    }  # fmt: skip
    write_record(tmp_path / "both2.json", record([1.0] * 50, peer="both", seed=2))  # without its rival
    assert summarize_panel(tmp_path)["overall-development"] == tables["overall-development"]
    (tmp_path / "former").mkdir()
    write_record(tmp_path / "former" / "both0.json", record([1.0] * 49 + [1.2], peer="both", seed=0))
    former = summarize_panel(tmp_path)["settings-development"][-1]
    assert (former["difference"], former["seeds"], former["at 50"]) == ("both − former", "1", "0.400")
    write_record(tmp_path / "other.json", record([1.0] * 50, peer="local", sha="b"))
    with pytest.raises(DataError, match="have different starting data"):
        summarize_panel(tmp_path)
