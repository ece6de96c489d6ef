"""Rules as one object with parameters."""

from collections.abc import Sequence
from typing import Any

from wrlso._chemistry.alerts import catalogues
from wrlso._chemistry.cores import core_of
from wrlso._chemistry.smiles import optional_module, parse, unparsed_problem
from wrlso._utils.estimator import BaseEstimator
from wrlso._utils.validation import check_real
from wrlso.exceptions import ParameterError, ParameterTypeError
from wrlso.rules.checks import (
    PROPERTIES,
    Alerts,
    Breach,
    Check,
    Elements,
    HasCore,
    Like,
    Pattern,
    Range,
    RingSizes,
    breaches_of,
    in_order,
)

__all__ = ["Filters"]

_RANGES = ("weight", "heavy_atoms", "logp", "tpsa", "rotatable", "donors", "acceptors")
Bounds = float | tuple[float | None, float | None] | None


class Filters(BaseEstimator):
    """Rules that a proposed molecule must keep to. Needs RDKit (the extra ``molecules``).

    Pass it as ``feasible=`` of the optimizer, alone or in a list with other rules. What is None or empty is
    no rule. Bounds are a pair (smallest, largest) of values that are allowed, of which either may be None, or
    one number, the largest.

    Parameters
    ----------
    alerts : sequence of str, default=()
        Catalogues of structural alerts, of which none may match: "BRENK", "PAINS", "NIH", "ZINC", "CHEMBL" or
        a part of it such as "CHEMBL_Glaxo".
    max_sa : float, default=None
        Largest synthetic accessibility score, from 1 (easy to make) to 10 (Ertl and Schuffenhauer 2009).
    weight, heavy_atoms, logp, tpsa, rotatable : float or pair, default=None
        Bounds of the molecular weight, the number of heavy atoms, Crippen's logP, the topological polar
        surface area in Å², and the number of rotatable bonds.
    donors, acceptors : float or pair, default=None
        Bounds of the hydrogen atoms at N and O, and of the number of N and O (Lipinski's counts).
    charge : int or pair, default=None
        The net charge, or its bounds.
    ring_sizes : float or pair, default=None
        Bounds of the number of atoms of every ring.
    elements : sequence of str, default=None
        Symbols that are allowed beside hydrogen, such as ("C", "N", "O").
    no : sequence of str, default=()
        SMARTS of which none may match.
    keep : str, default=None
        SMILES of a core that every proposal has. Dummy atoms (``[*:1]``) say where substituents may be;
        without any they may be anywhere. A search changes only what is outside of it.
    near : tuple (SMILES, float), default=None
        Least Tanimoto similarity (ECFP4) to a molecule: lead optimisation. A search then starts at this one.
    novel : float in [0, 1], default=None
        Least Tanimoto distance, 1 - similarity (ECFP4), to every molecule that was told and not asked for.

    Examples
    --------
    >>> filters = Filters(alerts=["BRENK"], heavy_atoms=(10, 40), near=("Cc1ccncc1", 0.2))
    >>> for breach in filters.explain("Cc1ccncc1S"):
    ...     print(breach)
    heavy atoms 8 is below 10
    BRENK alert: thiol 2 (atoms 7)
    """

    def __init__(
        self,
        *,
        alerts: Sequence[str] = (),
        max_sa: float | None = None,
        weight: Bounds = None,
        heavy_atoms: Bounds = None,
        logp: Bounds = None,
        tpsa: Bounds = None,
        rotatable: Bounds = None,
        donors: Bounds = None,
        acceptors: Bounds = None,
        charge: Bounds = None,
        ring_sizes: Bounds = None,
        elements: Sequence[str] | None = None,
        no: Sequence[str] = (),
        keep: str | None = None,
        near: tuple[str, float] | None = None,
        novel: float | None = None,
    ) -> None:
        self.alerts = alerts
        self.max_sa = max_sa
        self.weight = weight
        self.heavy_atoms = heavy_atoms
        self.logp = logp
        self.tpsa = tpsa
        self.rotatable = rotatable
        self.donors = donors
        self.acceptors = acceptors
        self.charge = charge
        self.ring_sizes = ring_sizes
        self.elements = elements
        self.no = no
        self.keep = keep
        self.near = near
        self.novel = novel

    def checks(self) -> list[Check]:
        """Return the rules but ``novel``, which is about a campaign.

        Raises
        ------
        ParameterError, ParameterTypeError
            For an impossible parameter.
        """
        found: list[Check] = [
            Range(name, *bounds)
            for name in _RANGES
            if (bounds := _bounds(name, getattr(self, name))) != (None, None)
        ]
        check_real("max_sa", self.max_sa, minimum=1.0, none="no rule")
        check_real("novel", self.novel, minimum=0.0, maximum=1.0, none="no rule")
        if self.max_sa is not None:
            found.append(Range("max_sa", None, float(self.max_sa)))
        if self.charge is not None:
            exact = (self.charge, self.charge) if _is_number(self.charge) else self.charge
            found.append(Range("charge", *_bounds("charge", exact)))
        if self.ring_sizes is not None:
            found.append(RingSizes(*_bounds("ring_sizes", self.ring_sizes)))
        if self.elements is not None:
            found.append(Elements(frozenset(map(_element, _texts("elements", self.elements)))))
        found += [Pattern(_smarts(smarts)) for smarts in _texts("no", self.no)]
        found += [Alerts(_catalogue_name(name)) for name in _texts("alerts", self.alerts)]
        if self.keep is not None:
            core_of(_text("keep", self.keep))
            found.append(HasCore(self.keep))
        if self.near is not None:
            found.append(Like(*_lead(self.near)))
        return found

    def explain(self, smiles: str) -> list[Breach]:
        """Return every rule that a molecule breaks, cheap ones first; see :func:`wrlso.rules.explain`."""
        return breaches_of(smiles, in_order(self.checks()))

    def words(self) -> str:
        """Return the rules in words."""
        said = []
        for name, value in self.get_params(deep=False).items():
            default = () if name in ("alerts", "no") else None
            if value is default or (not isinstance(value, int | float) and not value):
                continue
            label = {"alerts": "no alerts of", "ring_sizes": "ring sizes", "no": "no"}.get(name)
            label = label or (PROPERTIES[name].label if name in PROPERTIES else name)
            said.append(f"{label} {_spelled(name, value)}")
        return "; ".join(said) or "none"


def _spelled(name: str, value: Any) -> str:
    if name == "near":
        return f"{value[0]} (similarity {value[1]:g})"
    if name in ("alerts", "no", "elements"):
        return ", ".join(_texts(name, value))
    if name in ("keep", "novel"):
        return f"{value}"
    low, high = (value, value) if name == "charge" and _is_number(value) else _bounds(name, value)
    if low == high:
        return f"{low:g}"
    if low is None or high is None:
        return f"at most {high:g}" if low is None else f"at least {low:g}"
    return f"{low:g} to {high:g}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _bounds(name: str, value: Any) -> tuple[float | None, float | None]:
    """Return the smallest and the largest value that are allowed."""
    if value is None:
        return None, None
    pair = (None, value) if _is_number(value) else value
    if isinstance(pair, str) or not isinstance(pair, Sequence) or len(pair) != 2:
        raise ParameterTypeError(
            f"{name} must be a number, a pair (smallest, largest) or None, got {value!r}"
        )
    for i, bound in enumerate(pair):
        check_real(f"{name}[{i}]", bound, none="no bound")
    low, high = (None if bound is None else float(bound) for bound in pair)
    if low is not None and high is not None and low > high:
        raise ParameterError(f"{name} must be a pair (smallest, largest), got {value!r}")
    return low, high


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ParameterTypeError(f"{name} must be a str, got {value!r}")
    return value


def _texts(name: str, value: Any) -> list[str]:
    """Return a sequence of texts, of which one alone may stand for itself."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, Sequence | set | frozenset) or not all(isinstance(each, str) for each in value):
        raise ParameterTypeError(f"{name} must be a sequence of str, got {value!r}")
    return sorted(value) if isinstance(value, set | frozenset) else list(value)


def _catalogue_name(name: str) -> str:
    found = catalogues().get(name.casefold())
    if found is None:
        raise ParameterError(f"alerts must be among {', '.join(catalogues().values())}, got {name!r}")
    return found


def _smarts(text: str) -> str:
    with optional_module("rdkit.rdBase").BlockLogs():
        if optional_module("rdkit.Chem").MolFromSmarts(text) is None:
            raise ParameterError(f"no must hold SMARTS, got {text!r}")
    return text


def _element(symbol: str) -> str:
    try:
        optional_module("rdkit.Chem").GetPeriodicTable().GetAtomicNumber(symbol)
    except RuntimeError as error:
        raise ParameterError(f"elements must be symbols such as 'C' and 'Cl', got {symbol!r}") from error
    return symbol


def _lead(near: Any) -> tuple[str, float]:
    if not isinstance(near, tuple | list) or len(near) != 2:
        raise ParameterTypeError(f"near must be a pair (SMILES, similarity), got {near!r}")
    smiles, similarity = near
    check_real("the similarity of near", similarity, minimum=0.0, maximum=1.0)
    if parse(_text("near", smiles)) is None:
        raise ParameterError(
            f"near must begin with the SMILES of a molecule, got {smiles!r}, which {unparsed_problem(smiles)}"
        )
    return smiles, float(similarity)
