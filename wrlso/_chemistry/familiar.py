"""What is odd in a molecule: surroundings and ring systems that known molecules lack, structural alerts."""

import lzma
import zlib
from collections import Counter
from collections.abc import Iterable
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from wrlso._chemistry.alerts import catalogue
from wrlso._chemistry.smiles import Mol, optional_module, shared

__all__ = ["FILE", "Familiar", "n_alerts", "ring_systems", "surroundings", "written"]

FILE = Path(__file__).parents[1] / "data" / "parts_zinc250k.xz"
"""Surroundings and ring systems of the molecules that the shipped models were trained on."""

_RADIUS = 2  # bonds around an atom
_ALERTS = "BRENK"
_REMEMBERED = 2**15  # molecules whose parts are kept, about 2 kB each

Parts = frozenset[int]


@lru_cache(maxsize=_REMEMBERED)
def surroundings(smiles: str) -> Parts:
    """Return what surrounds each atom up to two bonds away, as Morgan's 32-bit numbers.

    An acid and its anion have the same: data sets differ in which of them they write.
    """
    molecule = shared(smiles)
    if molecule is None:
        return frozenset()
    kinds = [_kind(atom) for atom in molecule.GetAtoms()]
    found = _generator().GetSparseCountFingerprint(molecule, customAtomInvariants=kinds)
    return frozenset(found.GetNonzeroElements())


@lru_cache(maxsize=_REMEMBERED)
def ring_systems(smiles: str) -> Parts:
    """Return a 32-bit number for the shape of each system of rings that share atoms.

    Two systems have one shape where the sizes of their rings, and how many atoms have how many bonds within
    the system, are the same. Elements and orders of bonds do not count.
    """
    molecule = shared(smiles)
    return (
        frozenset()
        if molecule is None
        else frozenset(_shape(molecule, system) for system in _joint(molecule))
    )


@lru_cache(maxsize=_REMEMBERED)
def n_alerts(smiles: str) -> int:
    """Return how many of Brenk's structural alerts (ChemMedChem 3, 2008) a molecule has."""
    molecule = shared(smiles)
    return 0 if molecule is None else len(catalogue(_ALERTS).GetMatches(molecule))


class Familiar:
    """Counts in a molecule what neither known molecules have nor those that the shipped models learned from.

    Parameters
    ----------
    known : iterable of str
        SMILES. One of them is compared with the others.
    """

    def __init__(self, known: Iterable[str]) -> None:
        self._known = frozenset(known)
        self._seen: tuple[Counter[int], Counter[int]] = (Counter(), Counter())
        for x in self._known:
            self._seen[0].update(surroundings(x))
            self._seen[1].update(ring_systems(x))

    def odd_surroundings(self, x: str) -> int:
        """Return how many surroundings of atoms are unknown."""
        return self._unknown(0, x, surroundings(x))

    def odd_rings(self, x: str) -> int:
        """Return how many shapes of ring systems are unknown."""
        return self._unknown(1, x, ring_systems(x))

    def _unknown(self, kind: int, x: str, parts: Parts) -> int:
        shipped, seen, own = _shipped()[kind], self._seen[kind], int(x in self._known)
        return sum(part not in shipped and seen[part] <= own for part in parts)


def written(kinds: Iterable[Iterable[int]]) -> bytes:
    """Return the content of the file that holds these kinds of parts: sorted numbers, as differences."""
    text = bytearray()
    for parts in kinds:
        numbers = np.sort(np.fromiter(parts, dtype=np.uint32))
        steps = np.diff(numbers, prepend=np.uint32(0))
        text += np.array([len(numbers)], dtype="<u4").tobytes()
        # bytes of one significance stand together, since they compress better so
        text += steps.astype("<u4").view(np.uint8).reshape(-1, 4).T.tobytes()
    return lzma.compress(bytes(text), preset=9 | lzma.PRESET_EXTREME)


@cache
def _shipped() -> tuple[Parts, Parts]:
    data, kinds = lzma.decompress(FILE.read_bytes()), []
    while data:
        n = int(np.frombuffer(data[:4], dtype="<u4")[0])
        steps = np.frombuffer(data[4 : 4 + 4 * n], dtype=np.uint8).reshape(4, n).T.copy().view("<u4")[:, 0]
        kinds.append(frozenset(np.cumsum(steps, dtype=np.uint32).tolist()))
        data = data[4 + 4 * n :]
    return kinds[0], kinds[1]


@cache
def _generator() -> Any:
    return optional_module("rdkit.Chem.rdFingerprintGenerator").GetMorganGenerator(radius=_RADIUS)


def _kind(atom: Any) -> int:
    """Return a number for an atom: element, bonds to heavy atoms, hydrogens if neutral, in a ring or not."""
    hydrogens = atom.GetTotalNumHs() - atom.GetFormalCharge() + 8  # as many as the neutral atom would have
    number = atom.GetAtomicNum() << 8 | min(atom.GetDegree(), 15) << 4 | min(max(hydrogens, 0), 15)
    return int(number << 1 | atom.IsInRing())


def _joint(molecule: Mol) -> list[list[set[int]]]:
    """Return the rings of each ring system, as sets of atoms."""
    systems: list[list[set[int]]] = []
    for ring in map(set, molecule.GetRingInfo().AtomRings()):
        touched = [system for system in systems if any(ring & other for other in system)]
        systems = [system for system in systems if system not in touched]
        systems.append([ring, *(other for system in touched for other in system)])
    return systems


def _shape(molecule: Mol, system: list[set[int]]) -> int:
    atoms = set().union(*system)
    degrees: Counter[int] = Counter()
    for atom in atoms:
        bonds = molecule.GetAtomWithIdx(atom).GetBonds()
        degrees[sum(bond.IsInRing() and bond.GetOtherAtomIdx(atom) in atoms for bond in bonds)] += 1
    return zlib.crc32(repr((sorted(map(len, system)), sorted(degrees.items()))).encode())
