"""A backtest counts what it should, depends on nothing but its arguments, and says no where it must."""

from importlib.util import find_spec

import numpy as np
import pytest
from conftest import networks
from hypothesis import given, settings
from hypothesis import strategies as st

from wrlso import (
    VAE,
    BacktestResult,
    DataError,
    DataTypeError,
    ParameterError,
    ParameterTypeError,
    SparseGP,
    Trainer,
    backtest,
)
from wrlso.run.replay import Replay

RNG = np.random.default_rng
X = np.unique((RNG(0).random((140, 12)) < 0.5).astype(np.uint8), axis=0)[:100]
Y = X @ np.arange(12.0)


def model():
    return VAE(*networks())


def short(X=X, y=Y, **options):
    """A backtest of a second or two."""
    defaults = {
        "model": model(),
        "n_repeats": 2,
        "n_queries": 12,
        "batch_size": 6,
        "n_jobs": 1,
        "random_state": 0,
    }
    return backtest(X, y, **(defaults | {"trainer": Trainer(initial_epochs=3)} | options))


@pytest.fixture(scope="module")
def result():
    return short(n_repeats=4, n_queries=20)


# ------------------------------------------------------------------ counting


def made(y, asked, starts=((0, 1),), direction="maximize"):
    """A result of given rows."""
    rows = {"search": np.array(asked)}
    return BacktestResult(np.array(y, dtype=float), direction, 1, np.array(starts), rows)


def test_counts_by_hand():
    y = [0, 1, *range(2, 40)]  # the best 5 % are rows 38 and 39
    found = made(y, [[5, 39, 6, 38]])
    assert found.top.nonzero()[0].tolist() == [38, 39]
    assert found.best("search").tolist() == [[1, 5, 39, 39, 39]]
    assert found.found("search").tolist() == [[0, 0, 0.5, 0.5, 1]]
    assert found.best_possible().tolist() == [0, 0.5, 1, 1, 1]
    # 4 of 38 rows find 4 / 38 of what is hidden by chance
    assert found.enrichment("search")[4] == pytest.approx(38 / 4)


def test_what_is_known_at_the_start_does_not_count():
    found = made(range(40), [[39, 1]], starts=[[38, 0]])
    assert found.found("search").tolist() == [[0, 1, 1]]


def test_failures_find_nothing():
    y = [np.nan if i % 2 else i for i in range(40)]
    found = made(y, [[3, 38, 5]])
    assert found.top.nonzero()[0].tolist() == [38]
    assert found.best("search").tolist() == [[0, 0, 38, 38]]


@given(st.lists(st.integers(-99, 99), min_size=25, max_size=60), st.integers(0, 9))
def test_minimising_is_maximising_the_opposite(y, seed):
    rows = RNG(seed).permutation(len(y))
    up = made(y, [rows[2:12]], [rows[:2]])
    down = made(-np.array(y), [rows[2:12]], [rows[:2]], "minimize")
    assert (up.top == down.top).all()
    assert up.best("search") == pytest.approx(-down.best("search"))
    assert up.found("search").tolist() == down.found("search").tolist()


@given(st.integers(0, 99))
def test_shares_rise_and_stay_below_what_is_possible(seed):
    rng = RNG(seed)
    y, rows = rng.normal(size=50), [rng.permutation(50) for _ in range(3)]
    found = made(y, [r[5:25] for r in rows], [r[:5] for r in rows])
    shares = found.found("search")
    assert (np.diff(shares, axis=1) >= 0).all()
    assert (shares.mean(axis=0) <= found.best_possible() + 1e-12).all()
    assert (np.diff(found.best("search"), axis=1) >= 0).all()


@settings(max_examples=20)
@given(st.integers(0, 999))
def test_a_search_that_repeats_itself_is_no_evidence(seed):
    """One that asks for the same rows in every repeat, whatever was measured, is right by chance only."""
    rng = RNG(seed)
    liked, y = np.arange(20, 60), rng.normal(size=200)
    found = made(y, [rng.permutation(liked) for _ in range(10)], [np.arange(5)] * 10)
    low, high = found.difference("search")[1:]
    hits = int(found.top[liked].sum())
    if hits in (1, 2, 3):  # of ten, two are expected
        assert low < 0 < high


def test_the_interval_covers_a_random_choice():
    """With random rows the interval misses zero about once in twenty times."""
    missed = 0
    for seed in range(200):
        rng = RNG(seed)
        rows = [rng.permutation(120) for _ in range(6)]
        found = made(rng.normal(size=120), [r[10:50] for r in rows], [r[:10] for r in rows])
        low, high = found.difference("search")[1:]
        missed += low > 0 or high < 0
    assert missed <= 16


# ------------------------------------------------------------------ replays


def test_it_finds_more_than_a_random_choice(result):
    gain = result.difference("search")
    assert gain.low > 0
    assert result.verdict.startswith("The search would have helped on these data, with its defaults")
    assert f"{gain.low:+.0%} to {gain.high:+.0%}" in result.verdict


def test_each_row_is_asked_for_once_and_none_of_the_start(result):
    for rows in result.asked.values():
        for start, asked in zip(result.starts, rows, strict=True):
            assert len({*start, *asked}) == len(start) + len(asked)


def test_it_says_no_where_nothing_can_be_learned():
    found = short(y=RNG(3).normal(size=100), n_repeats=4)
    low, high = found.difference("search")[1:]
    assert low < 0 < high
    assert "There is no evidence" in found.verdict


def test_the_number_of_processes_makes_no_difference():
    pairs = short(), short(n_jobs=2)
    for name in pairs[0].asked:
        assert (pairs[0].asked[name] == pairs[1].asked[name]).all()


def test_global_random_state_and_the_users_model_stay_as_they_are():
    import torch

    mine = model()
    before = [p.detach().clone() for p in mine.parameters()]
    state, numbers = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    short(model=mine, n_queries=3)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert (np.random.get_state()[1] == numbers).all()  # noqa: NPY002
    assert all(torch.equal(a, b) for a, b in zip(before, mine.parameters(), strict=True))


def test_equal_objects_are_one_with_the_mean_of_their_values():
    found = short(X=np.concatenate([X, X[:1]]), y=np.append(Y, Y[0] + 2), n_queries=1)
    assert len(found.y) == len(X)
    assert found.y[0] == Y[0] + 1


def test_failed_experiments_are_told_as_failures():
    y = [None if i % 3 == 0 else value for i, value in enumerate(Y)]
    found = short(y=y, n_queries=30, batch_size=5)
    assert np.isnan(found.y).sum() == 34
    asked = np.isnan(found.y)[found.asked["search"]].mean()
    assert 0 < asked < 1


def test_a_surrogate_of_ones_own():
    options = {"surrogate": SparseGP(max_iter=5)}
    replayed = short(n_queries=4, **options)
    assert {"search", "latent"} <= set(replayed.strategies)


# ------------------------------------------------------------------ showing


def test_it_is_shown_as_text_page_table_and_picture(result, tmp_path):
    text = repr(result)
    for words in (
        "this library's search",
        "random choice",
        "best possible",
        "Share of the best 5 %",
        "Enrichment",
    ):
        assert words in text
    assert text.endswith(result.verdict)
    lines = result.to_csv().splitlines()
    assert lines[0] == "strategy,repeat,queries,best,found"
    assert len(lines) == 1 + 4 * 4 * 21
    assert [row["queries"] for row in result.table()[:10]] == list(range(2, 21, 2))


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="needs matplotlib")
def test_plot(result):
    shown = result.plot()
    assert shown is result
    labels = [text.get_text() for text in shown.ax_.get_legend().get_texts()]
    assert labels[0] == "best possible"
    assert len(labels) == 5
    html = result._repr_html_()
    assert "<svg" in html
    assert result.verdict in html.replace("&#x27;", "'")


@pytest.mark.skipif(find_spec("pandas") is None, reason="needs pandas")
def test_frame(result):
    frame = result.to_frame()
    assert list(frame.columns) == ["strategy", "repeat", "queries", "best", "found"]
    last = frame[(frame.strategy == "search") & (frame.queries == 20)]
    assert last.found.to_numpy() == pytest.approx(result.found("search")[:, -1])


# ------------------------------------------------------------------ wrong input

WRONG = [
    ({"X": X[:10], "y": Y[:10]}, DataError, "20 different x with a value at least, got 10"),
    ({"y": np.ones(100)}, DataError, "all 100 values are 1: there is nothing to search for"),
    ({"y": Y[:-1]}, DataError, "X and y must have the same length, got 100 X and 99 y"),
    ({"y": ["a"] * 100}, DataTypeError, "y.0. must be a real number"),
    ({"y": np.full(100, np.inf)}, DataError, "must be finite"),
    ({"direction": "up"}, ParameterError, "direction must be"),
    ({"n_repeats": 1}, ParameterError, "n_repeats must be"),
    ({"n_start": 0}, ParameterError, "n_start must be"),
    ({"batch_size": 1.5}, ParameterTypeError, "batch_size must be"),
    (
        {"n_start": 60, "n_queries": 60},
        ParameterError,
        "at most the 100 different x of the table, got",
    ),
    ({"n_jobs": 0}, ParameterError, "n_jobs must be"),
    ({"random_state": "a"}, ParameterTypeError, "random_state must be"),
]


@pytest.mark.parametrize(("options", "error", "words"), WRONG)
def test_wrong_input_says_what_was_expected(options, error, words):
    with pytest.raises(error, match=words):
        short(**options)


def test_batches_are_as_large_as_wanted(monkeypatch):
    sizes = []
    told = Replay._told

    def watched(self, rows):
        sizes.append(len(rows))
        return told(self, rows)

    monkeypatch.setattr(Replay, "_told", watched)
    short(batch_size=5, n_repeats=2)
    assert sizes[:4] == [10, 5, 5, 2]
