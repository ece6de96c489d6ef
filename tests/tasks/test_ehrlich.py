"""Ehrlich functions: definition, optimum, the authors' values, and the task around them."""

import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wrlso.exceptions import DataError, ParameterError
from wrlso.tasks import Ehrlich

SIZES = [
    (20, 5, 1, 4, None),
    (20, 15, 2, 5, None),
    (20, 64, 4, 10, None),
    (32, 32, 4, 4, 4),
    (8, 24, 2, 6, 3),
]


@settings(max_examples=25)
@given(st.sampled_from(SIZES), st.integers(0, 300), st.sampled_from([0.0, 0.5]))
def test_the_optimum_is_feasible_and_has_value_one(sizes, seed, epistasis):
    task = Ehrlich(*sizes, seed=seed, epistasis=epistasis)
    assert task.objective(task.best) == 1.0 == task.optimum
    assert task.is_novel_and_valid(task.best)


def test_a_value_is_the_product_of_shares_of_motifs():
    task = Ehrlich(20, 15, 2, 5, seed=0)
    f = task.function
    for x in [*f.sample(50, np.random.default_rng(0)), f.optimum()]:
        shares = []
        for motif, spacing in zip(f.motifs, f.spacings, strict=True):
            there = [
                sum(x[i + s] == m for m, s in zip(motif, spacing, strict=True))
                for i in range(15 - spacing[-1])
            ]
            shares.append(max(there) / 5)
        assert f(x) == pytest.approx(np.prod(shares), rel=1e-6)


def test_forbidden_neighbours_are_a_failed_experiment():
    task = Ehrlich(seed=0)
    f = task.function
    a, b = np.argwhere(f.transitions == 0)[0]
    x = f.optimum()
    x[:2] = a, b
    text = "".join(task.alphabet[i] for i in x)
    assert task.objective(text) is None
    assert not task.is_novel_and_valid(text)


def test_functions_are_those_of_the_authors():
    """Origin: motifs, spacings and allowed neighbours of pytorch-holo 0.0.5, drawn by torch 2.13."""
    digest = hashlib.sha256()
    for sizes in SIZES:
        f = Ehrlich(*sizes, seed=1, epistasis=0.3).function
        digest.update(np.concatenate([f.motifs, f.spacings]).astype(np.int64).tobytes())
        digest.update((f.transitions > 0).tobytes())
    assert digest.hexdigest()[:16] == "b3ef08bb7bd112bf"


@pytest.mark.parametrize("sizes", SIZES)
def test_equal_to_the_authors_code_to_the_last_bit(sizes):
    """200 of each of five functions: 1,000 sequences."""
    peer = pytest.importorskip(
        "holo.test_functions.closed_form",
        reason="the peer is missing: pip install --no-deps pytorch-holo (it asks for numpy below 2)",
        exc_type=ImportError,
    )
    v, length = sizes[:2]
    theirs, ours = peer.Ehrlich(*sizes, random_seed=7), Ehrlich(*sizes, seed=7).function
    best = theirs.optimal_solution()
    assert (best.numpy() == ours.optimum()).all()
    generator = torch.Generator().manual_seed(0)
    walks = theirs.initial_solution(140)
    toward = torch.rand(140, length, generator=generator) < torch.rand(140, 1, generator=generator)
    X = torch.cat([torch.where(toward, best, walks), torch.randint(v, (60, length), generator=generator)])
    values = [ours(x) for x in X.numpy()]
    mine = torch.tensor([-torch.inf if value is None else value for value in values], dtype=torch.float64)
    assert (theirs(X).double() == mine).all()
    assert len(set(values)) > 2


def test_the_task_is_a_task():
    task = Ehrlich(n_start=12, seed=3)
    X, y = task.initial_data(5)
    assert (X, y.tolist()) == (task.initial_data(5)[0], task.initial_data(5)[1].tolist())
    assert task.initial_data(6)[0] != X
    assert len(X) == 12
    assert [task.objective(x) for x in X] == y.tolist()
    assert task.model(0).tensorize(X).shape[0] == 12
    with pytest.raises(DataError, match="x must be 15 letters"):
        task.objective("ACD")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"length": 9}, "must be at most the length 9"),
        ({"quantization": 2}, "quantization must divide motif_length=5"),
        ({"n_letters": 99}, "n_letters must be at most"),
    ],
)
def test_impossible_functions_are_refused(options, says):
    with pytest.raises(ParameterError, match=says):
        Ehrlich(**options).initial_data(0)
