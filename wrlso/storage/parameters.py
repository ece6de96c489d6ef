"""The optimizer's parameters in a file: the library's parts by name, of the user's only the names."""

import json
import warnings
from typing import Any

from wrlso._state.codec import Foreign, dump_json, load_json
from wrlso._state.settings import Settings
from wrlso.exceptions import FormerSettingsWarning, ParameterError, StorageError
from wrlso.storage.catalogue import read_catalogue

__all__ = ["load_parameters", "pack_parameters"]

_NOT_STORED = ("callbacks",)
# Parameters and values that are gone, as they stand in the file of a former version.
_GONE = {
    '"fit_on": "asked"': "fit_on='asked' (points lie at their encodings)",
    '"fit_on": "inverted"': "fit_on='inverted' (points lie at their encodings)",
    '"bounds": "ball"': "bounds='ball'",
    '"class": "TrustRegion"': "TrustRegion",
    '"transform": "rank"': "transform='rank' (the default takes its place)",
}
_MODULES = ("encoder", "decoder", "model", "codec")


def pack_parameters(settings: Settings, candidates: str | None = None) -> tuple[str, str]:
    """Return the parameters as JSON, and the names of what a file cannot hold with what it is.

    ``candidates`` is the name of the file that holds them, None where there are none or no file can.
    """
    parameters = {k: v for k, v in settings.get_params(deep=False).items() if k not in _NOT_STORED}
    needs: dict[str, str] = {}
    for name, value in parameters.items():
        if name in _MODULES and value is not None:
            parameters[name] = Foreign(f"{type(value).__module__}.{type(value).__qualname__}")
            needs[name] = parameters[name].type_name
            continue
        if name == "candidates" and value is not None:
            parameters[name] = candidates or Foreign(f"a list of {type(next(iter(value))).__qualname__}")
            needs |= {} if candidates else {name: parameters[name].type_name}
            continue
        found = _foreign(json.loads(dump_json(value, parameters=True, foreign=True)))
        if found is not None:
            needs[name] = found
    return dump_json(parameters, parameters=True, foreign=True), json.dumps(needs)


def load_parameters(campaign: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Return the stored parameters with those that are given in their place.

    Raises
    ------
    ParameterError
        When something that the file cannot hold is not given; all of it is named.
    StorageError
        When the journal holds no parameters.
    """
    text, needs_text = campaign.journal.get("parameters"), campaign.journal.get("needs")
    if text is None or needs_text is None:
        raise StorageError(f"the campaign in {campaign.path} is damaged: its parameters are missing")
    parameters: dict[str, Any] = load_json(text)
    parameters.pop("fit_on", None)
    if gone := [words for stored, words in _GONE.items() if stored in text]:
        warnings.warn(
            f"the campaign in {campaign.path} goes on without what this version no longer has: "
            + ", ".join(gone),
            FormerSettingsWarning,
            stacklevel=5,
        )
    needs: dict[str, str] = json.loads(needs_text)
    missing = {name: kind for name, kind in needs.items() if given.get(name) is None}
    if missing:
        listed = ", ".join(f"{name} (it was {kind})" for name, kind in missing.items())
        raise ParameterError(
            f"the campaign in {campaign.path} was made with what a file cannot hold: give load() {listed}"
        )
    extra = [name for name in _MODULES if given.get(name) is not None and name not in needs]
    if extra:
        raise ParameterError(
            f"the campaign in {campaign.path} was made without {', '.join(extra)}: leave it out"
            + (f" and give {', '.join(name for name in _MODULES if name in needs)}" if needs else "")
        )
    if given.get("candidates") is None and parameters.get("candidates") is not None:
        given = given | {"candidates": read_catalogue(campaign.path, parameters["candidates"])}
    return parameters | {name: value for name, value in given.items() if value is not None}


def _foreign(packed: Any) -> str | None:
    """The type of the first part that a file cannot hold."""
    if isinstance(packed, dict):
        if packed.get("!") == "foreign":
            return str(packed["type"])
        packed = list(packed.values())
    if isinstance(packed, list):
        return next((found for item in packed if (found := _foreign(item)) is not None), None)
    return None
