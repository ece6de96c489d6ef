"""What people typed comes back: beside what was recorded meanwhile, with a choice, and never dropped."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wrlso import campaign

from .conftest import OWN
from .forms import draft, post, record


def shell_tells(camp, text):
    path = camp.parent / "shell.csv"
    path.write_text(text, encoding="utf-8")
    with campaign.recording(camp, model=OWN) as opt:
        campaign.tell(opt, camp, path)


def test_a_stale_tab_loses_nothing(client, camp):
    """Points 30 and 31 are told, and 32 is rejected, while somebody types values of all three."""
    shell_tells(camp, "id,y\n30,1.5\n31,2\n")
    with campaign.recording(camp, model=OWN) as opt:
        campaign.release(opt, ["32"], reason="no material")
    values = {"v30-0": "1.5", "v31-0": "7", "v32-0": "3"}
    bad = post(client, "/results/check", **values)
    assert bad.status_code == 422
    assert all(f'<th scope="row">{row}</th>' in bad.text for row in (2, 3, 4))
    assert "recorded: 2 " in bad.text
    key = re.search(r'<select name="(k[^"]+)"', bad.text)[1]
    kept = post(client, "/results/check", draft=draft(bad.text), **{key: "keep"})
    assert "2 stays, and 7 is left out" in kept.text
    assert "1 new value" in kept.text
    unsaid = post(client, "/results/check", draft=draft(bad.text), **{key: "correct"})
    assert unsaid.status_code == 422
    assert "say below why it is corrected" in unsaid.text
    assert '<option value="correct" selected>' in unsaid.text
    good = post(client, "/results/check", draft=draft(bad.text), reason="misread", **{key: "correct"})
    assert "2 is corrected to 7" in good.text
    told = post(client, "/results/tell", draft=draft(good.text), reason="misread", **{key: "correct"})
    assert told.status_code == 200
    assert [record(camp, row).values for row in (30, 31, 32)] == [[1.5], [7.0], [3.0]]
    assert record(camp, 31).revisions[0][""][0].value == 2


def test_what_changed_after_the_preview_is_shown_again(client, camp):
    good = post(client, "/results/check", **{"v30-0": "4"})
    shell_tells(camp, "id,y\n30,5\n")
    late = post(client, "/results/tell", draft=draft(good.text))
    assert late.status_code == 422
    assert "recorded: 5 " in late.text
    key = re.search(r'<select name="(k[^"]+)"', late.text)[1]
    assert post(client, "/results/tell", draft=draft(late.text), **{key: "repeat"}).status_code == 200
    assert record(camp, 30).values == [5.0, 4.0]


CELLS = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=8)


@settings(max_examples=6, deadline=None)
@given(cells=st.dictionaries(st.integers(0, 40), CELLS.filter(str.strip), min_size=1, max_size=4))
def test_every_typed_value_comes_back(looking, cells):
    """Of points that are waited for, are measured, or do not exist."""
    fields = {f"v{row}-0": text for row, text in cells.items()}
    answer = post(looking, "/results/check", **fields)
    shown = re.sub(r"<[^>]*value=\"([^\"]*)\"[^>]*>", r" \1 ", answer.text)
    assert answer.status_code in (200, 422)
    for text in cells.values():
        escaped = text.strip().replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        assert escaped.replace("'", "&#39;").replace('"', "&#34;") in shown


def test_only_one_way_at_a_time(looking):
    """Values that are typed, a table that is pasted and a file: nothing is ignored, and all text stays."""
    answer = post(
        looking, "/results/check", pasted="id,y\n30,1\n", file=("a.csv", b"id,y\n31,2\n"), **{"v32-0": "8"}
    )
    assert answer.status_code == 422
    assert "values are typed and a table is pasted and a file is chosen" in answer.text
    assert "id,y\n30,1" in answer.text.replace("\r", "")
    assert 'name="v32-0" value="8"' in answer.text


@pytest.mark.parametrize(
    ("pasted", "said"),
    [
        ("30\t2.5\n", "no rows below it"),
        ('id,y\n30,"1\n', "quotation mark"),
        ("id,y\n30,1,2\n", "3 cells"),
    ],
)
def test_a_table_that_cannot_be_read_comes_back(looking, pasted, said):
    answer = post(looking, "/results/check", pasted=pasted)
    assert answer.status_code == 422
    assert said in answer.text
    assert "the pasted table" in answer.text
    assert "results.csv" not in answer.text
    assert pasted.replace('"', "&#34;") in answer.text.replace("\r", "")


def test_a_table_without_a_header_and_with_other_names(looking):
    bad = post(looking, "/results/check", pasted="30\t2.5\n31\t4\n", no_header="1")
    assert bad.status_code == 422
    assert re.findall(r'<select name="(h\d)"', bad.text) == ["h0", "h1"]
    good = post(looking, "/results/check", draft=draft(bad.text), h0="id", h1="y")
    assert "2 new values" in good.text
    other = post(looking, "/results/check", pasted="id,activity\n30,1\n", file=("x", b""))
    assert "choose below which column is which" in other.text
    assert "1 new value" in post(looking, "/results/check", draft=draft(other.text), h1="y").text


def test_rows_keep_their_numbers_when_cells_are_mended(looking):
    bad = post(looking, "/results/check", pasted="week 7\n\nid,x,y\n30,,1\n\n\n31,,~3\n")
    assert '<th scope="row">7</th>' in bad.text
    still = post(looking, "/results/check", draft=draft(bad.text), **{"c7-2": "~4"})
    assert '<th scope="row">7</th>' in still.text
    assert "2 new values" in post(looking, "/results/check", draft=draft(still.text), **{"c7-2": "4"}).text


def test_messages_about_a_file_are_short(looking):
    data = ("\n".join(["a" * 5000 + "," + ",".join(f"c{i}" for i in range(3000)), "1,2"])).encode()
    text = post(looking, "/results/check", file=("secret-name.csv", data)).text
    alert = text.partition('role="status">')[2].partition("</div>")[0]
    assert "The uploaded file" in alert
    assert "secret-name" not in text
    assert len(alert) < 1500
