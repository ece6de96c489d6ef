"""Mutants and crosses that a VAE makes of arrays."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from wrlso import VAE, DataError
from wrlso.models import Crosses, Mutates
from wrlso.models.moves import Values, _copied, _reversed, _rotated, _shifted, _swapped, crossed, mutated
from wrlso.testing import check_latent_model

SHAPES = st.lists(st.integers(1, 6), min_size=0, max_size=3).map(tuple)
SEEDS = st.integers(0, 2**32 - 1)


def rng(seed=0):
    return np.random.default_rng(seed)


def some(shape, values, n=40, seed=0):
    if values.n_classes is None:
        return rng(seed).normal(size=(n, *shape)) * 100.0
    return rng(seed).integers(0, values.n_classes, size=(n, *shape)).astype(np.uint8)


@given(SHAPES, st.sampled_from([2, 3, 20, None]), SEEDS)
def test_mutants_are_new_arrays_with_values_that_a_place_may_hold(shape, n_classes, seed):
    values = Values(n_classes, spread=100.0)
    x = some(shape, values)
    kept = x.copy()
    found = mutated(x, values, rng(seed))
    np.testing.assert_array_equal(x, kept)
    np.testing.assert_array_equal(found, mutated(x, values, rng(seed)))
    assert found.shape == x.shape
    assert found.dtype == x.dtype
    changed = (found != x).reshape(len(x), -1).any(axis=1)
    assert changed.mean() > 0.2
    if n_classes is not None:
        assert found.max() < n_classes


@given(SHAPES, st.sampled_from([2, 20, None]), SEEDS)
def test_crosses_take_every_place_from_a_parent_or_between(shape, n_classes, seed):
    values = Values(n_classes)
    x, y = some(shape, values), some(shape, values, seed=1)
    found = crossed(x, y, values, rng(seed))
    np.testing.assert_array_equal(found, crossed(x, y, values, rng(seed)))
    if n_classes is not None:
        assert ((found == x) | (found == y)).all()
    else:
        reach = 0.25 * np.abs(x - y) + 1e-9
        assert (found >= np.minimum(x, y) - reach).all()
        assert (found <= np.maximum(x, y) + reach).all()
    np.testing.assert_array_equal(crossed(x, x, values, rng(seed)), x)


@pytest.mark.parametrize("change", [_swapped, _rotated, _reversed])
@given(SHAPES.filter(bool), SEEDS)
def test_moves_within_an_object_keep_its_values(change, shape, seed):
    x = rng(seed).integers(0, 1000, size=(30, *shape))
    kept = x.copy()
    found = change(x, x, 1000, rng(seed))
    np.testing.assert_array_equal(x, kept)
    np.testing.assert_array_equal(np.sort(found.reshape(30, -1), axis=1), np.sort(x.reshape(30, -1), axis=1))


def test_insertions_move_the_rest_by_one_and_copies_come_from_the_object():
    x = np.arange(12)[None].repeat(300, axis=0)
    found = _shifted(x, x, 12, rng()).tolist()
    left_out = [row for row in found if row[-2:] == [11, 11]]
    inserted = [row for row in found if row[-1] == 10]
    assert min(len(left_out), len(inserted)) > 30
    assert len(left_out) + len(inserted) + found.count(list(range(12))) >= 250
    copies = _copied(x, x, 12, rng(1))
    assert set(copies.ravel()) <= set(range(12))
    assert (copies != x).any(axis=1).mean() > 0.5


def test_most_mutants_differ_in_a_few_places_and_all_places_are_reached():
    x = np.zeros((4000, 30), dtype=np.uint8)
    found = mutated(x, Values(2), rng()) != x
    assert found.sum(axis=1).max() <= 30
    assert 1 <= np.median(found[found.any(axis=1)].sum(axis=1)) <= 3
    assert found.any(axis=0).all()


def test_real_steps_follow_the_spread_and_signs_and_integers_are_kept():
    x = np.abs(rng().normal(size=(2000, 3))) * [1e-6, 1.0, 1e6]
    spread = x.std(axis=0)
    found = mutated(x, Values(spread=spread), rng(1))
    assert (found >= 0).all()
    size = np.abs(found - x).mean(axis=0) / spread
    assert (size > 0.02).all()
    assert size.max() < 3 * size.min()
    assert (found == x).any(axis=1).mean() > 0.2
    centred = mutated(x - x.mean(axis=0), Values(spread=spread), rng(1))
    assert ((centred < 0) != (x - x.mean(axis=0) < 0)).any()
    whole = np.rint(rng().normal(size=(2000, 3)) * 3)
    found = mutated(whole, Values(spread=whole.std(axis=0), whole=True), rng(1))
    assert (found == np.rint(found)).all()
    assert (found != whole).any(axis=1).mean() > 0.9


def test_probabilities_stay_probabilities():
    x = rng().uniform(size=(500, 4)).astype(np.float32)
    vae = VAE(nn.Linear(4, 4), nn.Linear(2, 4))
    vae.tensorize(x)
    for found in (vae.mutate(x), vae.cross(x, x[::-1])):
        assert 0.0 <= np.min(found) < np.max(found) <= 1.0


# ------------------------------------------------------------------ of a VAE


class Indexed(nn.Module):
    def __init__(self, p, d):
        super().__init__()
        self.layer = nn.Linear(p, 2 * d)

    def forward(self, x):
        return self.layer(x.flatten(1).float())


def vae_of(X, likelihood, n_classes=None, codec=None):
    shape = np.shape(X)[1:] if codec is None else (3,)
    size = int(np.prod(shape))
    decoder = nn.Sequential(nn.Linear(2, size * (n_classes or 1)))
    decoder.append(nn.Unflatten(1, shape if n_classes is None else (*shape, n_classes)))
    made = VAE(Indexed(size, 2), decoder, likelihood, codec=codec)
    made.tensorize(X)
    return made


CASES = {
    "bits": (rng().integers(0, 2, (30, 9)), "bernoulli", None),
    "booleans": (rng().integers(0, 2, (30, 9)).astype(bool), "bernoulli", None),
    "images": (rng().integers(0, 2, (30, 4, 5)).astype(np.uint8), "bernoulli", None),
    "classes": (rng().integers(0, 4, (30, 6)), "categorical", 4),
    "reals": (rng().normal(size=(30, 3)) * [1, 1e3, 1e-3], "gaussian", None),
    "integers": (rng().integers(-5, 90, (30, 3)), "gaussian", None),
}


@pytest.mark.parametrize("name", CASES)
def test_a_vae_varies_what_it_is_given(name):
    X, likelihood, n_classes = CASES[name]
    X = np.unique(X, axis=0)
    vae = vae_of(X, likelihood, n_classes)
    assert isinstance(vae, Mutates)
    assert isinstance(vae, Crosses)
    check_latent_model(vae, X)
    before = torch.get_rng_state()
    for found in (
        vae.mutate(list(X), torch.Generator().manual_seed(0)),
        vae.cross(X, X[::-1], torch.Generator().manual_seed(0)),
    ):
        assert len(found) == len(X)
        assert {x.dtype for x in found} == {X.dtype}
        assert len({vae.key(x) for x in found} - {vae.key(x) for x in X}) > 5
    assert torch.equal(before, torch.get_rng_state())
    assert vae.mutate(X[:0]) == vae.cross(X[:0], X[:0]) == []
    with pytest.raises(DataError, match="same length, got 2 and 1"):
        vae.cross(X[:2], X[:1])


def test_one_hot_objects_stay_one_hot():
    X = np.eye(4, dtype=np.float32)[rng().integers(0, 4, (30, 3))]
    decoder = nn.Sequential(nn.Linear(2, 12), nn.Unflatten(1, (3, 4)))
    vae = VAE(nn.Sequential(nn.Flatten(), nn.Linear(12, 4)), decoder, "categorical")
    vae.tensorize(X)
    for found in (vae.mutate(X), vae.cross(X, X[::-1])):
        assert np.array(found).shape == X.shape
        assert (np.sort(np.array(found), axis=-1) == [0, 0, 0, 1]).all()


class Words:
    def transform(self, X):
        return np.array([[ord(letter) - 97 for letter in x] for x in X])

    def inverse_transform(self, array):
        return [None if row[0] == 3 else "".join(chr(97 + int(i)) for i in row) for row in array]


class OwnWords(Words):
    def mutate(self, X, generator=None):
        return [x[::-1] for x in X]

    def cross(self, X, Y, generator=None):
        return [x[:1] + y[1:] for x, y in zip(X, Y, strict=True)]


def test_a_codec_is_asked_for_arrays_or_for_moves_of_its_own():
    X = ["abc", "bca", "cab", "aab", "bbc"] * 20
    vae = vae_of(X, "categorical", 4, Words())
    for found in (vae.mutate(X), vae.cross(X, X[::-1])):
        assert {len(x) for x in found if x is not None} == {3}
    assert None in vae.mutate(X)
    own = vae_of(X, "categorical", 4, OwnWords())
    assert own.mutate(X[:2]) == ["cba", "acb"]
    assert own.cross(["abc"], ["bca"]) == ["aca"]
