"""What was learned as values to store, all of it or what the last draft has added, and back."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, clone

from wrlso._state.codec import Foreign, dump, is_alike, is_own, load
from wrlso._state.encodings import Encodings
from wrlso._state.learned import Core
from wrlso.exceptions import ParameterError, StorageError
from wrlso.history import History
from wrlso.surrogate.sparse_gp import SparseGP

__all__ = ["check_state", "core_fields", "model_fields", "new_arrays", "restore_arrays", "restore_fields"]

_COUNTERS = ("seed", "n_asks", "n_trainings", "n_at_training", "n_seen", "n_at_fit", "revision")


def core_fields(core: Core) -> dict[str, Any]:
    """Return counters and the acquisition's state."""
    return {name: getattr(core, name) for name in _COUNTERS} | {"acquisition": _acquisition(core.acquisition)}


def model_fields(model: Any) -> Any:
    """Return what the model keeps beside its weights, or None where it has no ``get_state``."""
    return model.get_state() if callable(getattr(model, "get_state", None)) else None


def new_arrays(core: Core, *, everything: bool) -> tuple[list[str], list[tuple[str, bytes]]]:
    """Return the kinds of arrays that are void, and (kind, data) of those that are new.

    "encodings" are rows of Z; "subset" the rows that the search sees since the last fit of the surrogate;
    "surrogate" as it was then; "condition" what it was conditioned on since. Keeping the surrogate of the
    last fit and its later observations apart makes an ask write a little instead of all.
    """
    void: list[str] = []
    added: list[tuple[str, bytes]] = []
    if everything or core.trained:
        void += ["encodings", "subset"]
    if core.Z is not None and (everything or core.encoded):
        rows = core.Z.rows if everything else np.unique(np.concatenate(core.encoded))
        Z = core.Z[rows].numpy()
        single = Z.astype(np.float32)
        added.append(("encodings", dump({"rows": rows, "Z": single if (single == Z).all() else Z})))
    if everything or core.fitted:
        void += ["subset", "surrogate", "condition"]
        if core.surrogate is not None:
            added.append(("surrogate", dump(_surrogate(core.surrogate), foreign=True)))
        if core.rows is not None:
            added.append(("subset", dump({"rows": core.rows, "y": core.y, "errors": core.errors})))
    else:
        added += [("condition", dump(group)) for group in core.conditioned]
    return void, added


def restore_fields(core: Core, fields: dict[str, Any], acquisition: Any) -> None:
    """Put counters and the acquisition's state in place; ``acquisition`` is the user's or the default."""
    for name in _COUNTERS:
        setattr(core, name, int(fields[name]))
    stored = fields["acquisition"]
    if is_own(stored) and is_alike(_refill(stored, acquisition), acquisition):
        core.acquisition = stored
        return
    core.acquisition = clone(acquisition, safe=False)
    if isinstance(stored, dict) and "state" in stored:
        _set_state(core.acquisition, stored["state"], "acquisition")


def restore_arrays(core: Core, history: History, arrays: list[tuple[str, bytes]], surrogate: Any) -> None:
    """Put encodings, the search's rows and the surrogate in place."""
    parts = [(kind, load(data)) for kind, data in arrays]
    encodings = [part for kind, part in parts if kind == "encodings"]
    if encodings:
        core.Z = Encodings.none(core.model.latent_dim)
        for part in encodings:
            core.Z = core.Z.with_rows(part["rows"], torch.from_numpy(part["Z"]))
    for kind, part in parts:
        if kind == "surrogate":
            core.surrogate = _restored_surrogate(part, surrogate)
        elif kind == "subset":
            core.rows, core.y = part["rows"], part["y"]
            core.errors = part.get("errors", core.errors)  # older campaigns have none
    for kind, part in parts:
        if kind != "condition":
            continue
        if core.rows is not None and core.y is not None:
            core.rows, core.y = np.concatenate([core.rows, part["rows"]]), np.concatenate([core.y, part["y"]])
        core.errors = np.concatenate([core.errors, part.get("errors", np.empty(0))])
        if part["known"] and core.surrogate is not None:
            core.surrogate = core.surrogate.condition_on(_inputs(part, history), torch.from_numpy(part["y"]))


def check_state(core: Core | None, surrogate: Any) -> None:
    """Raise ParameterError for a surrogate of the user's whose state cannot be stored."""
    for part in (surrogate, None if core is None else core.surrogate):
        if part is None or _has_state(part):
            continue
        unknown = [type(part).__name__] if not is_own(part) else list(_foreign_attributes(part))
        if unknown:
            raise ParameterError(
                f"a campaign cannot store {', '.join(unknown)} of the surrogate {type(part).__name__}: "
                "give it methods get_state(), which returns a dict of numbers, texts and arrays, and "
                "set_state(state)"
            )


def _inputs(part: dict[str, Any], history: History) -> Any:
    if part["Z"] is None:
        return [history.records[row].x for row in part["rows"]]
    return part["Z"]


def _has_state(part: Any) -> bool:
    return callable(getattr(part, "get_state", None)) and callable(getattr(part, "set_state", None))


def _acquisition(acquisition: Any) -> Any:
    if _has_state(acquisition):
        return {"state": acquisition.get_state()}
    if not is_own(acquisition) or list(_foreign_attributes(acquisition)):
        return None  # the user's own and without state: load is given it again
    return acquisition


def _surrogate(surrogate: Any) -> Any:
    return {"state": surrogate.get_state()} if _has_state(surrogate) else surrogate


def _foreign_attributes(part: Any) -> Iterator[str]:
    """Names of what is neither storable nor one of the parameters, which load is given again."""
    parameters = part.get_params(deep=False) if isinstance(part, BaseEstimator) else {}
    for name, value in vars(part).items():
        stored = load(dump(value, foreign=True)) if not is_own(value) else None
        if isinstance(stored, Foreign) and name not in parameters:
            yield name


def _refill(stored: Any, template: Any) -> Any:
    """Put parameters that a file cannot hold back in place, from an object that has them."""
    if type(stored) is type(template):
        for name, value in vars(stored).items():
            given = getattr(template, name, None)
            if isinstance(value, Foreign):
                object.__setattr__(stored, name, given)
            elif is_own(value):
                _refill(value, given)
    return stored


def _restored_surrogate(stored: Any, template: Any) -> Any:
    if is_own(stored):
        wanted = SparseGP() if template is None else template
        return stored if is_alike(_refill(stored, wanted), wanted) else None
    surrogate = clone(template, safe=False)
    _set_state(surrogate, stored["state"], "surrogate")
    return surrogate


def _set_state(part: Any, state: Any, name: str) -> None:
    setter: Callable[[Any], Any] | None = getattr(part, "set_state", None)
    if setter is None or isinstance(part, Foreign):
        raise StorageError(
            f"the campaign holds a state for {name}, but {type(part).__name__} has no set_state"
        )
    setter(state)
