"""The test of candidates that an ask may propose."""

from collections.abc import Callable
from typing import Any

from wrlso.exceptions import DataError
from wrlso.history import History
from wrlso.models.protocol import LatentModel

__all__ = ["screen_of"]


def screen_of(
    model: LatentModel, history: History, feasible: Callable[[Any], bool] | None
) -> Callable[[Any], str | None]:
    """Return a test of x: its result is why ask may not propose x, None when it may."""

    def screen(x: Any) -> str | None:
        if x is None:
            return "undecodable"
        try:
            status = history.status(model.key(x))
        except DataError:
            return "undecodable"
        if status in ("observed", "failed", "pending"):
            return "known" if status == "observed" else status
        return None if feasible is None or feasible(x) else "infeasible"

    return screen
