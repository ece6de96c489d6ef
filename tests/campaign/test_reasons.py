"""Why points were chosen, what they are most like, how long work takes, and who did what."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from string_models import strings

from wrlso import campaign
from wrlso.acquisition import AskRecord
from wrlso.campaign.reasons import best_value, nearest_known, said_of, usual_seconds, why_chosen
from wrlso.campaign.substructures import holding
from wrlso.campaign.views import fasta_points
from wrlso.exceptions import DataError
from wrlso.history import Event, History, Record
from wrlso.outcomes import aims_of
from wrlso.storage import events as campaign_events
from wrlso.storage.info import authors_of, view_campaign
from wrlso.storage.lock import AUTHOR, author


def history_of(X, y):
    history = History()
    history.add(X, X, None)
    for row, value in enumerate(y):
        history.apply(Event("tell", row, value, 0))
    return history


def asked(mean, deviation, source="mutate"):
    return Record("x", "x", "pending", asked=True, prediction=(mean, deviation), source=source)


def chance_of(text):
    return text.partition(":")[2].partition("%")[0].strip()


@given(st.floats(-50, 50), st.floats(0.1, 9), st.floats(-50, 50))
def test_the_chance_is_that_of_the_mirrored_problem(mean, deviation, best):
    larger = why_chosen(asked(mean, deviation), best, 1.0)
    smaller = why_chosen(asked(-mean, deviation), -best, -1.0)
    assert chance_of(larger) == chance_of(smaller)


def test_the_chance_at_known_places():
    assert "best known one, 5 nM: 50 %. It is a small change" in why_chosen(asked(5.0, 1.0), 5.0, 1.0, "nM")
    uncertain = why_chosen(asked(4.0, 1.0, "near"), 5.0, 1.0)  # 1 - Φ(1) = 0.159
    assert "16 %; worse is expected, but it is uncertain. The model made it" in uncertain
    assert "less than 1 %" in why_chosen(asked(0.0, 1.0), 5.0, 1.0)
    assert "Too little" in why_chosen(Record("x", "x", "pending"), 5.0, 1.0)
    several = why_chosen(Record("x", "x", "pending"), None, 1.0, goals=["pIC50", "logD"])
    assert several == "It is to widen the front of pIC50 and logD."


@given(st.lists(st.text("ABC", min_size=4, max_size=4), min_size=2, max_size=12, unique=True))
def test_the_nearest_text_differs_in_the_fewest_letters(texts):
    x, *known = texts
    history = history_of([*known, x], [1.0] * len(known))
    row, said = nearest_known(history, x, len(known), molecules=False)
    fewest = min(sum(a != b for a, b in zip(x, other, strict=True)) for other in known)
    assert sum(a != b for a, b in zip(x, known[row], strict=True)) == fewest
    assert said.startswith(f"{fewest} letter")


@pytest.mark.parametrize("texts", [["x*x+1", "x*x+2", "x*x*x"], ["(ab)", "(ac)", "(bb)"]])
def test_formulas_are_no_sequences(texts):
    history = history_of(texts, [1.0, 2.0])
    assert nearest_known(history, texts[2], 2, molecules=False) is None
    with pytest.raises(DataError, match="FASTA must hold sequences of letters, got"):
        fasta_points(history, range(3), {}, {})


def test_nothing_is_near_where_nothing_is_known():
    assert nearest_known(history_of(["AA", "BB"], []), "AA", 0, molecules=False) is None
    assert nearest_known(history_of(["AAA", "BB"], [1.0, 2.0]), "BB", 1, molecules=False) is None


def test_the_nearest_molecule_and_substructures():
    pytest.importorskip("rdkit")
    history = history_of(["c1ccccc1O", "CCO", "CCN"], [1.0, 2.0])
    assert nearest_known(history, "CCN", 2, molecules=True)[0] == 1
    assert said_of(history.records[1], [("", "logP (nM)")]) == "logP (nM) 2"
    assert holding(history, range(3), "c1ccccc1") == [0]
    assert holding(history, range(3), "[OX2H]") == [0, 1]
    for bad in ("c1cc", "", "C" * 501):
        with pytest.raises(DataError, match="SMARTS"):
            holding(history, range(3), bad)


def test_best_values_follow_the_direction():
    history = history_of(["A", "B", "C"], [1.0, 3.0, 2.0])
    assert best_value(history, aims_of(None)) == 3.0
    assert best_value(history, aims_of(None, "minimize")) == 1.0
    assert best_value(history_of(["A"], []), aims_of(None)) is None


def test_time_is_expected_from_the_latest_asks_and_trainings():
    history = History()
    assert usual_seconds(history, "ask") is None
    history.asks += [AskRecord(seconds={"fit": 1.0, "decode": float(i)}) for i in (50, 2, 3, 9)]
    assert usual_seconds(history, "ask") == 4.0
    assert usual_seconds(history, "ask", trains=True) is None
    history.trainings += [{"seconds": 20.0}]
    assert usual_seconds(history, "ask", trains=True) == 24.0
    assert usual_seconds(history, "train") == 20.0


@given(st.lists(st.sampled_from(["ann", "bob", ""]), min_size=1, max_size=30))
def test_authors_are_found_again(names):
    first = [(0, names[0])] + [
        (i, name) for i, name in enumerate(names) if i and name != names[i - 1]
    ]  # what a journal notes
    assert authors_of(first, len(names)) == names
    assert authors_of([], len(names)) == [""] * len(names)  # a campaign of before


def test_who_makes_a_change_is_kept(tmp_path, monkeypatch):
    data = tmp_path / "start.csv"
    data.write_text("x,y\n" + "".join(f"{x},{i}\n" for i, x in enumerate(strings()[:12])), encoding="utf-8")
    camp = tmp_path / "camp"
    own, training = "string_models:make", {"initial_epochs": 1}
    monkeypatch.setenv(AUTHOR, "Ann")
    campaign.init(camp, data, model=own, training=training, random_state=0)
    monkeypatch.setenv(AUTHOR, " Bob\n")
    with campaign.recording(camp, model=own) as opt:
        campaign.update(opt, "3", "9.5", reason="typing error")
    monkeypatch.setenv(AUTHOR, "Ann")
    with campaign.recording(camp, model=own) as opt:
        campaign.update(opt, "4", "8.5")
    by = [event.by for event in campaign_events(camp)]
    assert by[-2:] == ["Bob", "Ann"]
    assert set(by[:-2]) == {"Ann"}
    assert view_campaign(camp).info["authors"] == by
    assert '"by": "Bob"' in campaign.export(camp, as_json=True)
    monkeypatch.delenv(AUTHOR)
    monkeypatch.setattr("getpass.getuser", lambda: "carol")
    assert author() == "carol"


def test_wrong_cells_are_named(tmp_path):
    data = tmp_path / "start.csv"
    data.write_text("x,y\n" + "".join(f"{x},{i}\n" for i, x in enumerate(strings()[:12])), encoding="utf-8")
    own, camp = "string_models:make", tmp_path / "camp"
    campaign.init(camp, data, model=own, training={"initial_epochs": 1}, random_state=0)
    data.write_text("id,x,y\n0,,~3\n99,,1\n0,,0\n1,AB,1\n2,,77\n", encoding="utf-8")
    opt = campaign.open_campaign(camp, model=own, autosave=False)
    with pytest.raises(DataError) as caught:
        campaign.tell(opt, camp, data, check=True)
    assert caught.value.cells == {2: ["y"], 3: ["id"], 5: ["x"], 6: ["y"]}
    assert np.array_equal([note[:5] for note in caught.value.__notes__], ["row 2", "row 3", "row 5", "row 6"])
