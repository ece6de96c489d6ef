"""The default surrogate: which process predicts, and that a search with it can stop at any moment."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, spearmanr
from sklearn.base import clone
from torch import nn

from wrlso import (
    AutoSurrogate,
    CandidatePool,
    LatentSearch,
    LogExpectedImprovement,
    SparseGP,
    Trainer,
    WeightedRetrainingOptimizer,
)
from wrlso.exceptions import DataError, DataTypeError, ModelError, ParameterError
from wrlso.models import VAE, GrammarVAE, HasFeatures
from wrlso.surrogate import Observations, Points
from wrlso.surrogate.auto import _left_out, _log_density
from wrlso.surrogate.points import features_of
from wrlso.surrogate.transforms import Robust
from wrlso.testing import check_surrogate

SEEDS = st.integers(0, 10_000)


def some_points(seed, n=60, d=2, D=3):
    rng = np.random.default_rng(seed)
    Z, F = (torch.from_numpy(rng.normal(size=(n, size))) for size in (d, D))
    return Points(Z, F), torch.sin(Z[:, 0]) + Z[:, 1], F[:, 0] + torch.sin(F[:, 1]), rng


def test_it_keeps_the_contract_of_surrogates():
    check_surrogate(AutoSurrogate())


@settings(max_examples=5, deadline=None)
@given(seed=SEEDS)
def test_it_takes_the_process_that_sees_what_decides(seed):
    points, of_Z, of_x, rng = some_points(seed)
    assert AutoSurrogate().fit(points, of_Z, rng).chosen_ == "latent"
    assert AutoSurrogate().fit(points, of_x, rng).chosen_.startswith("features")


def test_told_values_change_the_choice_and_older_ones_are_forgotten():
    points, of_Z, of_x, rng = some_points(0, n=120)
    surrogate = AutoSurrogate(half_life=5.0).fit(points[:40], of_Z[:40], rng)
    assert surrogate.chosen_ == "latent"
    y = of_x - of_x.mean()
    for start in range(40, 100, 20):
        rows = slice(start, start + 20)
        surrogate = surrogate.scored(points[rows], y[rows]).condition_on(points[rows], y[rows])
    again = surrogate.fit(points, y, rng)
    for start in range(0, 40, 20):
        again = again.scored(points[start : start + 20], y[start : start + 20])
    assert again.chosen_.startswith("features")


@settings(max_examples=5, deadline=None)
@given(seed=SEEDS)
def test_values_told_at_once_count_as_one_by_one(seed):
    points, of_Z, _, rng = some_points(seed)
    start = AutoSurrogate(half_life=1e12).fit(points[:40], of_Z[:40], rng)
    at_once = start.scored(points[40:50], of_Z[40:50])
    each = start
    for i in range(40, 50):
        each = each.scored(points[i : i + 1], of_Z[i : i + 1]).condition_on(
            points[i : i + 1], of_Z[i : i + 1]
        )
    for name, score in at_once.scores_.items():
        assert each.scores_[name] == pytest.approx(score, rel=1e-4, abs=0.05)
    assert each.told_.tolist() == at_once.told_.tolist() == of_Z[40:50].tolist()


def test_scores_halve_after_the_half_life():
    points, of_Z, _, rng = some_points(1)
    start = AutoSurrogate(half_life=4.0).fit(points[:40], of_Z[:40], rng)
    new, y = points[40:44], of_Z[40:44]
    for name, process in start.processes_.items():
        part = new.Z if name == "latent" else new.features
        expected = 0.5 * start.scores_[name] + _log_density(process, part, Observations.exact(y.numpy()))
        assert start.scored(new, y).scores_[name] == pytest.approx(expected)


def test_one_absurd_value_does_not_decide():
    points, of_Z, _, rng = some_points(2)
    start = AutoSurrogate().fit(points[:40], of_Z[:40], rng)
    scored = start.scored(points[40:41], torch.tensor([1e9], dtype=torch.float64))
    for name, score in scored.scores_.items():
        assert abs(score - start.scores_[name]) < 40.0


@settings(max_examples=5, deadline=None)
@given(seed=SEEDS)
def test_closed_form_of_leaving_one_out(seed):
    points, y, _, rng = some_points(seed, n=12)
    process = SparseGP(50, 50, 0, n_trained=0).fit(points.Z, y, rng)
    scale, expected = process.transform_.scale, []
    for i in range(len(y)):
        rest = [j for j in range(len(y)) if j != i]
        mean, variance = process.corrected(points.Z[rest], y[rest]).predict(points.Z[i : i + 1])
        deviation = float((variance + process.noise_variance()).sqrt())
        error = np.clip((float(y[i]) - float(mean)) / deviation, -5, 5)
        expected.append(norm.logpdf(error) - np.log(deviation / scale))
    assert _left_out(process, points.Z, Observations.exact(y.numpy())) == pytest.approx(
        np.mean(expected), abs=1e-3
    )


def test_scoring_changes_no_prediction_and_not_the_surrogate_itself():
    points, of_Z, _, rng = some_points(3)
    surrogate = AutoSurrogate().fit(points[:40], of_Z[:40], rng)
    before = dict(surrogate.scores_)
    scored = surrogate.scored(points[40:], of_Z[40:])
    assert surrogate.scores_ == before
    assert len(surrogate.told_) == 0
    for name, process in scored.processes_.items():
        assert process is surrogate.processes_[name]


def test_features_that_are_constant_or_missing_leave_the_process_in_Z():
    points, of_Z, _, rng = some_points(4)
    same = Points(points.Z, torch.ones(len(points), 4, dtype=torch.float64))
    assert AutoSurrogate().fit(same, of_Z, rng).chosen_ == "latent"
    alone = AutoSurrogate().fit(Points(points.Z), of_Z, rng)
    assert list(alone.processes_) == ["latent"]
    assert torch.equal(alone.predict(points)[0], alone.latent_.predict(points.Z)[0])


def test_the_process_in_Z_answers_where_points_come_as_Z():
    points, _, of_x, rng = some_points(4)
    surrogate = AutoSurrogate().fit(points[:40], of_x[:40], rng)
    Z, y = points.Z[40:], of_x[40:]
    assert torch.equal(surrogate.predict(Z)[0], surrogate.latent_.predict(Z)[0])
    mean, _ = surrogate.condition_on(Z, y).predict(Z)
    assert torch.equal(mean, surrogate.latent_.condition_on(Z, y).predict(Z)[0])
    assert not torch.equal(mean, surrogate.condition_on(points[40:], y).predict(points[40:])[0])


def test_a_second_fit_keeps_the_scores_and_a_clone_does_not():
    points, of_Z, _, rng = some_points(5)
    surrogate = AutoSurrogate().fit(points[:40], of_Z[:40], rng).scored(points[40:], of_Z[40:])
    before = dict(surrogate.scores_)
    moved = Points(points.Z @ torch.tensor([[0.0, 2.0], [-2.0, 0.0]], dtype=torch.float64), points.features)
    assert surrogate.fit(moved, of_Z, rng).scores_ == before
    assert not hasattr(clone(surrogate), "scores_")


def test_errors_name_what_is_wrong():
    points, y, _, rng = some_points(6, n=10)
    with pytest.raises(DataTypeError, match=r"points: expected wrlso\.surrogate\.Points"):
        AutoSurrogate().fit(["x"] * 10, y, rng)
    with pytest.raises(ParameterError, match="half_life"):
        AutoSurrogate(half_life=0.0).fit(points, y, rng)
    with pytest.raises(ParameterError, match=r"n_best \+ n_random"):
        AutoSurrogate(0, 0).fit(points, y, rng)
    choice = AutoSurrogate().fit(points, points.features[:, 0], rng).working_scale(y)[0]
    with pytest.raises(DataError, match="expected features as in fit"):
        choice.predict(Points(points.Z))
    with pytest.raises(DataError, match="one row for each"):
        Points(points.Z, points.features[:3])


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, share=st.floats(0, 0.09), depth=st.floats(1, 1e6))
def test_few_outliers_below_change_the_robust_scale_little_and_no_order_above(seed, share, depth):
    rng = np.random.default_rng(seed)
    y = rng.normal(size=200)
    spoilt = y.copy()
    bad = rng.permutation(200)[: int(share * 200)]
    spoilt[bad] = -depth * 10
    clean, robust = Robust.fit(y), Robust.fit(spoilt)
    assert robust.scale < 2.5 * clean.scale
    above = np.sort(spoilt)[20:]
    assert (np.diff(robust.forward(above)) > 0).all()


def test_predictions_survive_two_per_cent_of_outliers():
    rng = np.random.default_rng(100)
    X = rng.integers(0, 2, (300, 20)).astype(float)
    y = X @ rng.random(20)
    spoilt = y[:200].copy()
    spoilt[rng.permutation(200)[:4]] = -100.0
    points = Points(torch.from_numpy(X[:, :2]), torch.from_numpy(X))
    surrogate = AutoSurrogate().fit(points[:200], torch.from_numpy(spoilt), rng)
    mean, _ = surrogate.predict(points[200:])
    assert spearmanr(mean, y[200:])[0] > 0.9


# ------------------------------------------------------------------ features of models


def one_hot_vae():
    networks = (
        nn.Sequential(nn.Flatten(), nn.Linear(12, 4)),
        nn.Sequential(nn.Linear(2, 12), nn.Unflatten(1, (4, 3))),
    )
    return VAE(*networks, "categorical")


def test_features_of_a_vae_say_what_x_is():
    bits = np.tril(np.ones((6, 6)))
    assert np.array_equal(VAE(nn.Linear(6, 4), nn.Linear(2, 6)).features(bits), bits)
    classes = np.array([[0, 1, 2, 0], [2, 2, 1, 0]])
    hot = (classes[..., None] == np.arange(3)).astype(float)
    vae = one_hot_vae()
    assert np.array_equal(vae.features(hot), hot.reshape(2, 12))
    rng = np.random.default_rng(0)
    real = rng.normal(size=(50, 3)) * [1e-3, 1.0, 1e4] + 5
    found = VAE(nn.Linear(3, 4), nn.Linear(2, 3), "gaussian").features(real)
    np.testing.assert_allclose(found.mean(0), 0, atol=1e-9)
    np.testing.assert_allclose(found.std(0), 1)


def test_features_of_strings_are_alike_where_derivations_are():
    model = GrammarVAE("S -> S '+' T | T \n T -> 'x' | '1'")
    assert isinstance(model, HasFeatures)
    a, b, c = model.features(["x + 1", "1 + x", "x"])
    assert 0 < np.linalg.norm(a - b) < np.linalg.norm(a - c)


@pytest.mark.parametrize("bad", [np.ones(3), np.full((3, 2), np.nan), np.ones((2, 2)), np.array([["a"]] * 3)])
def test_a_model_whose_features_are_no_numbers_is_refused(bad):
    class Odd:
        def features(self, X):
            return bad

    with pytest.raises(ModelError, match=r"Odd\.features must return"):
        features_of(Odd(), [1, 2, 3])


def test_a_model_cannot_change_the_records_through_its_features():
    class Rude:
        def features(self, X):
            for x in X:
                x[:] = 7
            return np.zeros((len(X), 1))

    x = np.zeros(2)
    features_of(Rude(), [x])
    assert (x == 0).all()


# ------------------------------------------------------------------ in a search


def objective(x):
    return float(np.sum(x) - 2 * np.sum(np.abs(np.diff(x.astype(int)))))


def optimizer(surrogate=None, **arguments):
    torch.manual_seed(0)
    networks = nn.Linear(12, 6), nn.Linear(3, 12)
    search = arguments.pop("search", None) or CandidatePool(60, generations=2)
    options = {
        "acquisition": LogExpectedImprovement(search),
        "trainer": Trainer(initial_epochs=1),
        "retrain_every": 6,
    }
    return WeightedRetrainingOptimizer(*networks, surrogate=surrogate, random_state=0, **options | arguments)


def start(n=30):
    X = (np.random.default_rng(0).random((n, 12)) < 0.4).astype(np.uint8)
    return X, [objective(x) for x in X]


def go_on(opt, n):
    asked = []
    for _ in range(n):
        asked.append(opt.ask())
        opt.tell(asked[-1], objective(asked[-1]))
    return asked


def test_none_and_auto_are_the_same_and_recorded():
    runs = [go_on(opt := optimizer(name).fit(*start()), 3) for name in (None, "auto")]
    assert np.array_equal(*runs)
    for event in opt.history_.events:
        if event.kind == "search":
            found = event.data.surrogate
            assert found["chosen"] in found["scores"]
            assert max(found["scores"].values()) == 0.0 == found["scores"][found["chosen"]]
    assert "predicts: " in repr(opt)
    with pytest.raises(ParameterError, match="surrogate must be 'auto', None or an object"):
        optimizer("automatic").fit(*start())


@pytest.mark.parametrize("n_before", [1, 4, 6])
def test_it_goes_on_bit_for_bit_after_load(tmp_path, n_before):
    opt = optimizer().fit(*start())
    go_on(opt, n_before)
    opt.save(tmp_path / "campaign")
    networks = {"encoder": nn.Linear(12, 6), "decoder": nn.Linear(3, 12)}
    again = WeightedRetrainingOptimizer.load(tmp_path / "campaign", **networks)
    assert np.array_equal(go_on(opt, 4), go_on(again, 4))
    mine, theirs = (o._session.learned.fitted.surrogate for o in (opt, again))
    assert mine.scores_ == theirs.scores_
    assert all(np.array_equal(mine.predicted_[name], theirs.predicted_[name]) for name in mine.predicted_)


def test_every_told_value_is_predicted_first_also_where_each_batch_trains_the_model():
    opt = optimizer(retrain_every=5).fit(*start())
    told = []
    for _ in range(3):
        xs = opt.ask(5)
        opt.tell(xs, [objective(x) for x in xs])
        told += [objective(x) for x in xs]
    opt.ask()
    assert len(opt.history_.trainings) == 4
    assert opt._session.learned.fitted.surrogate.told_.tolist() == told


def test_replicates_and_corrections_reach_all_processes():
    opt = optimizer(retrain_every=None).fit(*start())
    xs = go_on(opt, 2)
    opt.tell(xs[0], objective(xs[0]) + 4.0)
    opt.update(xs[1], -30.0)
    opt.ask()
    surrogate = opt._session.learned.fitted.surrogate
    points = Points(opt.model_.encode(opt.model_.tensorize(xs)).double(), features_of(opt.model_, xs))
    for name, process in surrogate.processes_.items():
        mean, _ = process.predict(points.Z if name == "latent" else points.features)
        assert mean[0] > mean[1] + 3.0


def test_a_search_by_gradients_follows_the_process_in_Z():
    opt = optimizer(search=LatentSearch(n_starts=2, n_raw=20, max_iter=3)).fit(*start())
    assert len(go_on(opt, 3)) == 3


def test_a_model_without_features_is_searched_by_Z_alone():
    class Plain(VAE):
        features = None

    torch.manual_seed(0)
    model = Plain(nn.Linear(12, 6), nn.Linear(3, 12))
    search = LogExpectedImprovement(CandidatePool(60, generations=2))
    opt = WeightedRetrainingOptimizer(
        model=model, acquisition=search, trainer=Trainer(initial_epochs=1), random_state=0
    )
    opt.fit(*start()).ask()
    assert list(opt._session.learned.fitted.surrogate.processes_) == ["latent"]
