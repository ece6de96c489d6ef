"""What earlier versions stored is read by this one, which goes on with new points."""

import csv
import json
import re
import shutil
import warnings
from io import StringIO

import numpy as np
import pytest
import torch
from make_campaigns import FOLDER, KINDS, load, next_asked, state

from wrlso.campaign import export
from wrlso.exceptions import FormerSettingsWarning
from wrlso.storage import campaign_info
from wrlso.weighting import rank_weights

# what this version no longer has is left out when it is read
GONE = ("inducing='greedy', ", "bounds=TrustRegion(n_failures=2), ", ", transform='rank'")
EXPECTED = {name: json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8")) for name in KINDS}


pytestmark = pytest.mark.filterwarnings("ignore::wrlso.exceptions.FormerSettingsWarning")


def in_one_line(text):
    """A parameter's text without what is gone and without its layout."""
    text = " ".join(text.split())
    # defaults of then, which are stored, and others now
    text = text.replace("TanimotoGP(transform='floor')", "TanimotoGP()")
    text = re.sub(r", (initial_epochs=20|retrain_epochs=1)(?=[,)])", "", text)
    for gone in GONE:
        text = text.replace(gone, "")
    # the pool's parameters are others now, and its defaults, too
    return re.sub(r"CandidatePool\((?:[^()]|\([^()]*\))*\)", "CandidatePool", text)


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
        former, now = (list(csv.reader(StringIO(text))) for text in (expected["export"], export(folder)))
        columns = [now[0].index(name) for name in former[0]]  # others came since
        assert [[row[i] for i in columns] for row in now] == former
    found = state(load(name, folder))
    parameters = {
        k: in_one_line(text) for k, text in expected["state"]["parameters"].items() if k != "fit_on"
    }
    found["parameters"] = {k: in_one_line(text) for k, text in found["parameters"].items()}
    younger = {"outcomes": "None", "candidates": "None", "generate": "True"}  # than these campaigns
    assert {name: found["parameters"].pop(name) for name in younger} == younger
    wanted = expected["state"] | {"parameters": parameters}
    if any(len(record.values) > 1 for record in load(name, folder).history_.records):
        wanted["weights"] = found["weights"]  # replicates say how noisy values are: weights are expected ones
        assert np.mean(found["weights"]) == pytest.approx(1.0)
    elif parameters["weighting"] == "None":  # the default k is another now; it is computed when it is used
        y = load(name, folder).y_ * (-1 if "minimize" in parameters["direction"] else 1)
        wanted["weights"] = rank_weights(y, max(1e-3, 10 / len(y))).tolist()
    assert_same(found, wanted)


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


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("categorical", r"fit_on='asked' \(points lie at their encodings\), TrustRegion$"),
        ("coordinate_vae", r"fit_on='inverted' \(points lie at their encodings\)$"),
        ("gaussian", r"transform='rank' \(the default takes its place\)$"),
    ],
)
def test_settings_that_are_gone_are_named_until_something_is_learned(name, words, tmp_path):
    folder = shutil.copytree(FOLDER / name, tmp_path / name)
    for _ in range(2):
        with pytest.warns(FormerSettingsWarning, match=words) as caught:
            opt = load(name, folder)
        assert caught[0].filename.endswith("make_campaigns.py")  # the line that called load
    opt.ask()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(name, folder)


@pytest.mark.parametrize("name", ["categorical", "coordinate_vae"])
@pytest.mark.parametrize("how", ["ask", "save", "overwrite", "copy"])
def test_points_that_lay_elsewhere_lie_at_their_encodings(name, how, tmp_path):
    folder = shutil.copytree(FOLDER / name, tmp_path / name)
    opt = load(name, folder, autosave=how != "overwrite")
    told = opt.pending_[0]
    if how == "ask":
        opt.ask()
    else:
        opt.save(folder if how != "copy" else tmp_path / "copy")
    folder = folder if how != "copy" else tmp_path / "copy"
    again = load(name, folder)
    for each in (opt, again):
        learned, history = each._session.require()
        rows = np.arange(len(history))
        expected = learned.model.encode(history.inputs[torch.from_numpy(rows)])
        np.testing.assert_allclose(learned.encode(history, rows), expected, rtol=1e-5, atol=1e-6)
    if how == "copy":  # both go on, each in its own folder
        assert next_asked(again.tell(told, 1.0)) == next_asked(opt.tell(told, 1.0))
