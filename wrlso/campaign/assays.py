"""What the columns beside the values say of them: relation, unit and type, as public databases export them.

A value with the relation ``>`` is a bound. Values in nM and in uM, or an IC50 and a Ki, cannot be compared,
and one that is "about" right is none: such tables are refused until ``--only`` has chosen rows that can be
used.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from wrlso.campaign.advice import advise
from wrlso.campaign.cells import UNITS, has_value, plain_text
from wrlso.campaign.columns import find_column, listed
from wrlso.campaign.tables import Row, Table, plural
from wrlso.exceptions import DataError, ParameterError
from wrlso.outcomes import Bound

__all__ = ["check_values", "keep_only"]

_EXACT = {"", "=", "==", "eq", "equal", "equals", "equal to", "exact"}
_BOUNDS = "< > <= >= << >> =< => ≤ ≥ ~ ~= ≈ ca. ca gt lt ge le gte lte"
_WORDS = {"greater than", "less than", "more than", "at least", "at most", "about", "approximately"}
_SIDES: dict[str, Bound] = {
    **dict.fromkeys([">", ">=", ">>", "=>", "≥", "gt", "ge", "gte"], "above"),
    **dict.fromkeys(("greater than", "more than", "at least"), "above"),
    **dict.fromkeys(["<", "<=", "<<", "=<", "≤", "lt", "le", "lte"], "below"),
    **dict.fromkeys(("less than", "at most"), "below"),
}  # fmt: skip
_RELATIONS = frozenset(_BOUNDS.split()) | _WORDS | _EXACT
_MEASURED = (
    "ic50 ec50 ac50 xc50 ki kd kb ka ke ed50 gi50 cc50 tc50 lc50 ld50 td50 dc50 ic90 ec90 mic mic50 mic90 "
    "tgi potency inhibition efficacy emax solubility logd logp logs clint cl clearance t1/2 kon koff papp"
)
_TYPES = frozenset(_MEASURED.split())
_NAMES = {
    "relation": r"(.*[\s_(])?(relation|relationship|qualifier|operator|modifier|censor\w*)\)?",
    "unit": r"(.*[\s_(])?(units?|uom)\)?",
    "type": r"(.*[\s_])?(standard|published|activity|bioactivity|value|result|measurement|parameter)[\s_]type"
    r"|(.*[\s_])?(endpoint|activity[\s_]name)",
}
_GENERAL = {"standard", "published", "activity", "result", "measurement", "pubchem", "bioactivity", "data"}
_WHAT = {
    "relation", "relationship", "qualifier", "operator", "modifier", "unit", "units", "uom", "type", "value",
    "values", "name", "endpoint",
}  # fmt: skip
# values that have no unit although the measurement that they come from has one
_LOGARITHM = re.compile(r"p(chembl|ic|ec|ac|xc|ki|kd|ed|gi)\d*\b.*|-?log.*", re.IGNORECASE)
_OWN = {"id", "status", "awaited", "reason", "notes"}  # of exported tables
_SHOWN = 8  # names of columns


@dataclass(frozen=True)
class _Companion:
    """A column that says something of the values."""

    index: int
    name: str
    kind: str


def keep_only(table: Table, only: Sequence[str]) -> Table:
    """Return the rows that hold given values, and no rows that describe columns (as those of PubChem have).

    Parameters
    ----------
    only : sequence of str
        ``COLUMN=VALUE``, without case; several values of one column are alternatives.

    Raises
    ------
    ParameterError
        When one is not of this form.
    DataError
        When there is no such column, or no row is left.
    """
    table = _without_descriptions(table)
    wanted: dict[str, set[str]] = {}
    for text in only:
        column, value = _split(table, text)
        wanted.setdefault(column, set()).add(plain_text(value))
        there = Counter(map(plain_text, table.column(column)))
        if plain_text(value) not in there:
            raise DataError(
                f"no row of {table.name} has {column!r} = {value!r}; there are "
                f"{_counted(table.column(column))}"
            )
    rows = tuple(
        row
        for row in table.rows
        if all(plain_text(table.named(row, column)) in values for column, values in wanted.items())
    )
    if not rows:
        raise DataError(f"no row of {table.name} has all of: {', '.join(only)}")
    left_out = len(table.rows) - len(rows)
    remarks = (
        [f"{plural(left_out, 'row')} left out, {plural(len(rows), 'row')} kept (--only)"] if only else []
    )
    return replace(table, rows=rows, remarks=[*table.remarks, *remarks])


def check_values(
    table: Table, x: str | None, y: str | None, known: Mapping[str, str]
) -> tuple[Table, dict[str, str]]:
    """Look at relation, unit and type of the values in the column y.

    Parameters
    ----------
    known : mapping
        "unit" and "type" of the campaign's values, where it knows them.

    Returns
    -------
    table : Table
        With the rows that are refused for their relation, and remarks on what the columns say.
    facts : dict
        "unit" and "type" of the table's values, where it says so.

    Raises
    ------
    DataError
        When units or types are mixed, or differ from the known ones; notes name each column, and bounds.
    """
    if y is None:
        return table, {}
    measured = [row for row in table.rows if has_value(table.named(row, y))]
    companions = _companions(table, x, y)
    facts: dict[str, str] = {}
    problems: list[str] = []
    for companion in companions:
        if companion.kind == "relation" or not measured:
            continue
        cells = [row.cells[companion.index] for row in measured]
        says = {plain_text(cell): cell.strip("'\" ") for cell in cells}
        common = Counter(map(plain_text, cells)).most_common(1)[0][0]
        if len(says) > 1:
            choice = advise("only one", column=companion.name, value=says[common])
            problems.append(f"{companion.name!r} is {_counted(cells)}; {choice}")
        elif common and common != plain_text(known.get(companion.kind, common)):
            problems.append(
                f"{companion.name!r} is {says[common]}, but the values of this campaign are in "
                f"{known[companion.kind]}: convert them, or {advise('only')}"
            )
        elif common:
            facts.setdefault(companion.kind, says[common])
    refused, bounds, advice = _bounds(measured, companions, y)
    if problems:
        error = DataError(
            f"{table.name} has values in {y!r} that cannot be compared, so nothing was recorded"
        )
        for problem in [*problems, *([advice] if advice else [])]:
            error.add_note(problem)
        raise error
    remarks = [*table.remarks, *_remarks(table, x, y, companions, measured)]
    table = replace(
        table,
        refused=table.refused | refused,
        bounds=table.bounds | bounds,
        advice=f"; {advice}" if advice else table.advice,
        remarks=remarks,
    )
    return table, facts


# ---------------------------------------------------------------- parts


def _without_descriptions(table: Table) -> Table:
    """Leave out the rows below the header of PubChem's tables, which describe the columns."""
    found = [row for row in table.rows if re.fullmatch(r"RESULT_[A-Z_]+", row.cells[0])]
    if not found or len(found) == len(table.rows):
        return table
    names = ", ".join(row.cells[0] for row in found)
    remark = f"{plural(len(found), 'row')} left out that describe the columns: {names}"
    rows = tuple(row for row in table.rows if row not in found)
    return replace(table, rows=rows, remarks=[*table.remarks, remark])


def _split(table: Table, text: str) -> tuple[str, str]:
    """Return column and value of COLUMN=VALUE; either may hold the sign itself."""
    if "=" not in text:
        raise ParameterError(f"--only {text!r} must be COLUMN=VALUE, such as --only 'Standard Type=IC50'")
    names = [text[:i] for i, character in enumerate(text) if character == "=" and i]
    there = {column.lower() for column in table.columns}
    name = next((name for name in names if name.strip().lower() in there), text.partition("=")[0])
    return find_column(table, name), text[len(name) + 1 :].strip()


def _companions(table: Table, x: str | None, y: str) -> list[_Companion]:
    """Return the columns that say something of the values in y, and not of those in another column."""
    found = []
    for index, name in enumerate(table.columns):
        if name and name not in (x, y) and name.lower() not in _OWN:
            kind = _kind(name, [plain_text(cell) for cell in table.cells(index) if cell])
            found += [_Companion(index, name, kind)] if kind else []
    if _LOGARITHM.fullmatch(y.strip()):
        found = [companion for companion in found if companion.kind != "unit"]
    taken = {companion.name for companion in found}
    others = {_stem(name) for name in table.columns if name not in taken and name != y}
    relevant = []
    for companion in found:
        of_kind = [other for other in found if other.kind == companion.kind]
        own = [other for other in of_kind if _stem(other.name) == _stem(y)]
        stem = _stem(companion.name)
        elsewhere = bool(stem) and not stem <= _GENERAL and stem in others and stem != _stem(y)
        if companion in own or (not own and not elsewhere):
            relevant.append(companion)
    return relevant


def _kind(name: str, cells: Sequence[str]) -> str | None:
    """Return what a column says of values, by its name and cells; None for any other column."""

    def named(kind: str) -> bool:
        return re.fullmatch(_NAMES[kind], name.strip(), re.IGNORECASE) is not None

    if not cells:
        return None
    n_relations = sum(cell in _RELATIONS for cell in cells)
    if 2 * n_relations > len(cells) or (named("relation") and n_relations):
        return "relation"
    if named("unit") or all(cell.replace(" ", "") in UNITS for cell in cells):
        return "unit"
    types = [re.sub(r"^(p|-?log |%|percent |app\w* )\s*", "", cell) for cell in cells]
    known = sum(cell in _TYPES or type_ in _TYPES for cell, type_ in zip(cells, types, strict=True))
    if named("type") or known == len(cells) or (known and name.strip().lower() in ("type", "measure")):
        return "type"
    return None


def _stem(name: str) -> frozenset[str]:
    """Return the words of a name that say whose values, relation or unit it is."""
    return frozenset(re.findall(r"[^\W_]+", name.casefold())) - _WHAT


def _bounds(
    measured: Sequence[Row], companions: Sequence[_Companion], y: str
) -> tuple[dict[int, str], dict[tuple[int, str], Bound], str]:
    """Return why rows are refused whose relation says "about", which values are bounds, and what to do."""
    refused: dict[int, str] = {}
    bounds: dict[tuple[int, str], Bound] = {}
    advice = []
    for companion in companions:
        if companion.kind != "relation":
            continue
        cells = [(row.number, row.cells[companion.index].strip("'\" ")) for row in measured]
        vague: dict[int, str] = {}
        for number, cell in cells:
            side = _SIDES.get(plain_text(cell))
            if side is not None:
                bounds[number, y] = side
            elif plain_text(cell) not in _EXACT:
                vague[number] = cell
        for number, cell in vague.items():
            refused.setdefault(number, f"{companion.name!r} is {cell!r}: the value is about right only")
        if vague:
            advice.append(
                f"{plural(len(vague), 'value')} with a relation in {companion.name!r} "
                f"({_counted(vague.values())}) cannot be used: "
                f"{advise('leave out', column=companion.name, value=_equals(cells))}"
            )
    return refused, bounds, "; ".join(advice)


def _equals(cells: Iterable[tuple[int, str]]) -> str:
    """Return how a column of relations writes that a value is exact."""
    exact = Counter(cell for _, cell in cells if plain_text(cell) in _EXACT)
    return exact.most_common(1)[0][0] if exact else "="


def _remarks(
    table: Table, x: str | None, y: str, companions: Sequence[_Companion], measured: Sequence[Row]
) -> list[str]:
    if not companions or not measured:
        return []
    says = [f"{c.name!r} is {_counted(row.cells[c.index] for row in measured)}" for c in companions]
    used = {x, y, *(companion.name for companion in companions)}
    others = [name for name in table.columns if name and name not in used]
    lines = [f"of the values in {y!r}: {'; '.join(says)}"]
    if others:
        more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
        lines.append(f"ignored: the columns {listed(others[:_SHOWN])}{more}")
    return lines


def _counted(cells: Iterable[str]) -> str:
    """Return the values of cells and how often each is there, most frequent first."""
    spelling: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for cell in cells:
        counts[plain_text(cell)] += 1
        spelling.setdefault(plain_text(cell), cell.strip("'\" ") or "blank")
    parts = [f"{spelling[text]} ({plural(n, 'row')})" for text, n in counts.most_common(_SHOWN)]
    return ", ".join(parts) + (", …" if len(counts) > _SHOWN else "")
