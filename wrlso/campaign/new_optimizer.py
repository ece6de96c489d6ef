"""The optimizer of a new campaign."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wrlso.optimizer import WeightedRetrainingOptimizer

__all__ = ["new_optimizer"]


def new_optimizer(
    model: Any, n: int, training: Mapping[str, Any], options: dict[str, Any]
) -> "WeightedRetrainingOptimizer":
    """Return an optimizer with the defaults for n objects of this model, and the options that are given.

    ``options`` may hold ``plausibility``, of :func:`wrlso.molecules.search_options`, and of
    :func:`wrlso.sequences.search_options` where it is a number.
    """
    from wrlso import sequences
    from wrlso.acquisition import molecule_options
    from wrlso.optimizer import WeightedRetrainingOptimizer
    from wrlso.training.trainer import Trainer

    plausibility = options.pop("plausibility", "auto")
    generate = options.get("generate", True)
    chosen = sequences.search_options(model, plausibility=None if plausibility == "auto" else plausibility)
    if not chosen:
        chosen = molecule_options.search_options(model, generate=generate, plausibility=plausibility)
    options = chosen | options
    if training:
        # epochs that are chosen are all taken, without the model's bound on steps
        steps = {f"{name}_steps": None for name in ("initial", "retrain") if f"{name}_epochs" in training}
        options["trainer"] = options.get("trainer", Trainer()).set_params(**training, **steps)
    return WeightedRetrainingOptimizer(model=model, **options)
