"""Every error and warning that wrlso raises on purpose.

Each class also inherits from the built-in or scikit-learn exception that a caller would expect, so that
``except ValueError`` keeps working, and from :class:`WrlsoError`, so that one clause catches them all.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sklearn.exceptions import NotFittedError as _SklearnNotFittedError

__all__ = [
    "BrokenRulesWarning",
    "DataError",
    "DataTypeError",
    "ExecutorError",
    "FormerSettingsWarning",
    "GrammarError",
    "LowEffectiveSampleSizeWarning",
    "MergedIsomersWarning",
    "ModelError",
    "NoCandidateError",
    "NonFiniteLossError",
    "NotFittedError",
    "ParameterError",
    "ParameterTypeError",
    "StorageError",
    "TrainingDivergedWarning",
    "UnknownPointError",
    "WrlsoError",
    "WrlsoWarning",
]


class WrlsoError(Exception):
    """Base class of all errors raised by wrlso."""


class ParameterError(WrlsoError, ValueError):
    """A parameter has the right type and an impossible value."""


class ParameterTypeError(WrlsoError, TypeError):
    """A parameter has the wrong type."""


class DataError(WrlsoError, ValueError):
    """Objects or values (x, y, w) do not fit: length, shape, infinity, not encodable.

    Attributes
    ----------
    cells : mapping
        Of a table of results: number of a row → the columns in which its cells are wrong.
    recorded : mapping
        Of these: number of a row → column → the value, in words, that is recorded already and that the cell
        contradicts.
    """

    cells: Mapping[int, Sequence[str]] = MappingProxyType({})
    recorded: Mapping[int, Mapping[str, str]] = MappingProxyType({})


class DataTypeError(DataError, TypeError):
    """Objects or values (x, y, w) have the wrong type."""


class ModelError(WrlsoError, ValueError):
    """A generative model, encoder or decoder breaks its contract."""


class ExecutorError(WrlsoError, RuntimeError):
    """What runs the evaluations is broken for good: its workers died or hang, and it makes no new ones."""


class GrammarError(WrlsoError, ValueError):
    """A text is not a grammar, or not one whose every derivation can end."""


class NoCandidateError(WrlsoError, RuntimeError):
    """The search gave up after a bounded number of attempts without a new, valid, feasible point."""


class NonFiniteLossError(WrlsoError, ArithmeticError):
    """Training met an infinite or undefined loss; the last good weights are in place."""


class StorageError(WrlsoError, OSError):
    """A campaign could not be read or written: damaged, foreign, newer, read-only, or the disk is full."""


class UnknownPointError(WrlsoError, LookupError):
    """The point is not known to the optimizer, or not in the state that the call needs."""


class WrlsoWarning(UserWarning):
    """Base class of all warnings issued by wrlso."""


class BrokenRulesWarning(WrlsoWarning):
    """Some of the data that a search starts with break the rules that its proposals keep to."""


class FormerSettingsWarning(WrlsoWarning):
    """A campaign was made with settings that this version no longer has, and goes on without them."""


class MergedIsomersWarning(WrlsoWarning):
    """Isomers are one molecule for a model without stereochemistry, and the mean of their values counts."""


class LowEffectiveSampleSizeWarning(WrlsoWarning):
    """The weights concentrate on so few points that training sees hardly anything else."""


class TrainingDivergedWarning(WrlsoWarning):
    """A retraining met a loss that is not finite; smaller steps were taken, or the model stays as it was."""


if TYPE_CHECKING:

    class NotFittedError(WrlsoError, _SklearnNotFittedError):
        """The call needs data or a fit that have not happened yet."""

else:

    def __getattr__(name: str) -> Any:
        """Make NotFittedError when it is first asked for: importing its base class takes a second."""
        if name != "NotFittedError":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from sklearn.exceptions import NotFittedError as base

        text = "The call needs data or a fit that have not happened yet."
        made = type(name, (WrlsoError, base), {"__module__": __name__, "__doc__": text})
        return globals().setdefault(name, made)  # of two threads that make it, both get the first one's

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
