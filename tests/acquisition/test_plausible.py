"""Candidates that are as plausible to the model as the data."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from wrlso import VAE, CandidatePool, LogExpectedImprovement, ParameterError, PriorSampling
from wrlso._state.codec import dump, load
from wrlso.acquisition import Measured, Past
from wrlso.acquisition.plausible import Plausible
from wrlso.acquisition.selection import least_excess
from wrlso.exceptions import ParameterTypeError
from wrlso.models import CountsOddities, SelfiesVAE
from wrlso.models.protocol import has_likelihood
from wrlso.molecules import molecule_search, search_options
from wrlso.testing.grid import Grid, grid_state

QUANTILES = st.sampled_from([0.0, 0.05, 0.3, 1.0])


class Likely(Grid):
    """A grid on which small coordinates are likely, and all objects have a length."""

    def likelihood(self, X):
        rows = np.array(X, dtype=np.float64).reshape(-1, 4)
        return -np.abs(rows).sum(axis=1) - 1.0, np.full(len(rows), 4.0)


class Counting(Grid):
    """A grid on which positive coordinates are odd."""

    def oddities(self, known):
        return [lambda X: np.array([sum(coordinate > 0 for coordinate in x) for x in X], dtype=np.float64)]


def state(model=None, **changes):
    return replace(grid_state(), model=Likely() if model is None else model, **changes)


def propose(here, n=3, n_candidates=60, **options):
    search = CandidatePool(n_candidates, generations=2, **options)
    return LogExpectedImprovement(search).propose(here, n, np.random.default_rng(0))


def data(here):
    return [here.point(i) for i in range(len(here.y))]


@given(QUANTILES)
@settings(deadline=None)
def test_the_bound_of_the_likelihood_is_a_quantile_of_the_data(quantile):
    here = state()
    excess = Plausible.of(here, quantile, 2).excess(data(here))
    assert excess.shape == (2, len(here.y))
    assert np.mean(excess < 0) <= quantile
    assert np.mean(excess <= 1e-9) >= quantile - 1e-9  # several objects may be as likely as the bound


@given(st.integers(1, 30), st.floats(0.5, 3.0))
@settings(deadline=None)
def test_length_alone_does_not_count(length, surprise):
    class Words(Likely):
        def likelihood(self, X):
            return -surprise * np.array([float(len(x)) for x in X]), np.array([float(len(x)) for x in X])

    here = replace(grid_state(), model=Words(), point=lambda i: "a" * (1 + i % 3))
    assert Plausible.of(here, 0.05).excess(["a" * length])[0, 0] == pytest.approx(0.0, abs=1e-9)


@given(st.sampled_from([0.0, 0.2, 0.9]), st.integers(0, 2000))
@settings(deadline=None)
def test_oddities_are_allowed_as_often_as_the_data_have_them(quantile, turn):
    n, model = 200, Counting()
    here = state(model, n_told=turn)
    excess = Plausible.of(here, quantile, n).excess([(1,) * k + (0,) * (4 - k) for k in range(5)])
    odd = model.oddities([])[0](data(here))
    for k in range(1, 5):
        # the share of the turns in which k oddities are allowed is that of the data, without its oddest part
        share = max(np.mean(odd >= k) - quantile, 0.0) / (1.0 - quantile) if quantile < 1 else 0.0
        assert np.mean(excess[:, k] >= 0) == pytest.approx(share, abs=4.0 / n)


@given(st.integers(0, 500), st.integers(1, 6), st.integers(1, 6))
@settings(deadline=None)
def test_a_batch_has_the_levels_of_as_many_single_proposals(turn, first, second):
    X = [(1, 1, 0, 0), (1, 0, 0, 0)]
    both = Plausible.of(state(Counting(), n_told=turn), 0.1, first + second).excess(X)
    one = Plausible.of(state(Counting(), n_told=turn), 0.1, first).excess(X)
    other = Plausible.of(state(Counting(), n_told=turn + first), 0.1, second).excess(X)
    np.testing.assert_array_equal(both, np.concatenate([one, other]))


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


def test_each_proposal_is_as_plausible_as_its_turn_demands():
    here = state(Counting())
    held, _ = propose(here, n=6, n_candidates=300, plausibility=0.0)
    excess = Plausible.of(here, 0.0, 6).excess([p.x for p in held])
    assert (np.diag(excess) >= 0).all()
    assert (excess < 0).any()  # not every proposal would have done in every turn


def test_where_too_few_are_plausible_the_least_odd_are_proposed():
    here = state(point=lambda i: (0, 0, 0, 0))
    known = here.screen
    here = replace(here, screen=lambda x: "known" if not any(x) else known(x))
    proposals, record = propose(here, plausibility=1.0)
    assert len(proposals) == 3
    assert record.rejected["implausible"] >= 3


@given(st.lists(st.integers(-5, 0), min_size=1, max_size=40))
def test_a_proposal_is_chosen_from_the_ten_least_odd_candidates_or_all_plausible_ones(excess):
    excess = np.array(excess, dtype=np.float64)
    chosen = excess[excess >= least_excess(excess)]
    assert len(chosen) >= min(10, len(excess))
    assert chosen.min() >= 0 or np.count_nonzero(excess > chosen.min()) < 10


def test_what_the_user_supplied_may_be_odd():
    model, supplied = Counting(), [(9, 8, 9, 8)]
    Z = model.encode(model.tensorize(supplied)).double().detach()
    here = state(model, point=lambda i: (0, 0, -1, -(i % 3)), candidates=supplied, candidates_Z=Z)
    here = replace(here, screen=lambda x: None if tuple(x) == supplied[0] else "known")
    (proposal,), _ = propose(here, n=1, plausibility=0.5)
    assert proposal.x == supplied[0]


def test_without_likelihood_data_or_quantile_there_is_no_bound():
    assert has_likelihood(Likely())
    assert not has_likelihood(Grid())
    assert Plausible.of(grid_state(), 0.05) is None
    assert Plausible.of(state(), None) is None
    assert Plausible.of(state(point=None), 0.05) is None
    assert isinstance(Counting(), CountsOddities)
    assert Plausible.of(state(Counting()), 0.05) is not None


@given(st.integers(0, 8), st.integers(1, 6), st.sampled_from([0.0, 0.2]))
@settings(deadline=None, max_examples=30)
def test_what_a_search_begins_with_is_as_plausible(n_values, n, quantile):
    """With any number of values: all that was given says what is plausible."""
    here = state()
    known = data(here)[:8]
    point = [tuple(int(v) for v in x) for x in known]
    few = replace(
        here, Z=here.Z[:n_values], y=here.y[:n_values], weights=here.weights[:n_values],
        point=point.__getitem__, measured=None, n_told=n_values,
        candidates=point[n_values:], candidates_Z=here.Z[n_values:8],
    )  # fmt: skip
    batch, _ = CandidatePool(plausibility=quantile).beginning().propose(few, n, np.random.default_rng(0))
    drawn = [p.x for p in batch if p.x not in point]
    if drawn:
        bound = Plausible.of(few, quantile, 1)
        assert (bound.excess(drawn) >= 0).all()


def test_a_beginning_that_finds_little_plausible_takes_the_least_odd():
    class Rejecting(Likely):
        def likelihood(self, X):
            rows = np.array(X, dtype=np.float64).reshape(-1, 4)
            known = {tuple(x) for x in data(grid_state())}
            return np.array([0.0 if tuple(x) in known else -1.0 - np.abs(x).sum() for x in rows]), np.ones(
                len(rows)
            )

    here = state(Rejecting(), candidates=(), candidates_Z=None)
    batch, record = PriorSampling(plausibility=0.0).propose(here, 3, np.random.default_rng(0))
    likely = [float(here.model.likelihood([p.x])[0][0]) for p in batch]
    assert len(batch) == 3
    assert record.n_decoded >= 300
    free, _ = PriorSampling().propose(here, 3, np.random.default_rng(0))
    assert max(likely) >= max(float(here.model.likelihood([p.x])[0][0]) for p in free)


def test_the_bound_follows_the_data():
    near, far = (Plausible.of(state(point=lambda i, s=s: (s + i % 2, 0, 0, 0)), 0.05) for s in (0, 6))
    odd = [(7, 0, 0, 0)]
    assert near.excess(odd)[0, 0] < 0 <= far.excess(odd)[0, 0] + 1e-9


@given(st.lists(st.integers(0, 4), min_size=1, max_size=8), st.lists(st.integers(0, 4), max_size=30))
@settings(deadline=None)
def test_plausible_proposals_never_tighten_the_bound(start, told):
    def bounds(odd):
        points = [(1,) * k + (0,) * (4 - k) for k in odd]
        measured = Measured(torch.zeros(len(odd)), torch.ones(len(odd)), None, points.__getitem__)
        here = replace(state(Counting()), measured=measured, past=Past(n_start=len(start)), n_told=7)
        return Plausible.of(here, 0.1, 20).excess([(1,) * k + (0,) * (4 - k) for k in range(5)])

    assert (bounds(start + told) >= bounds(start)).all()


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
    with pytest.raises(ParameterError, match="got Grid"):
        search_options(Grid(), plausibility=0.3)
    with pytest.raises(ParameterError, match="got generate=False"):
        search_options(SelfiesVAE.pretrained(), generate=False, plausibility=0.3)
    with pytest.raises(ParameterError, match="with an acquisition that has a search of its own"):
        molecule_search(["CCO"], [1.0], plausibility=0.3, acquisition=LogExpectedImprovement(CandidatePool()))
