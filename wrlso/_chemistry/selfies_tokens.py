"""SMILES to SELFIES tokens (Krenn et al. 2020) and back, with every problem named; cached."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from wrlso._chemistry.smiles import Mol, canonical, optional_module, parse, read_molecule
from wrlso._utils.cache import content_hash, keep_lines, kept_lines
from wrlso.exceptions import DataError

__all__ = ["Reading", "read_all", "read_part", "read_smiles", "to_smiles"]

_REMEMBERED = 2**16  # molecules whose tokens are kept, about 1 kB each
_MANY = 20_000  # molecules that are read by several processes, and kept on disk: they take many seconds
_BLOCK = 5_000


class Reading(NamedTuple):
    """One molecule: its canonical SMILES and its tokens, or why it is refused."""

    smiles: str
    tokens: tuple[str, ...]
    problem: str | None


@lru_cache(maxsize=_REMEMBERED)
def read_smiles(smiles: str, stereo: bool, salts: str) -> Reading:
    """Read one SMILES; ``problem`` says why it is refused."""
    try:
        spelling = read_molecule(smiles, stereo=stereo, salts=salts)  # type: ignore[arg-type]
    except DataError as error:
        return Reading("", (), str(error))
    selfies = optional_module("selfies")
    try:
        text = selfies.encoder(spelling)
    except selfies.EncoderError as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "no reason given"
        return Reading(spelling, (), f"{spelling!r:.80} has no SELFIES: {reason}")
    return Reading(spelling, tuple(selfies.split_selfies(text)), None)


def read_part(smiles: str) -> list[str]:
    """Return the tokens of a SMILES as it is spelled, such as a part of a molecule; none without SELFIES."""
    selfies = optional_module("selfies")
    try:
        return list(selfies.split_selfies(selfies.encoder(smiles)))
    except selfies.EncoderError:
        return []


def read_all(X: Sequence[str], stereo: bool, salts: str) -> list[Reading]:
    """Read n SMILES; many are read in parallel and kept in :func:`wrlso.datasets.cache_folder`."""
    if len(X) < _MANY:
        return [read_smiles(x, stereo, salts) for x in X]
    versions = [optional_module(package).__version__ for package in ("rdkit", "selfies")]
    key = content_hash(["tokens-2", *versions, str(stereo), salts, *X])
    lines = kept_lines(key, len(X))
    if lines is None:
        from joblib import Parallel, delayed

        blocks = [X[start : start + _BLOCK] for start in range(0, len(X), _BLOCK)]
        read = Parallel(n_jobs=-1)(delayed(_read_block)(list(block), stereo, salts) for block in blocks)
        readings = [reading for block in read for reading in block]
        if not any(reading.problem for reading in readings):
            keep_lines(key, [f"{reading.smiles} {''.join(reading.tokens)}" for reading in readings])
        return readings
    split = optional_module("selfies").split_selfies
    parts = (line.split(" ") for line in lines)
    return [Reading(smiles, tuple(split(tokens)), None) for smiles, tokens in parts]


def _read_block(X: list[str], stereo: bool, salts: str) -> list[Reading]:
    return [read_smiles(x, stereo, salts) for x in X]


def to_smiles(tokens: Sequence[str], stereo: bool) -> str | None:
    """Return the canonical SMILES of SELFIES tokens, None where the tokens make no molecule."""
    return _to_smiles("".join(tokens), stereo)


@lru_cache(maxsize=_REMEMBERED)
def _to_smiles(text: str, stereo: bool) -> str | None:
    selfies: Any = optional_module("selfies")
    try:
        smiles = selfies.decoder(text)
    except selfies.DecoderError:
        return None
    molecule = parse(smiles)
    if molecule is None:
        return None
    if any(atom.GetNumRadicalElectrons() for atom in molecule.GetAtoms()):
        smiles = _saturated(molecule)
    return canonical(smiles, stereo)


def _saturated(molecule: Mol) -> str:
    """Return a SMILES in which hydrogen takes the place of unpaired electrons.

    A token such as [C@@H1] states its hydrogen; at the end of a chain, where it makes no centre, that is not
    enough, and the letter of SELFIES would give a radical.
    """
    chem = optional_module("rdkit.Chem")
    molecule = chem.Mol(molecule)
    for atom in molecule.GetAtoms():
        if atom.GetNumRadicalElectrons():
            atom.SetNumExplicitHs(atom.GetNumExplicitHs() + atom.GetNumRadicalElectrons())
            atom.SetNumRadicalElectrons(0)
    smiles: str = chem.MolToSmiles(molecule)
    return smiles
