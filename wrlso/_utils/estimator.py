"""scikit-learn's ``BaseEstimator``, whose methods scikit-learn does not annotate, for type checkers."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import Self

    class BaseEstimator:
        """What type checkers shall know of the base class of parts with parameters."""

        def get_params(self, deep: bool = True) -> dict[str, Any]:
            """Return the parameters by name."""

        def set_params(self, **params: Any) -> Self:
            """Set parameters by name, nested ones as ``part__name``."""

        def __repr__(self, N_CHAR_MAX: int = 700) -> str:
            """Return the class and those parameters that differ from their defaults."""

        def __getstate__(self) -> dict[str, Any]:
            """Return the state for a copy or a pickle."""

        def __setstate__(self, state: dict[str, Any]) -> None:
            """Take the state of a copy or a pickle."""

else:
    from sklearn.base import BaseEstimator

__all__ = ["BaseEstimator"]
