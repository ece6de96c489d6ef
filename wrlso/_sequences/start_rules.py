"""The rules of a search: those that a user gives, and what all starting sequences have at their ends."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from wrlso._sequences.alphabets import Alphabet
from wrlso._sequences.coding_rules import CodingRules
from wrlso._sequences.codons import common_stop, split_coding
from wrlso._sequences.rules import SequenceRules
from wrlso.exceptions import DataError, ParameterError

__all__ = ["rules_of_search"]

_START = "M"


def rules_of_search(
    alphabet: Alphabet, X: Sequence[str], *, coding: bool, keep_ends: bool, **given: Any
) -> SequenceRules | CodingRules:
    """Return the rules that proposals keep, which some sequence can keep.

    Parameters
    ----------
    alphabet : Alphabet
    X : sequence of str
        The starting data; those that cannot be read do not count.
    coding : bool
        Whether they are DNA that codes for proteins.
    keep_ends : bool
        Whether proposals begin with M where all proteins of the data and the wild type do, and end in the
        commonest stop codon where most of the data have one and the wild type has none.
    **given
        Parameters of the rules.

    Raises
    ------
    ParameterError, ParameterTypeError
        For impossible rules, alone or together.
    """
    texts, proteins = _read(alphabet, X, coding)
    longest = max(map(len, proteins), default=None)
    rules: SequenceRules | CodingRules
    if coding:
        rules = CodingRules(**given)
    else:
        rules = SequenceRules(alphabet.name if alphabet.name != "letters" else alphabet.letters, **given)
    is_protein = coding or alphabet.name == "protein"
    known = [*proteins, *([] if rules.start is None else [rules.start])]  # reading the rules checks them
    begun = [x for x in known if x.startswith(_START)]
    if isinstance(rules, CodingRules) and keep_ends and not _ends(given.get("wild_type")):
        rules.set_params(stop=common_stop(texts))
    if not (keep_ends and is_protein and known and len(begun) == len(known)):
        rules.check(longest, texts)
        return rules
    rules.set_params(prefix=_START)
    try:
        rules.check(longest, texts)
    except ParameterError as error:
        rules.set_params(prefix="")
        rules.check(longest, texts)
        raise ParameterError(
            f"{error}; all sequences begin with {_START}, which proposals keep: keep_ends=False (in the "
            "shell --any-ends) lets them begin otherwise"
        ) from None
    return rules


def _read(alphabet: Alphabet, X: Sequence[str], coding: bool) -> tuple[list[str], list[str]]:
    """Return sequences as they are written, and those that are searched: of coding DNA its protein."""
    texts, proteins = [], []
    for x in X:
        with suppress(DataError):
            dna, protein = split_coding(x)[:2] if coding else 2 * (alphabet.read(x),)
            texts.append(dna)
            proteins.append(protein)
    return texts, proteins


def _ends(wild_type: str | None) -> bool:
    """Whether a wild type has a stop codon."""
    return wild_type is not None and bool(split_coding(wild_type)[2])
