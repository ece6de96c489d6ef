"""Search over molecules in one call: the model that ships, and the optimizer's parts for molecules."""

import copy
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from wrlso._chemistry.smiles import SALTS, listed_smiles
from wrlso._utils.validation import check_choice
from wrlso.acquisition.default_search import with_search
from wrlso.acquisition.molecule_options import search_options
from wrlso.acquisition.state import FEW_VALUES
from wrlso.exceptions import DataError, ParameterError
from wrlso.models.junction_tree.vae import JunctionTreeVAE
from wrlso.models.molecules.base import MoleculeVAE
from wrlso.models.selfies.vae import SelfiesVAE
from wrlso.optimizer import WeightedRetrainingOptimizer
from wrlso.report.snapshot import Campaign, contributions_now
from wrlso.rules.book import rules_of

__all__ = ["atom_contributions", "molecule_search", "search_options"]


def molecule_search(
    X: Sequence[str],
    y: Any = None,
    *,
    model: SelfiesVAE | JunctionTreeVAE | None = None,
    plausibility: float | Literal["auto"] | None = "auto",
    salts: Literal["refuse", "largest", "neutral"] | None = None,
    **options: Any,
) -> WeightedRetrainingOptimizer:
    """Start a search over molecules: ``ask`` the result for molecules to make, and ``tell`` it their values.

    The result is a :class:`wrlso.WeightedRetrainingOptimizer` fitted to the data, with the model that ships
    and :func:`search_options`.

    Parameters
    ----------
    X : sequence of n str
        SMILES of the molecules to start from.
    y : sequence (n,), default=None
        Their values, as of :meth:`wrlso.WeightedRetrainingOptimizer.fit`; None or NaN: not measured.
    model : SelfiesVAE or JunctionTreeVAE, default=None
        None: ``SelfiesVAE.pretrained()``. The search uses a copy, with the elements or rings of X added to
        its vocabulary.
    plausibility : float in [0, 1], "auto" or None, default="auto"
        Odd parts, ring systems and structural alerts are as rare among the proposals as among the molecules
        with a value, without the oddest part of them: this share, 0.1 for "auto". None: any molecule. With an
        ``acquisition`` that has a search of its own this is said there.
    salts : {"refuse", "largest", "neutral"}, default=None
        What is done with several fragments: refused, the largest one taken, or this without charges; None: as
        the model does, and the one that ships refuses them.
    **options
        Parameters of the optimizer, such as ``direction="minimize"``, ``feasible`` or ``random_state``.

    Raises
    ------
    DataError, DataTypeError, ParameterError, ParameterTypeError
        As in :meth:`wrlso.WeightedRetrainingOptimizer.fit`; the error names each molecule that the model
        cannot read.

    Examples
    --------
    >>> opt = molecule_search(["CCO", "CCN", "CCC", "CCCC", "CCCO"], [1, 0, 2, 3, 2], random_state=0)
    >>> batch = opt.ask(2)
    >>> opt = opt.tell(batch, [4.0, None])
    """
    X = listed_smiles(X)
    model = SelfiesVAE.pretrained() if model is None else model
    if salts is not None:
        check_choice("salts", salts, SALTS)
        model = copy.deepcopy(model)
        model.salts = salts
    if isinstance(model, MoleculeVAE) and model.missing_tokens(start := [*X, *_starts(options)]):
        model = copy.deepcopy(model).extend(start)
    parts = search_options(model, generate=options.get("generate", True), plausibility=plausibility)
    if (wanted := options.get("acquisition")) is not None:
        options["acquisition"] = with_search(wanted, getattr(parts.get("acquisition"), "search", None))
        if plausibility not in ("auto", None) and options["acquisition"] is wanted:
            raise ParameterError(
                "plausibility must be None or 'auto' with an acquisition that has a search of its own: give "
                f"it to the CandidatePool there, got {plausibility!r}"
            )
    return WeightedRetrainingOptimizer(model=model, **parts | options).fit(X, y)


def atom_contributions(opt: WeightedRetrainingOptimizer, X: Sequence[str]) -> list[NDArray[np.float64]]:
    """Return what each atom of some molecules adds to what the campaign's process predicts of them.

    The predicted mean less the mean without the neighbourhoods that hold the atom, as in similarity maps
    [1]_. Neighbourhoods overlap, so that an atom's number is no share of the prediction: they say where it
    comes from. The process is fitted to at most 600 values, as in the report.

    Parameters
    ----------
    opt : WeightedRetrainingOptimizer
        With one goal, at least five values, and a :class:`wrlso.TanimotoGP` on
        :class:`wrlso.surrogate.MorganCounts`, as of :func:`molecule_search`.
    X : sequence of n str
        SMILES.

    Returns
    -------
    list of n ndarray (atoms,)
        In units of the values; above 0 where the atom raises the prediction. Atoms are in the order of the
        SMILES.

    Raises
    ------
    DataError, DataTypeError
        For invalid SMILES, and with fewer than five values.
    ParameterError
        For another process, and for several goals.

    References
    ----------
    .. [1] Riniker and Landrum, "Similarity maps", Journal of Cheminformatics 5:43, 2013.

    Examples
    --------
    >>> X = ["CCCC", "CCCO", "CCO", "OCCO", "CCCCC", "CCCCO"]
    >>> opt = molecule_search(X, [x.count("C") - 2.0 * x.count("O") for x in X], random_state=0)
    >>> carbon, oxygen = atom_contributions(opt, ["CCCCCO"])[0][[1, -1]]
    >>> bool(carbon > oxygen)
    True
    """
    found = contributions_now(Campaign.of(opt), listed_smiles(X))
    if found is None and len(opt.y_) < FEW_VALUES:
        raise DataError(f"at least {FEW_VALUES} values must be known, got {len(opt.y_)}")
    if found is None:
        raise ParameterError(
            "opt must have one goal and a TanimotoGP on MorganCounts, which predicts by neighbourhoods, "
            f"got {opt.surrogate!r:.80}"
        )
    return found


def _starts(options: dict[str, Any]) -> list[str]:
    """Return the molecules that rules let a search start at: the one to be near to."""
    rules = rules_of(options.get("feasible"))
    return [] if rules is None else [lead.smiles for lead in rules.leads]
