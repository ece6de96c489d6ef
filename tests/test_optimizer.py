"""The contract of ask and tell: equivalences, invariants, then every way to misuse it."""

import copy
import math
import threading

import numpy as np
import pytest
import torch
from conftest import N_LETTERS, count, make_optimizer, networks, words
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError as SklearnNotFittedError
from sklearn.utils.validation import check_is_fitted
from torch import nn

from wrlso import (
    VAE,
    CandidatePool,
    DataError,
    DataTypeError,
    FeatureGP,
    LogExpectedImprovement,
    LowEffectiveSampleSizeWarning,
    ModelError,
    NoCandidateError,
    NonFiniteLossError,
    NotFittedError,
    ParameterError,
    ParameterTypeError,
    PriorSampling,
    RankWeighting,
    SparseGP,
    Trainer,
    UniformWeighting,
    UnknownPointError,
    UpperConfidenceBound,
    WeightedRetrainingOptimizer,
    rank_weights,
)
from wrlso._state.settings import build_model
from wrlso._state.weights import training_weights

X0 = words()
Y0 = X0.sum(axis=1).astype(float)


def run(opt, n, batch=None):
    """Ask and tell n times; return the asked words as strings."""
    asked = []
    while len(asked) < n:
        xs = opt.ask(batch) if batch else [opt.ask()]
        opt.tell(xs, [count(x) for x in xs])
        asked += ["".join(map(str, x)) for x in xs]
    return asked


def state_of(opt):
    """All that a user can see, and the weights."""
    if not opt.__sklearn_is_fitted__():
        return None
    return (
        [x.tolist() for x in opt.X_],
        opt.y_.tolist(),
        [x.tolist() for x in opt.pending_],
        [(r.status, list(r.values), r.n_failures) for r in opt.history_],
        len(opt.history_.asks),
        len(opt.history_.trainings),
        [p.detach().numpy().tolist() for p in opt.model_.parameters()],
    )


# ---------------------------------------------------------------- equivalences


def test_same_seed_and_tells_give_the_same_asks_bit_for_bit():
    runs = []
    for global_seed in (1, 2):
        torch.manual_seed(global_seed)
        np.random.seed(global_seed)  # noqa: NPY002
        opt = make_optimizer().fit(X0, Y0)
        runs.append((run(opt, 12), [p.detach().clone() for p in opt.model_.parameters()]))
    assert runs[0][0] == runs[1][0]
    assert all(torch.equal(a, b) for a, b in zip(runs[0][1], runs[1][1], strict=True))
    assert run(make_optimizer(random_state=1).fit(X0, Y0), 12) != runs[0][0]


def test_global_random_state_is_as_it_was_after_every_call():
    def states():
        return torch.random.get_rng_state().tolist(), np.random.get_state()[1].tolist()  # noqa: NPY002

    before = states()
    opt = make_optimizer().fit(X0, Y0)
    run(opt, 7)
    opt.retrain()
    assert states() == before


def test_infinite_k_equals_uniform_weighting():
    asked = [
        run(make_optimizer(weighting=w).fit(X0, Y0), 8)
        for w in (RankWeighting(k=math.inf), UniformWeighting())
    ]
    assert asked[0] == asked[1]


def test_no_retraining_and_uniform_weights_equal_plain_latent_bayesian_optimization():
    """The loop written out by hand: train once, then fit or condition a GP on q(x) and maximise LogEI."""
    search = CandidatePool(n_candidates=200, sources=["near"])  # what several make depends on their success
    options = {"weighting": UniformWeighting(), "retrain_every": None, "refit_every": 1000}
    opt = make_optimizer(acquisition=LogExpectedImprovement(search), **options).fit(X0, Y0)
    asked = run(opt, 6)

    from wrlso._utils.random import draw_seed, stream
    from wrlso.acquisition import SearchState

    model = VAE(*networks())
    inputs = model.tensorize(X0)
    seed = draw_seed(0)
    opt.trainer.fit(model, inputs, np.ones(len(X0)), stream(seed, 0, 0))
    X, y = list(X0), list(Y0)
    gp, by_hand = None, []
    for step in range(1, 7):
        Z = model.encode(model.tensorize(np.stack(X))).double()
        if gp is None:
            gp = clone(opt.surrogate).fit(Z, torch.tensor(y), stream(seed, 2, step))
        else:
            gp = gp.condition_on(Z[-1:], torch.tensor(y[-1:]))
        known = {model.key(x) for x in X}
        state = SearchState(
            model, gp, Z, torch.tensor(y), torch.ones(len(y), dtype=torch.float64), Z[:0],
            lambda x, known=known: "undecodable" if x is None else "known" if model.key(x) in known else None,
        )  # fmt: skip
        (proposal,), _ = clone(opt.acquisition).propose(state, 1, stream(seed, 1, step))
        X.append(proposal.x)
        y.append(count(proposal.x))
        by_hand.append("".join(map(str, proposal.x)))
    assert asked == by_hand


def test_minimizing_minus_y_equals_maximizing_y():
    up, down = make_optimizer().fit(X0, Y0), make_optimizer(direction="minimize").fit(X0, -Y0)
    for _ in range(7):
        a, b = up.ask(), down.ask()
        assert a.tolist() == b.tolist()
        up.tell(a, count(a))
        down.tell(b, -count(b))
    assert down.best_y_ == -up.best_y_
    np.testing.assert_array_equal(up.weights_, down.weights_)


def test_tells_before_the_first_ask_are_starting_data():
    told = make_optimizer()
    told.tell(X0[:10], Y0[:10])
    for x, y in zip(X0[10:], Y0[10:], strict=True):
        told.tell(x, y)
    fitted = make_optimizer().fit(X0, Y0)
    trained = make_optimizer().tell(X0.copy(), Y0).retrain()
    assert run(told, 6) == run(fitted, 6) == run(trained, 6)
    assert told.history_.n_start == fitted.history_.n_start == 40


def test_training_from_scratch_starts_at_the_given_weights():
    trainer = Trainer(initial_epochs=0, retrain="scratch")
    opt = make_optimizer(trainer=trainer).fit(X0, Y0)
    given = [p.detach().clone() for p in opt.model_.parameters()]
    opt.set_params(trainer__initial_epochs=3).retrain()
    assert not torch.equal(given[0], next(opt.model_.parameters()))
    opt.set_params(trainer__initial_epochs=0).retrain()
    assert all(torch.equal(a, b) for a, b in zip(given, opt.model_.parameters(), strict=True))


def test_training_from_scratch_cannot_be_chosen_after_the_given_weights_are_gone():
    opt = make_optimizer().fit(X0, Y0).set_params(trainer__retrain="scratch", trainer__retrain_epochs=1)
    with pytest.raises(ParameterError, match="must have retrain='scratch' before fit"):
        opt.retrain()


def test_it_extrapolates_beyond_the_data_and_beats_drawing_from_the_model():
    """The reason to exist: with 40 words of at most 5 ones it finds words that no data showed."""
    searched, drawn = make_optimizer(), make_optimizer(acquisition=PriorSampling(), retrain_every=None)
    best = []
    for opt in (searched, drawn):
        run(opt.fit(X0, Y0), 40)
        best.append(opt.best_y_)
    assert best[0] >= 8 > Y0.max()
    assert best[0] > best[1]


# ---------------------------------------------------------------- invariants of ask and tell


@given(
    st.lists(
        st.sampled_from(
            ["ask", "ask3", "tell", "tell_new", "fail", "release", "update", "replicate", "retrain"]
        ),
        max_size=12,
    ),
    st.integers(0, 2**20),
)
@settings(max_examples=15, deadline=None)
def test_whatever_is_called_points_are_new_counts_agree_and_nothing_is_lost(calls, seed):
    rng = np.random.default_rng(seed)
    trainer = Trainer(initial_epochs=1, retrain_epochs=0.2, batch_size=16)
    opt = make_optimizer(trainer=trainer, acquisition=PriorSampling()).fit(X0, Y0)
    values = {x.tobytes(): [y] for x, y in zip(X0, Y0, strict=True)}
    failed, pending = set(), []

    def random_word():
        return rng.integers(0, 2, N_LETTERS).astype(np.uint8)

    for call in calls:
        if call.startswith("ask"):
            new = opt.ask(3) if call == "ask3" else [opt.ask()]
            out = [x.tobytes() for x in new]
            assert len(set(out)) == len(new)
            assert not set(out) & (set(values) | failed | {x.tobytes() for x in pending})
            pending += new
        elif call in ("tell", "fail", "release"):
            if not pending:
                continue
            x = pending.pop(rng.integers(len(pending)))
            if call == "release":
                opt.release(x)
                continue
            y = float(rng.normal()) if call == "tell" else math.nan
            opt.tell(x, y)
            if call == "tell":
                values[x.tobytes()] = [y]
            else:
                failed.add(x.tobytes())
        elif call == "tell_new":
            x, y = random_word(), float(rng.normal())
            opt.tell(x, y)
            values.setdefault(x.tobytes(), []).append(y)
            failed.discard(x.tobytes())
            pending = [p for p in pending if p.tobytes() != x.tobytes()]
        elif call == "update":
            opt.update(X0[0], 7.5)
            values[X0[0].tobytes()] = [7.5]
        elif call == "replicate":
            opt.tell(X0[1], 1.5)
            values[X0[1].tobytes()].append(1.5)
        else:
            opt.retrain()
    known = {x.tobytes(): y for x, y in zip(opt.X_, opt.y_, strict=True)}
    assert known == pytest.approx({key: np.mean(ys) for key, ys in values.items()})
    assert [x.tobytes() for x in opt.X_[:40]] == [x.tobytes() for x in X0]
    assert {x.tobytes() for x in opt.pending_} == {x.tobytes() for x in pending}
    assert opt.best_y_ == opt.y_.max()
    np.testing.assert_allclose(opt.weights_, rank_weights(opt.y_, max(1e-3, 10 / len(opt.y_))))


def test_two_asks_in_a_row_differ_and_a_batch_is_distinct(opt):
    first, second = opt.ask(), opt.ask()
    batch = opt.ask(8)
    assert len({x.tobytes() for x in [first, second, *batch]}) == 10
    assert len(opt.pending_) == 10


def test_feasible_is_respected():
    def feasible(x):
        return x[0] == 0

    opt = make_optimizer(feasible=feasible).fit(X0, Y0)
    assert all(x[0] == 0 for x in opt.ask(6))
    assert sum(record.rejected.get("infeasible", 0) for record in opt.history_.asks) > 0


def test_retraining_happens_at_the_ask_after_r_new_distinct_successes(opt):
    def trainings():
        return len(opt.history_.trainings)

    for x in opt.ask(4):
        opt.tell(x, count(x))
    opt.tell(X0[0], 3.0)  # a replicate is no new point
    opt.tell(opt.ask(), None)  # nor is a failure
    opt.ask()
    assert trainings() == 1
    opt.tell(opt.pending_[0], 1.0)
    assert trainings() == 1  # tell never trains
    opt.ask()
    assert trainings() == 2
    opt.ask()
    assert trainings() == 2
    assert [entry["n_observed"] for entry in opt.history_.trainings] == [40, 45]


def test_never_retraining():
    opt = make_optimizer(retrain_every=None).fit(X0, Y0)
    run(opt, 12)
    assert len(opt.history_.trainings) == 1


def test_the_users_modules_stay_as_they_were():
    encoder, decoder = networks()
    before = copy.deepcopy((encoder.state_dict(), decoder.state_dict()))
    run(make_optimizer(encoder=encoder, decoder=decoder).fit(X0, Y0), 6)
    after = encoder.state_dict(), decoder.state_dict()
    for a, b in zip(before, after, strict=True):
        assert all(torch.equal(a[name], b[name]) for name in a)


def test_the_users_data_stays_as_it_was_and_later_changes_do_not_reach_the_optimizer():
    X, y = X0.copy(), Y0.copy()
    opt = make_optimizer().fit(X, y)
    np.testing.assert_array_equal(X, X0)
    X[:], y[:] = 1, -1
    np.testing.assert_array_equal(np.stack(opt.X_), X0)
    x = opt.ask()
    mine = x.copy()
    x[:] = 1 - x
    assert opt.pending_[0].tolist() == mine.tolist()
    opt.X_[0][:] = 9
    np.testing.assert_array_equal(opt.X_[0], X0[0])


# ---------------------------------------------------------------- values, failures, replicates


def test_every_form_of_tell(opt):
    a, b, c, d, e = opt.ask(5)
    opt.tell(a, 3)
    opt.tell(b, np.float32(2.5))
    opt.tell(c, torch.tensor(1.5))
    opt.tell([d, e], np.array([4.0, np.nan]))
    opt.tell((X0[0],), [None])
    assert opt.y_[40:].tolist() == [3.0, 2.5, 1.5, 4.0]
    assert opt.history_.status(opt.model_.key(e)) == "failed"
    assert opt.history_.status(opt.model_.key(X0[0])) == "observed"  # it has a value, which stays
    assert opt.pending_ == []


def test_failed_points_are_kept_out_and_never_asked_again():
    opt = make_optimizer().fit(X0, Y0)
    failed = set()
    for _ in range(15):
        x = opt.ask()
        assert x.tobytes() not in failed
        failed.add(x.tobytes())
        opt.tell(x, None)
    assert len(opt.X_) == 40
    assert len(opt.history_.trainings) == 1


def test_a_failed_point_that_works_later_is_a_success(opt):
    x = opt.ask()
    opt.tell(x, math.nan).tell(x, 8.0)
    assert opt.y_[-1] == 8.0


def test_replicates_are_averaged_and_kept(opt):
    x = opt.ask()
    opt.tell([x, x], [4.0, 6.0]).tell(x, 8.0)
    assert opt.y_[-1] == 6.0
    assert opt.history_.records[-1].values == [4.0, 6.0, 8.0]
    assert len(opt.y_) == 41


def test_equal_points_in_the_starting_data_are_replicates():
    opt = make_optimizer().fit(np.concatenate([X0, X0[:5]]), np.concatenate([Y0, Y0[:5] + 2]))
    assert len(opt.X_) == 40
    np.testing.assert_array_equal(opt.y_[:5], Y0[:5] + 1)


def test_update_replaces_and_keeps_the_old_value(opt):
    opt.tell(X0[3], 100.0)
    assert opt.best_y_ > 50
    opt.update(X0[3], 2.0)
    assert opt.y_[3] == 2.0
    assert opt.history_.records[3].revisions == [[Y0[3], 100.0]]
    opt.update(X0[3], None)
    assert len(opt.y_) == 39
    assert opt.history_.records[3].status == "failed"
    opt.update(X0[3], 1.0)
    assert opt.y_[-1] == 1.0


def test_release_lets_a_point_be_asked_again(opt):
    asked = opt.ask(3)
    for x in asked:
        opt.release(x)
    assert opt.pending_ == []
    assert all(opt.history_.status(opt.model_.key(x)) == "released" for x in asked)


def test_points_without_values_train_the_model_and_may_be_proposed():
    y = Y0.copy()
    y[5:] = np.nan
    opt = make_optimizer().fit(X0, y)
    assert len(opt.X_) == 5
    assert training_weights(opt.y_, 5, 35, 0.9, None).sum() == pytest.approx(40)
    assert training_weights(opt.y_, 5, 35, 0.9, None)[5:].sum() == pytest.approx(
        35
    )  # no more than the average point
    assert training_weights(opt.y_, 5, 35, 0.25, None)[5:].sum() == pytest.approx(0.25 * 40)
    unlabelled = {x.tobytes() for x in X0[5:]}
    assert any(x.tobytes() in unlabelled for x in opt.ask(20))


def test_objects_without_a_value_are_proposed_before_there_are_any():
    opt = make_optimizer().fit(X0)
    asked = {x.tobytes() for x in opt.ask(10)}
    assert 0 < len(asked & {x.tobytes() for x in X0}) < 10


def test_without_any_value_ask_draws_until_enough_are_told():
    opt = make_optimizer().fit(X0)
    assert len({x.tobytes() for x in opt.ask(5)}) == 5
    assert opt.history_.asks[-1].strategy == "PriorSampling"
    for x in opt.pending_:
        opt.tell(x, count(x))
    opt.ask()
    assert opt.history_.asks[-1].strategy != "PriorSampling"


def test_weighting_sees_larger_is_better():
    seen = []

    def weighting(y):
        seen.append(y.copy())
        return np.ones(len(y)) * 3

    opt = make_optimizer(direction="minimize", weighting=weighting).fit(X0, Y0)
    np.testing.assert_array_equal(seen[0], -Y0)
    np.testing.assert_array_equal(opt.weights_, np.ones(40))
    assert opt.best_y_ == Y0.min()


def test_a_low_effective_sample_size_is_warned_of_once_for_each_training():
    opt = make_optimizer(weighting=RankWeighting(k=1e-6))
    with pytest.warns(LowEffectiveSampleSizeWarning, match="40 points"):
        opt.fit(X0, np.arange(40.0))
    run(opt, 4)  # warnings are errors: there is no further one
    assert opt.weights_.max() > 30


def test_callbacks_are_told_what_happens():
    events = []

    class Watch:
        def on_ask(self, opt, X):
            events.append(("ask", len(X)))

        def on_tell(self, opt, X, values):
            events.append(("tell", values))

        def on_retrain(self, opt, log):
            events.append(("retrain", log["n_observed"]))

    opt = make_optimizer(callbacks=[Watch(), object()]).fit(X0, Y0)
    opt.tell(opt.ask(2), [1, None])
    opt.retrain()
    assert events == [("retrain", 40), ("ask", 2), ("tell", [1.0, None]), ("retrain", 41)]


# ---------------------------------------------------------------- atomic and thread-safe


def test_an_interrupted_ask_changes_nothing_and_the_next_one_is_the_same():
    twin = make_optimizer().fit(X0, Y0)
    opt = make_optimizer().fit(X0, Y0)
    for o in (twin, opt):
        run(o, 5)  # training is due now
    before = state_of(opt)
    for target in (VAE, LogExpectedImprovement):
        method = "loss" if target is VAE else "score"
        original = getattr(target, method)
        calls = []

        def interrupted(self, *args, _original=original, _calls=calls, **kwargs):
            _calls.append(1)
            if len(_calls) == 2 or (target is LogExpectedImprovement):  # noqa: B023
                raise KeyboardInterrupt
            return _original(self, *args, **kwargs)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(target, method, interrupted)
            with pytest.raises(KeyboardInterrupt):
                opt.ask()
        assert state_of(opt) == before
    assert opt.ask().tolist() == twin.ask().tolist()


def test_a_fit_that_fails_leaves_the_earlier_state(opt):
    before = state_of(opt)
    with pytest.raises(DataError, match="same length"):
        opt.fit(X0, Y0[:3])
    opt.set_params(trainer__lr=1e30)
    with pytest.raises(NonFiniteLossError, match="last good"):
        opt.fit(X0, Y0)
    opt.set_params(trainer__lr=0.01)
    assert state_of(opt) == before
    opt.ask()


def test_tells_from_other_threads_do_not_wait_for_training():
    training, told = threading.Event(), threading.Event()

    class Slow(VAE):
        def loss(self, inputs):
            if threading.current_thread() is not threading.main_thread():
                training.set()
                told.wait(timeout=10)
            return super().loss(inputs)

    opt = make_optimizer(model=Slow(*networks())).fit(X0, Y0)
    xs = opt.ask(3)
    thread = threading.Thread(target=opt.retrain)
    thread.start()
    assert training.wait(timeout=10)
    opt.tell(xs, [1.0, 2.0, None])
    assert len(opt.X_) == 42
    told.set()
    thread.join(timeout=30)
    assert not thread.is_alive()
    assert len(opt.history_.trainings) == 2
    assert len(opt.X_) == 42


def test_a_point_told_by_another_thread_during_the_search_is_not_proposed(opt):
    original = type(opt.acquisition).propose
    stolen = []

    def propose(self, state, n, rng):
        proposals, record = original(self, state, n, rng)
        if not stolen:
            stolen.append(proposals[0].x)
            opt.tell(proposals[0].x, 1.0)
        return proposals, record

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(opt.acquisition), "propose", propose)
        x = opt.ask()
    assert x.tolist() != stolen[0].tolist()


def test_copies_are_independent_and_go_on_alike(opt):
    twin = copy.deepcopy(opt)
    assert run(opt, 6) == run(twin, 6)
    run(twin, 1)
    assert len(twin.X_) == len(opt.X_) + 1


# ---------------------------------------------------------------- scikit-learn's manner


def test_parameters_follow_scikit_learn():
    weighting, trainer = RankWeighting(k=0.1), Trainer(lr=0.5)
    opt = make_optimizer(weighting=weighting, trainer=trainer)
    assert opt.weighting is weighting
    assert opt.get_params()["weighting__k"] == 0.1
    assert opt.set_params(weighting__k=0.2, trainer__lr=0.1) is opt
    assert (weighting.k, trainer.lr) == (0.2, 0.1)
    twin = clone(opt)
    assert twin.weighting is not weighting
    assert twin.get_params()["weighting__k"] == 0.2
    with pytest.raises(SklearnNotFittedError):
        check_is_fitted(twin)
    twin.fit(X0, Y0)
    check_is_fitted(twin)
    assert twin.fit(X0, Y0) is twin


def test_nothing_is_checked_or_changed_by_the_constructor():
    opt = WeightedRetrainingOptimizer(direction="sideways", retrain_every=-3)
    assert opt.get_params()["direction"] == "sideways"


def test_repr_shows_progress():
    opt = make_optimizer()
    assert "WeightedRetrainingOptimizer(" in repr(opt)
    opt.fit(X0, Y0)
    run(opt, 3)
    opt.tell(opt.ask(), None)
    text = repr(opt)
    for part in (
        "WeightedRetrainingOptimizer (maximize)",
        "40 starting points, 3 told since, 1 failed",
        f"best:     {opt.best_y_:g}",
        "2 new values",
    ):
        assert part in text
    page = opt._repr_html_()
    assert "<svg" in page
    assert "40 starting points" in page
    assert "<script" not in page
    assert set(opt._repr_mimebundle_()) == {"text/plain", "text/html"}
    assert "<pre>" in make_optimizer()._repr_html_()


def test_repr_escapes_what_users_give():
    opt = make_optimizer(direction="<b>")
    assert "<b>" not in opt._repr_html_()


# ---------------------------------------------------------------- bad input: message, and state unchanged


BAD_TELLS = [
    (lambda o: (X0[0], math.inf), DataError, "y must be finite.*got inf"),
    (lambda o: (X0[0], -math.inf), DataError, "y must be finite.*got -inf"),
    (lambda o: (X0[0], "3"), DataTypeError, "y must be a real number.*got '3' of type str"),
    (lambda o: (X0[0], 1 + 2j), DataTypeError, "y must be a real number.*complex"),
    (lambda o: (X0[0], True), DataTypeError, "y must be a real number.*bool"),
    (lambda o: (X0[:2], [1.0, "a"]), DataTypeError, r"y\[1\] must be a real number"),
    (lambda o: (X0[:2], [1.0, math.inf]), DataError, r"y\[1\] must be finite"),
    (lambda o: (X0[:2], [1.0]), DataError, "same length, got 2 x and 1 y"),
    (lambda o: (X0[:2], [[1.0, 2.0], [1.0, 2.0]]), DataTypeError, r"y\[0\] must be a real number"),
    (lambda o: (3, [1.0]), DataTypeError, "x must be a list, tuple or array"),
    (lambda o: (np.ones(5), 1.0), DataError, r"shape \(12,\), got \(5,\)"),
    (lambda o: ("CCO", 1.0), DataTypeError, "array of numbers, got str"),
    (lambda o: (np.full(12, 3), 1.0), DataError, r"must lie in \[0, 1\]"),
    (lambda o: ([1 - X0[0], np.ones(5)], [1.0, 2.0]), DataError, "shape"),
    (lambda o: (object(), 1.0), DataTypeError, "array of numbers"),
]


@pytest.mark.parametrize(("case", "error", "message"), BAD_TELLS)
def test_a_bad_tell_says_why_and_changes_nothing(opt, case, error, message):
    opt.ask()
    before = state_of(opt)
    with pytest.raises(error, match=message):
        opt.tell(*case(opt))
    assert state_of(opt) == before


@pytest.mark.parametrize(("case", "error", "message"), BAD_TELLS)
def test_a_bad_first_tell_leaves_the_optimizer_unfitted_or_empty(case, error, message):
    opt = make_optimizer()
    if "shape" in message:
        opt.tell(X0[0], 1.0)
    before = state_of(opt)
    with pytest.raises(error, match=message):
        opt.tell(*case(opt))
    assert state_of(opt) == before


@pytest.mark.parametrize(
    ("X", "y", "error", "message"),
    [
        ([], [], DataError, "X must hold at least one object"),
        ("CCO", [1.0], DataTypeError, "X must be a list, tuple or array of objects, got str"),
        (5, [1.0], DataTypeError, "X must be a list, tuple or array of objects, got int"),
        (X0, Y0[:-1], DataError, "same length, got 40 X and 39 y"),
        (X0, 3.0, DataTypeError, "y must be a sequence with one value for each x"),
        (X0, [math.inf] * 40, DataError, r"y\[0\] must be finite"),
        (X0, ["1"] * 40, DataTypeError, r"y\[0\] must be a real number.*'1'"),
        (X0, [1j] * 40, DataTypeError, r"y\[0\] must be a real number.*complex"),
        (
            X0.reshape(40, 3, 4),
            Y0,
            ModelError,
            r"encoder must take batches of x, but failed on one of shape \(2, 3, 4\)",
        ),
        (np.full((3, 12), np.nan), [1, 2, 3], DataError, "x must be finite"),
        ([X0[0], X0[1][:3]], [1, 2], DataError, r"shape \(12,\), got \(3,\) in row 1"),
    ],
)
def test_bad_starting_data(X, y, error, message):
    opt = make_optimizer()
    with pytest.raises(error, match=message):
        opt.fit(X, y)
    assert not opt.__sklearn_is_fitted__()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"retrain_every": 0}, ParameterError, "retrain_every must be an integer of at least 1, or None"),
        ({"retrain_every": 2.5}, ParameterTypeError, "retrain_every must be an integer"),
        ({"refit_every": 0}, ParameterError, "refit_every must be an integer of at least 1"),
        ({"refit_every": "often"}, ParameterError, "refit_every must be an integer of at least 1, 'auto'"),
        ({"unlabelled_share": 2.0}, ParameterError, "unlabelled_share must be a finite number >= 0 and <= 1"),
        ({"direction": "up"}, ParameterError, "direction must be one of 'maximize', 'minimize', got 'up'"),
        ({"likelihood": "poisson"}, ParameterError, "likelihood must be one of"),
        ({"codec": 3}, ParameterTypeError, "codec must have a method transform, got 3"),
        ({"feasible": 3}, ParameterTypeError, "feasible must be callable, the name of rules .*, got 3"),
        ({"weighting": "rank"}, ParameterTypeError, "weighting must be callable or None, got 'rank'"),
        ({"weighting": RankWeighting(k=0)}, ParameterError, "k must be"),
        ({"weighting": RankWeighting(k=math.nan)}, ParameterError, "k must be"),
        ({"weighting": lambda y: y[:-1]}, DataError, "40"),
        ({"weighting": lambda y: y * np.nan}, DataError, "finite"),
        ({"weighting": lambda y: -np.ones(len(y))}, DataError, "negative|>= 0"),
        ({"surrogate": "gp"}, ParameterError, "surrogate must be 'auto', None or an object"),
        ({"surrogate": 3}, ParameterTypeError, "surrogate must have a method condition_on"),
        ({"acquisition": 3}, ParameterTypeError, "acquisition must have a method propose"),
        ({"trainer": object()}, ParameterTypeError, "trainer must be a Trainer"),
        ({"device": "moon"}, ParameterError, "device must be 'auto' or a torch device, got 'moon'"),
        ({"encoder": None}, ParameterError, "give either encoder and decoder, or model; got decoder"),
        ({"encoder": None, "decoder": None}, ParameterError, "got none"),
        ({"model": VAE(*networks()), "encoder": nn.Linear(1, 1)}, ParameterError, "got encoder and model"),
        ({"model": object()}, ModelError, "must be a LatentModel; object lacks tensorize"),
        ({"model": object()}, ModelError, "lacks .*, latent_dim$"),
        ({"decoder": nn.Linear(7, 12)}, ModelError, "latent points of the encoder's dimension 3"),
        ({"random_state": "a"}, ParameterTypeError, "random_state must be None, an integer in .*got .a."),
    ],
)
def test_parameters_that_cannot_be(options, error, message):
    opt = make_optimizer(**options)
    with pytest.raises(error, match=message):
        opt.fit(X0, Y0)
    assert not opt.__sklearn_is_fitted__()


def test_ask_before_any_data():
    for call in ("ask", "retrain"):
        with pytest.raises(NotFittedError, match=r"call fit\(X, y\) with starting data, or tell\(x, y\)"):
            getattr(make_optimizer(), call)()
    with pytest.raises(SklearnNotFittedError, match="no best point yet"):
        _ = make_optimizer().fit(X0).best_x_
    assert not hasattr(make_optimizer(), "model_")


@pytest.mark.parametrize("n", [0, -1, 2.0, "3", True])
def test_ask_for_an_impossible_number(opt, n):
    before = state_of(opt)
    with pytest.raises((ParameterError, ParameterTypeError), match="n must be an integer of at least 1"):
        opt.ask(n)
    assert state_of(opt) == before


def test_update_and_release_of_unknown_points(opt):
    pending = opt.ask()
    with pytest.raises(UnknownPointError, match="observed or failed, but it is pending"):
        opt.update(pending, 1.0)
    with pytest.raises(UnknownPointError, match="pending, but it is observed"):
        opt.release(X0[0])
    with pytest.raises(UnknownPointError, match="pending, but it is unknown"):
        opt.release(np.ones(12))
    with pytest.raises(DataError, match="finite"):
        opt.update(X0[0], math.inf)
    assert opt.y_[0] == Y0[0]


@pytest.mark.parametrize("n", [1, 2, 3])
def test_very_little_data_works(n):
    opt = make_optimizer().fit(X0[:n], Y0[:n])
    assert len(run(opt, 6)) == 6


def test_constant_values_work():
    opt = make_optimizer().fit(X0, np.full(40, 2.0))
    np.testing.assert_array_equal(opt.weights_, np.ones(40))
    run(opt, 2)


def test_all_points_equal():
    opt = make_optimizer().fit([X0[0]] * 5, [1, 2, 3, 4, 5])
    assert len(opt.X_) == 1
    assert opt.y_.tolist() == [3.0]
    run(opt, 2)


def test_a_model_may_hand_its_latent_dim_on():
    class Wrapper(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        tensorize = lambda self, X: self.inner.tensorize(X)  # noqa: E731
        encode = lambda self, inputs: self.inner.encode(inputs)  # noqa: E731
        decode = lambda self, *arguments: self.inner.decode(*arguments)  # noqa: E731
        loss = lambda self, inputs: self.inner.loss(inputs)  # noqa: E731
        key = lambda self, x: self.inner.key(x)  # noqa: E731

        def __getattr__(self, name):
            return self.inner.latent_dim if name == "latent_dim" else super().__getattr__(name)

    model = Wrapper(VAE(*networks()))
    assert isinstance(build_model(WeightedRetrainingOptimizer(model=model)), Wrapper)


def test_a_model_that_decodes_only_known_points_gives_up_with_a_message():
    class Parrot(VAE):
        def decode(self, Z, temperature=0.0, generator=None):
            return [X0[0].copy() for _ in Z]

        def mutate(self, X, generator=None):
            return [X0[0].copy() for _ in X]

        def cross(self, X, Y, generator=None):
            return [X0[0].copy() for _ in X]

    opt = make_optimizer(model=Parrot(*networks())).fit(X0, Y0)
    before = state_of(opt)
    with pytest.raises(NoCandidateError, match="known"):
        opt.ask()
    assert state_of(opt) == before
    with pytest.raises(NoCandidateError, match="known"):
        make_optimizer(model=Parrot(*networks()), acquisition=PriorSampling()).fit(X0, Y0).ask()


def test_features_of_x_can_be_modelled_instead_of_z():
    surrogate = FeatureGP(np.stack, SparseGP(max_iter=5))
    opt = make_optimizer(surrogate=surrogate).fit(X0, Y0)
    run(opt, 15)
    assert opt.best_y_ > Y0.max()


def test_another_surrogate_or_acquisition_takes_effect_at_the_next_ask(opt, tmp_path):
    opt.ask()
    opt.set_params(
        surrogate=SparseGP(kernel="matern52", max_iter=5, warm_iter=2),
        acquisition=UpperConfidenceBound(search=CandidatePool(50)),
    )
    opt.save(tmp_path / "campaign")
    loaded = WeightedRetrainingOptimizer.load(tmp_path / "campaign", encoder=opt.encoder, decoder=opt.decoder)
    np.testing.assert_array_equal(opt.ask(), loaded.ask())
    for one in (opt, loaded):
        assert one._session.learned.fitted.surrogate.kernel == "matern52"
    process = opt._session.learned.fitted.surrogate
    opt.ask()
    assert opt._session.learned.fitted.surrogate is process  # and it stays until a fit is due


@pytest.mark.parametrize("name", ["n_best", "n_random"])
def test_sizes_of_the_surrogates_data_are_checked(name, opt):
    opt.set_params(surrogate=SparseGP(**{name: "2000"}))
    with pytest.raises(ParameterTypeError, match=f"{name} must be an integer of at least 0, got '2000'"):
        opt.ask()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"likelihood": "gaussian"}, "likelihood must be 'bernoulli', the default, where model is given"),
        ({"beta": 2.0}, "beta must be 1.0, the default, where model is given"),
        ({"codec": object()}, "codec must be None, the default, where model is given"),
    ],
)
def test_what_belongs_to_the_networks_is_refused_beside_a_model(options, message):
    opt = make_optimizer(model=VAE(*networks()), **options)
    with pytest.raises(ParameterError, match=message):
        opt.fit(X0, Y0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"surrogate": SparseGP(), "acquisition": PriorSampling()},
            "surrogate must be None with PriorSampling, which uses none",
        ),
        ({"trainer": Trainer(retrain="scratch", retrain_lr=0.1)}, "retrain_lr must be None, the default"),
        ({"trainer": Trainer(retrain="scratch", retrain_steps=3)}, "retrain_steps must be None, the default"),
        (
            {"trainer": Trainer(retrain="scratch", retrain_epochs=3)},
            "retrain_epochs must be 'auto', the default",
        ),
    ],
)
def test_an_argument_that_another_leaves_without_effect_is_refused(options, message):
    with pytest.raises(ParameterError, match=message):
        make_optimizer(**options).fit(X0, Y0)
