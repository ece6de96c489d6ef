"""SMILES become one spelling a molecule, in bounded time and without a log; what is refused is named."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("rdkit")
from rdkit import Chem, rdBase

from wrlso._chemistry import smiles as _smiles
from wrlso._chemistry.smiles import (
    MAX_LENGTH,
    canonical,
    first_part,
    molecule_key,
    parse,
    read_molecules,
    unparsed_problem,
)
from wrlso.datasets import load_molecules
from wrlso.exceptions import DataError, DataTypeError, ParameterError, ParameterTypeError

ROOT = Path(__file__).parents[2]
MOLECULES = [
    "CC(C)(C)c1ccc2occ(CC(=O)Nc3ccccc3F)c2c1",
    "C[C@@H]1CC(Nc2cncc(-c3nncn3C)c2)C[C@@H](C)C1",
    "N#CC1=C(SCC(=O)Nc2cccc(Cl)c2)N=C([O-])[C@H](C#N)C12CCCCC2",
    r"O=C(O)/C=C/c1ccc2[nH]ccc2c1",
    "C[N+](C)(C)CC(=O)[O-]",
    "C[S@](=O)c1ccccc1",
    "[O-][n+]1ccccc1",
    "C1CC2CCC1CC2",
]
# What RDKit writes of these is another spelling each time, between two and without end
ROUND = [
    "O=C(C[C@]1(c2ccccc2)C2CC3CC1CC(C2)[C@@H]3O)NC",
    "CC1[C@H]2C[C@H]3C[C@@H]1C[C@H](C2)[C@H]3O",
    "C[C@]12[C@H]3[C@H]4C5[C@H]3[C@@H]1[C@H]5[C@@H]42",
    "OC1[C@H](O)[C@@H](O)[C@@H](O)[C@H](O)[C@@H]1O",
    "C[S@](=O)[C@]1(C)[C@H]2C[C@H]3C[C@@H](C2)C[C@@H]1C3",
    "CC=C1[C@H]2C[C@H]3C[C@@H]1C[C@H](C2)[C@H]3C",
]
RINGS = [
    "CC1C2CC3CC1CC(C2)C3O", "OC1C2CC3CC1CC(C2)C3Cl", "CC12C3C4C1C5C2C3C45", "OC1C(O)C(O)C(O)C(O)C1O",
    "CC1(O)C2CC3CC1CC(C2)C3O", "OC1C2C=CC1C1C2C2C=CC1C2O", "C1CC2CCC1CN2C", "OC1CC2(C1)CC(C)C2",
    "CC=C1CCC(=CC)CC1", "C1CC2C(C1)C1CCC2C1O", "OC1CCC2(CC1)CCC(C)CC2", "CN1CC2CCC(C1)C2O",
]  # fmt: skip
REFUSED = {
    None: "is NoneType, not a str",
    7: "is int, not a str",
    b"CCO": "is bytes, not a str",
    "": "is empty",
    " \n": "is empty",
    "C" * (MAX_LENGTH + 1): "has 1001 characters, more than 1000",
    "CCO ethanol": r"has a name behind the SMILES; pass x.split\(\)\[0\]",
    "CCO\tethanol 96 %": r"has a name behind the SMILES; pass x.split\(\)\[0\]",
    "C[C@H](O)F |&1:1|": r"has an extension \(CXSMILES\) behind the SMILES; pass x.split\(\)\[0\]",
    "not a molecule": "holds blanks or characters that are not printable ASCII",
    "C\0C": "holds blanks or characters that are not printable ASCII",
    "CCÖ": "holds blanks or characters that are not printable ASCII",
    "\ud800": "holds blanks or characters that are not printable ASCII",
    "C1CC": "is invalid SMILES",
    "C(C": "is invalid SMILES",
    "C>>C": "is invalid SMILES",
    "[Xx]": "is invalid SMILES",
    "CN(C)(C)(C)C": r"is invalid SMILES \(Explicit valence for atom # 1 N, 5, is greater than permitted\)",
    "c1cccc1": "is invalid SMILES .*kekulize.*",
    "C*": r"has a dummy atom \(\*\)",
    "[#0]C": r"has a dummy atom \(\*\)",
    "C~C": r"has a bond of unstated order \(~\)",
    "[H][H]": "has no atom but hydrogen",
}


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(MOLECULES), st.integers(0, 10**6), st.booleans())
def test_every_spelling_of_a_molecule_becomes_the_same(smiles, seed, stereo):
    (spelling,) = Chem.MolToRandomSmilesVect(Chem.MolFromSmiles(smiles), 1, randomSeed=seed)
    expected = canonical(smiles, stereo)
    assert expected is not None
    assert canonical(spelling, stereo) == expected
    assert canonical(f" {expected}\n", stereo) == expected
    assert read_molecules([spelling], stereo=stereo) == [expected]


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(ROUND), st.integers(0, 10**6), st.sampled_from(["refuse", "largest"]))
def test_what_rdkit_writes_anew_each_time_has_one_key(smiles, seed, salts):
    assert Chem.CanonSmiles(Chem.CanonSmiles(smiles)) != Chem.CanonSmiles(smiles)
    key = molecule_key(smiles, True, salts)
    (spelling,) = Chem.MolToRandomSmilesVect(Chem.MolFromSmiles(smiles), 1, randomSeed=seed)
    for _ in range(4):
        assert molecule_key(spelling, True, salts) == canonical(spelling) == key
        assert read_molecules([spelling]) == [key]
        spelling = Chem.CanonSmiles(spelling)


@settings(deadline=None, max_examples=100)
@given(st.sampled_from(RINGS), st.data())
def test_the_canonical_spelling_of_any_isomer_is_its_own(flat, data):
    molecule = Chem.MolFromSmiles(flat)
    tags = [Chem.ChiralType.CHI_UNSPECIFIED, *2 * [Chem.ChiralType.CHI_TETRAHEDRAL_CW]]
    tags += 2 * [Chem.ChiralType.CHI_TETRAHEDRAL_CCW]
    for atom in molecule.GetAtoms():
        atom.SetChiralTag(data.draw(st.sampled_from(tags)))
    spelling = canonical(Chem.MolToSmiles(molecule))
    assert canonical(spelling) == spelling == canonical(Chem.CanonSmiles(spelling))
    assert canonical(spelling, stereo=False) == canonical(flat, stereo=False)


def test_drug_like_molecules_keep_the_spelling_that_rdkit_gives():
    for smiles in load_molecules().smiles[:300]:
        assert canonical(smiles) == Chem.CanonSmiles(smiles)


@settings(deadline=None)
@given(st.text(max_size=30) | st.text(alphabet="CNOScn[]()=#-+@/\\.%123:*~H", max_size=30))
def test_any_text_has_a_spelling_or_a_problem(text):
    spelling = canonical(text)
    assert (spelling is None) == bool(unparsed_problem(text))
    if spelling is not None:
        assert parse(text).GetNumHeavyAtoms() >= 1
        assert canonical(canonical(spelling)) == canonical(spelling)


@pytest.mark.parametrize("stereo", [True, False])
def test_distinct_molecules_stay_distinct(stereo):
    assert len({canonical(smiles, stereo) for smiles in MOLECULES}) == len(MOLECULES)


def test_stereo_is_kept_or_left_out_and_isotopes_stay():
    left, right = "C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O"
    assert canonical(left) != canonical(right)
    assert canonical(left, stereo=False) == canonical(right, stereo=False) == canonical("CC(N)C(=O)O")
    assert canonical(r"F/C=C\F", False) == canonical("F/C=C/F", False) == "FC=CF"
    assert canonical("[13CH3][C@H](N)C(=O)O", stereo=False) != canonical("CC(N)C(=O)O")


def test_numbers_of_atoms_and_explicit_hydrogens_do_not_matter():
    assert canonical("[CH3:4][OH:1]") == "CO"
    assert canonical("[H]C([H])([H])O[H]") == "CO"
    assert read_molecules(["[CH3:4][OH:1]"]) == ["CO"]


@pytest.mark.parametrize(("x", "problem"), REFUSED.items(), ids=[repr(x)[:20] for x in REFUSED])
def test_what_is_no_molecule_is_none_and_named(x, problem):
    assert canonical(x) is None
    assert parse(x) is None
    error = DataError if isinstance(x, str) else DataTypeError
    with pytest.raises(error, match=f"data must hold SMILES of single molecules; row 1 {problem}: "):
        read_molecules(["CCO", x], name="data")


@given(st.sampled_from(MOLECULES), st.text(max_size=10))
def test_a_name_behind_a_molecule_is_taken_apart(smiles, name):
    assert first_part(f" {smiles} {name} ") == (
        (smiles, name.strip()) if name.strip() else (f" {smiles} {name} ", "")
    )


def test_unhashable_objects_are_no_molecules():
    assert canonical(["CCO"]) is None
    with pytest.raises(DataTypeError, match="row 0 is list, not a str"):
        read_molecules([["CCO"]])


def test_salts_are_refused_or_split():
    salt = "CC(=O)[O-].[Na+]"
    with pytest.raises(DataError, match=r"row 0 has 2 fragments \(salts='largest' would take the largest\)"):
        read_molecules([salt])
    assert read_molecules([salt], salts="largest") == ["CC(=O)[O-]"]
    assert read_molecules([salt], salts="keep") == [canonical(salt)]
    # as many heavy atoms: the heavier; as heavy: the first in the alphabet
    assert read_molecules(["CO.CS", "CO.CO", "OCC.CCO.CC"], salts="largest") == ["CS", "CO", "CCO"]
    # the part that is taken is what the other rules look at
    assert read_molecules(["CCO.[13CH4]"], salts="largest") == ["CCO"]


def test_isotopes_and_radicals_are_refused_or_kept():
    with pytest.raises(DataError, match=r"row 0 has isotopes 13C, 2H"):
        read_molecules(["[13CH3][13CH2]O[2H]"])
    assert read_molecules(["[13CH4]"], isotopes="keep") == ["[13CH4]"]
    with pytest.raises(DataError, match=r"row 0 has unpaired electrons at N, O"):
        read_molecules(["C[N]C[O]"])
    assert read_molecules(["C[O]"], radicals="keep") == ["C[O]"]


def test_an_error_names_five_rows_and_counts_the_others():
    with pytest.raises(DataError, match=r"row 1 is empty: ''; row 2 .*; row 5 .*; and 3 more$") as caught:
        read_molecules(["C", *[""] * 8])
    assert "row 6" not in str(caught.value)
    with pytest.raises(DataError, match=r"'C{56}\.\.\.$"):
        read_molecules(["C" * 5000])


def test_length_is_bounded_as_asked():
    assert read_molecules(["C" * 1001], max_length=1001) == ["C" * 1001]
    with pytest.raises(DataError, match="has 11 characters, more than 10"):
        read_molecules(["C" * 11], max_length=10)


def test_wrong_arguments_are_named():
    with pytest.raises(DataTypeError, match="X must be a sequence of SMILES, got str"):
        read_molecules("CCO")
    with pytest.raises(DataTypeError, match="X must be a sequence of SMILES, got int"):
        read_molecules(3)
    message = "salts must be one of .refuse., .largest., .neutral., .keep., got .drop."
    with pytest.raises(ParameterError, match=message):
        read_molecules(["C"], salts="drop")
    with pytest.raises(ParameterTypeError, match="isotopes must be one of"):
        read_molecules(["C"], isotopes=None)
    with pytest.raises(ParameterError, match="radicals must be one of"):
        read_molecules(["C"], radicals="")
    with pytest.raises(ParameterError, match="max_length must be an integer of at least 1"):
        read_molecules(["C"], max_length=0)


def test_no_molecules_are_no_error():
    assert read_molecules([]) == []


def grid(n, symbol):
    molecule = Chem.RWMol()
    for _ in range(n * n):
        molecule.AddAtom(Chem.Atom(symbol))
    for i in range(n):
        for j in range(n - 1):
            molecule.AddBond(i * n + j, i * n + j + 1, Chem.BondType.SINGLE)
            molecule.AddBond(j * n + i, (j + 1) * n + i, Chem.BondType.SINGLE)
    return Chem.MolToSmiles(molecule)


@pytest.mark.parametrize(
    "smiles",
    [grid(12, "U"), "C" * 1000, "C1CC1" * 190, "C[C@H](F)" * 100, "C(C)(C)" * 140, "(" * 1000, "C1" * 500],
    ids=lambda smiles: smiles[:8],
)
def test_odd_molecules_end_soon(smiles, monkeypatch):
    calls = Counter()

    class CountedChem:
        def __getattr__(self, name):
            calls[name] += 1
            return getattr(Chem, name)

    load = _smiles.optional_module
    monkeypatch.setattr(
        _smiles, "optional_module", lambda name: CountedChem() if name == "rdkit.Chem" else load(name)
    )
    _smiles._canonical.cache_clear()
    canonical(smiles)
    parse(smiles)
    # These two take milliseconds for such molecules, where others of RDKit's functions may take minutes; the
    # seconds themselves would say more of the computer and of what else it does than of how often each runs.
    # A spelling that is not canonical yet is read and written once more, to see whether it stays.
    assert calls <= Counter(MolFromSmiles=3, MolToSmiles=2)
    assert calls["MolFromSmiles"] >= 2


def test_nothing_is_logged(capfd):
    rdBase.EnableLog("rdApp.error")  # other packages switch it off when they are imported
    for x in REFUSED:
        canonical(x)
        unparsed_problem(x)
    assert capfd.readouterr().err == ""
    Chem.MolFromSmiles("C(C")  # RDKit's log is as it was
    assert "C(C" in capfd.readouterr().err


def test_a_missing_rdkit_names_the_extra():
    code = (
        "import sys; sys.modules['rdkit'] = None\nfrom wrlso._chemistry.smiles import canonical\n"
        "try: canonical('C')\nexcept ModuleNotFoundError as error: print(error.name, error)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert result.stdout.strip() == (
        "rdkit rdkit is missing, which molecules need; pip install 'wrlso[molecules]' installs it"
    )
