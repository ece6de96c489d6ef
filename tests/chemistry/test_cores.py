"""Molecules with a core: it is found, and changes leave it as it is."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from some_molecules import MOLECULES

pytest.importorskip("rdkit")
pytest.importorskip("selfies")

from wrlso._chemistry.cores import Core, core_of
from wrlso._chemistry.smiles import canonical, parse
from wrlso.exceptions import ParameterError
from wrlso.models import SelfiesVAE

INDOLE, ANYWHERE = "[*:1]c1ccc2[nH]cc([*:2])c2c1", "c1ccc2[nH]ccc2c1"
CARRIERS = [
    "c1ccc2[nH]ccc2c1",
    "COc1ccc2[nH]cc(CCNC(C)=O)c2c1",  # melatonin
    "NCCc1c[nH]c2ccc(O)cc12",
    "Cc1ccc2[nH]cc(CN(C)C)c2c1",
    "O=C(O)c1ccc2[nH]cc(C3CCCC3)c2c1",
]


@pytest.fixture(scope="module")
def model():
    return SelfiesVAE.pretrained()


def has(core, smiles):
    return core.find(parse(smiles)) is not None


def test_where_a_core_may_go_on():
    anywhere, two = core_of(ANYWHERE), core_of(INDOLE)
    for smiles in CARRIERS:
        assert has(anywhere, smiles)
        assert has(two, smiles)
    for smiles in ("Cn1ccc2ccccc21", "Cc1c[nH]c2cccc(Br)c12", "c1ccc2c(c1)[nH]c1ccccc12"):
        assert has(anywhere, smiles)
        assert not has(two, smiles)
    assert not has(anywhere, "c1ccccc1")
    assert two.seed == anywhere.seed == canonical("c1ccc2[nH]ccc2c1")


def test_a_symmetric_core_is_found_whichever_way_it_lies():
    core = Core("[*:1]c1ccncc1")  # substituents at carbon 4 only
    assert has(core, "Cc1ccncc1")
    assert not has(core, "Cc1cccnc1")
    core = Core("[*:1]c1cccc(Cl)c1")
    assert has(core, "Cc1cccc(Cl)c1")
    assert has(core, "Clc1cccc(C)c1")
    assert not has(core, "Cc1ccccc1Cl")


@pytest.mark.parametrize("smiles", ["c1ccc", "*", "[*:1][*:2]", "C.C", "", 3, "[*:1]=C(C)(C)C"])
def test_what_is_no_core(smiles):
    with pytest.raises(ParameterError, match="keep must be the SMILES of one fragment"):
        Core(smiles)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([INDOLE, ANYWHERE]))
def test_changes_and_crosses_keep_the_core(model, seed, smiles):
    core, generator = core_of(smiles), torch.Generator().manual_seed(seed)
    mutants = model.mutate_around(CARRIERS, core, generator)
    children = model.cross_around(CARRIERS, (MOLECULES * 2)[: len(CARRIERS)], core, generator)
    made = [x for x in [*mutants, *children] if x is not None]
    assert len(made) >= len(CARRIERS)
    for x in made:
        assert has(core, x)
        assert model.key(x) == x
        model.tensorize([x])
    again = torch.Generator().manual_seed(seed)
    assert mutants == model.mutate_around(CARRIERS, core, again)


def test_mutants_get_lose_and_change_substituents(model):
    core, generator = core_of(INDOLE), torch.Generator().manual_seed(0)
    found = set(model.mutate_around(["Cc1ccc2[nH]ccc2c1"] * 60, core, generator)) - {None}
    assert core.seed in found  # one lost its methyl
    assert any(parse(x).GetNumAtoms() > 11 for x in found)
    assert len(found) > 10
    # at the open places only
    assert all(has(core, x) for x in found)


def test_a_child_has_a_part_of_its_donor(model):
    core, generator = core_of(ANYWHERE), torch.Generator().manual_seed(1)
    children = model.cross_around([core.seed] * 20, ["FC(F)(F)CCl"] * 20, core, generator)
    made = {x for x in children if x is not None}
    assert len(made) > 3
    for x in made:
        parts = core._parts(x)
        assert len(parts.substituents) == 1
        assert "F" in x or "Cl" in x


def test_molecules_without_the_core_are_not_changed(model):
    core, generator = core_of(ANYWHERE), torch.Generator().manual_seed(0)
    assert model.mutate_around(["CCO"], core, generator) == [None]
    assert model.cross_around(["CCO"], ["CCN"], core, generator) == [None]


@pytest.mark.parametrize(
    ("smiles", "bridged"),
    [("C1Cc2[nH]c3ccccc3c2C1", True), ("Cc1ccc2[nH]cc3c2c1CCC3", True), ("CCc1c[nH]c2ccccc12", False)],
)
def test_cut_and_joined_a_molecule_is_as_before(smiles, bridged):
    core = core_of(ANYWHERE)
    parts = core._parts(smiles)
    assert any(len(labels) > 1 for labels in parts.substituents) == bridged
    assert canonical(core._joined(parts.core, list(parts.substituents.values()))) == canonical(smiles)
