"""Values that mean what they say: decimal commas, and tables as public databases export them."""

import re
from pathlib import Path

import pytest
import string_models
from hypothesis import given
from hypothesis import strategies as st

from wrlso.campaign import Form
from wrlso.campaign.assays import check_values, keep_only
from wrlso.campaign.cells import decimal_sign, is_number_like, read_result, read_value
from wrlso.campaign.outcome_columns import OutcomeColumns
from wrlso.campaign.results_table import plan_tell, told_columns
from wrlso.campaign.start_table import choose_columns, read_start
from wrlso.campaign.tables import read_table
from wrlso.exceptions import DataError, ParameterError
from wrlso.history import History
from wrlso.outcomes import Reading, above, below

TABLES = Path(__file__).parent / "tables"
WORDS = ("CCCNCC", "CCNCCC", "CCCCNC", "CCNCCO", "CCOCCN", "OCCNCC")


def save(tmp_path, text, name="data.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return path


def start(path, *only, **options):
    """Read starting data as init does: values by x, what it says, and the facts that the campaign keeps."""
    form = Form(only=only, **{name: value for name, value in options.items() if name != "values"})
    table = keep_only(read_table(path), only)
    x, y, decimal, lines = choose_columns(table, form, options.get("values", True))
    table, facts = check_values(table, x, y, {})
    columns = OutcomeColumns.beside(table, {} if y is None else {"": y})
    X, told, _ = read_start(table, x, columns, decimal, string_models.make())
    return dict(zip(X, told, strict=True)), [*table.remarks, *lines], facts


def refusal(call, *arguments, **options):
    with pytest.raises(DataError) as caught:
        call(*arguments, **options)
    return str(caught.value), list(getattr(caught.value, "__notes__", []))


def table_of(values, header="Compound ID;SMILES;pIC50 (mean);n", counts=(3, 1, 2, 3, 1, 2)):
    delimiter = next(sign for sign in "\t;," if sign in header)
    quote = '"' if delimiter == "," else ""
    rows = [
        delimiter.join(
            [
                f"C-{i}",
                WORDS[i],
                f"{quote}{value}{quote}",
                *([str(counts[i])] if "n" in header.split(delimiter) else []),
            ]
        )
        for i, value in enumerate(values)
    ]
    return "\n".join([header, *rows]) + "\n"


# ---------------------------------------------------------------- decimal signs

DECIMALS = st.decimals(-999, 999, places=1, allow_nan=False) | st.decimals(
    -9999, 9999, places=2, allow_nan=False
)


@given(
    numbers=st.lists(DECIMALS, min_size=2, max_size=6),
    sign=st.sampled_from([".", ","]),
    delimiter=st.sampled_from([",", ";", "\t"]),
    n=st.booleans(),
)
def test_a_column_means_the_same_with_either_decimal_sign(tmp_path_factory, numbers, sign, delimiter, n):
    """Whatever the delimiter, and with or without a column of counts beside it."""
    header = delimiter.join(["Compound ID", "SMILES", "pIC50 (mean)", *(["n"] if n else [])])
    text = table_of([str(number).replace(".", sign) for number in numbers], header)
    found, lines, _ = start(save(tmp_path_factory.mktemp("signs"), text))
    assert list(found.values()) == [float(number) for number in numbers]
    assert any("decimal comma (guessed" in line for line in lines) == (sign == ",")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
@pytest.mark.parametrize("tail", ["", ";;;"])
def test_the_counts_of_replicates_are_not_the_values(tmp_path, encoding, tail):
    text = table_of(["5,2", "6,1", "4,8", "7"]).replace("\n", f"{tail}\r\n")
    found, lines, _ = start(save(tmp_path, text, encoding=encoding))
    assert list(found.values()) == [5.2, 6.1, 4.8, 7.0]
    assert (
        "the values are in the column 'pIC50 (mean)' (guessed; --y or --no-y say otherwise): 5.2, 6.1, 4.8, …"
        in lines
    )


@pytest.mark.parametrize(
    "name", ["n", "N", "count", "No. of runs", "n replicates", "Replicates", "IC50 (n)", "reps"]
)
@pytest.mark.parametrize(
    "value", ["5,2", "5.2", "< 5,2", "5,2 uM", "1.234,5", "1 234,5", "1'234.5", "45%", "n.d.", "1,5e-3"]
)
def test_whole_numbers_beside_values_in_any_writing_are_never_taken(tmp_path, name, value):
    text = f"SMILES\t{name}\tresult of the assay\n" + "".join(
        f"{x}\t{i + 1}\t{value}\n" for i, x in enumerate(WORDS)
    )
    path = save(tmp_path, text)
    try:
        found, _, _ = start(path)
    except DataError as error:
        text = " ".join([str(error), *getattr(error, "__notes__", [])])
        assert "result of the assay" in text or value in text
    else:
        assert set(found.values()) == {read_result(value, decimal="," if "," in value else ".")}


def test_whole_numbers_beside_a_few_fractions_are_asked_about(tmp_path):
    text = "SMILES;pIC50;plates\n" + "".join(
        f"{x};{y};{i}\n" for i, (x, y) in enumerate(zip(WORDS, ["5,2", *["see file"] * 5], strict=True))
    )
    message, _ = refusal(start, save(tmp_path, text))
    assert (
        "cannot tell which column of data.csv holds the values: 'plates', 'pIC50'; name it with --y"
        in message
    )


@pytest.mark.parametrize(
    ("values", "header"),
    [
        (["1,234", "2,345"], "SMILES,IC50"),
        (["1,234", "500"], "SMILES;IC50"),
        (["1.234", "12.500"], "SMILES;IC50"),
    ],
)  # fmt: skip
def test_what_may_be_thousands_is_asked_about(tmp_path, values, header):
    delimiter = header[6]
    rows = "".join(f'{x}{delimiter}"{y}"\n' for x, y in zip(WORDS, values, strict=False))
    path = save(tmp_path, f"{header}\n{rows}")
    message, _ = refusal(start, path)
    for words in (
        f"cannot tell whether {values[0]!r} in the column 'IC50'",
        "--decimal-comma",
        "--decimal-point",
        "--y",
    ):
        assert words in message
    for decimal in (".", ","):
        other = decimal not in values[0]
        if other:
            _, notes = refusal(start, path, decimal=decimal)
            assert notes[0].startswith(f"row 2: {values[0]!r} ")
        else:
            found, _, _ = start(path, decimal=decimal)
            assert next(iter(found.values())) == 1.234


@given(
    cells=st.lists(st.from_regex(r"[+-]?[1-9][0-9]{0,2}[.,][0-9]{3}|[0-9]{1,3}", fullmatch=True), min_size=1)
)
def test_a_sign_is_guessed_only_where_the_other_reading_is_impossible(cells):
    """Of numbers with three digits behind a comma, none decides."""
    found = decimal_sign(cells, ";")
    assert found is None if any(re.search("[.,]", cell) for cell in cells) else found == "."


@pytest.mark.parametrize("cell", ["1.234,5", "1 234,5", "1\u202f234,5", "1'234.5", "1’234.5", "12,345,678"])
def test_separators_between_thousands_are_refused_with_either_sign(cell):
    assert is_number_like(cell)
    for decimal in (".", ","):
        with pytest.raises(DataError, match="separators between thousands; write the digits alone"):
            read_value(cell, decimal=decimal)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("5.2 uM", "without a unit"), ("5,2 µM", "without a unit"), ("5,2%", "without a unit"),
        ("5.2 ± 0.1", "is a value with its error"), ("5,2+/-0,1", "is a value with its error"),
        (">10", "is a bound"), ("<0,1", "is a bound"), ("~5", "is about a value"), ("≥ 3", "is a bound"),
    ],
)  # fmt: skip
def test_what_stands_beside_a_number_is_named(cell, message):
    assert is_number_like(cell)
    for decimal in (".", ","):
        with pytest.raises(DataError, match=message):
            read_value(cell, decimal=decimal)


def test_no_value_where_values_were_expected_is_an_error(tmp_path):
    for text, words in (
        ("SMILES,name\nCCCNCC,a\n", "no column of values was found in data.csv: 'SMILES', 'name'; name it"),
        ("SMILES,y\nCCCNCC,\nCCNCCC,nan\n", "the column 'y' of data.csv has no value in any of its 2 rows"),
        ("SMILES,n\nCCCNCC,3\n", "no column of values was found"),
    ):  # fmt: skip
        path = save(tmp_path, text)
        message, _ = refusal(start, path)
        assert words in message
        assert "--no-y" in message
        assert set(start(path, values=False)[0].values()) == {None}
    path = save(tmp_path, "SMILES\nCCCNCC\n")
    assert start(path)[0] == {"CCCNCC": None}  # nothing but x: no value was expected
    assert "has no column 'pIC50'" in refusal(start, path, y="pIC50")[0]
    assert start(save(tmp_path, "SMILES,y\nCCCNCC,failed\n"))[0] == {"CCCNCC": None}


def test_lines_above_the_header_are_left_out_and_shown(tmp_path):
    text = "Report of week 3, final\n\n" + table_of(["5,2", "6,1"])
    found, lines, _ = start(save(tmp_path, text))
    assert list(found.values()) == [5.2, 6.1]
    assert lines[0] == "the names of the columns are in row 3; above: 'Report of week 3, final'"
    message, notes = refusal(start, save(tmp_path, "Report\nword,result\nCCCNCC,1\n"))
    assert "2 rows cannot be read" in message
    assert "delete a title above the names of the columns" in notes[0]


def test_names_that_are_there_twice_are_named(tmp_path):
    path = save(tmp_path, "SMILES,pIC50,pIC50\nCCCNCC,5.2,6.1\n")
    assert "holds the values: 'pIC50', 'pIC50'" in refusal(start, path)[0]
    assert (
        "has two columns 'pIC50'; its columns are 'SMILES', 'pIC50', 'pIC50'; rename one"
        in refusal(start, path, y="pIC50")[0]
    )
    path = save(tmp_path, "SMILES,a,a\nCCCNCC,text,6.1\n")  # the second is the one of numbers
    assert "two columns" in refusal(start, path, y="a")[0]


# ---------------------------------------------------------------- public databases


def test_a_table_of_chembl_is_refused_until_its_values_can_be_compared():
    path = TABLES / "chembl.csv"
    assert "'Standard Value'" in refusal(start, path)[0]  # one of many columns of numbers
    message, notes = refusal(start, path, y="Standard Value")
    assert (
        message
        == "chembl.csv has values in 'Standard Value' that cannot be compared, so nothing was recorded"
    )
    assert notes == [
        "'Standard Type' is IC50 (7 rows), Ki (2 rows); choose one, for example "
        "--only \"Standard Type=IC50\"",
        "'Standard Units' is nM (8 rows), ug.mL-1 (1 row); choose one, for example "
        "--only \"Standard Units=nM\"",
    ]  # fmt: skip
    only = ["standard type=ic50", "Standard Units=NM"]
    found, _, _ = start(path, *only, y="standard value")
    assert {x: value for x, value in found.items() if isinstance(value, Reading)} == {
        "CCCCNC": above(10000.0), "NCCCCO": below(1.0),
    }  # fmt: skip
    assert len(found) == 6
    found, lines, facts = start(path, *only, "Standard Relation==", y="Standard Value")
    assert found == {"CCCNCC": 1200.0, "CCNCCC": 35.0, "CCNCCO": 410.0, "CCCCOC": 77.0}
    assert facts == {"type": "IC50", "unit": "nM"}
    assert lines[:2] == [
        "6 rows left out, 4 rows kept (--only)",
        "of the values in 'Standard Value': 'Standard Type' is IC50 (4 rows); 'Standard Relation' is = "
        "(4 rows); 'Standard Units' is nM (4 rows)",
    ]
    assert lines[2].startswith("ignored: the columns 'Molecule ChEMBL ID', ")


def test_logarithms_have_no_unit_but_a_type():
    path = TABLES / "chembl.csv"
    _, notes = refusal(start, path, y="pChEMBL Value")
    assert [note[:16] for note in notes] == ["'Standard Type' "]
    found, _, facts = start(path, "Standard Type=Ki", y="pChEMBL Value")
    assert (found, facts) == ({"CCOCCN": 7.28, "OCCNCC": 8.07}, {"type": "Ki"})


def test_a_table_of_pubchem_is_read_without_the_rows_that_describe_it():
    path = TABLES / "pubchem.csv"
    message, notes = refusal(start, path, y="IC50")
    assert "1 row of 6 cannot be used" in message
    assert "1 value with a relation in 'IC50 Qualifier' (~ (1 row)) cannot be used" in message
    assert [note[:7] for note in notes] == ["row 10:"]
    found, lines, _ = start(path, "IC50 Qualifier==", y="IC50")
    assert found == {"CCCNCC": 1.2, "CCNCCC": 0.035, "CCNCCO": 0.41}
    assert "3 rows left out that describe the columns: RESULT_TYPE, RESULT_DESCR, RESULT_UNIT" in lines


def test_a_table_of_bindingdb_has_bounds_in_its_cells():
    path = TABLES / "bindingdb.tsv"
    found, _, _ = start(path, y="IC50 (nM)")
    assert [value for value in found.values() if isinstance(value, Reading)] == [above(10000.0), below(1.0)]
    assert start(path, y="Ki (nM)")[0]["CCOCCN"] == 8.5


# ---------------------------------------------------------------- their relatives

COLUMNS = {
    "relation": ("Standard Relation", "relation", "Qualifier", "Operator", "Op.", "IC50 modifier"),
    "unit": ("Standard Units", "unit", "UOM", "Konz."),
    "type": ("Standard Type", "Activity type", "Endpoint", "type", "Parameter"),
}
MIXED = {"relation": ("=", "~"), "unit": ("nM", "µM"), "type": ("IC50", "Ki")}


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, names in COLUMNS.items() for name in names]
)
@pytest.mark.parametrize("quote", ["", "'"])
def test_columns_are_known_by_name_or_by_what_they_hold(tmp_path, kind, name, quote):
    good, other = MIXED[kind]
    rows = "".join(f"{x};{i},5;{quote}{other if i == 2 else good}{quote}\n" for i, x in enumerate(WORDS))
    path = save(tmp_path, f"SMILES;IC50;{name}\n{rows}")
    message, notes = refusal(start, path)
    assert name in " ".join([message, *notes])
    for text in (f"{name}={good}", f"{name.upper()}= {good.lower()}"):
        found, _, _ = start(path, text)
        assert len(found) == len(WORDS) - 1
        assert WORDS[2] not in found


@given(
    says=st.lists(
        st.sampled_from(["", "=", "'='", "eq", ">", "<", "~", ">=", "≤", "gt", "Less than"]),
        min_size=6,
        max_size=6,
    ),
    values=st.lists(st.sampled_from(["", "1.5", "2.5"]), min_size=6, max_size=6),
)
def test_relations_make_bounds_and_what_is_about_right_is_refused(tmp_path_factory, says, values):
    values[0] = "0.5"
    says[0] = "="
    rows = "".join(f"{x};{y};{relation}\n" for x, y, relation in zip(WORDS, values, says, strict=True))
    path = save(tmp_path_factory.mktemp("relations"), f"SMILES;y;relation\n{rows}")
    bad = [i + 2 for i in range(6) if values[i] and says[i] == "~"]
    if bad:
        message, notes = refusal(start, path)
        assert [int(note.split(":")[0][4:]) for note in notes] == bad
        assert f"{len(bad)} value{'' if len(bad) == 1 else 's'} with a relation" in message
    else:
        makes = {">": above, ">=": above, "gt": above, "<": below, "≤": below, "Less than": below}
        expected = [makes.get(s, float)(float(y)) if y else None for s, y in zip(says, values, strict=True)]
        assert list(start(path)[0].values()) == expected


def test_the_relation_of_another_column_does_not_count(tmp_path):
    text = "SMILES,Ki,Ki Qualifier,IC50,IC50 Qualifier\nCCCNCC,1.5,=,2.5,>\nCCNCCC,3.5,=,4.5,=\n"
    path = save(tmp_path, text)
    assert start(path, y="Ki")[0] == {"CCCNCC": 1.5, "CCNCCC": 3.5}
    assert start(path, y="IC50")[0] == {"CCCNCC": above(2.5), "CCNCCC": 4.5}
    assert start(save(tmp_path, "SMILES,Ki,IC50,IC50 Qualifier\nCCCNCC,1.5,2.5,>\n"), y="Ki")[0] == {
        "CCCNCC": 1.5
    }


def test_ordinary_columns_say_nothing_of_the_values(tmp_path):
    text = "SMILES,y,Assay Type,sex,type,Target,lot\nCCCNCC,1.5,B,M,train,a,1\nCCNCCC,2.5,F,F,test,b,2\n"
    found, _, facts = start(save(tmp_path, text))
    assert (list(found.values()), facts) == ([1.5, 2.5], {})


def test_what_only_cannot_find_is_said(tmp_path):
    path = save(tmp_path, "SMILES,y,type\nCCCNCC,1,IC50\nCCNCCC,2,Ki\n")
    assert (
        "no row of data.csv has 'type' = 'IC5'; there are IC50 (1 row), Ki (1 row)"
        in refusal(start, path, "type=IC5")[0]
    )
    assert "has no column 'kind'; its columns are" in refusal(start, path, "kind=IC50")[0]
    with pytest.raises(ParameterError, match="--only 'IC50' must be COLUMN=VALUE"):
        start(path, "IC50")
    assert "no row of data.csv has all of: type=Ki, y=1" in refusal(start, path, "type=Ki", "y=1")[0]
    assert "IC50" in " ".join(refusal(start, path, "type=Ki", "type=IC50")[1])  # alternatives, still mixed


# ---------------------------------------------------------------- tell


def tell(path, *only, known=None, **options):
    form, kept = Form(only=only, **options), Form("Smiles", "Standard Value", decimal=".")
    table = keep_only(read_table(path), only)
    columns = told_columns(table, form, kept, True)
    for y in columns.outcomes.values:
        table, _ = check_values(table, columns.x, y, known or {})
    return plan_tell(table, columns, History(), string_models.make(), campaign="camp")


def test_results_are_read_as_strictly_as_starting_data():
    path = TABLES / "chembl.csv"
    assert len(refusal(tell, path)[1]) == 2
    only = ("Standard Type=IC50", "Standard Units=nM")
    assert [value.bound for value in tell(path, *only).values if isinstance(value, Reading)] == [
        "above", "below",
    ]  # fmt: skip
    assert tell(path, *only, "Standard Relation==").values == [1200.0, 35.0, 410.0, 77.0]


def test_results_must_be_of_the_campaigns_unit_and_type():
    only = ("Standard Type=IC50", "Standard Units=nM", "Standard Relation==")
    known = {"unit": "nM", "type": "ic50"}
    path = TABLES / "chembl.csv"
    assert len(tell(path, *only, known=known).values) == 4
    for wrong in ({"unit": "uM"}, {"type": "Ki"}):
        _, notes = refusal(tell, path, *only, known=known | wrong)
        assert f"but the values of this campaign are in {next(iter(wrong.values()))}" in notes[0]
