"""What an optimizer has at one moment: copies go their own way, and a folder is written bit by bit."""

import copy
import pickle

import numpy as np
import pytest
from conftest import count, make_optimizer, words

from wrlso import WeightedRetrainingOptimizer

X0 = words()


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda opt: pickle.loads(pickle.dumps(opt))],
    ids=["copy", "deepcopy", "pickle"],
)
def test_copies_go_their_own_way(opt, copied):
    opt.ask()
    other = copied(opt)
    assert other._session.lock is not opt._session.lock
    n = len(opt.history_.events)
    x, there = opt.ask(), other.ask()
    np.testing.assert_array_equal(x, there)
    other.tell(there, 100.0)
    other.notes_["of"] = "the copy"
    assert opt.best_y_ < 100.0 == other.best_y_
    assert "of" not in opt.notes_
    other.direction = "minimize"
    assert opt.best_y_ == opt.y_.max()
    assert other.best_y_ == other.y_.min()
    assert len(opt.history_.events) > n


def test_a_copy_leaves_the_folder(opt, tmp_path):
    opt.autosave(tmp_path / "campaign")
    other = copy.copy(opt)
    assert other._session.campaign is None
    other.tell(X0[0], 50.0)
    parts = {"encoder": opt.encoder, "decoder": opt.decoder}
    stored = WeightedRetrainingOptimizer.load(tmp_path / "campaign", **parts, autosave=False)
    assert stored.best_y_ == opt.best_y_ < other.best_y_


def kinds(opt):
    """Return how many arrays of each kind the folder holds."""
    with opt._session.campaign.transaction(write=False):
        found = [kind for kind, _ in opt._session.campaign.journal.arrays()]
    return {kind: found.count(kind) for kind in sorted(set(found))}


def test_an_ask_writes_what_has_come_since_and_no_more(tmp_path):
    opt = make_optimizer(retrain_every=None, refit_every=None).fit(X0, X0.sum(axis=1))
    opt.ask()
    opt.autosave(tmp_path / "campaign")
    first = kinds(opt)
    assert first == {"core": 1, "encodings": 1, "subset": 1, "surrogate": 1}
    weights = sorted((tmp_path / "campaign").glob("weights-*"))
    times = [file.stat().st_mtime_ns for file in weights]
    for n in (1, 2, 3):
        x = opt.ask()
        opt.tell(x, count(x))
        opt.ask()
        found = kinds(opt)
        assert found["condition"] == n  # and the fit itself is not written again
        assert (found["core"], found["subset"], found["surrogate"]) == (1, 1, 1)
    assert [file.stat().st_mtime_ns for file in weights] == times
    opt.retrain()
    assert "encodings" not in kinds(opt)  # of another model
    assert len(list((tmp_path / "campaign").glob("weights-*"))) == len(weights)
