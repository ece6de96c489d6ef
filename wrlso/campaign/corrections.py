"""What is said on a command line or in a form to correct a point: read strictly, before anything changes."""

import math
from collections.abc import Sequence

from wrlso.campaign.cells import NOT_MEASURED, is_blank, read_result
from wrlso.campaign.outcome_columns import Result
from wrlso.campaign.start_table import Form
from wrlso.exceptions import ParameterError
from wrlso.outcomes import Aims, Reading

__all__ = ["read_correction"]


def read_correction(values: str | Sequence[str], form: Form, kept: Form, aims: Aims) -> Result:
    """Return the new values by outcome, None for those that were not measured; None: the experiment failed.

    Raises
    ------
    DataError, ParameterError
        For a value that cannot be read, for a name that is unknown or named twice, and for "failed" of one
        outcome among several, which would say nothing of the others.
    """
    listed = [values] if isinstance(values, str) else list(values)
    if len(listed) == 1 and listed[0].strip().lower() in ("failed", "fail"):
        return None
    if not listed:
        raise ParameterError("a correction must say at least one value, got none")
    if not aims.are_named and len(listed) != 1:
        raise ParameterError(f"the new value must be one, because values have no names here, got {listed}")
    found: dict[str, Reading | None] = {}
    for text in listed:
        name, value = _named(text, aims)
        if name in found:
            raise ParameterError(f"each outcome must be named once, got {name!r} twice")
        # errors propose commands with a decimal point, which must work in a campaign of decimal commas, too
        decimal = "." if "." in value else form.decimal or kept.decimal or "."
        y = read_result("n.d." if value.strip().lower() == "nan" else value, decimal=decimal)
        if y is None:
            raise ParameterError("the new value is blank; give a number, 'n.d.' (not measured) or 'failed'")
        if isinstance(y, float) and math.isnan(y):
            if len(aims.names) > 1 or len(listed) > 1:
                raise ParameterError(
                    f"'failed' is said of a whole experiment, got {text!r}: say {name}=n.d. where {name} "
                    "alone could not be measured, or failed, without a name, where the experiment failed"
                )
            return None
        found[name] = Reading(y) if isinstance(y, float) else None if y == NOT_MEASURED else y
    return found


def _named(text: str, aims: Aims) -> tuple[str, str]:
    """Return the outcome that a text names, and the text of its value."""
    if not aims.are_named:
        return "", text
    given, sign, value = text.partition("=")
    names = {known.lower(): known for known in aims.names}
    if len(names) == 1 and not sign and is_blank(text):
        return aims.names[0], text
    if not sign or given.strip().lower() not in names:
        raise ParameterError(
            "the new value must be 'failed', or NAME=VALUE with one of "
            f"{', '.join(map(repr, aims.names))} (NAME=n.d.: not measured), got {text!r}"
        )
    return names[given.strip().lower()], value
