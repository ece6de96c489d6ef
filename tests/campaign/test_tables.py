"""Tables in files: exact round trips, every form a spreadsheet writes, one clear error for each bad cell."""

import csv
import io
import math
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrlso.campaign.cells import format_value, read_value, shortened
from wrlso.campaign.columns import find_column, guess_values_column, guess_x_column
from wrlso.campaign.tables import explain, format_table, protect, read_table, reserve, unprotect, unreadable
from wrlso.exceptions import DataError, ParameterError

FINITE = st.floats(allow_nan=False, allow_infinity=False)
# what a cell may hold after a spreadsheet: no blanks around it, no NUL, no halves of characters
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")).map(str.strip)
FORMULAS = st.builds(
    str.__add__,
    st.sampled_from(["=", "+", "-", "@", "'", "''=", "\t=", " @", "\r", "＝"]),
    TEXT,
)
SIGNS = ("=", "+", "-", "@", "\t", "\r", "\n")


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def read(tmp_path, text, encoding="utf-8", name="data.csv", **options):
    table = read_table(write(tmp_path / name, text, encoding), **options)
    return table.columns, [row.cells for row in table.rows]


def contents(table):
    return [(row.number, *row.cells) for row in table.rows]


# ---------------------------------------------------------------- round trips


@given(text=st.one_of(TEXT, FORMULAS, st.text()))
def test_protection_is_undone_exactly_and_leaves_no_formula(text):
    written = protect(text)
    assert unprotect(written) == text
    assert not written.lstrip().startswith(SIGNS)
    if not any(sign in text for sign in "=+-@＝＋－＠\t\r\n"):
        assert written == text


@pytest.mark.parametrize(
    "smiles", ["C[C@H](N)C(=O)O", "[Na+].[Cl-]", "c1ccccc1#N", "F/C=C\\F", "'C", "sin(v)"]
)
def test_protection_leaves_smiles_and_expressions_alone(smiles):
    assert protect(smiles) == smiles == unprotect(smiles)


@given(value=FINITE, decimal=st.sampled_from([".", ","]))
def test_values_survive_bit_for_bit(value, decimal):
    back = read_value(format_value(value, decimal), decimal=decimal)
    assert (back, math.copysign(1, back)) == (value, math.copysign(1, value))


def test_failed_and_blank_survive():
    assert math.isnan(read_value(format_value(math.nan)))
    assert read_value(format_value(None)) is None


@given(
    rows=st.lists(st.tuples(st.integers(0), st.one_of(TEXT, FORMULAS.map(str.strip)), FINITE), min_size=1),
    delimiter=st.sampled_from([",", ";", "\t"]),
    decimal=st.sampled_from([".", ","]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    ending=st.sampled_from(["\n", "\r\n"]),
)
def test_tables_survive(tmp_path_factory, rows, delimiter, decimal, encoding, ending):
    text = format_table(["id", "x", "y"], rows, delimiter=delimiter, decimal=decimal)
    if ending == "\r\n" and not any("\n" in x for _, x, _ in rows):
        text = text.replace("\n", "\r\n")
    path = tmp_path_factory.mktemp("tables") / "table.csv"
    table = read_table(write(path, text, encoding), delimiter=delimiter)
    assert table.columns == ("id", "x", "y")
    back = [(int(i), x, read_value(y, decimal=decimal)) for _, i, x, y in contents(table)]
    assert back == rows


def test_what_a_spreadsheet_makes_of_a_file_reads_the_same(tmp_path):
    """Quoting all cells, or another delimiter, changes nothing."""
    rows = [["1", "=A-B", "2.5"], ["2", 'a "b"; c, d', "-1"]]
    expected = ("id", "x", "y"), [tuple(row) for row in rows]
    for delimiter in ",;\t":
        for quoting in (csv.QUOTE_ALL, csv.QUOTE_MINIMAL):
            stream = io.StringIO()
            writer = csv.writer(stream, delimiter=delimiter, quoting=quoting)
            writer.writerows([["id", "x", "y"], *([i, protect(x), y] for i, x, y in rows)])
            assert read(tmp_path, stream.getvalue()) == expected


# ---------------------------------------------------------------- forms


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_encodings(tmp_path, encoding):
    path = write(tmp_path / "data.csv", "x,IC50 (µM)\nCCO,1\n", encoding)
    table = read_table(path)
    assert (table.columns, contents(table)) == (("x", "IC50 (µM)"), [(2, "CCO", "1")])
    assert table.remarks == (["data.csv is not UTF-8; read as Windows-1252"] if encoding == "cp1252" else [])


def test_row_numbers_are_those_of_a_spreadsheet(tmp_path):
    """Blank lines count, a cell of two lines is one row, and Excel's first line is not shown by it."""
    text = '\n\nx,y\n\n"A\nB",1\n , \n,,,\nC,2\n\n'
    assert contents(read_table(write(tmp_path / "a.csv", text))) == [(5, "A\nB", "1"), (8, "C", "2")]
    text = "sep=;\r\nx;y\r\nA;1,5\r\n"
    assert contents(read_table(write(tmp_path / "b.csv", text))) == [(2, "A", "1,5")]


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("x,y\nA,1\n", ","),
        ("x;y\nA;1,5\nB;2,5\n", ";"),
        ("x\ty\nA, B; C\t1\n", "\t"),
        ("x;IC50 (nM, mean)\nA;1,5\n", ";"),
        ('"x, or; y",z\nA,1\n', ","),
        ("smiles\nCCO\n", ","),
    ],
)
def test_delimiters_are_found_out(tmp_path, text, delimiter):
    assert read_table(write(tmp_path / "a.csv", text)).delimiter == delimiter


def test_short_rows_extra_blank_cells_and_unnamed_columns_are_fine(tmp_path):
    assert read(tmp_path, ",x,y,,\n0,A\n1,B,2,,,\n") == (("", "x", "y"), [("0", "A", ""), ("1", "B", "2")])


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.smi", "CCO ethanol\n\nCCC\tpropane gas\n# a remark\nC#N\n", [(1, "CCO"), (3, "CCC"), (5, "C#N")]),
        ("a.smi", "SMILES Name\nCCO ethanol\n", [(2, "CCO")]),
        ("a.SMILES", "CCO\r\nCCC\r\n", [(1, "CCO"), (2, "CCC")]),
        ("a.txt", "x\nx + x\n\n# x\n", [(1, "x"), (2, "x + x"), (4, "# x")]),
    ],
)
def test_lists(tmp_path, name, text, expected):
    table = read_table(write(tmp_path / name, text))
    assert (table.columns, contents(table)) == (("x",), expected)
    assert bool(table.remarks) == ("ethanol" in text)


def test_a_spreadsheets_tab_delimited_text_is_a_table(tmp_path):
    assert read(tmp_path, "ID\tSMILES\n7\tCCO\n", name="a.txt") == (("ID", "SMILES"), [("7", "CCO")])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; expected a header"),
        (b"\xef\xbb\xbf\r\n,,\r\n", "is empty; expected a header"),
        (b"x,y\n\n", r"has a header \(x, y\) and no rows"),
        (b"PK\x03\x04rest", "spreadsheet's own format; save it as CSV"),
        (b"x\n\x81\x8d", "is not a text file"),
        (b"x\nA\x00B\n", "is not a text file"),
        (b'x,y\n"A,1\nB,2\n', "quotation mark that is not closed"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, content, message):
    path = tmp_path / "data.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_table(path)


def test_empty_lists_are_refused(tmp_path):
    with pytest.raises(DataError, match="expected one x in each line"):
        read_table(write(tmp_path / "a.smi", "\n# nothing\n"))


def test_rows_that_are_too_long_are_all_named(tmp_path):
    with pytest.raises(DataError, match="2 rows cannot be read") as caught:
        read_table(write(tmp_path / "a.csv", "x,y\nA,1\nB,1,5\nC,2\n\nD,3,5\n"), delimiter=",")
    assert [note[:6] for note in caught.value.__notes__] == ["row 3:", "row 6:"]
    assert "quotation marks around a cell that holds a comma" in caught.value.__notes__[0]


# ---------------------------------------------------------------- cells


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("1", 1.0), ("-1.5", -1.5), ("+2", 2.0), (" 1e-3 ", 1e-3), (".5", 0.5), ("5.", 5.0), ("1E+05", 1e5),
        ("−3", -3.0), ("", None), ("nan", None), ("NaN", None), ("  ", None), ("\u00a0", None),
    ],
)  # fmt: skip
def test_values(cell, value):
    assert read_value(cell) == value


@pytest.mark.parametrize("cell", ["failed", "Failed", " FAIL "])
def test_failures(cell):
    assert math.isnan(read_value(cell))


def test_decimal_commas():
    assert read_value("1,5", decimal=",") == 1.5
    assert read_value("-1,5e-3", decimal=",") == -0.0015
    assert read_value("7", decimal=",") == 7


@pytest.mark.parametrize(
    ("cell", "decimal", "message"),
    [
        ("1,5", ".", "is not a number; if the file has decimal commas, add --decimal-comma"),
        ("1.5", ",", "has a decimal point where the file was said to have decimal commas"),
        ("1.234,5", ",", "separators between thousands"),
        ("1,234,567", ".", "separators between thousands"),
        ("12 345", ".", "separators between thousands"),
        ("inf", ".", "is not finite"),
        ("-Infinity", ".", "is not finite"),
        ("1e999", ".", "is too large"),
        (">10", ".", "is a bound and not a value"),
        ("< 0.1", ".", "is a bound and not a value"),
        ("~5", ".", "is about a value and not one"),
        ("5 nM", ".", "without a unit"),
        ("45%", ".", "without a unit"),
        ("n/a", ".", "may mean several things"),
        ("-", ".", "may mean several things"),
        ("#N/A", ".", "may mean several things"),
        ("0x10", ".", "is not a number"),
        ("1_000", ".", "is not a number"),
        ("faild", ".", "'faild' is not a number"),
        ("1.2.3", ".", "is not a number"),
        ("٣", ".", "is not a number"),
    ],
)
def test_what_is_no_value_is_refused_and_says_why(cell, decimal, message):
    with pytest.raises(DataError, match=message):
        read_value(cell, decimal=decimal)


@given(cell=st.text())
def test_every_cell_is_a_number_blank_failed_or_refused(cell):
    try:
        value = read_value(cell)
    except DataError as error:
        assert repr(shortened(cell)) in str(error)  # noqa: PT017
    else:
        assert (value is None) == (not cell.strip())
        assert value is None or not math.isinf(value)


# ---------------------------------------------------------------- columns


def table(tmp_path, text):
    return read_table(write(tmp_path / "data.csv", text))


@pytest.mark.parametrize(
    ("text", "x", "y"),
    [
        ("SMILES,pIC50\nCCO,1\n", "SMILES", "pIC50"),
        ("ID,Name,SMILES,Plate,pIC50\n1,ethanol,CCO,3,5\n", "SMILES", "pIC50"),
        ("expression,notes\nv,fine\n", "expression", None),
        ("a,b\nCCO,1\nCCC,2\n", "a", "b"),
        ("b,a\n1,CCO\n>2,CCC\n3,C\n", "a", "b"),
        ("x,MW,score\nCCO,46,1\n", "x", "score"),
        ("word,remark\nA,\n", "word", None),
        ("smiles,y\nCCO,\n", "smiles", "y"),
    ],
)
def test_columns_are_guessed(tmp_path, text, x, y):
    data = table(tmp_path, text)
    assert guess_x_column(data) == x
    assert guess_values_column(data, x) == y


def test_ambiguous_columns_are_not_guessed(tmp_path):
    with pytest.raises(
        DataError, match="cannot tell which column of data.csv holds x: 'a', 'b'; name it with --x"
    ):
        guess_x_column(table(tmp_path, "a,b\nCCO,C\n"))
    with pytest.raises(DataError, match="holds the values: 'MW', 'pIC50'; name it with --y"):
        guess_values_column(table(tmp_path, "x,MW,pIC50\nCCO,46,1\n"), "x")
    with pytest.raises(
        DataError, match="needs a first row with the names of its columns, but that has '1.5'"
    ):
        guess_x_column(table(tmp_path, "CCO,1.5\nCCC,2.5\n"))


def test_columns_are_found_by_name(tmp_path):
    data = table(tmp_path, "Smiles,y,Y,z,z\nCCO,1,2,3,4\n")
    assert [find_column(data, name) for name in ("smiles ", "y", "Y")] == ["Smiles", "y", "Y"]
    with pytest.raises(DataError, match="has no column 'w'; its columns are 'Smiles', 'y'"):
        find_column(data, "w")
    with pytest.raises(DataError, match="has two columns 'z'"):
        find_column(data, "z")


# ---------------------------------------------------------------- writing


def test_a_reserved_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "out.csv"
    with reserve(path) as stream:
        stream.write("x\nµ\n")
        assert not path.exists()
    assert path.read_bytes() == b"\xef\xbb\xbfx\n\xc2\xb5\n"

    def fail_half_way():
        with reserve(path, force=True) as stream:
            stream.write("half")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        fail_half_way()
    assert path.read_bytes().endswith(b"\xc2\xb5\n")
    assert list(tmp_path.iterdir()) == [path]
    with reserve(path, force=True) as stream:
        stream.write("ascii")
    assert path.read_bytes() == b"ascii"
    assert path.stat().st_mode & 0o777 == 0o666 & ~os.umask(os.umask(0o22))


def test_nothing_is_overwritten(tmp_path, monkeypatch):
    path = tmp_path / "out.csv"
    path.write_text("mine")
    with pytest.raises(ParameterError, match="exists already and is not overwritten"), reserve(path):
        raise AssertionError("the block must not begin")
    path.unlink()

    def write_at_once():
        with reserve(path) as stream:
            stream.write("theirs")
            path.write_text("mine")

    for no_links in (False, True):  # also when somebody else writes it meanwhile
        if no_links:
            monkeypatch.setattr(os, "link", lambda *paths: (_ for _ in ()).throw(PermissionError("no links")))
        with pytest.raises(ParameterError, match="exists already"):
            write_at_once()
        assert path.read_text() == "mine"
        path.unlink()
    with reserve(path) as stream:
        stream.write("without links")
    assert path.read_text() == "without links"


def test_what_cannot_be_written_is_known_before(tmp_path):
    with pytest.raises(ParameterError, match="is a folder"), reserve(tmp_path):
        raise AssertionError("the block must not begin")
    with (
        pytest.raises(ParameterError, match="there is no folder .*nowhere for out.csv"),
        reserve(tmp_path / "nowhere" / "out.csv"),
    ):
        raise AssertionError("the block must not begin")


def test_errors_carry_a_line_for_each_row():
    problems = [f"row {i}: bad" for i in range(2, 102)]
    for n_rows in (101, 1000):  # some rows are good: all bad ones are named
        error = explain("many", problems, n_rows)
        assert (str(error), error.__notes__) == ("many", problems)
    assert explain("few", problems[:50], 50).__notes__ == problems[:50]
    notes = explain("all", problems, 100).__notes__
    assert notes[:-1] == problems[:5]
    assert notes[-1] == "and so on: none of the 100 rows can be used; is it the right column?"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("x must have shape (6,), got (5,) in row 0", ": x must have shape (6,), got (5,)"),
        ("'AB' is no word (row 0)", ": is no word"),
        ("no word in row 01", ": no word in row 01"),
        ("X holds 1 x that cannot be: row 0: 'AB' is no word", ": is no word"),
        ("X holds 1 x that cannot be: row 0: X must hold words; row 0 has no vowel", ": has no vowel"),
        ("", ""),
    ],
)
def test_reasons_do_not_name_the_row_of_a_batch_of_one(error, reason):
    assert unreadable("AB", DataError(error)) == "the model cannot read 'AB'" + reason
