"""Which way the other side of a loop looks."""

from wrlso._utils.validation import check_choice
from wrlso.exceptions import ParameterError, ParameterTypeError
from wrlso.optimizer import WeightedRetrainingOptimizer

__all__ = ["check_direction", "check_optimizer"]


def check_optimizer(opt: WeightedRetrainingOptimizer) -> None:
    """Raise unless ``opt`` is an optimizer of one number."""
    if not isinstance(opt, WeightedRetrainingOptimizer):
        raise ParameterTypeError(
            f"opt must be a WeightedRetrainingOptimizer, got an object of type {type(opt).__name__}"
        )
    if getattr(opt, "outcomes", None) is not None:
        raise ParameterError("opt must have one number as its outcome (outcomes=None) in this loop")


def check_direction(opt: WeightedRetrainingOptimizer, other: str, wanted: str) -> None:
    """Raise unless ``opt`` is an optimizer of one number that looks the same way as the other side."""
    check_optimizer(opt)
    check_choice("direction", opt.direction, ("maximize", "minimize"))
    if opt.direction != wanted:
        raise ParameterError(
            f"{other}, and opt has direction={opt.direction!r}: build it with direction={wanted!r}"
        )
