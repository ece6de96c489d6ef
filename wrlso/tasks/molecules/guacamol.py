"""The objectives of the PMO benchmark that need only RDKit, as GuacaMol defines them.

Brown, Fiscato, Segler and Vaucher, "GuacaMol: Benchmarking Models for de Novo Molecular Design", J. Chem.
Inf. Model. 59, 2019; Gao, Fu, Sun and Coley, "Sample Efficiency Matters" (PMO), 2022. Every objective is a
mean of terms in [0, 1], and larger is better. PMO's own code differs for isomers, sitagliptin and zaleplon:
it reads the total number of atoms from the letters of the SMILES. Here, as in GuacaMol, all atoms are
counted. ``python -m wrlso.benchmarks.molecules.objectives`` compares with the package ``guacamol``.
"""

import math
import re
from collections.abc import Callable
from functools import cache
from typing import Any, Literal, TypeAlias

from wrlso._chemistry.scores import logp, qed
from wrlso._chemistry.smiles import optional_module, parse
from wrlso.exceptions import DataError
from wrlso.tasks.molecules.pharmacophores import pharmacophores, similarity

__all__ = ["GUACAMOL_OBJECTIVES", "guacamol_objective"]

Mol: TypeAlias = Any  # rdkit.Chem.Mol
Score: TypeAlias = Callable[[Any], float]  # of a molecule
Fingerprint: TypeAlias = Literal["ECFP4", "ECFP6", "FCFP4", "AP"]

ALBUTEROL = "CC(C)(C)NCC(O)c1ccc(O)c(CO)c1"
AMLODIPINE = r"Clc1ccccc1C2C(=C(/N/C(=C2/C(=O)OCC)COCCN)C)\C(=O)OC"
CAMPHOR = "CC1(C)C2CCC1(C)C(=O)C2"
CELECOXIB = "CC1=CC=C(C=C1)C1=CC(=NN1C1=CC=C(C=C1)S(N)(=O)=O)C(F)(F)F"
FEXOFENADINE = "CC(C)(C(=O)O)c1ccc(cc1)C(O)CCCN2CCC(CC2)C(O)(c3ccccc3)c4ccccc4"
HOP_START = "CCCOc1cc2ncnc(Nc3ccc4ncsc4c3)c2cc1S(=O)(=O)C(C)(C)C"
MENTHOL = "CC(C)C1CCC(C)CC1O"
MESTRANOL = "COc1ccc2[C@H]3CC[C@@]4(C)[C@@H](CC[C@@]4(O)C#C)[C@@H]3CCc2c1"
OSIMERTINIB = "COc1cc(N(C)CCN(C)C)c(NC(=O)C=C)cc1Nc2nccc(n2)c3cn(C)c4ccccc34"
PERINDOPRIL = "O=C(OCC)C(NC(C(=O)N1C(C(=O)O)CC2CCCCC12)C)CCC"
RANOLAZINE = "COc1ccccc1OCC(O)CN2CCN(CC(=O)Nc3c(C)cccc3C)CC2"
SILDENAFIL = "CCCC1=NN(C2=C1N=C(NC2=O)C3=C(C=CC(=C3)S(=O)(=O)N4CCN(CC4)C)OCC)C"
SITAGLIPTIN = "Fc1cc(c(F)cc1F)CC(N)CC(=O)N3Cc2nnc(n2CC3)C(F)(F)F"
TADALAFIL = "O=C1N(CC(N2C1CC3=C(C2C4=CC5=C(OCO5)C=C4)NC6=C3C=CC=C6)=O)C"
THIOTHIXENE = "CN(C)S(=O)(=O)c1ccc2Sc3ccccc3C(=CCCN4CCN(C)CC4)c2c1"
TROGLITAZONE = "Cc1c(C)c2OC(C)(COc3ccc(CC4SC(=O)NC4=O)cc3)CCc2c(C)c1O"
ZALEPLON = "O=C(C)N(CC)C1=CC=CC(C2=CC=NC3=C(C=NN23)C#N)=C1"

HOP_SCAFFOLD = "[#7]-c1n[c;h1]nc2[c;h1]c(-[#8])[c;h0][c;h1]c12"
HOP_SULFONE = "CS([#6])(=O)=O"
HOP_THIAZOLE = "[#7]-c1ccc2ncsc2c1"
HOP_CHAIN = "[#6]-[#6]-[#6]-[#8]-[#6]~[#6]~[#6]~[#6]~[#6]-[#7]-c1ccc2ncsc2c1"
VALSARTAN = "CN(C=O)Cc1ccc(c2ccccc2)cc1"


# ---------------------------------------------------------------------------------- properties of a molecule


def _parsed(smiles: str) -> Mol:
    molecule = parse(smiles)
    if molecule is None:
        raise DataError(f"{smiles!r} must be a valid SMILES")
    return molecule


@cache
def _fingerprint(kind: Fingerprint) -> Callable[[Mol], Any]:
    """Return a function from a molecule to its fragment counts."""
    generators = optional_module("rdkit.Chem.rdFingerprintGenerator")
    if kind == "AP":
        generator = generators.GetAtomPairGenerator(maxDistance=10)
    elif kind == "FCFP4":
        features = generators.GetMorganFeatureAtomInvGen()
        generator = generators.GetMorganGenerator(radius=2, atomInvariantsGenerator=features)
    else:
        generator = generators.GetMorganGenerator(radius={"ECFP4": 2, "ECFP6": 3}[kind])
    counts: Callable[[Mol], Any] = generator.GetSparseCountFingerprint
    return counts


def _similarity(smiles: str, kind: Fingerprint) -> Score:
    """Return the Tanimoto similarity to a molecule by fragment counts."""
    fingerprint = _fingerprint(kind)
    reference = fingerprint(_parsed(smiles))
    compare = optional_module("rdkit.DataStructs").TanimotoSimilarity
    return lambda molecule: compare(fingerprint(molecule), reference)


def _pharmacophore_similarity(smiles: str) -> Score:
    """Return the Tanimoto similarity to a molecule by sets of pharmacophores."""
    reference = pharmacophores(_parsed(smiles))
    return lambda molecule: similarity(pharmacophores(molecule), reference)


def _has(smarts: str) -> Score:
    pattern = optional_module("rdkit.Chem").MolFromSmarts(smarts)
    return lambda molecule: float(molecule.HasSubstructMatch(pattern))


def _lacks(smarts: str) -> Score:
    has = _has(smarts)
    return lambda molecule: 1.0 - has(molecule)


def _tpsa(molecule: Mol) -> float:
    value: float = optional_module("rdkit.Chem.rdMolDescriptors").CalcTPSA(molecule)
    return value


def _bertz(molecule: Mol) -> float:
    value: float = optional_module("rdkit.Chem.GraphDescriptors").BertzCT(molecule)
    return value


def _rings(molecule: Mol) -> float:
    return float(optional_module("rdkit.Chem.rdMolDescriptors").CalcNumRings(molecule))


def _aromatic_rings(molecule: Mol) -> float:
    return float(optional_module("rdkit.Chem.rdMolDescriptors").CalcNumAromaticRings(molecule))


def _atoms(symbol: str) -> Score:
    return lambda molecule: float(sum(atom.GetSymbol() == symbol for atom in molecule.GetAtoms()))


# ---------------------------------------------------------------------------------- terms and their means


def _near(of: Score, target: float, width: float) -> Score:
    """A bell around the target."""
    return lambda molecule: _bell(of(molecule), target, width)


def _at_most(of: Score, target: float, width: float) -> Score:
    """1 up to the target, half a bell above it."""
    return lambda molecule: _bell(max(of(molecule), target), target, width)


def _at_least(of: Score, target: float, width: float) -> Score:
    """1 from the target on, half a bell below it."""
    return lambda molecule: _bell(min(of(molecule), target), target, width)


def _bell(value: float, target: float, width: float) -> float:
    return math.exp(-0.5 * ((value - target) / width) ** 2)


def _up_to(of: Score, target: float) -> Score:
    """Rise in proportion, 1 from the target on."""
    return lambda molecule: min(1.0, max(0.0, of(molecule) / target))


def _geometric(*terms: Score) -> Score:
    def mean(molecule: Mol) -> float:
        product = 1.0
        for term in terms:
            product *= term(molecule)
            if product == 0.0:  # for any values of the other terms
                break
        return float(product ** (1.0 / len(terms)))

    return mean


def _arithmetic(*terms: Score) -> Score:
    return lambda molecule: sum(term(molecule) for term in terms) / len(terms)


def _isomer(formula: str) -> Score:
    """Compare the numbers of atoms, of each element and in total, with those of a formula."""
    wanted = {element: int(number or 1) for element, number in re.findall(r"([A-Z][a-z]*)(\d*)", formula)}
    total = sum(wanted.values())

    def mean(molecule: Mol) -> float:
        counts: dict[str, int] = {}
        for atom in molecule.GetAtoms():
            counts[atom.GetSymbol()] = counts.get(atom.GetSymbol(), 0) + 1
            counts["H"] = counts.get("H", 0) + atom.GetTotalNumHs()
        bells = [_bell(counts.get(element, 0), number, 1.0) for element, number in wanted.items()]
        bells.append(_bell(sum(counts.values()), total, 2.0))
        return float(math.prod(bells) ** (1.0 / len(bells)))

    return mean


def _like_sitagliptin() -> list[Score]:
    """Return the terms for sitagliptin's logP and polar surface."""
    molecule = _parsed(SITAGLIPTIN)
    return [_near(logp, logp(molecule), 0.2), _near(_tpsa, _tpsa(molecule), 5.0)]


# ---------------------------------------------------------------------------------- the objectives


def _median(first: str, second: str, kind: Fingerprint) -> Score:
    """Return the similarity to two molecules; each fingerprint is computed once."""
    fingerprint = _fingerprint(kind)
    references = [fingerprint(_parsed(smiles)) for smiles in (first, second)]
    compare = optional_module("rdkit.DataStructs").BulkTanimotoSimilarity
    return lambda molecule: math.sqrt(math.prod(compare(fingerprint(molecule), references)))


def _osimertinib() -> Score:
    return _geometric(
        _up_to(_similarity(OSIMERTINIB, "FCFP4"), 0.8),
        _at_most(_similarity(OSIMERTINIB, "ECFP6"), 0.85, 0.1),
        _at_least(_tpsa, 100.0, 10.0),
        _at_most(logp, 1.0, 1.0),
    )


def _fexofenadine() -> Score:
    return _geometric(
        _up_to(_similarity(FEXOFENADINE, "AP"), 0.8),
        _at_least(_tpsa, 90.0, 10.0),
        _at_most(logp, 4.0, 1.0),
    )


def _ranolazine() -> Score:
    return _geometric(
        _up_to(_similarity(RANOLAZINE, "AP"), 0.7),
        _at_least(logp, 7.0, 1.0),
        _near(_atoms("F"), 1.0, 1.0),
        _at_least(_tpsa, 95.0, 20.0),
    )


def _sitagliptin() -> Score:
    return _geometric(
        _near(_similarity(SITAGLIPTIN, "ECFP4"), 0.0, 0.1),
        *_like_sitagliptin(),
        _isomer("C16H15F6N5O"),
    )


def _valsartan() -> Score:
    complexity = _bertz(_parsed(SITAGLIPTIN))
    return _geometric(_has(VALSARTAN), *_like_sitagliptin(), _near(_bertz, complexity, 30.0))


def _decoration_hop() -> Score:
    return _arithmetic(
        _up_to(_pharmacophore_similarity(HOP_START), 0.85),
        _lacks(HOP_SULFONE),
        _lacks(HOP_THIAZOLE),
        _has(HOP_SCAFFOLD),
    )


def _scaffold_hop() -> Score:
    return _arithmetic(
        _up_to(_pharmacophore_similarity(HOP_START), 0.75), _has(HOP_CHAIN), _lacks(HOP_SCAFFOLD)
    )


_OBJECTIVES: dict[str, Callable[[], Score]] = {
    "albuterol_similarity": lambda: _up_to(_similarity(ALBUTEROL, "FCFP4"), 0.75),
    "amlodipine_mpo": lambda: _geometric(_similarity(AMLODIPINE, "ECFP4"), _near(_rings, 3.0, 0.5)),
    "celecoxib_rediscovery": lambda: _similarity(CELECOXIB, "ECFP4"),
    "deco_hop": _decoration_hop,
    "fexofenadine_mpo": _fexofenadine,
    "isomers_c7h8n2o2": lambda: _isomer("C7H8N2O2"),
    "isomers_c9h10n2o2pf2cl": lambda: _isomer("C9H10N2O2PF2Cl"),
    "median1": lambda: _median(MENTHOL, CAMPHOR, "ECFP4"),
    "median2": lambda: _median(TADALAFIL, SILDENAFIL, "ECFP6"),
    "mestranol_similarity": lambda: _up_to(_similarity(MESTRANOL, "AP"), 0.75),
    "osimertinib_mpo": _osimertinib,
    "perindopril_mpo": lambda: _geometric(
        _similarity(PERINDOPRIL, "ECFP4"), _near(_aromatic_rings, 2.0, 0.5)
    ),
    "qed": lambda: qed,
    "ranolazine_mpo": _ranolazine,
    "scaffold_hop": _scaffold_hop,
    "sitagliptin_mpo": _sitagliptin,
    "thiothixene_rediscovery": lambda: _similarity(THIOTHIXENE, "ECFP4"),
    "troglitazone_rediscovery": lambda: _similarity(TROGLITAZONE, "ECFP4"),
    "valsartan_smarts": _valsartan,
    "zaleplon_mpo": lambda: _geometric(_similarity(ZALEPLON, "ECFP4"), _isomer("C19H17N3O2")),
}

#: Names of the objectives, in alphabetical order.
GUACAMOL_OBJECTIVES = tuple(_OBJECTIVES)


@cache
def guacamol_objective(name: str) -> Score:
    """Return the scoring function of one of ``GUACAMOL_OBJECTIVES``; its references are computed once."""
    return _OBJECTIVES[name]()
