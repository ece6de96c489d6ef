"""Search over molecules in one call: the model that ships, and the optimizer's parts for molecules."""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from wrlso._chemistry.smiles import listed_smiles
from wrlso.acquisition.candidate_pool import CandidatePool
from wrlso.acquisition.functions import LogExpectedImprovement, Mixture, ThompsonSampling
from wrlso.acquisition.size_range import SizeRange
from wrlso.acquisition.sources import Cross, Mutate, Near, Prior, Rewrite, Source, Splice
from wrlso.models.junction_tree.vae import JunctionTreeVAE
from wrlso.models.molecules.base import MoleculeVAE
from wrlso.models.protocol import LatentModel
from wrlso.models.selfies.vae import SelfiesVAE
from wrlso.optimizer import WeightedRetrainingOptimizer
from wrlso.rules.book import rules_of
from wrlso.surrogate.tanimoto_gp import TanimotoGP
from wrlso.training.trainer import Trainer

__all__ = ["molecule_search", "search_options"]

_BATCH = 128  # molecules in a training step
_FIRST, _LATER = 150, 50  # most steps of the first training, and of each later one: well under a minute
_PASSES = 20  # most passes over the data; few molecules take fewer steps


def molecule_search(
    X: Sequence[str],
    y: Sequence[float | None] | np.ndarray | None = None,
    *,
    model: SelfiesVAE | JunctionTreeVAE | None = None,
    **options: Any,
) -> WeightedRetrainingOptimizer:
    """Start a search over molecules: ``ask`` the result for molecules to make, and ``tell`` it their values.

    The result is a :class:`wrlso.WeightedRetrainingOptimizer` fitted to the data, with the model that ships
    and :func:`search_options`.

    Parameters
    ----------
    X : sequence of n str
        SMILES of the molecules to start from.
    y : sequence (n,) of float, default=None
        Their values; None or NaN: not measured.
    model : SelfiesVAE or JunctionTreeVAE, default=None
        None: ``SelfiesVAE.pretrained()``. The search uses a copy, with the elements or rings of X added to
        its vocabulary.
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
    if isinstance(model, MoleculeVAE) and model.missing_tokens(start := [*X, *_starts(options)]):
        model = copy.deepcopy(model).extend(start)
    parts = search_options(model) | options
    return WeightedRetrainingOptimizer(model=model, **parts).fit(X, y)


def _starts(options: dict[str, Any]) -> list[str]:
    """Return the molecules that rules let a search start at: the one to be near to."""
    rules = rules_of(options.get("feasible"))
    return [] if rules is None else [lead.smiles for lead in rules.leads]


def search_options(model: LatentModel) -> dict[str, Any]:
    """Return the optimizer's parameters for a model of molecules; an empty dict for other models.

    They are rules, which every ask and every training apply to the data that there are by then.

    Parameters
    ----------
    model : LatentModel

    Returns
    -------
    dict
        ``surrogate``: a :class:`wrlso.TanimotoGP`, which judges molecules by their fragments.
        ``acquisition``: log EI and Thompson sampling, three and two of five points, over a
        :class:`wrlso.CandidatePool` of which at the start 35 % each are mutants and crosses of molecules and
        the rest is decoded; with :class:`wrlso.models.SelfiesVAE` some are spliced or partly rewritten. A
        :class:`wrlso.SizeRange` keeps to 1.3 times the sizes of the molecules with a value.
        ``trainer``: at most 150 steps in the first training and 50 in later ones.
    """
    if not isinstance(model, MoleculeVAE):
        return {}
    sources: list[Source] = [Mutate(0.35), Cross(0.35)]
    if isinstance(model, SelfiesVAE):
        sources += [Near(0.15, sigma=(0.06, 0.3)), Prior(0.03), Splice(0.09), Rewrite(0.03)]
    else:
        sources += [Near(0.25), Prior(0.05)]
    pool = CandidatePool(400, generations=2, sources=sources, max_attempts=4000)
    search = SizeRange(pool)
    return {
        "surrogate": TanimotoGP(),
        "acquisition": Mixture([LogExpectedImprovement(), ThompsonSampling()], [3, 2], search=search),
        "trainer": Trainer(
            initial_epochs=_PASSES,
            retrain_epochs=_PASSES / 4,
            initial_steps=_FIRST,
            retrain_steps=_LATER,
            batch_size=_BATCH,
            lr=3e-4,
            variance_reduction="sample",
            grad_clip=1.0,
        ),
    }
