"""The optimizer's parameters for models of molecules."""

from typing import Any, Literal

from wrlso._utils.validation import check_real
from wrlso.acquisition.candidate_pool import CandidatePool
from wrlso.acquisition.functions import LogExpectedImprovement, Mixture, ThompsonSampling
from wrlso.acquisition.size_range import SizeRange
from wrlso.acquisition.sources import Cross, Mutate, Near, Prior, Rewrite, Source, Splice
from wrlso.exceptions import ParameterError
from wrlso.models.molecules.base import MoleculeVAE
from wrlso.models.protocol import CountsOddities, LatentModel, has_likelihood
from wrlso.models.selfies.vae import SelfiesVAE
from wrlso.surrogate.tanimoto_gp import TanimotoGP
from wrlso.training.trainer import Trainer

__all__ = ["search_options"]

_BATCH = 128  # molecules in a training step
_FIRST, _LATER = 150, 50  # most steps of the first training, and of each later one: well under a minute
_APART = 0.4  # least distance of the molecules of a batch
_PLAUSIBILITY = 0.1
_PASSES = 20  # most passes over the data; few molecules take fewer steps


def search_options(
    model: LatentModel, *, generate: bool = True, plausibility: float | Literal["auto"] | None = "auto"
) -> dict[str, Any]:
    """Return the optimizer's parameters for a model of molecules; an empty dict for other models.

    They are rules, which every ask and every training apply to the data that there are by then.

    Parameters
    ----------
    model : LatentModel
    generate : bool, default=True
        Whether the model makes molecules; False: they come from a list, and the model is not trained.
    plausibility : float in [0, 1], "auto" or None, default="auto"
        Of the :class:`wrlso.CandidatePool`; None: any candidate. "auto": 0.1 where it
        makes molecules.

    Returns
    -------
    dict
        ``surrogate``: a :class:`wrlso.TanimotoGP`, which judges molecules by their fragments.
        ``acquisition``: log EI and Thompson sampling, three and two of five points, over a
        :class:`wrlso.CandidatePool` of which at the start 35 % each are mutants and crosses of molecules and
        the rest is decoded; with :class:`wrlso.models.SelfiesVAE` some are spliced or partly rewritten. The
        molecules of a batch differ, by 0.4 in Tanimoto distance where candidates allow it. A
        :class:`wrlso.SizeRange` keeps to 1.3 times the sizes of the molecules with a value, and odd parts and
        alerts are as rare as in these.
        ``trainer``: at most 150 steps in the first training and 50 in later ones.

    Raises
    ------
    ParameterError, ParameterTypeError
        For a ``plausibility`` that is no quantile, or that this model cannot judge.
    """
    plausibility = _share(model, generate, plausibility)
    if not isinstance(model, MoleculeVAE):
        return {}
    if not generate:
        parts = Mixture([LogExpectedImprovement(), ThompsonSampling()], [3, 2])
        return {"surrogate": TanimotoGP(), "acquisition": parts}
    sources: list[Source] = [Mutate(0.35), Cross(0.35)]
    if isinstance(model, SelfiesVAE):
        sources += [Near(0.15, sigma=(0.06, 0.3)), Prior(0.03), Splice(0.09), Rewrite(0.03)]
    else:
        sources += [Near(0.25), Prior(0.05)]
    pool = CandidatePool(
        400, generations=2, sources=sources, max_attempts=4000, apart=_APART, plausibility=plausibility
    )
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


def _share(model: LatentModel, generate: bool, plausibility: Any) -> float | None:
    """Return a plausibility that is checked; None for any molecule."""
    judged = generate and (has_likelihood(model) or isinstance(model, CountsOddities))
    if isinstance(plausibility, str):
        if plausibility != "auto":
            raise ParameterError(
                f"plausibility must be 'auto', None or a share from 0 to 1, got {plausibility!r}"
            )
        return _PLAUSIBILITY if judged else None
    check_real("plausibility", plausibility, minimum=0.0, maximum=1.0, none="any molecule, or 'auto'")
    if plausibility is None:
        return None
    if not judged:
        raise ParameterError(
            "plausibility is for a model that makes molecules and can judge them, such as SelfiesVAE, got "
            + (type(model).__name__ if generate else "generate=False")
        )
    return float(plausibility)
