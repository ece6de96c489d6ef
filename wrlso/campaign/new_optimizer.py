"""The optimizer of a new campaign."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from wrlso.exceptions import ParameterError

if TYPE_CHECKING:
    from wrlso.optimizer import WeightedRetrainingOptimizer

__all__ = ["new_optimizer"]

_OPTIONS = {
    "initial_epochs": "--epochs", "retrain_epochs": "--retrain-epochs", "lr": "--learning-rate",
    "batch_size": "--batch-size",
}  # fmt: skip


def new_optimizer(
    model: Any, n: int, training: Mapping[str, Any], options: dict[str, Any]
) -> "WeightedRetrainingOptimizer":
    """Return an optimizer with the defaults for n objects of this model, and the options that are given.

    ``options`` may hold ``plausibility``, of :func:`wrlso.molecules.search_options`, and of
    :func:`wrlso.sequences.search_options` where it is a number.
    """
    from wrlso import sequences
    from wrlso._state.settings import trains
    from wrlso.acquisition import molecule_options
    from wrlso.optimizer import WeightedRetrainingOptimizer
    from wrlso.training.trainer import Trainer

    plausibility = options.pop("plausibility", "auto")
    generate = options.get("generate", True)
    chosen = sequences.search_options(model, plausibility=None if plausibility == "auto" else plausibility)
    if not chosen:
        chosen = molecule_options.search_options(model, generate=generate, plausibility=plausibility)
    options = chosen | options
    if training and not trains(WeightedRetrainingOptimizer(model=model, **options)):
        named = " and ".join(_OPTIONS[name] for name in training)
        raise ParameterError(
            f"{named} must be left out, because nothing is trained where the model proposes nothing: only "
            "what is in the catalogue is proposed, and values are predicted from features (--generate lets "
            "the model propose, too)"
        )
    if training:
        # epochs that are chosen are all taken, without the model's bound on steps
        steps = {f"{name}_steps": None for name in ("initial", "retrain") if f"{name}_epochs" in training}
        options["trainer"] = options.get("trainer", Trainer()).set_params(**training, **steps)
    return WeightedRetrainingOptimizer(model=model, **options)
