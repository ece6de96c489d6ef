"""Fronts against their definition, volumes against a count of cells."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wrlso._utils.domination import fronts, hypervolume, reference_point

POINTS = st.integers(1, 4).flatmap(
    lambda m: st.integers(0, 25).flatmap(lambda n: arrays(np.float64, (n, m), elements=st.integers(0, 5)))
)


def dominates(a, b):
    return bool((a >= b).all() and (a > b).any())


def peeled(Y):
    """The definition: the front of what is left, again and again."""
    found, left = np.full(len(Y), -1), set(range(len(Y)))
    while left:
        now = {i for i in left if not any(dominates(Y[j], Y[i]) for j in left)}
        found[list(now)] = found.max(initial=-1) + 1
        left -= now
    return found


@given(POINTS)
def test_fronts_are_what_is_left_again_and_again(Y):
    np.testing.assert_array_equal(fronts(Y), peeled(Y))


@given(POINTS, st.integers(1, 9))
def test_increasing_transformations_change_no_front(Y, power):
    np.testing.assert_array_equal(fronts(np.exp(Y / power) - 7), fronts(Y))


@given(st.integers(1, 4).flatmap(lambda m: arrays(np.float64, (6, m), elements=st.integers(0, 4))))
def test_the_volume_counts_the_cells_that_are_dominated(Y):
    cells = np.stack(np.meshgrid(*[np.arange(4)] * Y.shape[1], indexing="ij"), axis=-1).reshape(
        -1, Y.shape[1]
    )
    dominated = [any((y >= cell + 1).all() for y in Y) for cell in cells]
    assert hypervolume(Y, np.zeros(Y.shape[1])) == sum(dominated)


@pytest.mark.parametrize("m", [2, 3, 5])
def test_the_volume_is_that_of_botorch(m):
    """BoTorch's Hypervolume (Fonseca, Paquete, López-Ibáñez 2006) is another algorithm."""
    torch = pytest.importorskip("torch")
    box = pytest.importorskip("botorch.utils.multi_objective.hypervolume")
    Y = np.random.default_rng(100).normal(size=(25, m))
    expected = box.Hypervolume(ref_point=torch.full((m,), -1.5, dtype=torch.float64)).compute(
        torch.from_numpy(Y)
    )
    assert hypervolume(Y, np.full(m, -1.5)) == pytest.approx(expected)


def test_nothing_is_dominated():
    assert hypervolume(np.empty((0, 2)), np.zeros(2)) == 0.0
    assert hypervolume(np.array([[1.0, 0.0]]), np.zeros(2)) == 0.0


@given(POINTS.filter(len))
def test_the_reference_is_worse_than_the_front(Y):
    reference = reference_point(Y)
    assert (reference < Y[fronts(Y) == 0].min(axis=0)).all()


def test_the_reference_of_botorch():
    """Its rule, a tenth of the range under the worst, where the front has a range in every goal."""
    Y = np.array([[1.0, 5.0], [3.0, 1.0], [0.0, 0.0]])
    np.testing.assert_allclose(reference_point(Y), [0.8, 0.6])
