"""What earlier versions stored is read by this one, which goes on with new points."""

import json
import shutil

import pytest
from make_campaigns import FOLDER, KINDS, load, next_asked, state

from wrlso.campaign import export
from wrlso.storage import campaign_info

GONE = "inducing='greedy', "  # a parameter that this version no longer has is left out when it is read
EXPECTED = {name: json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8")) for name in KINDS}


@pytest.fixture(params=KINDS)
def name(request):
    return request.param


@pytest.fixture
def folder(name, tmp_path):
    return shutil.copytree(FOLDER / name, tmp_path / name)


def test_there_is_a_kind_for_every_folder():
    assert {path.name for path in FOLDER.iterdir() if path.is_dir()} == set(KINDS)


def assert_same(found, expected):
    """Weights are computed anew, so that their last bits depend on the processor; all else is stored."""
    found, expected = json.loads(json.dumps(found)), dict(expected)
    assert found.pop("weights") == pytest.approx(expected.pop("weights"), rel=1e-9)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert found[key] == value, key


def test_everything_comes_back(name, folder):
    expected, info = EXPECTED[name], campaign_info(folder)
    assert (info["needs"], info["counts"]) == (expected["needs"], expected["counts"])
    if KINDS[name].shell:
        assert export(folder) == expected["export"]
    parameters = {k: text.replace(GONE, "") for k, text in expected["state"]["parameters"].items()}
    assert_same(state(load(name, folder)), expected["state"] | {"parameters": parameters})


def test_what_is_told_now_is_stored_with_it(name, folder):
    opt = load(name, folder)
    n_before, x = len(opt.y_), opt.pending_[-1]
    opt.tell(x, 1.0)
    again = load(name, folder)
    assert_same(state(again), state(opt))
    assert len(again.y_) == n_before + 1
    assert len(again.pending_) == len(EXPECTED[name]["state"]["pending"]) - 1


def test_the_search_goes_on_with_new_points(name, folder, tmp_path):
    before = EXPECTED[name]["state"]
    statuses = [record[0] for record in before["records"]]
    taken = {"observed", "failed", "pending"}
    known = {key for key, status in zip(before["keys"], statuses, strict=True) if status in taken}
    asked = next_asked(load(name, folder))
    assert len({key for key, _, _ in asked} - known) == 2
    assert next_asked(load(name, shutil.copytree(FOLDER / name, tmp_path / "again"))) == asked
