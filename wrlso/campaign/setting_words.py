"""The settings of a campaign in words, read without its model."""

from collections.abc import Mapping
from typing import Any

from wrlso.campaign.outcome_columns import aims_of_campaign
from wrlso.campaign.rule_options import rules_line
from wrlso.campaign.start_table import Form
from wrlso.campaign.tables import DELIMITERS
from wrlso.campaign.views import is_flat, local_time

__all__ = ["setting_words"]

_MODELS = {
    "selfies": "of molecules, that ships with wrlso (SELFIES)",
    "junction-tree": "of molecules, that ships with wrlso (junction trees)",
    "expressions": "of formulas",
    "protein": "of proteins",
    "dna": "of DNA",
    "rna": "of RNA",
    "coding-dna": "of DNA that codes for proteins",
}
_SALTS = {
    "refuse": "molecules of several fragments are refused",
    "largest": "of several fragments the largest counts",
    "neutral": "of several fragments the largest counts, without charges",
}
_PARTS = {  # parameter → what it is; None in it means that it is chosen by itself
    "surrogate": "What predicts results",
    "acquisition": "What chooses points",
    "weighting": "What weighs points in training",
    "trainer": "What trains the model",
}


def setting_words(info: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what is set, and to what, in words.

    Parameters
    ----------
    info : mapping
        Of :func:`wrlso.storage.info.view_campaign`.
    """
    notes, parameters = info["notes"], info["parameters"]
    made = info.get("versions", {}).get("wrlso", "")
    lines = [
        ("Begun", " with wrlso ".join(filter(None, (local_time(info.get("created")), made)))),
        ("The model", _model(notes, parameters)),
        *_goals(info),
        ("Rules of proposed points", "; ".join(rules_line(parameters)).removeprefix("rules: ")),
        ("Where points come from", _candidates(parameters)),
        ("The model is trained again", _training(parameters.get("retrain_every"))),
        *((what, _part(parameters.get(name))) for name, what in _PARTS.items()),
        ("Seed of the random numbers", str(parameters.get("random_state"))),
        *_tables(notes, named=aims_of_campaign(info).are_named),
    ]
    return [(name, words) for name, words in lines if words]


def _model(notes: Mapping[str, str], parameters: Mapping[str, Any]) -> str:
    name = notes.get("model")
    own = (parameters.get("model") or {}).get("type", "") if isinstance(parameters.get("model"), dict) else ""
    said = _MODELS.get(name or "", f"of your own ({name or own.rpartition('.')[2] or 'made in Python'})")
    parts = [said, _SALTS.get(notes.get("salts", ""), "")]
    parts += ["isomers count as one molecule"] if is_flat(notes) else []
    return "; ".join(filter(None, parts))


def _goals(info: Mapping[str, Any]) -> list[tuple[str, str]]:
    aims, notes = aims_of_campaign(info), info["notes"]
    one = notes.get("y", "value")
    lines = []
    for name, sign in aims.goals:
        unit = aims.units.get(name) or ("" if name else notes.get("unit", ""))
        better = "larger is better" if sign > 0 else "smaller is better"
        lines.append((f"Goal: {name or one}", f"{better}{f', in {unit}' if unit else ''}"))
    for name, sign, limit in aims.limits:
        side = "at least" if sign > 0 else "at most"
        lines.append((f"Limit: {name}", f"{side} {limit:.10g} {aims.units.get(name, '')}".strip()))
    said = {name for name, *_ in (*aims.goals, *aims.limits)}
    return lines + [
        (f"Recorded: {name}", "without goal and limit") for name in aims.names if name not in said
    ]


def _candidates(parameters: Mapping[str, Any]) -> str:
    if parameters.get("candidates") is None:
        return "from the model"
    return "from the catalogue and the model" if parameters.get("generate", True) else "from the catalogue"


def _training(every: int | None) -> str:
    return "only when somebody starts it" if every is None else f"after every {every} new values"


def _part(value: Any) -> str:
    """Return the class of a part and what is set of it: "TanimotoGP (n_best 1000)"."""
    if value is None:
        return "chosen by itself"
    if not isinstance(value, dict):
        return str(value)
    state = value.get("state") or {}
    facts = [
        f"{name.replace('_', ' ')} {setting}"
        for name, setting in state.items()
        if isinstance(setting, int | float | str) and setting != "auto"
    ]
    parts = [_part(part) for part in state.get("parts", ()) if isinstance(part, dict)]
    said = f"{value.get('class') or value.get('type', '').rpartition('.')[2]}"
    return f"{said} ({', '.join(parts or facts)})" if parts or facts else said


def _tables(notes: Mapping[str, str], *, named: bool) -> list[tuple[str, str]]:
    form = Form.of(notes)
    decimal = "a point (1.5)" if form.decimal == "." else "a comma (1,5)"
    columns = f"points in the column {form.x}" + ("" if named else f", values in {form.y}")
    told = f"{columns}; columns are parted by a {DELIMITERS[form.delimiter or ',']}, decimals by {decimal}"
    return [("Tables", told), ("Kind of values", notes.get("type", ""))]
