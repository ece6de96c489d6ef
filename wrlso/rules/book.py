"""All rules of a search together: names, filters and a user's own tests, in the order in which they apply."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

from wrlso._chemistry.smiles import parse
from wrlso._utils.estimator import BaseEstimator
from wrlso.exceptions import ParameterError, ParameterTypeError
from wrlso.rules.checks import Breach, Check, HasCore, Like, Range, breaches_of, in_order, likeness
from wrlso.rules.filters import Filters

__all__ = ["NAMED", "Feasible", "Rules", "Test", "explain", "rules_of", "words_of"]

Test: TypeAlias = Callable[[Any], bool]
Feasible: TypeAlias = Test | str | Filters | Sequence[Test | str | Filters] | None
_REMEMBERED = 2**16  # verdicts on molecules
_MOLECULE = "molecule"

_MAKEABLE: dict[str, Any] = {"alerts": ("BRENK",), "max_sa": 6.0, "ring_sizes": (3, 8)}

NAMED: Mapping[str, Filters] = {
    "drug-like": Filters(weight=500, logp=5, donors=5, acceptors=10, rotatable=10, tpsa=140, **_MAKEABLE),
    "lead-like": Filters(weight=(250, 350), logp=3.5, rotatable=7, **_MAKEABLE),
    "no-alerts": Filters(alerts=("BRENK", "PAINS")),
}
"""Rules with a name.

``"drug-like"``: Lipinski's rule of five (Adv. Drug Deliv. Rev. 23, 1997), all four of it, with Crippen's
logP, and Veber's bounds of flexibility and polar surface (J. Med. Chem. 45, 2002). ``"lead-like"``: the
bounds of ZINC's lead-like molecules (Irwin and Shoichet, J. Chem. Inf. Model. 45, 2005), after Teague, Davis,
Leeson and Oprea (Angew. Chem. Int. Ed. 38, 1999). Both also exclude Brenk's structural alerts (ChemMedChem 3,
2008), a synthetic accessibility above 6, where molecules are hard to make (Ertl and Schuffenhauer, J.
Cheminform. 1:8, 2009), and rings of more than eight atoms. ``"no-alerts"``: Brenk's alerts, and PAINS (Baell
and Holloway, J. Med. Chem. 53, 2010).
"""


class Rules:
    """Checks of molecules, cheapest first, then a user's own tests.

    Attributes
    ----------
    checks : tuple of Check
    novel : float or None
        Least distance to what is known.
    tests : tuple of callable
        The user's own.
    """

    def __init__(
        self, checks: Iterable[Check], novel: float | None = None, tests: Sequence[Test] = ()
    ) -> None:
        self.checks: tuple[Check, ...] = in_order(checks)
        self.novel = novel
        self.tests: tuple[Test, ...] = tuple(tests)
        self._verdict = lru_cache(maxsize=_REMEMBERED)(self._first_broken)

    @property
    def are_of_molecules(self) -> bool:
        """Whether x must be SMILES."""
        return bool(self.checks) or self.novel is not None

    @property
    def anchors(self) -> list[Check]:
        """The rules that a search's moves take into account."""
        return [check for check in self.checks if isinstance(check, HasCore | Like)]

    @property
    def core(self) -> str | None:
        """SMILES of the core that is kept; None without."""
        return next((check.smiles for check in self.checks if isinstance(check, HasCore)), None)

    @property
    def leads(self) -> list[Like]:
        """The molecules that proposals are near to."""
        return [check for check in self.checks if isinstance(check, Like)]

    def first_broken(self, x: str) -> str | None:
        """Return the first rule that a molecule breaks, None where it keeps to all; remembered."""
        return self._verdict(x)

    def _first_broken(self, x: str) -> str | None:
        molecule = parse(x)
        if molecule is None:
            return _MOLECULE
        return next((check.rule for check in self.checks if check.breaks(molecule)), None)

    def too_close(self, x: str, known: Sequence[str]) -> bool:
        """Whether a molecule is too close to known ones."""
        return self.novel is not None and 1.0 - likeness(x, known)[0] < self.novel

    def breaches(self, x: str, known: Sequence[str] = ()) -> list[Breach]:
        """Return every rule that a molecule breaks; the user's own tests are not called."""
        found = breaches_of(x, self.checks)
        if self.novel is not None and known:
            similarity, place = likeness(x, known)
            if 1.0 - similarity < self.novel:
                says = f"distance {1.0 - similarity:.2f} to {known[place]} is below {self.novel:g}"
                found.append(Breach("novel", says, 1.0 - similarity))
        return found

    def counts(self, X: Sequence[str]) -> Counter[str]:
        """Return how many of some molecules break each rule."""
        molecules = [molecule for x in X if (molecule := parse(x)) is not None]
        return Counter(
            {
                check.rule: n
                for check in self.checks
                if (n := sum(check.breaks(molecule) for molecule in molecules))
            }
        )


def rules_of(feasible: Any) -> Rules | None:
    """Return the rules that ``feasible`` names; None for None.

    Raises
    ------
    ParameterError
        For a name that is none, and for rules that contradict each other.
    ParameterTypeError
        For something that is neither a name, nor Filters, nor callable, nor a list of these.
    """
    if feasible is None:
        return None
    parts = list(feasible) if isinstance(feasible, list | tuple) else [feasible]
    if not parts:
        raise ParameterError("feasible must hold at least one rule, or be None, got an empty list")
    tests = [part for part in parts if _is_test(part)]
    book = _book(tuple(_frozen(part) for part in parts if not _is_test(part)))
    if not tests:
        return book
    joined = Rules(book.checks, book.novel, tests)
    joined._verdict = book._verdict
    return joined


def words_of(feasible: Any) -> str:
    """Return rules in words: those that have parameters with them, a user's own test by its name."""
    parts = feasible if isinstance(feasible, list | tuple) else [feasible]
    said = []
    for part in parts:
        if isinstance(part, str | Filters):
            said.append(part if isinstance(part, str) else part.words())
        elif callable(words := getattr(part, "words", None)):
            said.append(words())
        elif isinstance(part, BaseEstimator):
            said.append(" ".join(repr(part).split()))
        else:
            name = getattr(part, "type_name", None) or getattr(part, "__name__", type(part).__name__)
            said.append(f"a test of your own ({name})")
    return "; ".join(said)


def explain(smiles: str, feasible: Any, known: Sequence[str] = ()) -> list[Breach]:
    """Return every rule that a molecule breaks, with its value and atoms; empty where it keeps to all.

    Parameters
    ----------
    smiles : str
    feasible : str, Filters or list of these
        As of the optimizer; a user's own tests in it are not called.
    known : sequence of str, default=()
        Molecules that ``novel`` compares with.

    Raises
    ------
    DataError
        For invalid SMILES.
    ParameterError, ParameterTypeError
        For impossible rules.

    Examples
    --------
    >>> print(*explain("C1CC1C=O", "drug-like"))
    BRENK alert: aldehyde (atoms 3, 4)
    """
    rules = rules_of(feasible)
    return [] if rules is None else rules.breaches(smiles, known)


def _is_test(part: Any) -> bool:
    return callable(part) and part is not Filters


def _frozen(part: Any) -> Any:
    """Return a name, or the parameters of filters as a hashable value."""
    if isinstance(part, str):
        if part not in NAMED:
            raise ParameterError(
                f"feasible must be among {', '.join(map(repr, NAMED))}, or Filters(…), or a function "
                f"x → bool, got {part!r}"
            )
        return part
    if not isinstance(part, Filters):
        raise ParameterTypeError(
            f"feasible must be callable, the name of rules ({', '.join(map(repr, NAMED))}), Filters(…), a "
            f"list of these or None, got {part!r}"
        )
    part.checks()  # names what is wrong
    return tuple((name, _hashable(value)) for name, value in sorted(part.get_params(deep=False).items()))


def _hashable(value: Any) -> Any:
    if isinstance(value, set | frozenset):
        return tuple(sorted(value))
    return tuple(map(_hashable, value)) if isinstance(value, list | tuple) else value


@lru_cache(maxsize=32)
def _book(parts: tuple[Any, ...]) -> Rules:
    """Return the rules of names and parameters, made once, so that their verdicts are remembered."""
    filters = [NAMED[part] if isinstance(part, str) else Filters(**dict(part)) for part in parts]
    kept = {each.keep for each in filters if each.keep is not None}
    if len(kept) > 1:
        raise ParameterError(f"keep must be one core, got {', '.join(map(repr, sorted(kept)))}")
    checks = [check for each in filters for check in each.checks()]
    _refuse_contradictions(checks)
    novel = max((each.novel for each in filters if each.novel is not None), default=None)
    cores = [check for check in checks if isinstance(check, HasCore)]
    for lead in (check for check in checks if isinstance(check, Like)):
        if any(core.breaks(parse(lead.smiles)) for core in cores):
            raise ParameterError(
                f"near must begin with a molecule that has the core of keep, got {lead.smiles!r}"
            )
    return Rules(checks, novel)


def _refuse_contradictions(checks: Iterable[Check]) -> None:
    bounds: dict[str, list[Range]] = {}
    for check in checks:
        if isinstance(check, Range):
            bounds.setdefault(check.rule, []).append(check)
    for rule, found in bounds.items():
        low = max((each.low for each in found if each.low is not None), default=None)
        high = min((each.high for each in found if each.high is not None), default=None)
        if low is not None and high is not None and low > high:
            raise ParameterError(
                f"feasible asks for a {rule} of at least {low:g} and at most {high:g}: no molecule has it"
            )
