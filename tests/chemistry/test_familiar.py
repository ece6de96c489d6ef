"""What is odd in a molecule."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("rdkit")

from wrlso._chemistry import familiar
from wrlso._chemistry.familiar import Familiar, n_alerts, ring_systems, surroundings, written
from wrlso._chemistry.smiles import canonical
from wrlso.benchmarks.molecules.familiar_parts import common_parts

DRUGS = ["CC(=O)Nc1ccc(O)cc1", "CCN(CC)CCNC(=O)c1ccc(N)cc1", "Cn1c(=O)c2c(ncn2C)n(C)c1=O", "NC(=O)c1ccccc1"]
ABSURD = ["CN=NN=NN=CC=C=C=C", "C1=CC=CC=C=C=CC=C1", "C[SH](C)(C)C=C=C=C", "OOOOOC"]
NUMBERS = st.sets(st.integers(0, 2**32 - 1), max_size=200)


class Content:
    """A file of these bytes."""

    def __init__(self, data):
        self.data = data

    def read_bytes(self):
        return self.data


@given(NUMBERS, NUMBERS)
@settings(deadline=None)
def test_the_file_holds_the_numbers(first, second):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(familiar, "FILE", Content(written([first, second])))
        assert familiar._shipped.__wrapped__() == (first, second)


def test_drugs_are_familiar_and_absurd_molecules_are_not():
    nothing = Familiar([])
    assert [nothing.odd_surroundings(x) + nothing.odd_rings(x) for x in DRUGS] == [0] * len(DRUGS)
    assert all(nothing.odd_surroundings(x) >= 2 for x in ABSURD)
    assert [nothing.odd_rings(x) for x in ABSURD] == [0, 1, 0, 0]


@pytest.mark.parametrize(
    ("one", "other"),
    [("CC(=O)O", "CC(=O)[O-]"), ("CC[NH+](C)C", "CCN(C)C"), ("C[NH3+]", "CN"), ("c1cc[nH+]cc1", "c1ccncc1")],
)
def test_protons_do_not_matter(one, other):
    assert surroundings(one) == surroundings(other)


@given(st.sampled_from(DRUGS + ABSURD), st.randoms(use_true_random=False))
def test_parts_do_not_depend_on_the_spelling(x, random):
    from rdkit import Chem

    molecule = Chem.MolFromSmiles(x)
    order = list(range(molecule.GetNumAtoms()))
    random.shuffle(order)
    other = Chem.MolToSmiles(Chem.RenumberAtoms(molecule, order), canonical=False)
    assert surroundings(x) == surroundings(other)
    assert ring_systems(x) == ring_systems(other)
    assert n_alerts(x) == n_alerts(canonical(other))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("c1ccccc1", "C1CCNCC1", True),  # elements and orders of bonds do not count
        ("c1ccccc1", "CCc1ccccc1", True),  # nor what hangs on it
        ("C1CCCCC1", "C1CCCC1", False),
        ("C1CCC2CCCCC2C1", "C1CCC2(CC1)CCCCC2", False),  # fused, spiro
        ("c1ccc(-c2ccccc2)cc1", "c1ccccc1", True),  # two systems of one shape
        ("C1CC2CCC1C2", "C1CCC2CCCC12", False),  # bridged
    ],
)
def test_shapes_of_ring_systems(one, other, same):
    assert (ring_systems(one) == ring_systems(other)) is same


@given(st.sampled_from(ABSURD), st.sampled_from(DRUGS))
def test_what_is_known_is_familiar(x, other):
    beside = Familiar([other]).odd_surroundings(x)
    assert beside > 0
    # a known molecule is compared with the others: one alone stays odd, one of two alike does not
    assert Familiar([x, other]).odd_surroundings(x) == beside
    assert Familiar([x, x + "C"]).odd_surroundings(x) < beside


@given(st.lists(st.sampled_from(DRUGS + ABSURD), unique=True, min_size=1), st.sampled_from(ABSURD))
def test_knowing_more_never_makes_a_new_molecule_odder(known, x):
    if x not in known:
        more, less = Familiar(known), Familiar(known[1:])
        assert more.odd_surroundings(x) <= less.odd_surroundings(x)
        assert more.odd_rings(x) <= less.odd_rings(x)


def test_alerts_are_counted():
    assert n_alerts("c1ccccc1") == 0
    assert n_alerts("O=CCCC") < n_alerts("O=CCCCCCCC=C=C")


def test_common_parts_are_those_of_enough_molecules():
    found = common_parts(["c1ccccc1", "c1ccncc1", "C1CCC1"], least=(2, 2))
    assert found[1] == ring_systems("c1ccccc1")
    assert found[0] == surroundings("c1ccccc1") & surroundings("c1ccncc1")
    everything, _ = common_parts(["CCO", "CCN"], least=(1, 1))
    assert everything == surroundings("CCO") | surroundings("CCN")
