"""Names of sequences go from the starting data to exports, and batches have the wells of a plate."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrlso._sequences.plates import PLATES
from wrlso.campaign import ask, export, init, open_campaign, tell
from wrlso.campaign.tables import read_table
from wrlso.exceptions import ParameterError
from wrlso.sequences import wells

X = ["MKTAYIAKQR", "MKTAYLAKQR", "MKSAYIAKQR", "MRTAYIAKQR", "MKTGYIAKQR", "MKTAYIAKHR"]
SHORT = {"training": {"initial_epochs": 1, "retrain_epochs": 1}}


@given(st.sampled_from(sorted(PLATES)), st.data())
def test_wells_differ_and_fill_the_plate(plate, data):
    n = data.draw(st.integers(0, plate))
    found = wells(n, plate)
    assert len(set(found)) == n
    rows, columns = PLATES[plate]
    assert all(ord(well[0]) - ord("A") < rows and 1 <= int(well[1:]) <= columns for well in found)
    assert found == wells(plate, plate)[:n]
    with pytest.raises(ParameterError, match=f"got {plate + 1} points"):
        wells(plate + 1, plate)


def test_the_last_wells_are_those_of_the_trade():
    assert [wells(plate, plate)[-1] for plate in sorted(PLATES)] == ["D6", "H12", "P24"]
    with pytest.raises(ParameterError, match="plate must be one of 24, 96, 384, got 95"):
        wells(1, 95)


def test_names_and_wells_from_fasta_to_exports(tmp_path):
    path, campaign = tmp_path / "library.fasta", tmp_path / "enzyme"
    path.write_text("".join(f">v{i} variant\n{x}\n" for i, x in enumerate(X)))
    lines = init(campaign, path, model="protein", **SHORT)
    assert "names are in the column 'name' of library.fasta" in lines
    with pytest.raises(ParameterError, match="--plate 24 must hold all points of the batch, got 25"):
        ask(open_campaign(campaign), campaign, 25, plate=24)
    ask(open_campaign(campaign), campaign, 3, out=tmp_path / "plate.csv", plate=24)
    with (tmp_path / "plate.csv").open() as file:
        found = list(csv.DictReader(file))
    assert [row["well"] for row in found] == ["A1", "A2", "A3"]
    for i, row in enumerate(found):
        row["y"] = i
    with (tmp_path / "plate.csv").open("w") as file:
        writer = csv.DictWriter(file, found[0])
        writer.writeheader()
        writer.writerows(found)
    tell(open_campaign(campaign), campaign, tmp_path / "plate.csv")
    known = {row["x"]: row["name"] for row in csv.DictReader(io.StringIO(export(campaign)))}
    assert [known[x] for x in X] == [f"v{i} variant" for i in range(len(X))]
    export(campaign, out=tmp_path / "all.fasta")
    table = read_table(tmp_path / "all.fasta")
    ids = [row["id"] for row in found if row["x"] not in X]
    assert table.column("name") == [f"v{i} variant" for i in range(len(X))] + ids


def test_names_of_a_table_and_wells_in_fasta(tmp_path):
    path, campaign = tmp_path / "plate1.csv", tmp_path / "enzyme"
    rows = [f"v{i},{x.lower()},{i}" for i, x in enumerate(X)]
    path.write_text("\n".join(["Name,sequence,activity", *rows, f"again,{X[0]},1"]))
    init(campaign, path, model="protein", **SHORT)
    found = list(csv.DictReader(io.StringIO(export(campaign))))
    assert [row["name"] for row in found] == [f"v{i}" for i in range(len(X))]
    ask(open_campaign(campaign), campaign, 2, out=tmp_path / "next.fasta", plate=96)
    assert read_table(tmp_path / "next.fasta").column("name") == ["6 A1", "7 A2"]
