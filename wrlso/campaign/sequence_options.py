"""Rules of sequences as the shell names them."""

from collections.abc import Mapping, Sequence
from typing import Any

from wrlso.exceptions import ParameterError

__all__ = ["add_sequence_rules", "read_sequence_rules"]


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
    min_log_likelihood: float | None = None,
) -> dict[str, Any]:
    """Return the parameters of :func:`wrlso.sequences.sequence_search` that options of the shell name.

    ``fixed`` is such as "1,60-70"; ``gc`` and ``length`` are ranges such as "0.4..0.6" and "50..60".

    Raises ParameterError for another form.
    """
    given: dict[str, Any] = {
        "wild_type": wild_type,
        "max_mutations": max_mutations,
        "fixed": [part.strip() for part in fixed.split(",") if part.strip()] if fixed else None,
        "required": list(required) or None,
        "forbidden": list(forbidden) or None,
        "gc": None if gc is None else _range("--gc", gc, float),
        "length": None if length is None else _range("--length", length, int),
        "max_homopolymer": max_homopolymer,
        "min_log_likelihood": min_log_likelihood,
    }
    return {name: value for name, value in given.items() if value is not None}


def add_sequence_rules(model: Any, given: Mapping[str, Any], rules: Sequence[Any]) -> list[Any]:
    """Let a model of sequences keep rules, and return them with the others; raises ParameterError.

    Another model has no such rules, and impossible ones are refused.
    """
    if not given:
        return list(rules)
    from wrlso._sequences.rules import SequenceRules
    from wrlso.models.sequences.vae import SequenceVAE

    if not isinstance(model, SequenceVAE):
        named = ", ".join("--" + name.replace("_", "-") for name in given)
        raise ParameterError(
            f"{named}: for models of sequences (--model protein, dna, rna), got {type(model).__name__}"
        )
    others = {name: value for name, value in given.items() if name != "min_log_likelihood"}
    model.keep_plausible(given.get("min_log_likelihood"))
    if not others:
        return list(rules)
    made = SequenceRules(model.alphabet.letters, **others)
    made.check()
    model.keep(made)
    return [*rules, made]


def _range(name: str, text: str, kind: type[Any]) -> tuple[Any, Any]:
    low, dots, high = text.partition("..")
    try:
        return kind(low), kind(high if dots else low)
    except ValueError as error:
        example = "0.4..0.6" if kind is float else "57, or 50..60"
        raise ParameterError(f"{name} must be such as {example}, got {text!r}") from error
