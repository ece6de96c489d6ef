"""What was learned as values to store, all of it or what has come since, and back."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from sklearn.base import clone

from wrlso._state.codec import GONE, Foreign, dump, is_alike, is_own, load
from wrlso._state.encodings import Encodings
from wrlso._state.fitted import Arrived, Fitted, latent
from wrlso._state.learned import Learned
from wrlso._state.settings import surrogate_or_default
from wrlso._utils.estimator import BaseEstimator
from wrlso.exceptions import ParameterError, StorageError
from wrlso.history import History
from wrlso.surrogate.observations import Observations
from wrlso.surrogate.points import points_for

__all__ = ["check_state", "counters", "model_fields", "new_arrays", "restore_arrays", "restore_counters"]

_LEARNED = ("seed", "n_asks", "n_trainings", "n_at_training")
_NOISE = ("n", "sd", "bound", "squares")
_FITTED = ("n_seen", "n_at_fit", "revision", "n_corrected")


def counters(learned: Learned) -> dict[str, Any]:
    """Return counters and the acquisition's state."""
    found = {name: getattr(learned, name) for name in _LEARNED}
    found |= _fitted_counters(learned.fitted)
    found["others"] = {name: _fitted_counters(fitted) for name, fitted in learned.others.items()}
    return found | {"acquisition": _acquisition(learned.acquisition)}


def _fitted_counters(fitted: Fitted) -> dict[str, int]:
    return {name: int(getattr(fitted, name)) for name in _FITTED}


def model_fields(model: Any) -> Any:
    """Return what the model keeps beside its weights, or None where it has no ``get_state``."""
    return model.get_state() if callable(getattr(model, "get_state", None)) else None


def new_arrays(now: Learned, before: Learned | None) -> tuple[list[str], list[tuple[str, bytes]]]:
    """Return the kinds of arrays that are void, and (kind, data) of those that are new.

    "encodings" are rows of Z; "subset" the rows that the search sees since the last fit of the surrogate;
    "surrogate" as it was then; "condition" what it was conditioned on since. Keeping the surrogate of the
    last fit and its later observations apart makes an ask write a little instead of all. Those of the process
    of another outcome have its name behind a colon: "surrogate:solubility".

    Parameters
    ----------
    now : Learned
    before : Learned or None
        What is stored; None: nothing, so that all is new.
    """
    void: list[str] = []
    added: list[tuple[str, bytes]] = []
    trained = before is None or now.model is not before.model
    if trained:
        void.append("encodings")
    earlier = Encodings.none(now.model.latent_dim) if before is None or trained else before.encodings
    rows = now.encodings.since(earlier)
    if len(rows):
        Z = now.encodings[rows].numpy()
        single = Z.astype(np.float32)
        added.append(("encodings", dump({"rows": rows, "Z": single if (single == Z).all() else Z})))
    before_by_name = {} if before is None else {"": before.fitted, **before.others}
    now_by_name = {"": now.fitted, **now.others}
    for name in {**before_by_name, **now_by_name}:
        gone, new = _new_of(now_by_name.get(name), before_by_name.get(name))
        end = f":{name}" if name else ""
        void += [kind + end for kind in gone]
        added += [(kind + end, data) for kind, data in new]
    return void, added


def _new_of(now: Fitted | None, before: Fitted | None) -> tuple[list[str], list[tuple[str, bytes]]]:
    """Return the same of one process; None: it was not there, or is not any more."""
    if now is not None and before is not None and now.fit is before.fit:
        return [], [("condition", dump(_group(new))) for new in now.since[len(before.since) :]]
    added: list[tuple[str, bytes]] = []
    if now is not None and now.surrogate is not None:
        added.append(("surrogate", dump(_surrogate(now.surrogate), foreign=True)))
    if now is not None and now.rows is not None:
        added.append(("subset", dump({"rows": now.rows, "y": now.y, "errors": now.errors})))
    return ["subset", "surrogate", "condition"], added


def restore_counters(learned: Learned, stored: dict[str, Any], acquisition: Any) -> None:
    """Put counters and the acquisition's state in place; ``acquisition`` is the user's or the default."""
    for name in _LEARNED:
        setattr(learned, name, int(stored[name]))
    learned.fitted = _with_counters(stored)
    learned.others = {name: _with_counters(found) for name, found in stored.get("others", {}).items()}
    state = stored["acquisition"]
    if is_own(state) and is_alike(_refill(state, acquisition), acquisition):
        learned.acquisition = state
        return
    learned.acquisition = clone(acquisition, safe=False)
    if isinstance(state, dict) and "state" in state:
        _set_state(learned.acquisition, state["state"], "acquisition")


def _with_counters(stored: dict[str, Any]) -> Fitted:
    seen: dict[str, Any] = {name: int(stored.get(name, 0)) for name in _FITTED}  # older ones lack the last
    return replace(Fitted(), **seen)


def restore_arrays(
    learned: Learned, history: History, arrays: list[tuple[str, bytes]], surrogate: Any
) -> None:
    """Put encodings, the search's rows and the surrogate in place."""
    parts = [(kind, load(data)) for kind, data in arrays]
    for kind, part in parts:
        if kind == "encodings":
            learned.place(part["rows"], torch.from_numpy(part["Z"]))
    learned.fitted = _restored(learned.fitted, "", parts, learned.model, history, surrogate)
    learned.others = {
        name: _restored(fitted, f":{name}", parts, learned.model, history, surrogate)
        for name, fitted in learned.others.items()
    }


def _restored(
    fitted: Fitted, end: str, parts: list[tuple[str, Any]], model: Any, history: History, surrogate: Any
) -> Fitted:
    """Return a process with what was stored of it: the kinds of its arrays have this end."""
    own = [(kind.removesuffix(end), part) for kind, part in parts if kind.endswith(end)]
    fitted = replace(fitted, fit=object())
    for kind, part in own:
        if kind == "surrogate":
            fitted = replace(fitted, surrogate=_restored_surrogate(part, surrogate))
        elif kind == "subset":
            errors = part.get("errors", fitted.errors)  # older campaigns have none
            fitted = replace(fitted, rows=part["rows"], y=part["y"], errors=errors)
    for kind, part in own:
        if kind == "condition":
            errors = part.get("errors", np.empty(0))
            inputs = _inputs(part, model, fitted.surrogate, history) if part["known"] else None
            known = Observations.exact(part["y"])
            if part.get("noise") is not None:  # campaigns of before have none
                known = replace(known, **part["noise"])
            fitted = fitted.joined(Arrived(part["rows"], known, inputs, errors))
    return fitted


def _group(new: Arrived) -> dict[str, Any]:
    known, inputs = new.known, new.inputs
    noise = None if known.plain else {name: getattr(known, name) for name in _NOISE}
    return {
        "rows": new.rows, "y": known.y, "Z": latent(inputs), "known": inputs is not None,
        "errors": new.errors, "noise": noise,
    }  # fmt: skip


def check_state(learned: Learned | None, surrogate: Any) -> None:
    """Raise ParameterError for a surrogate of the user's whose state cannot be stored."""
    others = [] if learned is None else [fitted.surrogate for fitted in learned.others.values()]
    for part in (surrogate, None if learned is None else learned.fitted.surrogate, *others):
        if part is None or isinstance(part, str) or _has_state(part):
            continue
        unknown = [type(part).__name__] if not is_own(part) else list(_foreign_attributes(part))
        if unknown:
            raise ParameterError(
                f"a campaign cannot store {', '.join(unknown)} of the surrogate {type(part).__name__}: "
                "give it methods get_state(), which returns a dict of numbers, texts and arrays, and "
                "set_state(state)"
            )


def _inputs(part: dict[str, Any], model: Any, surrogate: Any, history: History) -> Any:
    """Return the surrogate's inputs; None without one, as where the user has set another."""
    if surrogate is None:
        return None
    return points_for(
        surrogate, model, lambda: [history.records[row].x for row in part["rows"]], lambda: part["Z"]
    )


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
    if stored is GONE:
        return None
    if is_own(stored):
        wanted = surrogate_or_default(template)
        return stored if is_alike(_refill(stored, wanted), wanted) else None
    surrogate = clone(surrogate_or_default(template), safe=False)
    _set_state(surrogate, stored["state"], "surrogate")
    return surrogate


def _set_state(part: Any, state: Any, name: str) -> None:
    setter: Callable[[Any], Any] | None = getattr(part, "set_state", None)
    if setter is None or isinstance(part, Foreign):
        raise StorageError(
            f"the campaign holds a state for {name}, but {type(part).__name__} has no set_state"
        )
    setter(state)
