"""A core that molecules have in common: where it is in a molecule, and changes of what is outside of it."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from wrlso._chemistry.crossover import chain_part, kekulized
from wrlso._chemistry.smiles import Mol, optional_module, parse
from wrlso.exceptions import ParameterError

__all__ = ["Core", "core_of"]

_MARK = 85  # astatine stands where a substituent was cut from the core: it has one bond, and no drug has it
_MATCHES = 200  # ways in which a symmetric core may lie in a molecule that are looked at
_ADD, _REMOVE = 0.25, 0.1  # shares of the mutants that get one substituent more, or lose one
_OWN = 0.5  # share of the crosses that take a substituent from the same place, where the donor has the core


class _Parts(NamedTuple):
    """A molecule cut around its core."""

    core: Mol  # with dummy atoms where substituents were; their isotopes are the labels
    substituents: dict[tuple[int, ...], Mol]  # by the labels of their dummy atoms
    places: dict[
        int, int
    ]  # label → number of the core's atom that it is bonded to, in the core as it is given
    free: dict[int, int]  # atom of the core as it is given → atom of ``core`` that can take a substituent


class Core:
    """A part that molecules have, such as ``c1ccc2[nH]ccc2c1``, and where they may go on from it.

    Parameters
    ----------
    smiles : str
        Of the core. Dummy atoms (``[*:1]`` or ``*``) say where substituents may be; all other atoms of the
        core then have none. Without dummy atoms substituents may be anywhere.

    Raises
    ------
    ParameterError
        For what is not the SMILES of one fragment.
    """

    def __init__(self, smiles: str) -> None:
        chem = optional_module("rdkit.Chem")
        with optional_module("rdkit.rdBase").BlockLogs():
            read = chem.MolFromSmiles(smiles) if isinstance(smiles, str) else None
            pattern, open_atoms = (None, []) if read is None else _without_dummies(read)
        if pattern is None or len(chem.GetMolFrags(pattern)) != 1:
            raise ParameterError(
                "keep must be the SMILES of one fragment, in which [*:1] may say where substituents go, such "
                f"as 'c1ccc2[nH]ccc2c1' or '[*:1]c1ccncc1', got {smiles!r}"
            )
        self.pattern: Mol = pattern
        self.open = frozenset(open_atoms or range(pattern.GetNumAtoms()))
        self.strict = bool(open_atoms)
        self.smiles = smiles
        self.seed: str = chem.MolToSmiles(pattern)  # the core alone, a molecule

    def find(self, molecule: Mol) -> tuple[int, ...] | None:
        """Return the atoms of a molecule that are the core, in the core's order; None where it has none."""
        if not self.strict:
            return tuple(molecule.GetSubstructMatch(self.pattern)) or None
        closed = [atom for atom in self.pattern.GetAtoms() if atom.GetIdx() not in self.open]
        for match in molecule.GetSubstructMatches(self.pattern, uniquify=False, maxMatches=_MATCHES):
            if all(
                molecule.GetAtomWithIdx(match[atom.GetIdx()]).GetDegree() == atom.GetDegree()
                for atom in closed
            ):
                return tuple(match)
        return None

    def mutated(
        self, smiles: str, change: Callable[[str], str | None], rng: np.random.Generator
    ) -> str | None:
        """Return a molecule with one substituent changed, added or removed; None where that fails.

        ``change`` takes the SMILES of a substituent, which begins with a marked atom, and returns another.
        """
        parts = self._parts(smiles)
        if parts is None:
            return None
        sizes = np.array([part.GetNumAtoms() for part in parts.substituents.values()], dtype=np.float64)
        if parts.free and (not len(sizes) or rng.random() < _ADD):
            place = list(parts.free)[int(rng.integers(len(parts.free)))]
            return self._added(parts, place, _marked(change("[1At]C"), (1,)))
        if not len(sizes):
            return None
        labels = list(parts.substituents)[int(rng.choice(len(sizes), p=sizes / sizes.sum()))]
        if len(labels) == 1 and rng.random() < _REMOVE:
            return self._with(parts, labels, None)
        part = _marked(change(_written(parts.substituents[labels], labels)), labels)
        return None if part is None else self._with(parts, labels, part)

    def crossed(self, smiles: str, donor: str, rng: np.random.Generator) -> str | None:
        """Return a molecule in which a part of a donor takes the place of one substituent, or of hydrogen."""
        parts, gives = self._parts(smiles), self._parts(donor)
        if parts is None:
            return None
        single = {parts.places[labels[0]]: labels for labels in parts.substituents if len(labels) == 1}
        places = [*parts.free, *(place for place in single if place not in parts.free)]
        if gives is not None and rng.random() < _OWN:
            there = {gives.places[labels[0]]: labels for labels in gives.substituents if len(labels) == 1}
            places = [place for place in places if place in there]
            if not places:
                return None
            place = places[int(rng.integers(len(places)))]
            part = gives.substituents[there[place]]
        else:
            other = parse(donor)
            if not places or other is None or (part := chain_part(kekulized(other), rng)) is None:
                return None
            place = places[int(rng.integers(len(places)))]
        if place in single and (place not in parts.free or rng.random() < 1.0 - _ADD):
            return self._with(parts, single[place], _labelled(part, single[place][0]))
        return self._added(parts, place, _labelled(part, 1))

    def _parts(self, smiles: str) -> _Parts | None:
        """Cut a molecule around its core; None where it has none."""
        molecule = parse(smiles)
        if molecule is None or (match := self.find(molecule)) is None:
            return None
        chem = optional_module("rdkit.Chem")
        whole, inside = kekulized(molecule), set(match)
        exits: list[tuple[int, int]] = []  # bond, atom of the core as it is given
        for place, atom in enumerate(match):
            for bond in whole.GetAtomWithIdx(atom).GetBonds():
                if bond.GetOtherAtomIdx(atom) not in inside:
                    exits.append((bond.GetIdx(), place))
        free = {
            place: atom
            for place, atom in enumerate(match)
            if place in self.open and molecule.GetAtomWithIdx(atom).GetTotalNumHs()
        }
        if not exits:
            return _Parts(whole, {}, {}, free)
        labels = [(label, label) for label in range(1, len(exits) + 1)]
        cut = chem.FragmentOnBonds(whole, [bond for bond, _ in exits], addDummies=True, dummyLabels=labels)
        atoms: list[tuple[int, ...]] = []
        fragments = chem.GetMolFrags(cut, asMols=True, sanitizeFrags=False, fragsMolAtomMapping=atoms)
        core = next(i for i, found in enumerate(atoms) if match[0] in found)
        numbers = {atom: number for number, atom in enumerate(atoms[core])}
        others = [fragment for i, fragment in enumerate(fragments) if i != core]
        places = {label: place for label, (_, place) in enumerate(exits, start=1)}
        return _Parts(
            fragments[core],
            {_labels(part): part for part in others},
            places,
            {place: numbers[atom] for place, atom in free.items()},
        )

    def _added(self, parts: _Parts, place: int, part: Mol | None) -> str | None:
        """Bond a part, labelled 1, to an atom of the core that has hydrogen."""
        if part is None:
            return None
        chem = optional_module("rdkit.Chem")
        label = len(parts.places) + 1
        core = chem.RWMol(parts.core)
        atom = core.GetAtomWithIdx(parts.free[place])
        atom.SetNumExplicitHs(max(atom.GetNumExplicitHs() - 1, 0))
        dummy = chem.Atom(0)
        dummy.SetIsotope(label)
        core.AddBond(parts.free[place], core.AddAtom(dummy), chem.BondType.SINGLE)
        return self._joined(core, [*parts.substituents.values(), _labelled(part, label)])

    def _with(self, parts: _Parts, labels: tuple[int, ...], part: Mol | None) -> str | None:
        """Put a part, or hydrogen for None, in the place of a substituent."""
        others = [other for key, other in parts.substituents.items() if key != labels]
        return self._joined(parts.core, others if part is None else [*others, part])

    def _joined(self, core: Mol, substituents: list[Mol]) -> str | None:
        """Bond dummy atoms of equal labels; those of the core without a partner become hydrogen."""
        chem = optional_module("rdkit.Chem")
        whole = chem.Mol(core)
        for part in substituents:
            whole = chem.CombineMols(whole, part)
        whole = chem.RWMol(whole)
        ends: dict[int, list[tuple[int, Any]]] = {}
        dummies = [atom for atom in whole.GetAtoms() if atom.GetAtomicNum() == 0]
        for atom in dummies:
            bond = atom.GetBonds()[0]
            ends.setdefault(atom.GetIsotope(), []).append(
                (bond.GetOtherAtomIdx(atom.GetIdx()), bond.GetBondType())
            )
        for pair in ends.values():
            if len(pair) == 2:
                (a, order), (b, other) = pair
                if whole.GetBondBetweenAtoms(a, b) is not None:
                    return None
                whole.AddBond(a, b, order if order == other else chem.BondType.SINGLE)
        for index in sorted((atom.GetIdx() for atom in dummies), reverse=True):
            whole.RemoveAtom(index)
        made = whole.GetMol()
        with optional_module("rdkit.rdBase").BlockLogs():
            if chem.SanitizeMol(made, catchErrors=True) != 0:
                return None
        smiles: str = chem.MolToSmiles(made)
        again = parse(smiles)  # as rings that close around a core may change what is aromatic
        return smiles if again is not None and self.find(again) is not None else None


@lru_cache(maxsize=64)
def core_of(smiles: str) -> Core:
    """Return the core of a SMILES, made once; raises ParameterError as :class:`Core` does."""
    return Core(smiles)


def _without_dummies(read: Mol) -> tuple[Mol | None, list[int]]:
    """Return a molecule with hydrogen for dummy atoms, and the atoms that had one; None where that fails."""
    chem = optional_module("rdkit.Chem")
    molecule = chem.RWMol(read)
    for atom in molecule.GetAtoms():
        if atom.GetAtomicNum() == 0:
            for neighbour in atom.GetNeighbors():
                neighbour.SetBoolProp("_open", True)
            atom.SetAtomicNum(1)
            atom.SetIsotope(0)
        atom.SetAtomMapNum(0)
    if chem.SanitizeMol(molecule, catchErrors=True) != 0:
        return None, []
    bare = chem.RemoveHs(molecule.GetMol())
    if not bare.GetNumHeavyAtoms():
        return None, []
    return bare, [atom.GetIdx() for atom in bare.GetAtoms() if atom.HasProp("_open")]


def _labels(part: Mol) -> tuple[int, ...]:
    return tuple(sorted(atom.GetIsotope() for atom in part.GetAtoms() if atom.GetAtomicNum() == 0))


def _labelled(part: Mol, label: int) -> Mol:
    """Return a part with one dummy atom, which gets this label."""
    found = optional_module("rdkit.Chem").Mol(part)
    for atom in found.GetAtoms():
        if atom.GetAtomicNum() == 0:
            atom.SetIsotope(label)
    return found


def _written(part: Mol, labels: tuple[int, ...]) -> str:
    """Return a substituent as SMILES that begins with the marked atom of its first label."""
    chem = optional_module("rdkit.Chem")
    marked = chem.RWMol(part)
    first = 0
    for atom in marked.GetAtoms():
        if atom.GetAtomicNum() == 0:
            atom.SetAtomicNum(_MARK)
            atom.SetNoImplicit(True)
            first = atom.GetIdx() if atom.GetIsotope() == labels[0] else first
    smiles: str = chem.MolToSmiles(marked, rootedAtAtom=first)
    return smiles


def _marked(smiles: str | None, labels: tuple[int, ...]) -> Mol | None:
    """Return the part that a SMILES with marked atoms is, with dummy atoms; None where they are lost."""
    molecule = None if smiles is None else parse(smiles)
    if molecule is None:
        return None
    part = kekulized(molecule)
    marks = [atom for atom in part.GetAtoms() if atom.GetAtomicNum() == _MARK]
    if tuple(sorted(atom.GetIsotope() for atom in marks)) != labels:
        return None
    if any(atom.GetDegree() != 1 or atom.GetTotalNumHs() for atom in marks):
        return None
    for atom in marks:
        atom.SetAtomicNum(0)
    return part
