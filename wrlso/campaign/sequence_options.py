"""Rules of sequences as the shell names them."""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from wrlso._sequences.alignment import edit_distance
from wrlso._sequences.alphabets import check_kind
from wrlso._sequences.codons import CODE, USAGES, split_coding
from wrlso.exceptions import DataError, ParameterError

__all__ = ["add_sequence_rules", "coding_model", "read_sequence_rules", "sequence_remarks"]

_TAGS = {
    "His": "HHHHHH",
    "Strep": "WSHPQFEK",
    "FLAG": "DYKDDDDK",
    "Myc": "EQKLISEEDL",
    "HA": "YPYDVPDYA",
}
_ENDS: dict[str, Callable[[str, str], bool]] = {  # near an end
    "at their beginning": lambda x, tag: 0 <= x.find(tag) < min(30, len(x) // 2),
    "at their end": lambda x, tag: x.rfind(tag) >= max(len(x) - 40, len(x) // 2),
}
CODING = "coding-dna"  # the name of the model of DNA that codes for proteins


def read_sequence_rules(
    *,
    wild_type: str | None = None,
    max_mutations: int | None = None,
    fixed: str | None = None,
    required: Sequence[str] = (),
    forbidden: Sequence[str] = (),
    gc: str | None = None,
    length: str | None = None,
    max_homopolymer: int | None = None,
    translate: bool = False,
    codon_usage: str | None = None,
    keep_ends: bool = True,
) -> dict[str, Any]:
    """Return the parameters of :func:`wrlso.sequences.sequence_search` that options of the shell name.

    ``fixed`` is such as "1,60-70"; ``gc`` and ``length`` are ranges such as "0.4..0.6" and "50..60";
    ``codon_usage`` is a name, or a file with a codon and a number in each line.

    Raises ParameterError for another form.
    """
    if codon_usage is not None and not translate:
        raise ParameterError("--codon-usage needs --translate: without it DNA is not read as codons")
    given: dict[str, Any] = {
        "wild_type": wild_type,
        "max_mutations": max_mutations,
        "fixed": [part.strip() for part in fixed.split(",") if part.strip()] if fixed else None,
        "required": list(required) or None,
        "forbidden": list(forbidden) or None,
        "gc": None if gc is None else _range("--gc", gc, float),
        "length": None if length is None else _range("--length", length, int),
        "max_homopolymer": max_homopolymer,
        "translate": translate or None,
        "codon_usage": None if codon_usage is None else _usage(codon_usage),
        "keep_ends": None if keep_ends else False,
    }
    return {name: value for name, value in given.items() if value is not None}


def coding_model(model: str, given: Mapping[str, Any]) -> str:
    """Return the name of the model that is meant: with ``translate`` that of DNA that codes for proteins.

    Raises ParameterError for ``translate`` with another model than one of DNA.
    """
    if not given.get("translate"):
        return model
    if model not in ("dna", CODING):
        raise ParameterError(
            f"--translate needs --model dna, whose sequences it reads as codons, got {model}"
        )
    return CODING


def add_sequence_rules(
    model: Any, given: Mapping[str, Any], rules: Sequence[Any], texts: Sequence[str]
) -> list[Any]:
    """Let a model of sequences keep rules, and return them with the others; raises ParameterError.

    Another model has no such rules, and impossible ones are refused. ``texts`` are the starting data.
    """
    from wrlso._sequences.start_rules import rules_of_search
    from wrlso.models.sequences.vae import SequenceVAE

    if not isinstance(model, SequenceVAE):
        if not given:
            return list(rules)
        named = ", ".join("--" + name.replace("_", "-") for name in given)
        raise ParameterError(
            f"{named}: for models of sequences (--model protein, dna, rna), got {type(model).__name__}"
        )
    others = {n: value for n, value in given.items() if n not in ("translate", "keep_ends")}
    made = rules_of_search(
        model.alphabet, texts, coding=model.is_coding, keep_ends=given.get("keep_ends", True), **others
    )
    if not others and not model.is_coding and not made.prefix:
        return list(rules)
    model.keep(made)
    return [*rules, made]


def sequence_remarks(model: Any, given: Mapping[str, Any], texts: Sequence[str]) -> list[str]:
    """Return what is worth knowing of starting sequences: several lengths, and a tag that all have.

    Raises DataError for DNA that is given as proteins. Sequences that cannot be read do not count.
    """
    from wrlso.models.sequences.vae import SequenceVAE

    if not isinstance(model, SequenceVAE):
        return []
    X: list[str] = []
    for text in texts:
        with suppress(DataError):
            X.append(split_coding(text)[1] if model.is_coding else model.alphabet.read(text))
    if not model.is_coding:
        check_kind(X, model.alphabet, "say --model dna, with --translate where they code for proteins")
    said = []
    if model.rules is not None and model.rules.prefix:
        begun = model.rules.prefix
        said.append(f"all proteins begin with {begun}, and so do new ones (--any-ends lets them lose it)")
    lengths = sorted({len(x) for x in X})
    if len(lengths) > 1 and "length" not in given:
        said.append(
            f"sequences have {len(lengths)} lengths, from {lengths[0]} to {lengths[-1]} letters, and new "
            "ones up to a tenth less or more (--length says otherwise)"
        )
    is_protein = model.alphabet.name == "protein"
    for name, tag in _TAGS.items() if is_protein and len(X) > 1 else ():
        place = next((place for place, has in _ENDS.items() if all(has(x, tag) for x in X)), None)
        if place is not None and tag not in "".join(map(str, given.get("required", ()))):
            motif = f"protein:{tag}" if model.is_coding else tag
            said.append(
                f"all sequences have a {name} tag ({tag}) {place}, which new ones may lose (--required "
                f"{motif} keeps it)"
            )
    most, wild = given.get("max_mutations"), model.rules and model.rules.start
    if X and most is not None and wild:
        nearest = min(edit_distance(wild, x) for x in X)
        if nearest > most:
            said.append(
                f"no sequence has at most {most} mutations of the wild type, the nearest has {nearest}: is "
                "it the right one, with the same tags?"
            )
    return said


def _usage(text: str) -> str | dict[str, float]:
    """Return a name of a codon usage, or what a file says: the last number of each line with a codon."""
    path = Path(text)
    if text in USAGES:
        return text
    if not path.is_file():
        raise ParameterError(
            f"--codon-usage must be one of {', '.join(USAGES)}, or a file with a codon and a number in each "
            f"line, got {text!r}"
        )
    found: dict[str, float] = {}
    for line in path.read_text(encoding="utf-8-sig").splitlines():
        cells = [cell for cell in re.split(r"[,;\s]+", line.strip()) if cell]
        codons = [cell.upper().replace("U", "T") for cell in cells]
        codon = next((cell for cell in codons if cell in CODE), None)
        with suppress(ValueError):
            if codon is not None:
                found[codon] = float(cells[-1])
    if not found:
        raise ParameterError(
            f"--codon-usage: {path.name} has no line with a codon and a number, such as GAA,0.69"
        )
    return found


def _range(name: str, text: str, kind: type[Any]) -> tuple[Any, Any]:
    low, dots, high = text.partition("..")
    try:
        return kind(low), kind(high if dots else low)
    except ValueError as error:
        example = "0.4..0.6" if kind is float else "57, or 50..60"
        raise ParameterError(f"{name} must be such as {example}, got {text!r}") from error
