"""What is odd in a molecule."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("rdkit")

from wrlso._chemistry import familiar
from wrlso._chemistry.familiar import Familiar, written

DRUGS = ["CC(=O)Nc1ccc(O)cc1", "CC(C)Cc1ccc(C(C)C(=O)O)cc1", "Cn1c(=O)c2c(ncn2C)n(C)c1=O", "NC(=O)c1ccccc1"]
ABSURD = ["CN=NN=NN=CC=C=C=C", "C1=CC=CC=C=C=CC=C1", "C[SH](C)(C)C=C=C=C", "OOOOOC"]
NUMBERS = st.sets(st.integers(0, 2**32 - 1), max_size=200)


@given(NUMBERS, NUMBERS)
@settings(deadline=None)
def test_the_file_holds_the_numbers(first, second):
    data = written([first, second])
    try:
        familiar._shipped.cache_clear()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(familiar, "FILE", _Content(data))
            assert familiar._shipped() == (first, second)
    finally:
        familiar._shipped.cache_clear()


class _Content:
    def __init__(self, data):
        self.data = data

    def read_bytes(self):
        return self.data


def test_shipped_molecules_are_familiar_and_absurd_ones_are_not():
    nothing = Familiar([])
    assert [nothing.odd_surroundings(x) + nothing.odd_rings(x) for x in DRUGS] == [0] * len(DRUGS)
    assert all(nothing.odd_surroundings(x) >= 2 for x in ABSURD)
    assert nothing.odd_rings(ABSURD[1]) == 1


@given(st.sampled_from(ABSURD), st.sampled_from(DRUGS))
def test_what_is_known_is_familiar(x, other):
    beside = Familiar([other]).odd_surroundings(x)
    assert beside > 0
    # a known molecule is compared with the others, so that one alone stays odd, and two of a kind are not
    assert Familiar([x, other]).odd_surroundings(x) == beside
    assert Familiar([x, x + "C"]).odd_surroundings(x) < beside


@given(st.lists(st.sampled_from(DRUGS + ABSURD), unique=True))
def test_knowing_more_never_makes_odder(known):
    for x in ABSURD:
        if x not in known:
            assert Familiar(known).odd_surroundings(x) <= Familiar(known[1:]).odd_surroundings(x)
            assert Familiar(known).odd_rings(x) <= Familiar(known[1:]).odd_rings(x)
