"""What an optimizer knows, as its users see it, and how it shows itself at a prompt and in a notebook."""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from wrlso._state.learned import Core
from wrlso._state.weights import weigh
from wrlso._utils.copies import keep
from wrlso.exceptions import NotFittedError
from wrlso.history import History

__all__ = ["Known"]


class Known:
    """The attributes of an optimizer that end in an underscore, and its representations."""

    _core: Core | None
    _history: History
    direction: str
    retrain_every: int | None
    weighting: Any

    @property
    def model_(self) -> Any:
        """The current model."""
        return self._require_core()[0].model

    @property
    def history_(self) -> History:
        """Everything that was given, asked, told and trained."""
        return self._require_core()[1]

    @property
    def X_(self) -> list[Any]:
        """Points with a value, starting data first."""
        history = self.history_
        return [keep(history.records[row].x) for row in history.observed_rows]

    @property
    def y_(self) -> np.ndarray:
        """Their values (n,) in the user's sign."""
        return self.history_.y

    @property
    def weights_(self) -> np.ndarray:
        """Their weights (n,) in training, mean 1."""
        return weigh(self._sign * self.history_.y, self.weighting)

    @property
    def pending_(self) -> list[Any]:
        """Points that were asked for and not yet told."""
        history = self.history_
        return [keep(history.records[row].x) for row in history.rows_with("pending")]

    @property
    def training_due_(self) -> bool:
        """Whether the next :meth:`ask` trains first."""
        return self._training_due(*self._require_core())

    @property
    def best_x_(self) -> Any:
        """The point with the best value."""
        return keep(self.history_.records[self.history_.observed_rows[self._best()]].x)

    @property
    def best_y_(self) -> float:
        """The best value in the user's sign."""
        return float(self.history_.y[self._best()])

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        """Show the progress of the search, or the parameters before there is any."""
        if self._core is None:
            return str(BaseEstimator.__repr__(self, N_CHAR_MAX))
        from wrlso.report.summary import text_summary

        opt: Any = self
        return text_summary(opt)

    def _repr_html_(self) -> str:
        from wrlso.report.summary import html_summary

        opt: Any = self
        return html_summary(opt)

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._repr_html_()}

    def _best(self) -> int:
        y = self.history_.y
        if len(y) == 0:
            raise NotFittedError("there is no best point yet: no value has been given by fit or tell")
        return int(np.argmax(self._sign * y))

    def _training_due(self, core: Core, history: History) -> bool:
        if core.n_trainings == 0:
            return True
        new = history.n_observed - core.n_at_training
        return self.retrain_every is not None and new >= self.retrain_every

    @property
    def _sign(self) -> float:
        return -1.0 if self.direction == "minimize" else 1.0

    def _require_core(self) -> tuple[Core, History]:
        if self._core is None or len(self._history) == 0:
            raise NotFittedError("no x is known yet: call fit(X, y) with starting data, or tell(x, y), first")
        return self._core, self._history
