"""Read molecules from SMILES: one canonical SMILES each, every problem named, in bounded time, without a log.

RDKit is imported when the first molecule is read. Some texts that it reads are refused here: those with a
name behind them, dummy atoms, query atoms and bonds. Time is bounded by the length of the text: nothing that
fits into 1000 characters took longer than 0.1 s (complete graphs, grids, cages, dendrimers).

Numbers of atoms (``[CH3:1]``) say nothing about a molecule and are dropped; hydrogen atoms become implicit.

RDKit's canonical SMILES is not always one that RDKit leaves alone: the stereocentres of some cages change
each time that they are read and written, and come round again. :func:`_settled` follows them until then, so
that a molecule's identity does not depend on how often it was written.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from importlib import import_module
from typing import Any, Literal, NamedTuple, TypeAlias

from wrlso._utils.validation import check_choice, check_count
from wrlso.exceptions import DataError, DataTypeError

__all__ = [
    "MAX_LENGTH", "SALTS", "canonical", "first_part", "listed_smiles", "lost_fragments", "optional_module",
    "parse", "read_molecules", "refuse_rows", "shared", "unparsed_problem",
]  # fmt: skip

Mol: TypeAlias = Any  # rdkit.Chem.Mol
Salts: TypeAlias = Literal["refuse", "largest", "neutral", "keep"]
Policy: TypeAlias = Literal["refuse", "keep"]

#: What models do with several fragments and charges.
SALTS = ("refuse", "largest", "neutral")

#: Longest SMILES that is read by default, in characters; the longest of ZINC250k has 109.
MAX_LENGTH = 1000

_REMEMBERED = 2**16  # molecules whose canonical SMILES are kept, about 500 bytes each
_IN_HAND = 2**11  # molecules that are kept as such, about 10 kB each
_SHOWN = 5  # problems that one error names
_PASSES = (
    16  # of reading and writing until a spelling comes round; three was the most in 1,400 isomers of cages
)
_VAGUE = re.compile(r"[*~]|\[#")  # how dummy atoms and query bonds can be written
_ORDERS = {"SINGLE", "DOUBLE", "TRIPLE", "QUADRUPLE", "AROMATIC", "DATIVE"}


@cache
def optional_module(name: str) -> Any:
    """Return a module that molecules need, such as ``"rdkit.Chem"``.

    Raises
    ------
    ModuleNotFoundError
        When its package is not installed; names the extra that installs it.
    """
    package = name.partition(".")[0]
    try:
        import_module(package)
    except ModuleNotFoundError as error:
        message = f"{package} is missing, which molecules need; pip install 'wrlso[molecules]' installs it"
        raise ModuleNotFoundError(message, name=package) from error
    return import_module(name)


def parse(smiles: Any, max_length: int = MAX_LENGTH) -> Mol | None:
    """Return RDKit's molecule, sanitised, without atom numbers; None for invalid SMILES.

    Never raises, logs nothing. None for everything that :func:`unparsed_problem` has a name for. Salts,
    charges, isotopes and radicals are molecules here.
    """
    text = _plain(smiles, max_length)
    if text is None:
        return None
    chem = optional_module("rdkit.Chem")
    with optional_module("rdkit.rdBase").BlockLogs():
        try:
            molecule = chem.MolFromSmiles(text)
        except Exception:  # RDKit raises classes of its own, and RuntimeError
            return None
    if molecule is None or not molecule.GetNumHeavyAtoms() or (_VAGUE.search(text) and _vague(molecule)):
        return None
    if ":" in text:
        for atom in molecule.GetAtoms():
            atom.SetAtomMapNum(0)
    return molecule


@lru_cache(maxsize=_IN_HAND)
def shared(smiles: str) -> Mol | None:
    """Return what :func:`parse` returns: one molecule for all callers, which only look at it."""
    return parse(smiles)


def canonical(smiles: Any, stereo: bool = True) -> str | None:
    """Return the canonical SMILES of a molecule, None for invalid SMILES. Never raises, logs nothing; cached.

    Charges, isotopes and all fragments are kept, see :func:`read_molecules` for policies. Two spellings are
    equal exactly when RDKit takes the molecules for the same. Tautomers and protonation states differ.
    A canonical SMILES is its own canonical SMILES.

    Parameters
    ----------
    smiles : object
        Blanks at the ends do not matter.
    stereo : bool, default=True
        Whether stereocentres and the geometry of double bonds count; without, they are left out.

    Examples
    --------
    >>> canonical("OCC"), canonical("C(O)C "), canonical("C(C"), canonical("F/C=C/F", stereo=False)
    ('CCO', 'CCO', None, 'FC=CF')
    """
    text = _plain(smiles, MAX_LENGTH)
    return None if text is None else _canonical(text, bool(stereo))


@lru_cache(maxsize=_REMEMBERED)
def _canonical(text: str, stereo: bool) -> str | None:
    molecule = parse(text)
    return None if molecule is None else _write(molecule, stereo, text)


def first_part(text: str) -> tuple[str, str]:
    """Return the SMILES and what follows its first blank: a name, an extension (CXSMILES), mostly "".

    What does not begin with a molecule is returned whole.

    Examples
    --------
    >>> first_part("CCO ethanol"), first_part("C[C@H](O)F |&1:1|"), first_part("a name")
    (('CCO', 'ethanol'), ('C[C@H](O)F', '|&1:1|'), ('a name', ''))
    """
    first, *rest = text.split(maxsplit=1) or [""]
    return (first, rest[0].strip()) if rest and parse(first) is not None else (text, "")


def unparsed_problem(smiles: Any, max_length: int = MAX_LENGTH) -> str | None:
    """Say why :func:`parse` returns None for this x, in a few words; None when it is a molecule."""
    if not isinstance(smiles, str):
        return f"is {type(smiles).__name__}, not a str"
    text = smiles.strip()
    if not text:
        return "is empty"
    if len(text) > max_length:
        return f"has {len(text)} characters, more than {max_length}"
    if first_part(text)[1]:
        what = "an extension (CXSMILES)" if first_part(text)[1].startswith("|") else "a name"
        return f"has {what} behind the SMILES; pass x.split()[0]"
    if _plain(text, max_length) is None:
        return "holds blanks or characters that are not printable ASCII"
    if parse(text, max_length) is not None:
        return None
    chem = optional_module("rdkit.Chem")
    with optional_module("rdkit.rdBase").BlockLogs():
        try:
            unchecked = chem.MolFromSmiles(text, sanitize=False)
            problems = [] if unchecked is None else chem.DetectChemistryProblems(unchecked)
        except Exception:  # as in parse
            unchecked, problems = None, []
    if unchecked is None:
        return "is invalid SMILES"
    if problems:
        return f"is invalid SMILES ({problems[0].Message().strip()})"
    if not any(atom.GetAtomicNum() != 1 for atom in unchecked.GetAtoms()):
        return "has no atom but hydrogen"
    return _vague(unchecked) or "is invalid SMILES"


def read_molecules(
    X: Sequence[Any],
    *,
    stereo: bool = True,
    salts: Salts = "refuse",
    isotopes: Policy = "refuse",
    radicals: Policy = "refuse",
    max_length: int = MAX_LENGTH,
    name: str = "X",
) -> list[str]:
    """Return the canonical SMILES of n molecules, or name every row that is refused and why.

    Parameters
    ----------
    X : sequence of n str
    stereo : bool, default=True
        Whether stereochemistry is kept.
    salts : {"refuse", "largest", "neutral", "keep"}, default="refuse"
        What to do with more than one fragment (salts, solvents, mixtures). ``"largest"`` takes the one with
        most heavy atoms, of those the heaviest, with its charge. ``"neutral"`` takes the same, and gives or
        takes protons until it has no charge, as far as that is possible (RDKit's Uncharger).
    isotopes, radicals : {"refuse", "keep"}, default="refuse"
        What to do with atoms of stated mass and with unpaired electrons. Charges are always kept.
    max_length : int, default=1000
        Longest SMILES that is read, in characters.
    name : str, default="X"
        What the error calls the data.

    Returns
    -------
    list of n str

    Raises
    ------
    DataError
        When rows are refused; names up to five with the reason.
    DataTypeError
        When X is not a sequence of str.
    ParameterError, ParameterTypeError
        When a policy is none of its choices.

    Examples
    --------
    >>> read_molecules(["OCC", "CC(=O)[O-].[Na+]"], salts="largest")
    ['CCO', 'CC(=O)[O-]']
    """
    check_choice("salts", salts, (*SALTS, "keep"))
    check_choice("isotopes", isotopes, ("refuse", "keep"))
    check_choice("radicals", radicals, ("refuse", "keep"))
    check_count("max_length", max_length)
    _check_sequence(X, name)
    policies = _Policies(bool(stereo), salts, isotopes, radicals, int(max_length))
    rows = [_standard(_text(x, max_length), policies) for x in X]
    refused = [row for row, (spelling, _) in enumerate(rows) if spelling is None]
    if refused:
        _refuse(X, refused, rows, name, policies)
    return [spelling for spelling, _ in rows if spelling is not None]


def read_molecule(x: Any, *, stereo: bool = True, salts: Salts = "refuse") -> str:
    """Return the canonical SMILES of one molecule; DataError says what is wrong with it."""
    spelling, problem = _standard(
        _text(x, MAX_LENGTH), _Policies(stereo, salts, "refuse", "refuse", MAX_LENGTH)
    )
    if spelling is None:
        raise DataError(f"{_shown(x)} {problem or unparsed_problem(x)}")
    return spelling


def molecule_key(x: Any, stereo: bool, salts: str) -> str:
    """Return the canonical SMILES of a molecule as ``salts`` says, also if no model can read it.

    Raises DataError for invalid SMILES.
    """
    text = _text(x, MAX_LENGTH)
    fragments: Any = "keep" if salts == "refuse" else salts
    spelling, _ = _standard(text, _Policies(stereo, fragments, "keep", "keep", MAX_LENGTH))
    if spelling is None:
        raise DataError(f"x must be a molecule's SMILES, got {_shown(x)}, which {unparsed_problem(x)}")
    return spelling


def listed_smiles(X: Any, name: str = "X") -> list[str]:
    """Return n SMILES as a list; raises DataTypeError, naming the row, where X is not a sequence of str."""
    _check_sequence(X, name)
    for row, x in enumerate(X):
        if not isinstance(x, str):
            raise DataTypeError(f"{name} must hold SMILES, str, got {type(x).__name__} in row {row}")
    return [str(x) for x in X]


def texts(X: Iterable[str]) -> list[str]:
    """Return the SMILES of an iterable; raises DataTypeError for one text, which yields its characters."""
    if isinstance(X, str | bytes) or not hasattr(X, "__iter__"):
        raise DataTypeError(f"X must be an iterable of SMILES, got {type(X).__name__}")
    return list(X)


def refuse_rows(problems: Sequence[str]) -> None:
    """Raise DataError for rows with problems, if there are any; names the first five."""
    if problems:
        raise DataError(f"X holds {len(problems)} SMILES that cannot be taken: {_first(problems)}")


def _first(problems: Sequence[str]) -> str:
    """Return the first five and how many there are more."""
    more = [f"and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
    return "; ".join([*problems[:_SHOWN], *more])


def _check_sequence(X: Any, name: str) -> None:
    several = hasattr(X, "__len__") and hasattr(X, "__iter__") and getattr(X, "ndim", 1) > 0
    if isinstance(X, str | bytes) or not several:
        raise DataTypeError(f"{name} must be a sequence of SMILES, got {type(X).__name__}")


class _Policies(NamedTuple):
    stereo: bool
    salts: Salts
    isotopes: Policy
    radicals: Policy
    max_length: int


def _refuse(
    X: Sequence[Any],
    refused: list[int],
    rows: list[tuple[str | None, str]],
    name: str,
    policies: _Policies,
) -> None:
    """Raise the error that names rows and reasons."""
    problems = {row: rows[row][1] or unparsed_problem(X[row], policies.max_length) for row in refused}
    lines = [f"row {row} {problems[row]}: {_shown(X[row])}" for row in refused]
    wrong_type = any(not isinstance(X[row], str) for row in refused[:_SHOWN])
    raise (DataTypeError if wrong_type else DataError)(
        f"{name} must hold SMILES of single molecules; {_first(lines)}"
    )


def _shown(x: Any) -> str:
    text = repr(x)
    return text if len(text) <= 60 else text[:57] + "..."


def _text(x: Any, max_length: int) -> str:
    """Return the text to be read, '' for what is refused unread."""
    return _plain(x, max_length) or ""


def _plain(smiles: Any, max_length: int) -> str | None:
    """Return the text without blanks at its ends if it could be a SMILES."""
    if not isinstance(smiles, str):
        return None
    text = str(smiles).strip()
    # RDKit would take what follows a blank for a name, and stop at a zero character
    if not 0 < len(text) <= max_length or not text.isascii() or not text.isprintable() or " " in text:
        return None
    return text


@lru_cache(maxsize=_REMEMBERED)
def _standard(text: str, policies: _Policies) -> tuple[str | None, str]:
    """Return (canonical SMILES, "") or (None, problem); the problem is "" for what cannot be parsed."""
    molecule = parse(text, policies.max_length) if text else None
    if molecule is None:
        return None, ""
    chem = optional_module("rdkit.Chem")
    fragments = chem.GetMolFrags(molecule)
    if len(fragments) > 1 and policies.salts == "refuse":
        return None, f"has {len(fragments)} fragments (salts='largest' would take the largest)"
    if len(fragments) > 1 and policies.salts in ("largest", "neutral"):
        molecule = _largest(molecule)
    if policies.salts == "neutral":
        molecule = _uncharged(molecule)
    problem = _peculiarity(molecule, policies) if "[" in text else ""  # a loop over all atoms is slow
    return (None, problem) if problem else (_write(molecule, policies.stereo, text), "")


def _largest(molecule: Mol) -> Mol:
    """Return the fragment with most heavy atoms, then the heaviest, then the first in the alphabet.

    RDKit's LargestFragmentChooser weighs fragments without hydrogen where it counts atoms without: among
    fragments of as many heavy atoms, drawn from ZINC250k, it took another one in 14% of the mixtures.
    """
    chem, descriptors = optional_module("rdkit.Chem"), optional_module("rdkit.Chem.Descriptors")
    fragments = chem.GetMolFrags(molecule, asMols=True)
    return min(
        fragments,
        key=lambda part: (-part.GetNumHeavyAtoms(), -descriptors.MolWt(part), _write(part, stereo=True)),
    )


def _uncharged(molecule: Mol) -> Mol:
    """Return the molecule with protons given or taken until it has no charge, as far as that is possible."""
    module = optional_module("rdkit.Chem.MolStandardize.rdMolStandardize")
    with optional_module("rdkit.rdBase").BlockLogs():
        return module.Uncharger(canonicalOrder=True).uncharge(molecule)


def lost_fragments(smiles: str) -> str:
    """Return the SMILES of what ``salts="largest"`` leaves out; empty for one fragment or no molecule."""
    molecule = parse(smiles)
    if molecule is None:
        return ""
    chem = optional_module("rdkit.Chem")
    parts = [_write(part, stereo=True) for part in chem.GetMolFrags(molecule, asMols=True)]
    parts.remove(_write(_largest(molecule), stereo=True))
    return ".".join(sorted(parts))


def _peculiarity(molecule: Mol, policies: _Policies) -> str:
    """Return what the policies refuse in a molecule, "" for nothing."""
    atoms = list(molecule.GetAtoms())
    if policies.radicals == "refuse":
        radicals = Counter(atom.GetSymbol() for atom in atoms if atom.GetNumRadicalElectrons())
        if radicals:
            return f"has unpaired electrons at {', '.join(radicals)}"
    if policies.isotopes == "refuse":
        isotopes = Counter(f"{atom.GetIsotope()}{atom.GetSymbol()}" for atom in atoms if atom.GetIsotope())
        if isotopes:
            return f"has isotopes {', '.join(isotopes)}"
    return ""


def _vague(molecule: Mol) -> str:
    """Return what makes a molecule a pattern rather than a molecule, "" for nothing."""
    if any(atom.GetAtomicNum() == 0 for atom in molecule.GetAtoms()):
        return "has a dummy atom (*)"
    if any(str(bond.GetBondType()) not in _ORDERS for bond in molecule.GetBonds()):
        return "has a bond of unstated order (~)"
    return ""


def _write(molecule: Mol, stereo: bool, read: str = "") -> str:
    """Return the canonical SMILES of a molecule that was read from a text."""
    text = _written(molecule, stereo)
    return text if text == read else _settled(text, stereo)


@lru_cache(maxsize=_REMEMBERED)
def _settled(text: str, stereo: bool) -> str:
    """Return the spelling in which reading and writing a text ends: the smallest of those that come round."""
    seen = [text]
    while len(seen) <= _PASSES:
        molecule = parse(seen[-1], max(len(seen[-1]), MAX_LENGTH))
        if molecule is None:  # RDKit wrote what it cannot read
            return seen[-1]
        again = _written(molecule, stereo)
        if again in seen:
            return min(seen[seen.index(again) :])
        seen.append(again)
    return min(seen)


def _written(molecule: Mol, stereo: bool) -> str:
    """Return RDKit's SMILES; without stereo, isotopes stay, which RDKit's own option would drop."""
    chem = optional_module("rdkit.Chem")
    if not stereo:
        chem.RemoveStereochemistry(molecule)
    text: str = chem.MolToSmiles(molecule)
    if not stereo and "[H]" in text:  # hydrogen that was there to say on which side of a double bond it is
        text = chem.MolToSmiles(chem.RemoveHs(molecule))
    return text
