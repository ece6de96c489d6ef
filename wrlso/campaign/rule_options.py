"""Rules of molecules as the shell names them, and as a campaign keeps them."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from wrlso._state.codec import Foreign, load_json
from wrlso.exceptions import ParameterError

if TYPE_CHECKING:  # scikit-learn, of which they are a part, takes a second to import
    from wrlso.rules.filters import Filters

__all__ = ["read_rules", "restored", "rules_line", "together"]

_NEAR = 0.4  # similarity where none is given
_NUMBERS = (
    "weight", "heavy_atoms", "logp", "tpsa", "rotatable", "donors", "acceptors", "charge", "ring_sizes",
    "max_sa", "novel",
)  # fmt: skip
_TEXTS = ("alerts", "elements", "no")


def read_rules(
    rules: Sequence[str] = (),
    *,
    max_sa: float | None = None,
    keep: str | None = None,
    near: str | None = None,
    novel: float | None = None,
) -> "list[str | Filters]":
    """Return what the options of the shell say, for ``feasible``; each rule is checked.

    Parameters
    ----------
    rules : sequence of str
        Names such as "drug-like", several with commas between them; or ``NAME=VALUE`` of a parameter of
        :class:`wrlso.rules.Filters`: ``logp=1..4``, ``tpsa=..90``, ``charge=0``, ``alerts=BRENK,PAINS``.
    max_sa, keep, novel
        As there.
    near : str
        SMILES, a blank, and the least similarity; 0.4 where it is left out.

    Raises
    ------
    ParameterError
        For rules that are none.
    """
    names: list[str] = []
    chosen: dict[str, Any] = {"max_sa": max_sa, "keep": keep, "novel": novel}
    for text in rules:
        if "=" in text:
            name, _, value = text.partition("=")
            name = name.strip().replace("-", "_").lower()
            _add(chosen, name, value.strip(), text)
        else:
            names += [name.strip().lower() for name in text.split(",") if name.strip()]
    if near is not None:
        smiles, _, similarity = near.strip().partition(" ")
        chosen["near"] = (smiles, _number(similarity, near) if similarity else _NEAR)
    given = {name: value for name, value in chosen.items() if value is not None}
    if not names and not given:
        return []
    from wrlso.rules.book import rules_of
    from wrlso.rules.filters import Filters

    found: list[str | Filters] = [*names, *([Filters(**given)] if given else [])]
    rules_of(found)
    return found


def together(rules: "Sequence[str | Filters]", test: Callable[..., Any] | None) -> Any:
    """Return the value of ``feasible``: rules and a user's own test; None for none."""
    parts = [*rules, *([] if test is None else [test])]
    return None if not parts else parts[0] if len(parts) == 1 else parts


def restored(parameters: Mapping[str, Any], test: Callable[..., Any]) -> Any:
    """Return the value of ``feasible`` that a campaign keeps, with a user's test in the place of its own."""
    kept = _kept(parameters)
    if not isinstance(kept, list):
        return test
    return [test if isinstance(part, Foreign) else part for part in kept]


def rules_line(parameters: Mapping[str, Any]) -> list[str]:
    """Return a line that says which rules a campaign has; none without."""
    kept = _kept(parameters)
    if kept is None:
        return []
    from wrlso.rules.book import words_of

    return [f"rules: {words_of(kept)}"]


def _kept(parameters: Mapping[str, Any]) -> Any:
    return load_json(json.dumps(parameters.get("feasible")))


def _add(chosen: dict[str, Any], name: str, value: str, text: str) -> None:
    """Add one rule NAME=VALUE."""
    if name not in (*_NUMBERS, *_TEXTS):
        listed = ", ".join((*_NUMBERS, *_TEXTS))
        raise ParameterError(f"--rules {text!r}: NAME=VALUE must have one of the names {listed}")
    if name == "no":  # a pattern holds commas of its own
        chosen[name] = [*chosen.get(name, ()), value]
    elif name in _TEXTS:
        chosen[name] = [*chosen.get(name, ()), *(part.strip() for part in value.split(","))]
    elif ".." in value:
        low, _, high = value.partition("..")
        chosen[name] = tuple(_number(bound, text) if bound.strip() else None for bound in (low, high))
    else:
        chosen[name] = _number(value, text)


def _number(value: str, text: str) -> float:
    try:
        number = float(value)
    except ValueError as error:
        raise ParameterError(f"{text!r} must end in a number, or a range such as 1..4") from error
    return int(number) if number == int(number) else number
