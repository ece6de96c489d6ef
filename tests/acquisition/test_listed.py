"""Candidates that the user lists: only these are asked for, the best of all of them, and each once."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch
from conftest import count, make_optimizer, networks, words
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

import wrlso
from wrlso import (
    CandidatePool,
    Catalogue,
    DataError,
    DataTypeError,
    FeatureGP,
    LogExpectedImprovement,
    NoCandidateError,
    ParameterError,
    ParameterTypeError,
    SparseGP,
    StorageError,
    TanimotoGP,
    ThompsonSampling,
    Trainer,
    UpperConfidenceBound,
    WeightedRetrainingOptimizer,
)
from wrlso._state.shelf import Shelf, hash_of_key
from wrlso.acquisition.belief import Belief
from wrlso.acquisition.selection import foremost
from wrlso.surrogate.tanimoto_screening import Counted, TanimotoBounds

RNG = np.random.default_rng
EVERY = words(700, most=12, seed=1)
START = words()


def listed(**options):
    """An optimizer that may ask for EVERY only."""
    options = {"acquisition": None, "generate": False, "candidates": EVERY} | options
    if getattr(options.get("surrogate"), "space", "") == "features":
        options = {"trainer": None} | options
    return make_optimizer(**options)


def fitted(**options):
    return listed(**options).fit(START, START.sum(axis=1))


def as_set(X):
    return {tuple(int(v) for v in x) for x in X}


def letters(X):
    """Features of words."""
    return np.asarray(X, dtype=float)


# ------------------------------------------------------------------ what is asked for

SURROGATES = {
    "latent": lambda: SparseGP(max_iter=5),
    "auto": lambda: None,
    "features": lambda: FeatureGP(letters),
    "counts": lambda: TanimotoGP(letters),
}


@pytest.mark.parametrize("name", SURROGATES)
def test_only_candidates_are_asked_for_and_each_once(name):
    opt, open_words = fitted(surrogate=SURROGATES[name]()), as_set(EVERY) - as_set(START)
    asked = []
    for _ in range(4):
        batch = opt.ask(5)
        asked += batch
        opt.tell(batch, [None if i == 0 else count(x) for i, x in enumerate(batch)])
    assert len(as_set(asked)) == 20
    assert as_set(asked) <= open_words
    assert all(record.source == "supplied" for record in opt.history_ if record.asked)
    assert all(np.isfinite(record.z).all() for record in opt.history_ if record.asked)


@pytest.mark.parametrize("name", ["features", "counts", "auto"])
def test_a_search_finds_the_best_of_the_list(name):
    opt = fitted(surrogate=SURROGATES[name]())
    for _ in range(6):
        batch = opt.ask(4)
        opt.tell(batch, [count(x) for x in batch])
    best = max(count(x) for x in EVERY)
    assert opt.best_y_ >= best - 1 > max(START.sum(axis=1)) + 2


def test_x_without_a_value_are_candidates_too():
    X = EVERY[:50]
    y = [count(x) if i < 20 else None for i, x in enumerate(X)]
    asked = listed(candidates=None).fit(X, y).ask(6)
    assert as_set(asked) <= as_set(X[20:])
    both = listed(candidates=EVERY[50:52]).fit(X, y).ask(32)
    assert as_set(both) == as_set(EVERY[20:52])


def test_all_are_asked_for_and_then_it_says_so():
    opt = listed(candidates=EVERY[:9]).fit(START, START.sum(axis=1))
    n = len(as_set(EVERY[:9]) - as_set(START))
    assert len(opt.ask(n)) == n
    with pytest.raises(NoCandidateError, match="0 of the candidates can still be asked for, 1 wanted"):
        opt.ask()


def test_what_was_released_may_be_asked_for_again():
    opt = listed(candidates=EVERY[:3]).fit(START[3:], START[3:].sum(axis=1))
    first = opt.ask(1)[0]
    rest = opt.ask(len(as_set(EVERY[:3]) - as_set(START[3:])) - 1)
    opt.release(first)
    assert as_set([opt.ask()]) == as_set([first])
    assert as_set([first]).isdisjoint(as_set(rest))


def test_infeasible_candidates_are_left_out():
    batch = fitted(feasible=lambda x: x[0] == 1).ask(8)
    assert all(x[0] == 1 for x in batch)


def test_with_few_values_candidates_are_drawn_at_random():
    opt = listed().fit(START[:3], [1.0, None, None])
    batch = opt.ask(4)
    assert as_set(batch) <= as_set(EVERY) | as_set(START[1:3])
    assert opt.history_.asks[-1].strategy == "PriorSampling"
    with pytest.raises(NoCandidateError, match="wanted"):
        opt.ask(10_000)


def test_both_may_propose():
    opt = make_optimizer(candidates=EVERY).fit(START, START.sum(axis=1))
    opt.ask(5)
    record = opt.history_.asks[-1]
    assert record.sources["supplied"]["new"] > 0
    assert record.n_decoded > 0


def test_the_order_of_the_list_and_repetitions_make_no_difference():
    orders = [EVERY, EVERY[::-1], np.concatenate([EVERY, EVERY])]
    asked = [as_set(fitted(candidates=X, acquisition=LogExpectedImprovement()).ask(4)) for X in orders]
    assert asked[0] == asked[1] == asked[2]


def test_nothing_of_a_list_nothing_changes():
    """Without candidates an ask is to the last bit what it was, which other tests pin down."""
    plain, none = make_optimizer(), make_optimizer(candidates=None, generate=True)
    asked = [opt.fit(START, START.sum(axis=1)).ask(3) for opt in (plain, none)]
    assert np.array_equal(asked[0], asked[1])


# ------------------------------------------------------------------ training


def test_a_process_on_features_needs_no_training():
    opt = fitted(surrogate=FeatureGP(letters))
    before = [p.detach().clone() for p in opt.model_.parameters()]
    for _ in range(3):
        batch = opt.ask(4)
        opt.tell(batch, [count(x) for x in batch])
    assert not opt.training_due_
    assert opt.history_.trainings == [{"n_observed": 40, "epochs": [], "seconds": 0.0}]
    assert all(torch.equal(a, b) for a, b in zip(before, opt.model_.parameters(), strict=True))


def test_a_process_in_z_is_trained():
    opt = fitted(surrogate=SparseGP(max_iter=5))
    assert len(opt.history_.trainings[0]["epochs"]) > 0


# ------------------------------------------------------------------ bounds

counts = st.lists(
    st.lists(st.integers(0, 3), min_size=6, max_size=6), min_size=8, max_size=30, unique_by=tuple
)


def counted(C):
    """Counts in the compact form of a shelf."""
    C = csr_array(C)
    vocabulary, places = np.unique(C.indices, return_inverse=True)
    return Counted(
        vocabulary.astype(np.int64), places.astype(np.int32), C.data.astype(np.uint16),
        C.indptr.astype(np.int64),
    )  # fmt: skip


@settings(max_examples=40)
@given(counts, st.sampled_from([0.0, 0.4]), st.integers(0, 5))
def test_bounds_hold(C, linear, seed):
    """The mean is that of the process, and no variance is larger than its bound."""
    C, rng = np.array(C), RNG(seed)
    y = torch.from_numpy(rng.normal(size=5))
    process = TanimotoGP(lambda X: np.array(X), linear=linear).fit(C[:5].tolist(), y, rng)
    process, _ = process.working_scale(y)
    mean, bound = TanimotoBounds(process, counted(C)).of(np.arange(len(C)))
    exact, variance = (part.numpy() for part in process.predict(C.tolist()))
    assert mean == pytest.approx(exact, abs=1e-4 * (1 + np.abs(exact).max()))
    assert (mean >= exact - 1e-9).all()
    assert (bound >= variance - 1e-6).all()


@pytest.mark.parametrize("criterion", [LogExpectedImprovement(), UpperConfidenceBound(), ThompsonSampling()])
def test_bounds_hide_none_of_the_best(criterion):
    """With bounds the best rows are those that the whole posterior gives."""
    rng = RNG(0)
    C = np.unique(rng.poisson(0.5, size=(3000, 12)), axis=0)
    y = torch.from_numpy(C[:40].sum(axis=1) + rng.normal(size=40))
    process = TanimotoGP(lambda X: np.array(X)).fit(C[:40].tolist(), y, rng)
    process, values = process.working_scale(y)
    belief = Belief(process, float(values.max()))
    n_predicted = []

    class Rows:
        rows = np.arange(len(C))
        bounded = True

        def x(self, row):
            return tuple(C[row])

        def points(self, surrogate, rows):
            n_predicted.append(len(rows))
            return C[rows].tolist()

        def bounds(self, surrogate):
            return TanimotoBounds(surrogate, counted(C)).of if self.bounded else None

    found = []
    for bounded in (True, False):
        rows, n_predicted = Rows(), []
        rows.bounded = bounded
        generator = torch.Generator().manual_seed(0)
        found.append(foremost(rows, criterion, belief, 0, 3, 100, lambda x: True, generator))
        found.append(sum(n_predicted))
    assert found[0].tolist() == found[2].tolist()
    assert found[1] <= found[3]


# ------------------------------------------------------------------ wrong input

WRONG = [
    ({"candidates": "CCO"}, DataTypeError, "candidates must be a list, an array or a wrlso.Catalogue"),
    ({"candidates": 3}, DataTypeError, "got int"),
    ({"candidates": []}, DataError, "at least one object, got none"),
    ({"candidates": np.float64(1.0)}, DataTypeError, "got float64"),
    ({"generate": None}, ParameterTypeError, "generate must be True or False, got None"),
    ({"generate": 1}, ParameterTypeError, "generate must be True or False, got 1"),
    (
        {"acquisition": LogExpectedImprovement(search=CandidatePool())},
        ParameterError,
        "search must be None with",
    ),
    (
        {"surrogate": FeatureGP(letters), "trainer": Trainer()},
        ParameterError,
        "trainer must be None with generate=False",
    ),
]


@pytest.mark.parametrize(("options", "error", "words_of_it"), WRONG)
def test_wrong_input_says_what_was_expected(options, error, words_of_it):
    opt = listed(**options)
    with pytest.raises(error, match=words_of_it):
        opt.fit(START, START.sum(axis=1)).ask()


def test_tables_and_names():
    pandas = pytest.importorskip("pandas")
    with pytest.raises(DataTypeError, match="got a table .DataFrame.: give one of its columns"):
        Catalogue(pandas.DataFrame({"x": ["a"]}))
    with pytest.raises(DataError, match="names must be as many as the objects, 2, got 1"):
        Catalogue(["a", "b"], ["first"])
    with pytest.raises(DataTypeError, match="names must be a sequence of texts"):
        Catalogue(["a", "b"], "ab")
    catalogue = Catalogue(["a", "ü", "a"], ["1", "2", "3"])
    assert catalogue.names_of({"a", "b"}) == {"a": "1"}
    assert list(catalogue) == ["a", "ü", "a"]


def test_candidates_that_the_model_cannot_read_are_left_out():
    opt = fitted(candidates=[*EVERY[:5], np.zeros(7), "word"], surrogate=SparseGP(max_iter=5))
    n = len(as_set(EVERY[:5]) - as_set(START))
    assert as_set(opt.ask(n)) <= as_set(EVERY[:5])
    with pytest.raises(NoCandidateError):
        opt.ask()


# ------------------------------------------------------------------ saving


def parts(surrogate):
    """What a file cannot hold."""
    encoder, decoder = networks()
    own = {} if surrogate is None else {"surrogate": surrogate}
    return {"encoder": encoder, "decoder": decoder} | own


@pytest.mark.parametrize("name", ["features", "auto"])
def test_what_was_saved_goes_on_bit_for_bit(name, tmp_path):
    surrogate = SURROGATES[name]()
    opt = fitted(surrogate=surrogate)
    opt.save(tmp_path / "a")
    other = WeightedRetrainingOptimizer.load(tmp_path / "a", **parts(surrogate))
    assert not other.generate
    for _ in range(2):
        first, second = opt.ask(3), other.ask(3)
        assert np.array_equal(first, second)
        opt.tell(first, [count(x) for x in first])
        other.tell(second, [count(x) for x in second])
        other = WeightedRetrainingOptimizer.load(tmp_path / "a", **parts(surrogate))


def test_other_candidates_take_the_place_of_the_stored_ones(tmp_path):
    opt = fitted(surrogate=FeatureGP(letters)).autosave(tmp_path / "a")
    opt.ask()
    old = {file.name for file in (tmp_path / "a").glob("catalogue-*")}
    opt.candidates = EVERY[:20]
    opt.ask()
    new = {file.name for file in (tmp_path / "a").glob("catalogue-*")}
    assert new.isdisjoint(old)
    loaded = WeightedRetrainingOptimizer.load(tmp_path / "a", **parts(FeatureGP(letters)), autosave=False)
    assert np.array_equal(loaded.candidates.X, EVERY[:20])


def test_objects_that_no_file_holds_are_asked_for_again(tmp_path):
    opt = fitted(candidates=list(EVERY[:30])).autosave(tmp_path / "a")
    with pytest.raises(ParameterError, match="give load\\(\\) .*candidates \\(it was a list of ndarray\\)"):
        WeightedRetrainingOptimizer.load(tmp_path / "a", **parts(None))
    loaded = WeightedRetrainingOptimizer.load(tmp_path / "a", candidates=list(EVERY[:30]), **parts(None))
    assert np.array_equal(opt.ask(2), loaded.ask(2)) or len(loaded.pending_) == 4


def test_a_damaged_or_missing_file_is_named(tmp_path):
    fitted().save(tmp_path / "a")
    (file,) = (f for f in (tmp_path / "a").glob("catalogue-*") if "index" not in f.name)
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(StorageError, match="is damaged: put back a copy"):
        WeightedRetrainingOptimizer.load(tmp_path / "a", **parts(None))
    file.unlink()
    with pytest.raises(StorageError, match="cannot be read.*put it back, or give load"):
        WeightedRetrainingOptimizer.load(tmp_path / "a", **parts(None))


# ------------------------------------------------------------------ molecules

MOLECULES = [f"{'C' * (i % 9)}c1ccc({'CNOFSP'[i % 6]})cc1{'O' * (i % 2)}" for i in range(1, 31)]
rdkit = pytest.mark.skipif(find_spec("rdkit") is None, reason="needs RDKit")


@rdkit
def test_identities_and_counts_are_those_of_the_model_and_the_fingerprint():
    X = [*MOLECULES, "CC(C", "CCO.Cl"]
    model, process = wrlso.models.SelfiesVAE.pretrained(), TanimotoGP()
    shelf = Shelf(Catalogue(X))
    keys = shelf.identify(model, process)
    assert [int(key) for key in keys] == [hash_of_key(model.key(x)) for x in X[:-2]] + [0, 0]
    assert shelf.unreadable().tolist() == [30, 31]
    rows = np.array([3, 0, 7])
    described = shelf.points(process, model, rows)
    assert (described.features != wrlso.MorganCounts()([X[i] for i in rows])).nnz == 0
    assert [described[i] for i in range(3)] == [X[3], X[0], X[7]]


@rdkit
def test_tokens_that_the_model_lacks_are_learned_when_they_are_asked_for():
    opt = wrlso.molecules.molecule_search(
        MOLECULES[:12], range(12), candidates=["C[Si](C)(C)CC[Se]C", "CC(C"], generate=False, random_state=0
    )
    assert opt.ask(1) == ["C[Si](C)(C)CC[Se]C"]
    assert np.isfinite(opt.history_.records[-1].z).all()
