"""Cells that hold values: read strictly, written exactly, and told from text when columns are guessed.

A guess looks at a cell with both decimal signs, and takes what nearly is a number (``>10``, ``5,2 uM``,
``1.234,5``) for one: a column of such cells holds the values, and its rows are then refused with a reason.
"""

import math
import re
from collections.abc import Iterable
from typing import Literal

from wrlso.campaign.advice import advise
from wrlso.exceptions import DataError
from wrlso.outcomes import Reading, above, below

__all__ = [
    "FAILED",
    "NOT_MEASURED",
    "UNITS",
    "Cell",
    "decimal_sign",
    "format_value",
    "has_value",
    "is_blank",
    "is_fraction",
    "is_number_like",
    "is_plain_number",
    "is_whole",
    "plain_text",
    "read_result",
    "read_value",
    "shortened",
]

FAILED = math.nan  # the value of an experiment that failed, as in ``tell``
_LENGTH = 60  # characters of a cell in a message
NOT_MEASURED: Literal["n.d."] = "n.d."  # what is said of an outcome that was not measured, and will not be
Cell = str | float | int | None

# in the form of :func:`plain_text`
_UNIT_WORDS = (
    "% ‰ fm pm nm um mm m mol/l mmol/l umol/l nmol/l pmol/l nmol umol mmol g/l mg/l ug/l ng/l "
    "g/ml mg/ml ug/ml ng/ml pg/ml ug.ml-1 ng.ml-1 mg.ml-1 mg/kg mg.kg-1 ug/kg ppm ppb kcal/mol kj/mol "
    "micromolar nanomolar millimolar picomolar molar percent s min h hr hours days 10^-6m 10'-6m "
    "ml/min/kg ml.min-1.kg-1 ul/min/mg 10^-6cm/s cm/s °c k ev"
)
UNITS = frozenset(_UNIT_WORDS.split())
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_DIGITS = r"(?:[0-9]{1,3}(?:[.,'’\s][0-9]{3})+(?:[.,][0-9]+)?|[0-9]+(?:[.,][0-9]*)?|[.,][0-9]+)"
_NUMBER_LIKE = re.compile(
    r"(?P<bound>[<>=≤≥~≈]*)\s*"
    rf"(?P<number>[+-]?{_DIGITS}(?:e[+-]?[0-9]+)?)"
    rf"(?:\s*(?:±|\+/?-)\s*{_DIGITS})?\s*(?P<unit>[^0-9\s.,].*)?",
    re.IGNORECASE,
)
_THREE_DIGITS = re.compile(r"[+-]?[1-9]\d{0,2}[.,]\d{3}", re.ASCII)  # thousands, or three decimals
_THOUSANDS = re.compile(r"[+-]?[0-9]{1,3}([.,'’\s][0-9]{3})+([.,][0-9]+)?(e[+-]?[0-9]+)?", re.IGNORECASE)
_FAILED_WORDS = {"failed", "fail"}
_BLANK_WORDS = {"", "nan"}  # programs write nan where a cell is blank
_NOT_MEASURED = {NOT_MEASURED, "nd", "n.d", "n. d.", "not measured", "not determined"}
_VAGUE_WORDS = {
    "na",
    "n/a",
    "#n/a",
    "none",
    "null",
    "-",
    "--",
    "?",
    "tbd",
    "missing",
    "pending",
}


def shortened(text: str) -> str:
    """Return a text for a message: what is no table may have cells of any length."""
    return text if len(text) <= _LENGTH else f"{text[: _LENGTH - 1]}…"


def plain_text(cell: str) -> str:
    """Return a cell for comparison: without quotation marks, case, and the two signs for micro.

    Examples
    --------
    >>> plain_text(" 'IC50' "), plain_text("µM") == plain_text("uM"), plain_text("'='")
    ('ic50', True, '=')
    """
    text = cell.strip().strip("'\"‘’“”").strip()
    return text.replace("\u00b5", "u").replace("\u03bc", "u").casefold()


# ---------------------------------------------------------------- reading and writing


def read_value(cell: str, *, decimal: str = ".") -> float | None:
    """Read a value: None for a blank cell and "nan", :data:`FAILED` (NaN) for "failed".

    Raises DataError, saying what is wrong with the cell, for everything that is not plainly a number.

    Examples
    --------
    >>> read_value("1e-3"), read_value(" "), read_value("failed"), read_value("1,5", decimal=",")
    (0.001, None, nan, 1.5)
    """
    text = cell.strip().replace("\u2212", "-")  # the minus sign of typeset text
    if text.lower() in _BLANK_WORDS:
        return None
    if text.lower() in _FAILED_WORDS:
        return FAILED
    plain = text.replace(",", ".") if decimal == "," and "." not in text else text
    if _NUMBER.fullmatch(plain) and not (decimal == "," and "." in text):
        value = float(plain)
        if math.isfinite(value):
            return value
        raise DataError(f"{shortened(cell)!r} is too large for a number")
    raise DataError(f"{shortened(cell)!r} {_complaint(text, decimal)}")


def is_blank(cell: str) -> bool:
    """Return whether a cell holds no result: it is blank, "nan" or "n.d."."""
    return cell.strip().lower() in _BLANK_WORDS | _NOT_MEASURED


def has_value(cell: str) -> bool:
    """Return whether a cell says more than that there is no value, or that the experiment failed."""
    return not is_blank(cell) and cell.strip().lower() not in _FAILED_WORDS


def read_result(cell: str, *, decimal: str = ".") -> float | Reading | Literal["n.d."] | None:
    """Read a value or a bound such as ">10"; None for a blank cell, :data:`NOT_MEASURED` for "n.d.".

    Raises DataError as :func:`read_value` does.

    Examples
    --------
    >>> read_result("< 0,1", decimal=","), read_result("n.d."), read_result("7.2")
    (Reading(value=0.1, sd=None, bound='below', n=1), 'n.d.', 7.2)
    """
    text = cell.strip()
    if text.lower() in _NOT_MEASURED:
        return NOT_MEASURED
    sign = re.match(r"(=?>[>=]?|[≥⩾]|=?<[<=]?|[≤⩽])\s*(?=\S)", text)
    if sign is None:
        return read_value(text, decimal=decimal)
    value = read_value(text[sign.end() :], decimal=decimal)
    if value is None or math.isnan(value):
        raise DataError(f"{shortened(cell)!r} is a bound without a number")
    return above(value) if set(sign[1]) & set(">≥⩾") else below(value)


def _complaint(text: str, decimal: str) -> str:
    lower = text.lower().lstrip("+-")
    if lower in ("inf", "infinity", "∞"):
        return "is not finite; write 'failed' if the experiment failed, or leave the cell blank"
    if text.lower() in _VAGUE_WORDS:
        return (
            "may mean several things; write 'failed' if the experiment failed, 'n.d.' if this will not be "
            "measured, and leave it blank if it is not measured yet"
        )
    if text[0] in "<>≤≥":
        return "is a bound and not a value"
    if text[0] in "~≈":
        return "is about a value and not one; write the number to use for it, or leave the cell blank"
    if decimal == "," and _NUMBER.fullmatch(text):
        return "has a decimal point where the file was said to have decimal commas"
    if decimal == "." and _THREE_DIGITS.fullmatch(text):
        return (
            f"may have a decimal comma or a separator between thousands; {advise('decimal comma')}, or write "
            "the digits alone"
        )
    if _NUMBER.fullmatch(text.replace(",", ".", 1)) and text.count(",") == 1:
        return f"is not a number; if the file has decimal commas, {advise('decimal comma')}"
    if _THOUSANDS.fullmatch(text):
        return "has separators between thousands; write the digits alone"
    if re.search(r"\d\s*(±|\+/?-)\s*[\d.,]", text):
        return "is a value with its error; write the value alone"
    if re.match(r"[+-]?[\d.,'’\s]+(e[+-]?\d+)?\s*[^\d\s.,]+\S*$", text, re.IGNORECASE):
        return "is not a number; write it alone, without a unit or sign behind it"
    return "is not a number"


def format_value(value: float | None, decimal: str = ".") -> str:
    """Write a value so that :func:`read_value` gives the same one back; blank for None."""
    if value is None:
        return ""
    return "failed" if math.isnan(value) else repr(float(value)).removesuffix(".0").replace(".", decimal)


# ---------------------------------------------------------------- guessing


def _parts(cell: str) -> re.Match[str] | None:
    found = _NUMBER_LIKE.fullmatch(cell.strip().replace("\u2212", "-"))
    unit = found["unit"] if found else None
    return None if unit and plain_text(unit).replace(" ", "") not in UNITS else found


def is_plain_number(cell: str) -> bool:
    """Return whether a cell is a number with a decimal point and nothing else."""
    return _NUMBER.fullmatch(cell) is not None


def is_number_like(cell: str) -> bool:
    """Return whether a cell is a number in some way of writing: either decimal sign, a unit or bound with it.

    Examples
    --------
    >>> [is_number_like(cell) for cell in ("5,2", "<0,1", "5 uM", "45 %", "1'234.5", "CCO", "1A", "2-5-26")]
    [True, True, True, True, True, False, False, False]
    """
    text = cell.strip().lower()
    return text in _FAILED_WORDS or (text != "" and is_blank(text)) or _parts(cell) is not None


def is_fraction(cell: str) -> bool:
    """Return whether a cell is like a number that has a decimal sign or an exponent."""
    found = _parts(cell)
    return found is not None and re.search(r"[.,e]", found["number"], re.IGNORECASE) is not None


def is_whole(cell: str) -> bool:
    """Return whether a cell holds digits alone."""
    return re.fullmatch(r"[+-]?\d+", cell, re.ASCII) is not None


def decimal_sign(cells: Iterable[str], delimiter: str) -> str | None:
    """Return the decimal sign of a column; None where it may be either, and the values depend on it.

    "1,234" is 1.234 or 1234, and so is "1.234" in a file of semicolons, which programs write where people
    use decimal commas. Another cell, such as "0,5", decides.

    Examples
    --------
    >>> decimal_sign(["5,2", "7"], ";"), decimal_sign(["5.2"], ";"), decimal_sign(["1,234", "5"], ",")
    (',', '.', None)
    >>> decimal_sign(["1,234", "0,5"], ";"), decimal_sign(["1.234,5"], ";"), decimal_sign(["3", "4"], ";")
    (',', ',', '.')
    """
    votes = {".": 0, ",": 0}
    unsure = False
    for cell in cells:
        found = _parts(cell)
        signs = re.findall(r"[.,]", found["number"]) if found else []
        if not found or not signs:
            continue
        if (
            len(signs) == 1
            and _THREE_DIGITS.fullmatch(found["number"])
            and (signs == [","] or delimiter == ";")
        ):
            unsure = True
        elif len(signs) > 1 and len(set(signs)) == 1:  # 1,234,567: thousands
            votes["." if signs[0] == "," else ","] += 1
        else:
            votes[signs[-1]] += 1
    if not any(votes.values()) and unsure:
        return None
    return "," if votes[","] > votes["."] else "."
