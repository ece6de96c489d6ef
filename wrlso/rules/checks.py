"""Single rules of molecules: each says whether a molecule breaks it, how, and where.

A check takes RDKit's molecule. Its ``cost`` orders checks: cheap ones come first, and the first that is
broken settles a candidate.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from wrlso._chemistry.alerts import catalogue
from wrlso._chemistry.cores import core_of
from wrlso._chemistry.scores import logp, synthetic_accessibility
from wrlso._chemistry.smiles import Mol, optional_module, parse, unparsed_problem
from wrlso.exceptions import DataError

__all__ = [
    "PROPERTIES", "Alerts", "Breach", "Check", "Elements", "HasCore", "Like", "Pattern", "Range", "RingSizes",
    "breaches_of", "in_order", "likeness", "similarities", "unlike_atoms",
]  # fmt: skip

_REMEMBERED = 2**16  # molecules whose fingerprints are kept, about 300 bytes each
_BITS, _RADIUS = 2048, 2


class Breach(NamedTuple):
    """A rule that a molecule breaks.

    Attributes
    ----------
    rule : str
        Name of the rule, such as "logP" or "BRENK".
    says : str
        What is wrong, in words.
    value : float or None
        The molecule's value, where the rule is about one.
    atoms : tuple of int
        Atoms that break the rule, by their place in the SMILES; empty where the whole molecule does.

    Examples
    --------
    >>> from wrlso.rules import explain
    >>> [breach.rule for breach in explain("CCCCCCCCCCCCCCCC", "drug-like")]
    ['rotatable bonds', 'logP', 'BRENK']
    """

    rule: str
    says: str
    value: float | None = None
    atoms: tuple[int, ...] = ()

    def __str__(self) -> str:
        """Return the words, with the atoms."""
        return self.says + (f" (atoms {', '.join(map(str, self.atoms))})" if self.atoms else "")


class Check(Protocol):
    """One rule; two that are equal are one."""

    @property
    def rule(self) -> str:
        """Its name."""

    @property
    def cost(self) -> int:
        """How long it takes, about, in microseconds."""

    def breaks(self, molecule: Mol) -> bool:
        """Whether a molecule breaks it."""

    def breaches(self, molecule: Mol) -> list[Breach]:
        """Return how a molecule breaks it."""


class _Property(NamedTuple):
    label: str
    cost: int
    of: Callable[[Mol], float]


def _described(name: str, module: str = "rdkit.Chem.rdMolDescriptors") -> Callable[[Mol], float]:
    return lambda molecule: float(getattr(optional_module(module), name)(molecule))


PROPERTIES: Mapping[str, _Property] = {
    "weight": _Property("molecular weight", 1, _described("MolWt", "rdkit.Chem.Descriptors")),
    "heavy_atoms": _Property("heavy atoms", 0, lambda molecule: float(molecule.GetNumHeavyAtoms())),
    "logp": _Property("logP", 250, logp),
    "tpsa": _Property("TPSA", 7, _described("CalcTPSA")),
    "rotatable": _Property("rotatable bonds", 80, _described("CalcNumRotatableBonds")),
    "donors": _Property("donors", 1, _described("CalcNumLipinskiHBD")),
    "acceptors": _Property("acceptors", 1, _described("CalcNumLipinskiHBA")),
    "charge": _Property("charge", 0, _described("GetFormalCharge", "rdkit.Chem")),
    "max_sa": _Property("SA", 200, synthetic_accessibility),
}  # fmt: skip


@dataclass(frozen=True)
class Range:
    """A property between two bounds, both allowed; None: no bound."""

    name: str
    low: float | None
    high: float | None

    @property
    def rule(self) -> str:
        """The property's name."""
        return PROPERTIES[self.name].label

    @property
    def cost(self) -> int:
        """That of the property."""
        return PROPERTIES[self.name].cost

    def breaks(self, molecule: Mol) -> bool:
        """Whether the property lies outside."""
        return self._side(PROPERTIES[self.name].of(molecule)) != ""

    def breaches(self, molecule: Mol) -> list[Breach]:
        """Return the property and the bound."""
        value = PROPERTIES[self.name].of(molecule)
        side = self._side(value)
        if not side:
            return []
        bound = self.low if side == "below" else self.high
        return [Breach(self.rule, f"{self.rule} {_number(value)} is {side} {_number(bound)}", value)]

    def _side(self, value: float) -> str:
        if self.low is not None and value < self.low:
            return "below"
        return "above" if self.high is not None and value > self.high else ""


@dataclass(frozen=True)
class RingSizes:
    """Every ring has so many atoms."""

    low: float | None
    high: float | None
    rule: str = "ring size"
    cost: int = 0

    def breaks(self, molecule: Mol) -> bool:
        """Whether a ring is smaller or larger."""
        return any(not self._fits(len(ring)) for ring in molecule.GetRingInfo().AtomRings())

    def breaches(self, molecule: Mol) -> list[Breach]:
        """Return each of these rings."""
        bounds = " to ".join(_number(bound) for bound in (self.low, self.high) if bound is not None)
        return [
            Breach(self.rule, f"a ring of {len(ring)} atoms, not {bounds}", float(len(ring)), tuple(ring))
            for ring in molecule.GetRingInfo().AtomRings()
            if not self._fits(len(ring))
        ]

    def _fits(self, size: int) -> bool:
        return not (
            (self.low is not None and size < self.low) or (self.high is not None and size > self.high)
        )


@dataclass(frozen=True)
class Elements:
    """All atoms but hydrogen are of these elements."""

    symbols: frozenset[str]
    rule: str = "elements"
    cost: int = 2

    def breaks(self, molecule: Mol) -> bool:
        """Whether there is an atom of another element."""
        return any(atom.GetSymbol() not in self.symbols for atom in molecule.GetAtoms())

    def breaches(self, molecule: Mol) -> list[Breach]:
        """Return the other elements with their atoms."""
        found: dict[str, list[int]] = {}
        for atom in molecule.GetAtoms():
            if atom.GetSymbol() not in self.symbols:
                found.setdefault(atom.GetSymbol(), []).append(atom.GetIdx())
        return [
            Breach(self.rule, f"{symbol} is not among the elements", None, tuple(atoms))
            for symbol, atoms in found.items()
        ]


@dataclass(frozen=True)
class Pattern:
    """A SMARTS that a molecule must not have."""

    smarts: str
    cost: int = 20

    @property
    def rule(self) -> str:
        """The pattern."""
        return f"no {self.smarts}"

    def breaks(self, molecule: Mol) -> bool:
        """Whether it is there."""
        return bool(molecule.HasSubstructMatch(_pattern(self.smarts)))

    def breaches(self, molecule: Mol) -> list[Breach]:
        """Return each place where it is."""
        matches = molecule.GetSubstructMatches(_pattern(self.smarts))
        return [Breach(self.rule, f"has {self.smarts}", None, tuple(match)) for match in matches]


@dataclass(frozen=True)
class Alerts:
    """The structural alerts of one of RDKit's catalogues, such as BRENK."""

    catalogue: str

    @property
    def rule(self) -> str:
        """The catalogue."""
        return self.catalogue

    @property
    def cost(self) -> int:
        """About 4 µs for an alert."""
        return 1000 + 4 * int(catalogue(self.catalogue).GetNumEntries())

    def breaks(self, molecule: Mol) -> bool:
        """Whether an alert is there."""
        return bool(catalogue(self.catalogue).HasMatch(molecule))

    def breaches(self, molecule: Mol) -> list[Breach]:
        """Return each alert with its atoms."""
        found = []
        for entry in catalogue(self.catalogue).GetMatches(molecule):
            name = entry.GetDescription().replace("_", " ").strip()
            for match in entry.GetFilterMatches(molecule):
                atoms = tuple(sorted(atom for _, atom in match.atomPairs))
                found.append(Breach(self.rule, f"{self.catalogue} alert: {name}", None, atoms))
        return list(dict.fromkeys(found))


@dataclass(frozen=True)
class HasCore:
    """A molecule contains a core, with substituents only where they may be."""

    smiles: str
    rule: str = "keep"
    cost: int = 15

    def breaks(self, molecule: Mol) -> bool:
        """Whether the core is missing."""
        return core_of(self.smiles).find(molecule) is None

    def breaches(self, molecule: Mol) -> list[Breach]:
        """Return that it is, or where it has substituents that it must not have."""
        core = core_of(self.smiles)
        if core.find(molecule) is not None:
            return []
        atoms = tuple(molecule.GetSubstructMatch(core.pattern))
        where = "has substituents where the core" if atoms else "lacks the core"
        return [Breach(self.rule, f"{where} {self.smiles}{' has none' if atoms else ''}", None, atoms)]


@dataclass(frozen=True)
class Like:
    """A molecule is at least so similar to another one (Tanimoto similarity of ECFP4)."""

    smiles: str
    similarity: float
    rule: str = "near"
    cost: int = 60

    def breaks(self, molecule: Mol) -> bool:
        """Whether it is less similar."""
        return self._of(molecule) < self.similarity

    def breaches(self, molecule: Mol) -> list[Breach]:
        """Return the similarity."""
        value = self._of(molecule)
        if value >= self.similarity:
            return []
        return [
            Breach(self.rule, f"similarity {value:.2f} to {self.smiles} is below {self.similarity:g}", value)
        ]

    def _of(self, molecule: Mol) -> float:
        similarity = optional_module("rdkit.DataStructs").TanimotoSimilarity
        return float(similarity(_generator().GetFingerprint(molecule), _fingerprint(self.smiles)))


def in_order(checks: Iterable[Check]) -> tuple[Check, ...]:
    """Return distinct checks, the cheapest first."""
    return tuple(sorted(dict.fromkeys(checks), key=lambda check: check.cost))


def breaches_of(smiles: str, checks: Iterable[Check]) -> list[Breach]:
    """Return every rule that a molecule breaks; raises DataError for invalid SMILES."""
    molecule = parse(smiles)
    if molecule is None:
        problem = unparsed_problem(smiles)
        raise DataError(f"x must be the SMILES of a molecule, got {smiles!r:.80}, which {problem}")
    return [breach for check in checks for breach in check.breaches(molecule)]


def likeness(smiles: str, known: Sequence[str]) -> tuple[float, int]:
    """Return the largest Tanimoto similarity (ECFP4) to known molecules and its place; (0, -1) for none."""
    found = similarities(smiles, known)
    best = int(found.argmax()) if len(found) else -1
    return (float(found[best]), best) if best >= 0 and found[best] > 0.0 else (0.0, -1)


def similarities(smiles: Any, others: Sequence[Any]) -> NDArray[np.float64]:
    """Return Tanimoto similarities (n,) to n molecules by ECFP4; 0 for what is no molecule."""
    found = np.zeros(len(others))
    own = _fingerprint(smiles) if isinstance(smiles, str) else None
    prints = [
        (i, p) for i, x in enumerate(others) if isinstance(x, str) and (p := _fingerprint(x)) is not None
    ]
    if own is not None and prints:
        rows, bits = zip(*prints, strict=True)
        found[list(rows)] = optional_module("rdkit.DataStructs").BulkTanimotoSimilarity(own, list(bits))
    return found


def unlike_atoms(smiles: str, other: str) -> tuple[int, ...]:
    """Return the atoms of a molecule with neighbours that no atom of another molecule has."""
    one, two = _neighbourhoods(smiles), _neighbourhoods(other)
    there = set(two.values())
    return tuple(atom for atom, found in sorted(one.items()) if found not in there)


def _neighbourhoods(smiles: str) -> dict[int, int]:
    """Return the Morgan feature of radius 1 of each atom."""
    molecule = parse(smiles)
    if molecule is None:
        return {}
    module = optional_module("rdkit.Chem.rdFingerprintGenerator")
    output = module.AdditionalOutput()
    output.AllocateBitInfoMap()
    module.GetMorganGenerator(radius=1).GetSparseCountFingerprint(molecule, additionalOutput=output)
    found: dict[int, int] = {}
    for feature, places in output.GetBitInfoMap().items():
        for atom, radius in places:
            if radius == 1 or molecule.GetAtomWithIdx(atom).GetDegree() == 0:
                found[atom] = feature
    return found


@lru_cache(maxsize=_REMEMBERED)
def _fingerprint(smiles: str) -> Any:
    molecule = parse(smiles)
    return None if molecule is None else _generator().GetFingerprint(molecule)


@cache
def _generator() -> Any:
    module = optional_module("rdkit.Chem.rdFingerprintGenerator")
    return module.GetMorganGenerator(radius=_RADIUS, fpSize=_BITS)


@lru_cache(maxsize=256)
def _pattern(smarts: str) -> Any:
    with optional_module("rdkit.rdBase").BlockLogs():
        return optional_module("rdkit.Chem").MolFromSmarts(smarts)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}" if value == int(value) else f"{value:.2f}".rstrip("0")
