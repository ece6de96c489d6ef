"""Campaigns on disk: nothing is lost, nothing is run, and every problem has its message."""

import numpy as np
import pytest
from conftest import count, make_optimizer, networks, words

from wrlso import ParameterError, WeightedRetrainingOptimizer
from wrlso.storage import campaign_info, events


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "campaign"


def load(folder, **options):
    encoder, decoder = networks()
    return WeightedRetrainingOptimizer.load(folder, **({"encoder": encoder, "decoder": decoder} | options))


def state(opt):
    """All that a search depends on, in comparable form."""
    core, history = opt._core, opt._history
    return {
        "records": [(r.key, r.status, r.values, r.asked, r.n_failures, r.revisions) for r in history],
        "x": [np.asarray(r.x).tolist() for r in history],
        "z": [None if r.z is None else r.z.tolist() for r in history],
        "observed": history.observed_rows.tolist(),
        "y": history.y.tolist(),
        "counters": (
            core.seed,
            core.n_asks,
            core.n_trainings,
            core.n_at_training,
            core.n_seen,
            core.n_at_fit,
        ),
        "revisions": (history.revision, core.revision, history.n_start),
        "weights": {name: tensor.tolist() for name, tensor in opt.model_.state_dict().items()},
    }


def test_a_loaded_campaign_has_the_same_state(opt, folder):
    x = opt.ask()
    opt.save(folder)
    assert state(load(folder)) == state(opt)
    opt.tell(x, count(x)).save(folder)
    again = load(folder, autosave=False)
    assert state(again) == state(opt)
    np.testing.assert_array_equal(again.ask(), opt.ask())


def test_what_a_file_cannot_hold_is_asked_for_by_name(folder):
    X = words()
    opt = make_optimizer(feasible=lambda x: x[0] == 0).fit(X, X.sum(axis=1))
    opt.save(folder)
    assert set(campaign_info(folder)["needs"]) == {"encoder", "decoder", "feasible"}
    with pytest.raises(
        ParameterError, match=r"decoder \(it was .*, encoder \(.*, feasible \(it was test_storage"
    ):
        WeightedRetrainingOptimizer.load(folder)


def test_info_and_events_need_no_model(opt, folder):
    opt.autosave(folder)
    x = opt.ask()
    opt.tell(x, 3.0).update(x, 4.0)
    opt.notes_["who"] = "me"
    info = campaign_info(folder)
    assert info["counts"] == {"observed": 41}
    assert (info["n_asks"], info["n_trainings"], info["notes"]) == (1, 1, {"who": "me"})
    assert [(e.kind, e.record, e.value, e.old) for e in events(folder)][-4:] == [
        ("ask", 40, None, None),
        ("search", None, None, None),
        ("tell", 40, 3.0, None),
        ("update", 40, 4.0, [3.0]),
    ]
