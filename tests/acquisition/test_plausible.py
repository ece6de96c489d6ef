"""Candidates that are as plausible to the model as the data."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from wrlso import VAE, CandidatePool, LogExpectedImprovement, ParameterError
from wrlso._state.codec import dump, load
from wrlso.acquisition.plausible import Plausible
from wrlso.exceptions import ParameterTypeError
from wrlso.models import HasLikelihood, JunctionTreeVAE, SelfiesVAE
from wrlso.models.protocol import has_likelihood
from wrlso.molecules import molecule_search, search_options
from wrlso.testing.grid import Grid, grid_state

QUANTILES = st.sampled_from([0.0, 0.05, 0.3, 1.0])


class Likely(Grid):
    """A grid on which small coordinates are likely, and all objects have a length."""

    def likelihood(self, X):
        rows = np.array(X, dtype=np.float64).reshape(-1, 4)
        return -np.abs(rows).sum(axis=1) - 1.0, np.full(len(rows), 4.0)


def state(**changes):
    return replace(grid_state(), model=Likely(), **changes)


def propose(here, n=3, **options):
    search = CandidatePool(60, generations=2, **options)
    return LogExpectedImprovement(search).propose(here, n, np.random.default_rng(0))


@given(QUANTILES)
@settings(deadline=None)
def test_the_bound_is_a_quantile_of_the_data(quantile):
    here = state()
    bound = Plausible.of(here, quantile)
    known = [here.point(i) for i in range(len(here.y))]
    excess = bound.excess(known)
    assert np.mean(excess >= -1e-9) >= 1.0 - quantile
    assert np.quantile(excess, quantile) == pytest.approx(0.0, abs=1e-9)


@given(st.integers(1, 30), st.floats(0.5, 3.0))
@settings(deadline=None)
def test_length_alone_does_not_count(length, surprise):
    class Words(Likely):
        def likelihood(self, X):
            return -surprise * np.array([float(len(x)) for x in X]), np.array([float(len(x)) for x in X])

    here = replace(grid_state(), model=Words(), point=lambda i: "a" * (1 + i % 3))
    bound = Plausible.of(here, 0.05)
    assert bound.excess(["a" * length])[0] == pytest.approx(0.0, abs=1e-9)


def test_two_networks_have_no_likelihood_and_no_bound():
    """The attribute ``likelihood`` of a VAE is the word "bernoulli"."""
    model = VAE(nn.Linear(4, 4), nn.Linear(2, 4))
    assert not has_likelihood(model)
    assert has_likelihood(Likely())
    assert Plausible.of(replace(state(), model=model), 0.5) is None


def test_proposals_are_as_plausible_as_the_data():
    here = state()
    bound = Plausible.of(here, 0.9)
    free, _ = propose(here)
    held, record = propose(here, plausibility=0.9)
    assert (bound.excess([p.x for p in held]) >= 0).all()
    assert (bound.excess([p.x for p in free]) < 0).any()
    assert record.rejected["implausible"] > 0


def test_where_too_few_are_plausible_the_least_odd_are_proposed():
    here = state(point=lambda i: (0, 0, 0, 0))
    known = here.screen
    here = replace(here, screen=lambda x: "known" if not any(x) else known(x))
    proposals, record = propose(here, plausibility=1.0)
    assert len(proposals) == 3
    assert record.rejected["implausible"] >= 3


def test_without_likelihood_data_or_quantile_there_is_no_bound():
    assert isinstance(Likely(), HasLikelihood)
    assert not isinstance(Grid(), HasLikelihood)
    assert Plausible.of(grid_state(), 0.05) is None
    assert Plausible.of(state(), None) is None
    assert Plausible.of(state(point=None), 0.05) is None


def test_the_bound_follows_the_data():
    near, far = (Plausible.of(state(point=lambda i, s=s: (s + i % 2, 0, 0, 0)), 0.05) for s in (0, 6))
    odd = [(7, 0, 0, 0)]
    assert near.excess(odd)[0] < 0 <= far.excess(odd)[0] + 1e-9


def test_it_is_stored_and_an_impossible_one_refused():
    assert load(dump(CandidatePool(30, plausibility=0.2))).plausibility == 0.2
    with pytest.raises(ParameterError, match="plausibility"):
        propose(state(), plausibility=1.5)


def test_molecules_of_chemists_are_likelier_than_shuffled_ones():
    pytest.importorskip("rdkit")
    model = SelfiesVAE.pretrained().eval()
    made = ["CC(=O)Nc1ccc(O)cc1", "CC(C)Cc1ccc(C(C)C(=O)O)cc1", "O=C(O)c1ccccc1O"]
    odd = ["CN=NN=NN=CC=C=C=C", "C1=CC=CC=C=C=CC=C1", "OOOOOOCC=S=S"]
    likely, lengths = model.likelihood([*made, *odd])
    assert (likely / lengths)[:3].min() > (likely / lengths)[3:].max()
    again, _ = model.likelihood(made[:1])
    assert again[0] == pytest.approx(likely[0], abs=1e-3)
    inputs = model.tensorize(made)
    direct = model.log_likelihood(inputs, torch.zeros(3, model.latent_dim)).detach().numpy()
    np.testing.assert_allclose(likely[:3], direct, atol=1e-3)


@pytest.mark.parametrize("plausibility", [2, -0.1, "half", float("nan"), True])
def test_a_wrong_quantile_is_refused_before_the_search_begins(plausibility):
    with pytest.raises((ParameterError, ParameterTypeError), match="plausibility"):
        search_options(SelfiesVAE.pretrained(), plausibility=plausibility)


def test_where_a_bound_would_have_no_effect_it_is_refused():
    with pytest.raises(ParameterError, match="got JunctionTreeVAE"):
        search_options(JunctionTreeVAE(["CC", "CO"]), plausibility=0.3)
    with pytest.raises(ParameterError, match="got generate=False"):
        search_options(SelfiesVAE.pretrained(), generate=False, plausibility=0.3)
    with pytest.raises(ParameterError, match="the default acquisition"):
        molecule_search(["CCO"], [1.0], plausibility=0.3, acquisition=LogExpectedImprovement())
