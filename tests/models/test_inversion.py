"""Where points lie for the surrogate: encoded, asked or inverted; inversion by the decoder's likelihood."""

import numpy as np
import pytest
import torch
from conftest import N_LETTERS, make_optimizer, networks, words
from grid_model import GridModel
from hypothesis import given, settings
from hypothesis import strategies as st

from wrlso import VAE, CandidatePool, LatentSearch, LogExpectedImprovement, Trainer
from wrlso.exceptions import ParameterError
from wrlso.models import HasLogLikelihood
from wrlso.models.inversion import invert
from wrlso.optimizer import WeightedRetrainingOptimizer


def rng(seed=0):
    return np.random.default_rng(seed)


class Bowl(GridModel):
    """log p(x | z) has its maximum at x, or is not a number where x is 9."""

    def log_likelihood(self, inputs, Z):
        assert not self.training
        distance = ((Z - inputs.to(Z)) ** 2).sum(dim=1)
        return torch.where(inputs[:, 0] == 9, torch.nan, -distance)


# ------------------------------------------------------------------ the inversion


@settings(max_examples=8, deadline=None)
@given(st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_inverted_points_are_at_least_as_likely_near_by_and_the_same_in_any_batch(n, seed):
    torch.manual_seed(seed % 100)
    model = VAE(torch.nn.Linear(N_LETTERS, 6), torch.nn.Linear(3, N_LETTERS))
    inputs = model.tensorize(rng(seed).integers(0, 2, size=(n, N_LETTERS)).astype(np.uint8))
    model.eval()
    Z = model.encode(inputs)
    state = torch.get_rng_state()
    inverted = invert(model, inputs, Z)
    assert torch.equal(state, torch.get_rng_state())
    assert inverted.dtype == Z.dtype
    assert not inverted.requires_grad
    assert all(parameter.grad is None for parameter in model.parameters())
    gain = model.log_likelihood(inputs, inverted) - model.log_likelihood(inputs, Z)
    assert (gain >= -1e-4).all()
    assert (gain > 0).any()
    assert (inverted - Z).abs().max() < 0.8
    alone = torch.cat([invert(model, inputs[i : i + 1], Z[i : i + 1]) for i in range(n)])
    torch.testing.assert_close(inverted, alone, rtol=1e-3, atol=1e-4)


def test_the_likelihood_leads_and_what_is_not_finite_stays():
    X = torch.tensor([[1, 0], [0, -1], [9, 0], [0, 0]])
    Z = torch.tensor([[0.8, 0.1], [0.0, -1.0], [0.5, 0.5], [0.3, 0.0]], dtype=torch.float64)
    found = invert(Bowl().eval(), X, Z)
    assert found.dtype == torch.float64
    assert (found[[0, 3]] - X[[0, 3]]).norm(dim=1).max() < 0.1
    assert torch.equal(found[1:3], Z[1:3])  # nothing better; nothing known


def test_a_model_without_a_likelihood_keeps_its_encodings():
    model = GridModel()
    assert not isinstance(model, HasLogLikelihood)
    Z = torch.ones(3, 2)
    assert invert(model, torch.ones(3, 2), Z) is Z


def test_molecules_decode_to_themselves_more_often():
    pytest.importorskip("rdkit")
    from wrlso.models.selfies import SelfiesVAE

    model = SelfiesVAE.pretrained().eval()
    rows = model.sample_prior(24, torch.Generator().manual_seed(0))
    X = [x for x in model.decode(rows, 1.0, torch.Generator().manual_seed(0)) if x is not None]
    inputs = model.tensorize(X)
    Z = model.encode(inputs)

    def same(Z):
        return sum(model.key(a) == model.key(b) for a, b in zip(model.decode(Z), X, strict=True) if a)

    assert same(invert(model, inputs, Z)) >= same(Z)


# ------------------------------------------------------------------ in an optimizer


def latent(n_raw=32):
    return LogExpectedImprovement(LatentSearch(4, n_raw, max_iter=3))


def steps(opt, n):
    for _ in range(n):
        x = opt.ask()
        opt.tell(x, float(np.sum(x)))
    return opt


def places(opt, rows):
    return opt._session.learned.encode(opt.history_, np.array(rows)).numpy()


def encoded(opt, rows):
    return opt.model_.encode(opt.history_.inputs[torch.tensor(rows)]).double().numpy()


def test_asked_points_lie_where_they_were_asked_until_the_model_changes(tmp_path):
    X = words()
    opt = make_optimizer(acquisition=latent(), fit_on="asked", retrain_every=4).fit(X, X.sum(axis=1))
    steps(opt, 3)
    rows = [40, 41, 42]
    asked = np.stack([opt.history_.records[row].z for row in rows])
    np.testing.assert_array_equal(places(opt, rows), asked)
    assert np.abs(encoded(opt, rows) - asked).max() > 1e-3
    np.testing.assert_allclose(places(opt, range(40)), encoded(opt, range(40)), atol=1e-6)
    opt.save(tmp_path / "campaign")
    networks_ = dict(zip(("encoder", "decoder"), networks(), strict=True))
    loaded = WeightedRetrainingOptimizer.load(tmp_path / "campaign", **networks_, autosave=False)
    np.testing.assert_array_equal(places(loaded, rows), asked)
    steps(opt, 2)  # the second ask retrains
    steps(loaded, 2)
    np.testing.assert_array_equal(loaded.X_[-1], opt.X_[-1])
    np.testing.assert_allclose(places(opt, rows), encoded(opt, rows), atol=1e-6)
    np.testing.assert_array_equal(places(opt, [44]), opt.history_.records[44].z[None])


def test_points_that_the_user_brings_are_encoded():
    X = words()
    opt = make_optimizer(acquisition=latent(), fit_on="asked").fit(X, X.sum(axis=1))
    new = words(60, seed=1)
    new = next(x for x in new if not (x == X).all(axis=1).any())
    opt.tell(new, 3.0).ask()
    np.testing.assert_allclose(places(opt, [40]), encoded(opt, [40]), atol=1e-6)


def test_a_pool_asks_at_encodings():
    X = words()
    pool = LogExpectedImprovement(CandidatePool(100, generations=1))
    runs = [
        steps(make_optimizer(acquisition=pool, fit_on=fit_on).fit(X, X.sum(axis=1)), 3).X_
        for fit_on in ("encoding", "asked")
    ]
    np.testing.assert_array_equal(*runs)


def test_inverted_points_are_the_surrogates_data():
    X = words()
    opt = make_optimizer(acquisition=latent(), fit_on="inverted").fit(X, X.sum(axis=1))
    steps(opt, 2)
    inputs = opt.history_.inputs[torch.arange(42)]
    expected = invert(opt.model_, inputs, opt.model_.encode(inputs))
    np.testing.assert_allclose(places(opt, range(42)), expected, atol=1e-3)
    assert np.abs(places(opt, range(42)) - encoded(opt, range(42))).max() > 1e-2


def test_an_interrupted_ask_places_nothing(monkeypatch):
    X = words()
    opt = make_optimizer(acquisition=latent(), fit_on="asked").fit(X, X.sum(axis=1))
    steps(opt, 1)
    before = opt._session.learned.Z

    def stop(*arguments, **options):
        raise KeyboardInterrupt("stop")

    monkeypatch.setattr("wrlso._state.changes.Changes.note", stop)
    with pytest.raises(KeyboardInterrupt, match="stop"):
        opt.ask()
    assert opt._session.learned.Z is before


def test_unknown_places_are_refused():
    X = words()
    with pytest.raises(ParameterError, match="fit_on must be one of 'encoding', 'asked', 'inverted'"):
        make_optimizer(fit_on="prior", trainer=Trainer(initial_epochs=0)).fit(X, X.sum(axis=1))
