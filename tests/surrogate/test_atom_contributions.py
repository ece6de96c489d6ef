"""What atoms add to predictions: known signs, invariance, and the definition by hand."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("rdkit")
from rdkit import Chem

from wrlso import Maximize, TanimotoGP, Trainer
from wrlso.campaign.model_views import predictions_lean_on
from wrlso.datasets import load_molecules
from wrlso.exceptions import DataError, DataTypeError, ParameterError
from wrlso.molecules import atom_contributions as of_campaign
from wrlso.molecules import molecule_search
from wrlso.plots import molecule_grid
from wrlso.report import molecule_svg
from wrlso.report.chemistry import as_molecules
from wrlso.report.snapshot import Campaign
from wrlso.surrogate import FeatureGP, MorganCounts
from wrlso.surrogate.atom_contributions import atom_contributions, has_atom_contributions
from wrlso.surrogate.points import Described

X = list(load_molecules().smiles[:60])
QUICK = {"trainer": Trainer(initial_epochs=0), "random_state": 0}


def symbols(smiles):
    return [atom.GetSymbol() for atom in Chem.MolFromSmiles(smiles).GetAtoms()]


def greasy(smiles):
    """Additive over atoms: carbon adds 1, nitrogen and oxygen take 2."""
    return sum({"C": 1.0, "N": -2.0, "O": -2.0}.get(symbol, 0.0) for symbol in symbols(smiles))


def fitted(y, **options):
    return TanimotoGP(**options).fit(X, torch.as_tensor(y, dtype=torch.float64), np.random.default_rng(0))


@pytest.fixture(scope="module")
def process():
    return fitted([greasy(x) for x in X])


def test_signs_of_an_additive_target_are_found(process):
    right = []
    for x in X:
        for symbol, added in zip(symbols(x), atom_contributions(process, x), strict=True):
            if symbol in "CNO":
                right.append((added > 0) == (symbol == "C"))
    assert np.mean(right) >= 0.85
    plain = atom_contributions(process, "CCCCCCO")
    assert (plain[:4] > 0).all()
    assert plain[-1] < 0


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 39))
def test_the_order_of_atoms_does_not_matter(process, seed, which):
    molecule = Chem.MolFromSmiles(X[which])
    order = np.random.default_rng(seed).permutation(molecule.GetNumAtoms())
    other = Chem.MolToSmiles(Chem.RenumberAtoms(molecule, order.tolist()), canonical=False)
    match = Chem.MolFromSmiles(other).GetSubstructMatch(molecule)
    one, two = atom_contributions(process, X[which]), atom_contributions(process, other)
    ranks = list(Chem.CanonicalRankAtoms(molecule, breakTies=False))
    for rank in set(ranks):  # which of two alike atoms is which is not said
        atoms = [i for i, each in enumerate(ranks) if each == rank]
        assert sorted(one[atoms]) == pytest.approx(sorted(two[[match[i] for i in atoms]]), abs=1e-9)


@pytest.mark.parametrize("counts", [True, False])
def test_the_definition_by_hand(counts):
    """With radius 0 a neighbourhood is an atom: without it, its kind is counted once less."""
    plain = MorganCounts(radius=0, counts=counts)
    process = fitted([greasy(x) for x in X], fingerprint=plain)
    row = plain(["OCCO"])
    features = {int(f): int(n) for f, n in zip(row.indices, row.data, strict=True)}
    mean = float(process.predict(["OCCO"])[0])
    added = atom_contributions(process, "OCCO")
    assert added[[0, 1]] == pytest.approx(added[[3, 2]])
    expected = []
    for taken in features:  # two kinds of atoms: those at the ends, and those between
        less = row.copy()
        less.data = np.where(less.indices == taken, less.data - counts, less.data)
        expected.append(mean - float(process.predict(Described(["OCCO"], np.arange(1), less))[0]))
    assert sorted(added[:2]) == pytest.approx(sorted(expected))
    if not counts:  # the other atom of the kind is there still
        assert added == pytest.approx(0.0, abs=1e-12)


@given(st.floats(-5, 5))
@settings(max_examples=5, deadline=None)
def test_nothing_is_said_where_all_values_are_equal(value):
    assert atom_contributions(fitted([value] * len(X)), X[0]) == pytest.approx(0.0, abs=1e-9)


def test_contributions_are_in_the_users_sign_and_units():
    y = np.array([greasy(x) for x in X])
    larger = molecule_search(X, y, **QUICK)
    smaller = molecule_search(X, -y, direction="minimize", **QUICK)
    scaled = molecule_search(X, 10 * y, **QUICK)
    one, other, ten = (of_campaign(opt, X[:3]) for opt in (larger, smaller, scaled))
    for a, b, c in zip(one, other, ten, strict=True):
        assert a == pytest.approx(-b, abs=1e-6)
        assert c == pytest.approx(10 * a, rel=1e-3, abs=1e-6)


def test_which_processes_say_it():
    assert has_atom_contributions(TanimotoGP())
    assert not has_atom_contributions(TanimotoGP(lambda X: np.ones((len(X), 1))))
    assert not has_atom_contributions(FeatureGP(MorganCounts()))
    with pytest.raises(ParameterError, match="a TanimotoGP on MorganCounts"):
        of_campaign(molecule_search(X, range(len(X)), surrogate="auto", **QUICK), X[:1])
    two = [Maximize("a"), Maximize("b")]
    opt = molecule_search(X[:8], [{"a": i, "b": -i} for i in range(8)], outcomes=two, **QUICK)
    with pytest.raises(ParameterError, match="opt must have one goal"):
        of_campaign(opt, X[:1])


def test_what_cannot_be_computed_is_said(process):
    with pytest.raises(DataError, match="expected the SMILES of a molecule, but 'C1CC'"):
        atom_contributions(process, "C1CC")
    few = molecule_search(X[:6], [1.0, 2.0, 3.0, None, None, None], **QUICK)
    with pytest.raises(DataError, match="at least 5 values must be known, got 3"):
        of_campaign(few, X[:1])
    with pytest.raises(DataTypeError, match="X must be a sequence of SMILES, got str"):
        of_campaign(few, "CCO")
    with pytest.raises(DataError, match="contributions must be one for each of 3 atoms, got 2"):
        molecule_svg("CCO", contributions=[1.0, 2.0])
    pytest.importorskip("matplotlib")
    with pytest.raises(DataError, match="as many contributions as molecules, got 1 and 2"):
        molecule_grid(["CCO", "CC"], ["a", "b"], contributions=[[1.0, 1.0, 1.0]])


def colours(svg):
    return set(re.findall(r"fill:(#[0-9A-F]{6})", svg))


def test_atoms_that_raise_are_blue_and_those_that_lower_orange():
    plain = colours(molecule_svg("CCO"))
    (blue,) = colours(molecule_svg("CCO", contributions=[1.0, 0.0, 0.0])) - plain
    (orange,) = colours(molecule_svg("CCO", contributions=[0.0, 0.05, -1.0])) - plain
    red, _, strong = (int(blue[i : i + 2], 16) for i in (1, 3, 5))
    assert red < strong
    red, _, strong = (int(orange[i : i + 2], 16) for i in (1, 3, 5))
    assert red > strong
    (pale,) = colours(molecule_svg("CCO", contributions=[1.0, 0.0, 0.0], largest=2.0)) - plain
    assert int(pale[1:3], 16) > int(blue[1:3], 16)
    assert colours(molecule_svg("CCO", contributions=[0.0] * 3)) == plain
    assert molecule_svg("CCO", contributions=np.zeros(3)) == molecule_svg("CCO")


def test_the_report_shows_what_predictions_lean_on():
    """Of molecules from a list, of which one is asked for."""
    y = [greasy(x) for x in X[:12]] + [None]
    own = TanimotoGP(lambda X: np.array([[len(x), x.count("C")] for x in X]))
    for options, leans in ({}, True), ({"surrogate": own}, False):
        opt = molecule_search(X[:13], y, generate=False, random_state=0, **options)
        assert opt.ask() == X[12]
        text = str(as_molecules(Campaign.of(opt)))
        assert ("What the prediction leans on: blue atoms raise it" in text) == leans
        assert text.count('<img class="drawing"') == 2 + leans  # with the nearest known one
        cards = predictions_lean_on(opt, 8)
        assert [row for row, _ in cards] == [12] * leans
        assert all(source.startswith("data:image/svg+xml") and source in text for _, source in cards)
