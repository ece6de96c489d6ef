"""Replicates and corrections: taken in at fixed hyperparameters, and counted like new values."""

import numpy as np
import pytest
import torch
from conftest import make_optimizer, words
from hypothesis import given, settings
from hypothesis import strategies as st

from wrlso import FeatureGP, SparseGP, TanimotoGP
from wrlso.surrogate import TakesCorrections

RNG = np.random.default_rng


def data(seed, n=24):
    Z = torch.from_numpy(RNG(seed).normal(size=(n, 2)))
    return Z, torch.sin(2 * Z[:, 0]) + Z[:, 1]


def counts(X):
    return np.array([[1 + int(4 * abs(value)) for value in x] for x in X])


SURROGATES = [
    (lambda: SparseGP(max_iter=10, transform="winsorize"), lambda Z: Z),
    (lambda: FeatureGP(np.array, SparseGP(max_iter=10)), lambda Z: [tuple(z) for z in Z.tolist()]),
    (lambda: TanimotoGP(counts, linear=0.2), lambda Z: [tuple(z) for z in Z.tolist()]),
]


@pytest.mark.parametrize(("make", "points"), SURROGATES)
@settings(max_examples=20)
@given(seed=st.integers(0, 1000), n_fit=st.integers(5, 23), changed=st.integers(0, 23))
def test_a_corrected_process_is_the_one_that_saw_the_right_values_at_once(make, points, seed, n_fit, changed):
    Z, y = data(seed)
    right = y.clone()
    right[changed] += 5.0
    gp = make().fit(points(Z[:n_fit]), y[:n_fit], RNG(0))
    assert isinstance(gp, TakesCorrections)
    same = gp.condition_on(points(Z[n_fit:]), y[n_fit:])
    before = [value.clone() for value in same.predict(points(Z))]
    for found, expected in zip(same.corrected(points(Z), y).predict(points(Z)), before, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    corrected = same.corrected(points(Z), right)
    in_turn = gp.corrected(points(Z[:n_fit]), right[:n_fit]).condition_on(points(Z[n_fit:]), right[n_fit:])
    torch.testing.assert_close(
        corrected.predict(points(Z))[0], in_turn.predict(points(Z))[0], rtol=1e-2, atol=1e-2
    )
    mean, variance = corrected.predict(points(Z))
    torch.testing.assert_close(variance, before[1], rtol=1e-4, atol=1e-5)  # where, not what, says how sure
    assert not torch.allclose(mean, before[0], atol=1e-6)
    for found, expected in zip(same.predict(points(Z)), before, strict=True):
        assert torch.equal(found, expected)


class Counting(SparseGP):
    fits = 0

    def fit(self, *args):
        type(self).fits += 1
        return super().fit(*args)


@pytest.mark.parametrize("n_best", [2000, 10])
@pytest.mark.parametrize("change", ["tell", "update"])
def test_a_replicate_or_a_correction_is_no_reason_to_fit_again(change, n_best):
    Counting.fits = 0
    X = words()
    gp = Counting(max_iter=5, n_best=n_best, n_random=10)
    opt = make_optimizer(surrogate=gp, retrain_every=None, refit_every=4).fit(X, X.sum(axis=1))
    opt.tell(opt.ask(), 3.0)
    opt.ask()
    fits, best = Counting.fits, opt.best_x_
    getattr(opt, change)(best, 20.0)
    opt.ask()
    assert Counting.fits == fits
    assert opt._session.learned.fitted.y.max() == opt.best_y_
    for i in range(3):  # with the value told above, four new ones
        getattr(opt, change)(best, 21.0 + i)
    opt.ask()
    assert Counting.fits == fits + 1


def test_a_row_outside_the_subset_that_becomes_the_best_joins():
    X = words()
    gp = Counting(max_iter=5, n_best=5, n_random=5)
    opt = make_optimizer(surrogate=gp, retrain_every=None, refit_every=None).fit(X, X.sum(axis=1))
    opt.tell(opt.ask(), 3.0)
    opt.ask()
    rows = opt._session.learned.fitted.rows
    outside = next(i for i in range(len(X)) if i not in rows)
    Counting.fits = 0
    opt.update(X[outside], 50.0).ask()
    assert Counting.fits == 0
    assert outside in opt._session.learned.fitted.rows
    opt.update(X[rows[0]], None).ask()  # a value that is gone cannot be taken back: fitted anew
    assert Counting.fits == 1
    assert rows[0] not in opt._session.learned.fitted.rows


def test_a_campaign_that_was_corrected_goes_on_as_if_it_had_not_been_closed(tmp_path):
    X = words()
    opt = make_optimizer(retrain_every=None, refit_every=4).fit(X, X.sum(axis=1)).autosave(tmp_path / "camp")
    opt.tell(opt.ask(), 3.0)
    opt.update(X[0], 9.0)
    opt.tell(opt.ask(), 4.0)
    opt.tell(X[1], 1.0)
    loaded = type(opt).load(tmp_path / "camp", encoder=opt.encoder, decoder=opt.decoder, autosave=False)
    for _ in range(4):
        a, b = opt.ask(), loaded.ask()
        assert np.array_equal(a, b)
        opt.tell(a, float(a.sum()))
        loaded.tell(b, float(b.sum()))
