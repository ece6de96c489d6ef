"""Design of RNA: values follow from ViennaRNA's structures, and targets can be reached."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wrlso.exceptions import DataError, ParameterError, ParameterTypeError
from wrlso.tasks import FreeEnergy, InverseFolding
from wrlso.tasks.sequences.rna import TARGETS

RNA = pytest.importorskip("RNA")
rna = st.text("ACGU", min_size=12, max_size=12)


@settings(max_examples=30)
@given(rna)
def test_the_value_is_one_where_the_structure_is_the_target(x):
    structure = RNA.fold(x)[0]
    assert InverseFolding(structure).objective(x) == 1.0
    value = InverseFolding("((((....))))").objective(x)
    pairs = [set(sorted_pairs(each)) for each in (structure, "((((....))))")]
    assert value == pytest.approx(1.0 - len(pairs[0] ^ pairs[1]) / 12)


def sorted_pairs(structure):
    """The pairs of a structure, by a stack."""
    opened, found = [], []
    for i, sign in enumerate(structure):
        if sign == "(":
            opened.append(i)
        elif sign == ")":
            found.append((opened.pop(), i))
    return sorted(found)


@pytest.mark.parametrize("name", TARGETS)
def test_targets_are_balanced_and_some_rna_folds_into_them(name):
    task = InverseFolding(name)
    assert task.length == len(TARGETS[name])
    assert not any(value == 1.0 for value in task.initial_data(0)[1])
    RNA.init_rand(1)
    starts = np.random.default_rng(0).integers(4, size=(8, task.length))
    found = (RNA.inverse_fold("".join("ACGU"[i] for i in row), task.structure)[0] for row in starts)
    assert any(task.objective(x) == task.optimum for x in found)


def test_energies_are_those_of_the_package():
    """Origin: RNAfold 2.8.0 gives -5.4 kcal/mol for GGGGAAAACCCC."""
    task = FreeEnergy(12)
    assert task.objective("GGGGAAAACCCC") == pytest.approx(5.4)
    assert task.objective("ggggaaaacccc") == task.objective("GGGGAAAACCCC")
    assert task.objective("A" * 12) == 0.0


@pytest.mark.parametrize("task", [InverseFolding("cross", n_start=4), FreeEnergy(20, n_start=4)])
def test_starting_data_and_model(task):
    X, y = task.initial_data(3)
    assert X == task.initial_data(3)[0] != task.initial_data(4)[0]
    assert y.tolist() == [task.objective(x) for x in X]
    assert all(map(task.is_novel_and_valid, X))
    assert not task.is_novel_and_valid(X[0][1:])
    model = task.model(0)
    assert model.tensorize(X).shape[0] == len(X) == 4
    assert model.max_tokens == len(X[0])


@pytest.mark.parametrize("target", ["((.)", "())(", "", "ab", "star"])
def test_what_is_no_structure_is_refused(target):
    with pytest.raises(ParameterError, match="target must be dots and matching brackets"):
        InverseFolding(target).initial_data(0)


def test_types_and_lengths_are_checked():
    with pytest.raises(ParameterTypeError, match="target must be a structure or a name"):
        InverseFolding(3).initial_data(0)
    with pytest.raises(DataError, match="x must be RNA of 12 letters"):
        FreeEnergy(12).objective("ACGU")
