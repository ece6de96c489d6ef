"""The other methods on molecules: the same calls, nothing twice, the same run from the same seed."""

import os
import random
import subprocess
import sys

import numpy as np
import pytest
import torch

from wrlso import DataError, MorganCounts, ParameterError, TanimotoGP, UpperConfidenceBound
from wrlso._chemistry.smiles import canonical
from wrlso.benchmarks.molecules.peers import best_of_set, graph_ga, prior_sampling, screened_ga
from wrlso.surrogate.minmax_kernel import Overlaps, expand, tanimoto

pytest.importorskip("rdkit")

START = [
    "CCO", "CCN", "CCCC", "c1ccccc1", "CC(C)O", "CCOC", "CC(=O)O", "CCCCO", "Cc1ccccc1", "CCC(C)C", "OCCO",
    "CCS", "CCCN", "C1CCCCC1", "CC(N)=O", "Oc1ccccc1", "CCC=O", "CCCl", "CC#N", "CNC",
]  # fmt: skip


def oxygens(x):
    """An objective with many ties: the number of oxygens, less a little for every other atom."""
    return x.upper().count("O") - 0.01 * len(x)


Y = [oxygens(x) for x in START]


class Letters:
    """A model whose points decode to chains of carbon and oxygen; one in some is not valid."""

    latent_dim = 2
    training = True

    def decode(self, Z, temperature=0.0, generator=None):
        lengths = (Z.abs() * 6).long().tolist()
        return ["C" * a + "O" * (b % 2) if a else None for a, b in lengths]

    def key(self, x):
        return canonical(x)

    def parameters(self):
        return iter([torch.nn.Parameter(torch.zeros(1))])

    def train(self, mode=True):
        self.training = mode
        return self


def peers():
    """Name and function (objective, X, y, budget, seed) of every method."""
    yield "prior", lambda *args: prior_sampling(*args, model=Letters())
    yield "set", lambda *args: best_of_set(*args, molecules=[f"{'C' * n}F" for n in range(1, 40)] + START)
    try:
        import mol_ga  # noqa: F401
    except ModuleNotFoundError:
        return
    yield "ga", graph_ga
    yield "screened", lambda *args: screened_ga(*args, offspring=30)


PEERS = dict(peers())


@pytest.mark.parametrize("peer", PEERS.values(), ids=PEERS)
def test_every_call_is_new_and_counted(peer):
    called = []

    def objective(x):
        called.append(x)
        return oxygens(x)

    trace = peer(objective, START, Y, 12, 0)
    assert len(trace) == 12
    assert [x for x, _ in trace] == called
    assert [y for _, y in trace] == [oxygens(x) for x in called]
    assert len({canonical(x) for x in called}) == 12
    assert not {canonical(x) for x in called} & {canonical(x) for x in START}


@pytest.mark.parametrize("peer", PEERS.values(), ids=PEERS)
def test_the_same_seed_is_the_same_run(peer):
    first, again, other = (peer(oxygens, START, Y, 8, seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize("peer", PEERS.values(), ids=PEERS)
def test_global_random_state_and_the_callers_data_stay(peer):
    X, y = list(START), np.array(Y)
    before = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    peer(oxygens, X, y, 5, 0)
    assert random.getstate() == before[0]
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[2])
    assert START == X
    np.testing.assert_array_equal(y, Y)


@pytest.mark.parametrize("peer", PEERS.values(), ids=PEERS)
def test_values_that_are_not_finite_are_calls_too(peer):
    trace = peer(lambda x: float("nan") if len(x) % 2 else float("-inf"), START, Y, 6, 0)
    assert len(trace) == 6
    assert not np.isfinite([y for _, y in trace]).any()


@pytest.mark.parametrize("peer", PEERS.values(), ids=PEERS)
def test_data_that_do_not_fit_are_refused(peer):
    with pytest.raises(DataError, match="same number of molecules, at least 1, got 20 and \\(3,\\)"):
        peer(oxygens, START, [1.0, 2.0, 3.0], 5, 0)
    with pytest.raises(DataError, match="same number of molecules, at least 1, got 0"):
        peer(oxygens, [], [], 5, 0)
    with pytest.raises(DataError, match="y must hold finite values"):
        peer(oxygens, ["C"], [np.nan], 5, 0)
    with pytest.raises(ParameterError, match="budget must be"):
        peer(oxygens, START, Y, 0, 0)


def test_a_set_that_is_too_small_and_a_model_that_knows_too_little_end_early():
    assert len(best_of_set(oxygens, START, Y, 9, 0, molecules=["CF", "CF", "CCO", "CCF"])) == 2

    class One(Letters):
        def decode(self, Z, temperature=0.0, generator=None):
            return ["CCF"] * len(Z)

    trace = prior_sampling(oxygens, START, Y, 3, 0, model=One(), max_attempts=5)
    assert [x for x, _ in trace] == ["CCF"]


def test_the_model_of_the_prior_keeps_its_mode_and_is_sampled_where_it_says():
    class Prior(Letters):
        def sample_prior(self, n, generator=None):
            return torch.full((n, 2), 1.5) + torch.rand(n, 2, generator=generator)

    model = Prior()
    trace = prior_sampling(oxygens, START, Y, 6, 0, model=model)
    assert model.training
    assert min(x.count("C") for x, _ in trace) >= 9


# ---------------------------------------------------------------- genetic algorithms


@pytest.mark.skipif("ga" not in PEERS, reason="mol_ga is not installed")
def test_genetic_algorithms_improve_and_screening_improves_more():
    counts = MorganCounts()

    def likeness(x):
        """Similarity to paracetamol."""
        levels = expand(counts(["CC(=O)Nc1ccc(O)cc1", x]))
        return float(tanimoto(Overlaps(levels).of(levels), levels.sizes, levels.sizes)[0, 1])

    y = [likeness(x) for x in START]
    values = {
        name: np.mean([max(v for _, v in peer(likeness, START, y, 40, seed)) for seed in (0, 1)])
        for name, peer in (
            ("ga", graph_ga),
            ("screened", lambda *args: screened_ga(*args, offspring=40, refit_every=20)),
        )
    }
    assert max(y) < values["ga"] < values["screened"]


@pytest.mark.skipif("ga" not in PEERS, reason="mol_ga is not installed")
def test_a_run_does_not_depend_on_the_order_of_sets():
    """Python orders sets of strings differently in each process."""
    code = (
        "from wrlso.benchmarks.molecules.peers import graph_ga, screened_ga\n"
        f"X = {START!r}\nf = lambda x: x.upper().count('O') - 0.01 * len(x)\n"
        "y = [f(x) for x in X]\n"
        "print(graph_ga(f, X, y, 12, 0), screened_ga(f, X, y, 7, 0, offspring=20))\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    here = graph_ga(oxygens, START, Y, 12, 0), screened_ga(oxygens, START, Y, 7, 0, offspring=20)
    assert found.stdout == f"{here[0]} {here[1]}\n"


@pytest.mark.skipif("ga" not in PEERS, reason="mol_ga is not installed")
@pytest.mark.parametrize("name", ["ga", "screened"])
def test_another_spelling_of_a_known_molecule_is_no_new_one(name, monkeypatch):
    from mol_ga.graph_ga import gen_candidates

    made = iter(["OCC", "C(O)C", "OC(C)C", "C(F)C", "FCC", "CCF", "ClC"] * 50)
    monkeypatch.setattr(gen_candidates, "mutate", lambda *args: None)
    monkeypatch.setattr(gen_candidates, "reproduce", lambda *args: next(made, None))
    trace = PEERS[name](oxygens, START, Y, 9, 0)
    assert sorted(canonical(x) for x, _ in trace) == ["CCF", "CCl"]


@pytest.mark.skipif("ga" not in PEERS, reason="mol_ga is not installed")
def test_the_screen_takes_any_surrogate_of_features_and_acquisition():
    counts = TanimotoGP(lambda X: np.array([[x.count("C"), x.count("O")] for x in X]), 5, 5)
    trace = screened_ga(
        oxygens,
        START,
        Y,
        10,
        0,
        surrogate=counts,
        acquisition=UpperConfidenceBound(),
        offspring=20,
        batch=3,
        refit_every=4,
    )
    assert len(trace) == 10
    assert not hasattr(counts, "posterior_")  # the caller's stays as it was


@pytest.mark.skipif("ga" not in PEERS, reason="mol_ga is not installed")
def test_they_end_where_nothing_new_can_be_made(monkeypatch):
    from mol_ga.graph_ga import gen_candidates

    monkeypatch.setattr(gen_candidates, "mutate", lambda *args: "CCO")
    monkeypatch.setattr(gen_candidates, "reproduce", lambda *args: None)
    assert graph_ga(oxygens, START, Y, 5, 0) == []
    assert screened_ga(oxygens, START, Y, 5, 0, offspring=10) == []


@pytest.mark.skipif("ga" not in PEERS, reason="mol_ga is not installed")
@pytest.mark.parametrize(
    ("peer", "options", "name"),
    [
        (graph_ga, {"offspring": 0}, "offspring"),
        (graph_ga, {"population": 0}, "population"),
        (screened_ga, {"offspring": 0}, "offspring"),
        (screened_ga, {"population": 0}, "population"),
        (screened_ga, {"batch": 0}, "batch"),
        (screened_ga, {"refit_every": 0}, "refit_every"),
    ],
)
def test_impossible_options_are_refused(peer, options, name):
    with pytest.raises(ParameterError, match=f"{name} must be"):
        peer(oxygens, START, Y, 5, 0, **options)
