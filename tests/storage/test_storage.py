"""Campaigns on disk: nothing is lost, nothing is run, and every problem has its message."""

import copy
import json
import logging
import os
import pickle
import resource
import shutil
import signal
import socket
import sqlite3
import sys
import tempfile
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import count, make_optimizer, networks, words
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import nn

from wrlso import (
    VAE,
    DataTypeError,
    GeometricBeta,
    LogExpectedImprovement,
    ModelError,
    NoCandidateError,
    ParameterError,
    RankWeighting,
    SparseGP,
    Trainer,
    UpperConfidenceBound,
    WeightedRetrainingOptimizer,
    uniform_weights,
)
from wrlso._state.changes import Changes, NewObjects
from wrlso._state.codec import dump, dump_json, is_alike, load_json
from wrlso._state.codec import load as load_bytes
from wrlso.exceptions import StorageError
from wrlso.storage import campaign_info, events, journal
from wrlso.storage import folder as _campaign
from wrlso.storage.journal import Journal, _crc
from wrlso.storage.lock import WorkLock, holder
from wrlso.storage.objects import pack_objects, unpack_objects

JOURNAL = "journal.sqlite"
NEW = np.ones(12, dtype=np.uint8)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "campaign"


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A campaign at rest, with some of everything; copied by the tests that change it."""
    path = tmp_path_factory.mktemp("stored") / "campaign"
    X = words()
    opt = make_optimizer(retrain_every=3).fit(X, [None, None, None, *X[3:].sum(axis=1)]).autosave(path)
    for _ in range(4):
        x = opt.ask()
        opt.tell(x, count(x))
    first, second, _ = opt.ask(3)
    opt.tell(X[3], None).tell(X[4], 9.5).update(X[5], 0.5).release(first).tell(second, None)
    opt.notes_["who"] = "me"
    opt._session.campaign.close()
    return path


@pytest.fixture
def broken(stored, folder):
    """A copy of the campaign, to be broken."""
    return Path(shutil.copytree(stored, folder))


def load(folder, **options):
    encoder, decoder = networks()
    return WeightedRetrainingOptimizer.load(folder, **({"encoder": encoder, "decoder": decoder} | options))


def state(opt):
    """All that a search depends on, in comparable form."""
    core, history = opt._session.learned, opt._session.history
    return {
        "records": [(r.key, r.status, r.values, r.asked, r.n_failures, r.revisions) for r in history],
        "times": [(r.asked_at, r.told_at) for r in history],
        "x": [(np.asarray(r.x).dtype, np.asarray(r.x).tolist()) for r in history],
        "z": [None if r.z is None else r.z.tolist() for r in history],
        "observed": history.observed_rows.tolist(),
        "y": history.y.tolist(),
        "counters": [core.seed, core.n_asks, core.n_trainings, core.n_at_training, core.fitted.n_seen],
        "revisions": (history.revision, core.fitted.revision, history.n_start),
        "trainings": dump_json(history.trainings),
        "asks": dump(history.asks),
        "learned": dump([core.fitted.surrogate, core.fitted.rows, core.fitted.y, core.acquisition]),
        "weights": {name: tensor.tolist() for name, tensor in opt.model_.state_dict().items()},
    }


def fork(work):
    """Run a function in a process of its own and return its id; what it raises is its exit status."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return child


def finish(child):
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# ---------------------------------------------------------------- values and objects

numbers = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
arrays = hnp.arrays(
    st.sampled_from([np.uint8, np.int64, np.float32, np.float64, np.bool_]), hnp.array_shapes(min_side=0)
)
values = st.recursive(
    numbers | arrays | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=4)
    ),
    max_leaves=8,
)


def same(a, b):
    if type(a) is not type(b):
        return False
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    return a == b or (a != a and b != b)


@given(values)
def test_every_value_comes_back_as_it_was(value):
    assert same(load_bytes(dump(value)), value)
    assert same(load_json(dump_json(value)), value)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_an_error_of_their_own(data):
    with suppress(StorageError):
        load_bytes(data)


@pytest.mark.parametrize(
    "value",
    [
        np.float32(0.1),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        torch.arange(4.0).reshape(2, 2),
        torch.device("cpu"),
        RankWeighting(k=0.1),
        Trainer(beta_schedule=GeometricBeta(), w_max=float("inf")),
        LogExpectedImprovement(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_parts_of_numpy_torch_and_this_library_come_back(value):
    again = load_bytes(dump(value))
    assert type(again) is type(value)
    assert repr(again) == repr(value)
    if isinstance(value, np.ndarray):
        assert again.flags.f_contiguous == value.flags.f_contiguous


def test_random_states_and_functions_come_back():
    random_state = np.random.RandomState(3)
    again = load_json(dump_json(random_state))
    assert again.randint(1000, size=5).tolist() == random_state.randint(1000, size=5).tolist()
    assert load_json(dump_json(uniform_weights)) is uniform_weights


@pytest.mark.parametrize(
    "text",
    [
        '{"!": "object", "class": "Popen", "state": {}}',
        '{"!": "object", "class": "RankWeighting", "state": {"__class__": 1}}',
        '{"!": "function", "name": "system"}',
        '{"!": "array", "dtype": "|O", "shape": [1], "value": "AAAAAAAAAAA="}',
        '{"!": "os.system"}',
        "not JSON",
    ],
)
def test_a_file_can_name_nothing_but_this_librarys_parts(text):
    with pytest.raises(StorageError, match="a stored value is damaged"):
        load_json(text)


def test_a_parameter_that_an_older_version_did_not_have_takes_its_default():
    packed = json.loads(dump_json(SparseGP(n_inducing=7), parameters=True))
    del packed["state"]["grow_inducing"]
    assert load_json(json.dumps(packed)).get_params() == SparseGP(n_inducing=7).get_params()


def test_a_parameter_that_this_version_no_longer_has_is_left_out():
    Z = torch.from_numpy(np.random.default_rng(0).normal(size=(12, 2)))
    surrogate = SparseGP(n_inducing=7, max_iter=2).fit(Z, Z[:, 0], np.random.default_rng(0))
    older = copy.copy(surrogate)
    older.inducing = "kmeans"  # as stored by versions that could choose
    read = load_bytes(dump(older))
    assert "inducing" not in vars(read)
    assert is_alike(read, surrogate)
    assert dump(read) == dump(surrogate)
    for mine, expected in zip(read.predict(Z), surrogate.predict(Z), strict=True):
        assert torch.equal(mine, expected)


class Tuples:
    """A codec of pairs of letters: tuples, texts or objects, by what it was made for."""

    def __init__(self, make):
        self.make = make

    def transform(self, X):
        return np.array([[ord(letter) - 97 for letter in list(x)] for x in X])

    def inverse_transform(self, array):
        return [self.make("".join(chr(97 + letter) for letter in row)) for row in np.asarray(array)]


class Pair:
    def __init__(self, text):
        self.text = text

    def __iter__(self):
        return iter(self.text)

    def __eq__(self, other):
        return isinstance(other, Pair) and self.text == other.text

    def __hash__(self):
        return hash(self.text)


def letter_model(codec):
    encoder = nn.Sequential(nn.Embedding(4, 3), nn.Flatten(), nn.Linear(6, 4))
    decoder = nn.Sequential(nn.Linear(2, 8), nn.Unflatten(1, (2, 4)))
    return VAE(encoder, decoder, "categorical", codec=codec)


def new_objects(model, X):
    return NewObjects(X, [model.key(x) for x in X], model.tensorize(X))


@pytest.mark.parametrize("make", [str, tuple, Pair])
def test_objects_of_a_codec_come_back(make):
    model = letter_model(Tuples(make))
    new = new_objects(model, [make(text) for text in ("ab", "cd", "aa")])
    again = unpack_objects(model, pack_objects(model, new))
    assert again.X == new.X
    assert again.keys == new.keys
    assert torch.equal(again.inputs, new.inputs)


def test_an_object_that_the_codec_does_not_give_back_is_refused():
    model = letter_model(Tuples(Pair))
    new = new_objects(model, [Pair("ab")])
    model.codec.make = lambda text: Pair(text[::-1])
    with pytest.raises(DataTypeError, match="a campaign stores texts, numbers, arrays"):
        pack_objects(model, new)
    with pytest.raises(DataTypeError, match="the model has no codec"):
        pack_objects(VAE(nn.Linear(2, 2), nn.Linear(1, 2)), new)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32, np.float64, bool])
def test_arrays_are_stored_once_and_keep_their_dtype(dtype):
    model = VAE(nn.Linear(100, 2), nn.Linear(1, 100))
    X = (np.random.default_rng(0).random((50, 100)) < 0.5).astype(dtype)
    data = pack_objects(model, new_objects(model, list(X)))
    assert len(data) < X.size + 50 * 16 + 300
    again = unpack_objects(model, data)
    assert all(x.dtype == dtype for x in again.X)
    np.testing.assert_array_equal(again.X, X)


def test_numbers_that_the_tensor_rounds_are_kept():
    model = VAE(nn.Linear(2, 2), nn.Linear(1, 2), "gaussian")
    X = [np.array([0.1, 1 / 3]), np.array([-0.0, 2.0])]
    again = unpack_objects(model, pack_objects(model, new_objects(model, X)))
    assert [x.tobytes() for x in again.X] == [x.tobytes() for x in X]


def test_identities_are_asked_again_when_the_model_sees_them_otherwise():
    model = VAE(nn.Linear(3, 2), nn.Linear(1, 3))
    data = pack_objects(model, new_objects(model, [np.eye(3)[0], np.eye(3)[1]]))
    model.key = lambda x: int(np.argmax(x))
    assert unpack_objects(model, data).keys == [0, 1]


# ---------------------------------------------------------------- save and load


def test_a_loaded_campaign_has_the_same_state(stored, broken):
    opt = load(broken)
    reader = load(broken, autosave=False)
    assert state(reader) == state(load(stored, autosave=False)) == state(opt)
    X = reader.ask(3)
    np.testing.assert_array_equal(copy.deepcopy(opt).ask(3), X)
    assert len(opt.pending_) == 1
    np.testing.assert_array_equal(opt.ask(3), X)
    assert state(load(broken)) == state(opt)


def test_saving_brings_a_folder_up_to_date(opt, folder):
    opt.save(folder)
    assert state(load(folder)) == state(opt)
    x = opt.ask()
    opt.tell(x, count(x)).retrain().save(folder)
    opt.notes_["a"] = "b"
    opt.save(folder)
    again = load(folder, autosave=False)
    assert state(again) == state(opt)
    assert dict(again.notes_) == {"a": "b"}
    np.testing.assert_array_equal(again.ask(), opt.ask())
    X = words(20, seed=1)
    opt.fit(X, X.sum(axis=1)).save(folder)
    assert state(load(folder)) == state(opt)
    assert len(list(folder.glob("weights-*"))) == 1


def test_what_a_file_cannot_hold_is_asked_for_by_name(folder):
    X = words()
    opt = make_optimizer(feasible=lambda x: x[0] == 0).fit(X, X.sum(axis=1))
    opt.save(folder)
    assert set(campaign_info(folder)["needs"]) == {"encoder", "decoder", "feasible"}
    with pytest.raises(
        ParameterError, match=r"decoder \(it was .*, encoder \(.*, feasible \(it was test_storage"
    ):
        WeightedRetrainingOptimizer.load(folder)
    with pytest.raises(ParameterError, match=r"give load\(\) feasible \("):
        load(folder)
    assert load(folder, feasible=opt.feasible).feasible is opt.feasible


def test_a_part_inside_a_part_that_is_the_users_is_asked_for(folder):
    X = words()
    trainer = Trainer(initial_epochs=1, beta_schedule=lambda step: 0.1)
    make_optimizer(trainer=trainer).fit(X, X.sum(axis=1)).save(folder)
    with pytest.raises(ParameterError, match=r"give load\(\) trainer \(it was test_storage"):
        load(folder)
    assert load(folder, trainer=trainer).trainer is trainer


def test_what_was_not_there_cannot_be_given(stored):
    with pytest.raises(ParameterError, match="made without model: leave it out and give encoder, decoder"):
        load(stored, model=VAE(*networks()))


def test_parts_of_the_library_are_rebuilt_or_replaced(folder):
    X = words()
    random_state = np.random.RandomState(5)
    opt = make_optimizer(weighting=RankWeighting(k=0.5), random_state=random_state, device="cpu")
    opt.fit(X, X.sum(axis=1)).ask()
    opt.save(folder)
    again = load(folder)
    assert repr(again.get_params(deep=False)["weighting"]) == "RankWeighting(k=0.5)"
    assert repr(again.surrogate) == repr(opt.surrogate)
    assert repr(again.trainer) == repr(opt.trainer)
    assert again.random_state.randint(1000) == random_state.randint(1000)
    other = load(
        folder,
        acquisition=UpperConfidenceBound(),
        surrogate=SparseGP(n_inducing=9),
        weighting=uniform_weights,
    )
    assert np.all(other.weights_ == 1)
    other.ask()
    assert other._session.learned.acquisition.beta == 2.0
    assert len(other._session.learned.fitted.surrogate.posterior_.U) <= 18


@pytest.mark.parametrize("retrain", ["finetune", "scratch"])
def test_training_from_scratch_remembers_the_given_weights(folder, retrain):
    X = words()
    trainer = Trainer(initial_epochs=2, retrain_epochs=1, retrain=retrain, batch_size=16)
    opt = make_optimizer(trainer=trainer).fit(X, X.sum(axis=1)).autosave(folder)
    torch.manual_seed(1)
    strangers = {"encoder": copy.deepcopy(opt.encoder), "decoder": copy.deepcopy(opt.decoder)}
    for module in strangers.values():
        for parameter in module.parameters():
            nn.init.normal_(parameter)
    again = load(folder, **strangers, autosave=False)
    assert dump(list(again.retrain().model_.state_dict().values())) == dump(
        list(opt.retrain().model_.state_dict().values())
    )
    assert len(list(folder.glob("weights-*"))) == (2 if retrain == "scratch" else 1)


def test_tells_before_the_first_fit_are_kept(folder):
    opt = make_optimizer().autosave(folder)
    assert load(folder)._session.learned is None
    for x in words(8):
        opt.tell(x, count(x))
    again = load(folder, autosave=False)
    assert again.history_.n_start == 8
    np.testing.assert_array_equal(again.ask(), opt.ask())


class Remembering(LogExpectedImprovement):
    """An acquisition function of the user's that keeps something from ask to ask."""

    n_proposals = 0

    def propose(self, state, n, rng):
        self.n_proposals += n
        return super().propose(state, n, rng)

    def get_state(self):
        return {"n": self.n_proposals, "array": np.arange(self.n_proposals)}

    def set_state(self, state):
        assert len(state["array"]) == state["n"]
        self.n_proposals = state["n"]


class Stateless(LogExpectedImprovement):
    pass


def test_acquisition_functions_may_have_a_state(folder):
    X = words()
    opt = make_optimizer(acquisition=Remembering(search=make_optimizer().acquisition.search))
    opt.fit(X, X.sum(axis=1)).autosave(folder).ask(2)
    opt.ask()
    assert load(folder, acquisition=Remembering())._session.learned.acquisition.n_proposals == 3
    with pytest.raises(StorageError, match="a state for acquisition, but Stateless has no set_state"):
        load(folder, acquisition=Stateless())
    opt = make_optimizer(acquisition=Stateless()).fit(X, X.sum(axis=1))
    opt.save(folder.with_name("other"))
    with pytest.raises(ParameterError, match=r"acquisition \(it was test_storage.Stateless\)"):
        load(folder.with_name("other"))
    assert (
        type(load(folder.with_name("other"), acquisition=Stateless())._session.learned.acquisition)
        is Stateless
    )


class Mean:
    """The simplest surrogate."""

    space = "latent"

    def fit(self, Z, y, rng):
        self.mean = float(y.mean())
        return self

    def condition_on(self, Z, y):
        return self

    def predict(self, Z):
        return Z.sum(dim=1) * 0 + self.mean, Z.sum(dim=1) * 0 + 1.0

    def sample(self, Z, n, generator):
        return torch.zeros(n, len(Z))


class StoredMean(Mean):
    def get_state(self):
        return {"mean": self.mean}

    def set_state(self, state):
        self.mean = state["mean"]


def test_a_surrogate_of_the_users_needs_a_state(folder):
    X = words()
    with pytest.raises(
        ParameterError, match="cannot store Mean of the surrogate Mean: give it methods get_state"
    ):
        make_optimizer(surrogate=Mean()).fit(X, X.sum(axis=1)).autosave(folder)
    assert not folder.exists()
    opt = make_optimizer(surrogate=StoredMean()).fit(X, X.sum(axis=1)).autosave(folder)
    opt.ask()
    assert (
        load(folder, surrogate=StoredMean())._session.learned.fitted.surrogate.mean
        == opt._session.learned.fitted.surrogate.mean
    )


def test_a_users_part_inside_a_part_of_the_library_is_put_back(folder):
    """What was learned is stored, and what a file cannot hold comes from what load is given."""
    X = words()
    search = make_optimizer().acquisition.search

    class Wrapped(type(search)):
        pass

    own = Wrapped(n_candidates=200)
    opt = (
        make_optimizer(acquisition=LogExpectedImprovement(search=own)).fit(X, X.sum(axis=1)).autosave(folder)
    )
    opt.ask()
    with pytest.raises(ParameterError, match=r"acquisition \(it was test_storage"):
        load(folder)
    again = load(folder, acquisition=LogExpectedImprovement(search=own))
    assert again._session.learned.acquisition.search.get_params() == own.get_params()
    np.testing.assert_array_equal(again.ask(), copy.deepcopy(opt).ask())


class Learner(VAE):
    """A model that learns from its first x and cannot say what."""

    get_state = None


def test_a_model_without_a_state_is_shown_the_first_x_again(folder):
    X = words()
    opt = make_optimizer(model=Learner(*networks())).fit(X, X.sum(axis=1))
    opt.save(folder)
    again = WeightedRetrainingOptimizer.load(folder, model=Learner(*networks()))
    assert again.model_._x_shape == (12,)
    np.testing.assert_array_equal(again.ask(), opt.ask())


def test_an_ask_that_finds_nothing_is_counted_and_its_training_kept(folder):
    X = words()
    opt = make_optimizer(retrain_every=2).fit(X, X.sum(axis=1)).autosave(folder)
    opt.tell(1 - X[:3], [8.0, 9.0, 7.0])
    opt.feasible = lambda x: False
    with pytest.raises(NoCandidateError, match="infeasible"):
        opt.ask()
    assert opt._session.learned.n_trainings == 2
    again = load(folder, feasible=opt.feasible)
    assert state(again) == state(opt)
    again.feasible = opt.feasible = None
    np.testing.assert_array_equal(again.ask(), copy.deepcopy(opt).ask())


def test_parameters_that_change_on_the_way_are_stored_with_the_next_ask(opt, folder):
    opt.autosave(folder)
    opt.set_params(retrain_every=17, trainer__lr=0.5)
    opt.ask()
    again = load(folder)
    assert (again.retrain_every, again.trainer.lr) == (17, 0.5)


def test_weights_that_another_process_replaces_while_they_are_read(opt, folder, monkeypatch):
    opt.autosave(folder)
    read, n_calls = _campaign.read_weights, []

    def replaced(path, name):
        n_calls.append(name)
        if len(n_calls) == 1:
            opt.retrain()
        return read(path, name)

    monkeypatch.setattr(_campaign, "read_weights", replaced)
    assert state(load(folder)) == state(opt)
    assert len(set(n_calls)) == 2


def test_fitting_again_begins_anew_for_all(opt, folder):
    opt.autosave(folder)
    other = load(folder)
    X = words(20, seed=1)
    opt.fit(X, X.sum(axis=1))
    x = words(25, seed=2)[-1]
    other.tell(x, 3.0)
    assert state(load(folder)) == state(other)
    assert len(other.y_) == len({tuple(x) for x in [*X, x]})
    assert len(events(folder)) == 22
    np.testing.assert_array_equal(opt.ask(), copy.deepcopy(other).ask())


def test_copies_and_pickles_write_to_no_campaign(opt, folder):
    opt.autosave(folder)
    before = len(events(folder))
    for other in (copy.deepcopy(opt), pickle.loads(pickle.dumps(opt))):
        other.tell(words(3, seed=5)[0], 1.0)
    assert len(events(folder)) == before


def test_info_and_events_need_no_model(opt, folder):
    opt.autosave(folder)
    x = opt.ask()
    opt.tell(x, 3.0).update(x, 4.0)
    opt.notes_["who"] = "me"
    info = campaign_info(folder)
    assert info["counts"] == {"observed": 41}
    assert (info["n_asks"], info["n_trainings"], info["notes"]) == (1, 1, {"who": "me"})
    assert info["versions"]["torch"] == torch.__version__
    assert info["parameters"]["trainer"]["class"] == "Trainer"
    last = events(folder)[-4:]
    assert [(e.kind, e.record, e.value, e.old) for e in last] == [
        ("ask", 40, None, None),
        ("search", None, None, None),
        ("tell", 40, 3.0, None),
        ("update", 40, 4.0, [3.0]),
    ]
    assert opt.history_.records[40].told_at == last[-1].time
    assert opt.history_.records[40].asked_at == last[0].time


def test_info_counts_what_the_history_counts(stored):
    history = load(stored, autosave=False).history_
    statuses = [record.status for record in history]
    assert campaign_info(stored)["counts"] == {name: statuses.count(name) for name in sorted(set(statuses))}
    assert len(set(statuses)) == 5


def test_notes(opt, folder):
    opt.notes_["a"] = "1"
    opt.autosave(folder)
    other = load(folder)
    other.notes_["b"] = "2"
    assert dict(opt.notes_) == {"a": "1", "b": "2"}
    assert repr(opt.notes_) == "{'a': '1', 'b': '2'}"
    del other.notes_["a"]
    assert list(opt.notes_) == ["b"]
    assert len(opt.notes_) == 1
    with pytest.raises(KeyError, match="a"):
        del opt.notes_["a"]


# ---------------------------------------------------------------- several processes


def test_two_processes_tell_at_once(opt, folder):
    opt.autosave(folder)
    every = ((np.arange(2**12)[:, None] >> np.arange(12)) & 1).astype(np.uint8)
    good = every[every.sum(axis=1) >= 6]

    def tell(start):
        own = load(folder)
        for x in good[start : start + 1000]:
            own.tell(x, count(x))

    children = [fork(lambda: tell(0)), fork(lambda: tell(1000))]
    for child in children:
        finish(child)
    opt.tell(opt.X_[0], None)  # takes in what the others told
    assert len(opt.y_) == 2040
    np.testing.assert_array_equal(opt.y_, [count(x) for x in opt.X_])
    assert state(load(folder)) == state(opt)
    told = [event.record for event in events(folder) if event.kind == "tell"]
    assert told[:2000] == list(range(40, 2040))


def test_two_optimizers_take_in_what_the_other_does(opt, folder):
    one, other = opt.autosave(folder), load(folder)
    for i in range(6):
        asker, teller = (one, other) if i % 2 else (other, one)
        x = asker.ask()
        teller.tell(x, count(x))
    alone = make_optimizer()
    X = words()
    alone.fit(X, X.sum(axis=1))
    for _ in range(6):
        x = alone.ask()
        alone.tell(x, count(x))
    one.tell(X[0], None)
    alone.tell(X[0], None)
    np.testing.assert_array_equal(one.X_, alone.X_)
    np.testing.assert_array_equal(one.ask(), alone.ask())
    assert one._session.learned.n_trainings == 2


def test_one_works_while_others_tell_and_the_next_waits(folder, caplog):
    training, go_on = threading.Event(), threading.Event()

    class Waiting:
        def on_retrain(self, opt, log):
            pass

    X = words()
    one = make_optimizer().fit(X, X.sum(axis=1)).autosave(folder)
    other = load(folder)
    weights = one._session.history

    def slow(y):
        training.set()
        assert go_on.wait(300)
        return np.ones(len(y))

    one.weighting = slow
    worker = threading.Thread(target=one.retrain)
    worker.start()
    assert training.wait(30)
    other.tell(X[0], 4.0)
    assert worker.is_alive()  # so that the tell did not wait for it: it goes on only when told to, below
    asked = []
    second = threading.Thread(target=lambda: asked.append(other.ask()))
    with caplog.at_level(logging.WARNING, "wrlso"):
        second.start()
        while "waiting for process" not in caplog.text:  # logged after a second
            assert second.is_alive()
            time.sleep(0.01)
        assert not asked
        go_on.set()
        worker.join(30)
        second.join(30)
    assert f"waiting for process {os.getpid()}" in caplog.text
    assert len(asked) == 1
    assert other._session.learned.n_trainings == 2
    assert weights is one._session.history


def test_the_lock_of_a_dead_process_is_free(opt, folder):
    opt.autosave(folder)

    def die_at_work():
        own = load(folder)
        with own._session.campaign.lock.held():
            os.kill(os.getpid(), signal.SIGKILL)

    child = fork(die_at_work)
    os.waitpid(child, 0)
    assert f"process {child} on" in (folder / "work.lock").read_text()
    opt.ask()


def test_a_lock_file_that_is_left_over_blocks_nobody(opt, folder):
    opt.autosave(folder)
    (folder / "work.lock").write_bytes(b"\xff process 1 on the moon")
    assert holder(folder / "work.lock") is None
    opt.ask()


def test_one_thread_may_hold_the_lock_twice_and_others_see_who_does(tmp_path):
    lock = WorkLock(tmp_path / "work.lock")
    with lock.held():
        with lock.held():
            pass
        assert holder(lock.path) == f"process {os.getpid()} on {socket.gethostname()}"
        taken = []
        other = threading.Thread(target=lambda: taken.append(take(WorkLock(lock.path))))
        other.start()
        other.join(0.2)
        assert not taken
        with pytest.raises(StorageError, match="already works on .* with another optimizer"):
            take(WorkLock(lock.path))
    other.join(30)
    assert taken == [True]
    assert holder(lock.path) is None


def take(lock):
    with lock.held():
        return True


def test_a_forked_process_may_go_on(opt, folder):
    opt.autosave(folder)
    finish(fork(lambda: opt.tell(words(3, seed=7)[0], 2.0)))
    before = len(opt.y_)
    opt.tell(opt.X_[0], 2.0)
    assert len(opt.y_) == before + 1


# ---------------------------------------------------------------- folders that are something else


def test_a_folder_with_something_else_is_refused(opt, stored, folder):
    folder.mkdir()
    (folder / "thesis.tex").write_text("")
    with pytest.raises(StorageError, match=r"not empty and no campaign \(it holds thesis.tex\): name a new"):
        opt.save(folder)
    with pytest.raises(StorageError, match="cannot be made"):
        opt.save(folder / "thesis.tex")
    with pytest.raises(StorageError, match="holds another campaign: name a new folder"):
        opt.save(stored)


def test_a_campaign_that_others_changed_is_not_overwritten(opt, folder):
    opt.save(folder)
    load(folder).tell(words()[0], 3.0)
    opt.tell(words()[1], 4.0)
    with pytest.raises(StorageError, match="was changed by another process since it was loaded or saved"):
        opt.save(folder)
    assert events(folder)[-1].value == 3.0


def test_what_is_left_of_an_interrupted_save_is_no_hindrance(opt, folder):
    folder.mkdir()
    (folder / "journal.sqlite.new").write_bytes(b"half")
    (folder / "weights-abc.safetensors.1-2.tmp").write_bytes(b"half")
    opt.save(folder)
    assert sorted(file.name for file in folder.iterdir())[0] == JOURNAL
    assert len(list(folder.glob("weights-*"))) == 1
    assert state(load(folder)) == state(opt)


@pytest.mark.parametrize("call", [load, campaign_info, events])
def test_no_campaign(tmp_path, call):
    with pytest.raises(StorageError, match="the folder .* holds no campaign: journal.sqlite is missing"):
        call(tmp_path)
    with pytest.raises(
        StorageError, match="there is no folder .*/nothing: look whether the campaign was moved"
    ):
        call(tmp_path / "nothing")
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="/file is a file, and a campaign is a folder"):
        call(tmp_path / "file")


@pytest.mark.parametrize(
    "call", [lambda o: o.ask(), lambda o: o.tell(NEW, 1.0), lambda o: o.note(words()[0], "n")]
)
def test_a_campaign_whose_folder_is_moved_is_missed_and_can_be_moved_back(opt, folder, call):
    opt.autosave(folder)
    before = state(opt)
    folder.rename(folder.with_name("elsewhere"))
    for wrong in (call, lambda _: take(WorkLock(folder / "tell.lock"))):
        with pytest.raises(StorageError, match="there is no folder .*: look whether the campaign was moved"):
            wrong(opt)
    assert not folder.exists()
    folder.with_name("elsewhere").rename(folder)
    assert state(load(folder)) == before
    opt.ask()


def test_who_waits_for_another_writer_says_so(opt, folder, monkeypatch, caplog):
    monkeypatch.setattr(journal, "_QUIET", 0.05)
    opt.autosave(folder)
    other = sqlite3.connect(folder / JOURNAL, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    with WorkLock(folder / "tell.lock").held():
        told = threading.Thread(target=lambda: opt.tell(NEW, 1.0))
        told.start()
        while not caplog.records and told.is_alive():
            time.sleep(0.01)
        assert told.is_alive()
        other.execute("ROLLBACK")
        told.join(30)
    other.close()
    assert caplog.messages[0] == (
        f"waiting for process {os.getpid()} on {socket.gethostname()}, which writes to {folder}; "
        "for 60 s at most"
    )
    assert load(folder).history_.events[-1].value == 1.0


def test_who_waits_in_vain_for_another_writer_changes_nothing(opt, folder, monkeypatch):
    monkeypatch.setattr(journal, "_QUIET", 0.02)
    monkeypatch.setattr(journal, "_PATIENCE", 0.05)
    opt.autosave(folder)
    before, other = state(opt), sqlite3.connect(folder / JOURNAL, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    for call in (lambda: opt.tell(NEW, 1.0), lambda: events(folder)):
        with pytest.raises(StorageError, match="another process has been using it for"):
            call()
    other.close()
    assert state(load(folder)) == before


# ---------------------------------------------------------------- damage


def change_journal(folder, statement, *values):
    database = sqlite3.connect(folder / JOURNAL)
    database.execute(statement, values)
    database.commit()
    database.close()


def assert_refused(folder, message):
    with pytest.raises(StorageError, match=message):
        load(folder)
    with pytest.raises(StorageError, match=message):
        load(folder, autosave=False)


def test_another_programs_database(broken):
    (broken / JOURNAL).unlink()
    change_journal(broken, "CREATE TABLE recipes (name TEXT)")
    assert_refused(broken, "database of another program, not the journal of a campaign")


def test_a_newer_format(broken):
    change_journal(broken, "PRAGMA user_version = 99")
    assert_refused(broken, "has format 99, and this wrlso reads format 3: install a newer one")


def test_the_format_changes_with_the_first_event_that_needs_it(stored, folder):
    shutil.copytree(stored, folder)
    change_journal(folder, "PRAGMA user_version = 2")
    put(folder, "format", "2")
    opt = load(folder)
    opt.tell(NEW, 1.0)
    assert campaign_info(folder)["format"] == 2
    opt.note(NEW, "a note")
    assert campaign_info(folder)["format"] == 3
    assert state(load(folder)) == state(opt)


def test_an_older_format(broken):
    change_journal(broken, "PRAGMA user_version = 1")
    assert_refused(broken, "has format 1, from before the first release, .* reads format 3: open it with the")
    change_journal(broken, "PRAGMA user_version = 0")
    assert_refused(broken, r"damaged \(it has no format\): put back a copy")


@pytest.mark.parametrize("content", [b"", b"not a database, but long enough to be looked at" * 50])
def test_no_database(broken, content):
    (broken / JOURNAL).write_bytes(content)
    assert_refused(broken, "another program|no SQLite database, or a damaged one: put back a copy")


def test_another_model(stored):
    encoder = nn.Sequential(nn.Linear(12, 7), nn.Tanh(), nn.Linear(7, 6))
    with pytest.raises(ModelError, match=r"another model .*\(VAE\): 3 weights differ, .*\(24,\).*\(7,\)"):
        load(stored, encoder=encoder, autosave=False)
    with pytest.raises(ModelError, match="stored as missing"):
        load(stored, encoder=nn.Sequential(networks()[0], nn.BatchNorm1d(6)), autosave=False)


def test_missing_damaged_and_foreign_weights(broken):
    (file,) = broken.glob("weights-*")
    content = file.read_bytes()
    for bad in (
        content[:-1],
        content[:100],
        bytes([content[0] ^ 1]) + content[1:],
        pickle.dumps(Bomb(broken)),
    ):
        file.write_bytes(bad)
        assert_refused(broken, r"weights-.* is damaged \(checksum differs\): put back a copy")
    file.unlink()
    assert_refused(broken, "weights-.* cannot be read: .*; put it back")


@pytest.mark.parametrize("name", ["../../x", "/etc/passwd", "weights-0.safetensors", "", "work.lock"])
def test_weights_elsewhere_are_not_read(broken, name):
    database = sqlite3.connect(broken / JOURNAL)
    (text,) = database.execute("SELECT value FROM meta WHERE key = 'model'").fetchone()
    database.close()
    put(broken, "model", json.dumps(json.loads(text) | {"weights": name}))
    assert_refused(broken, "names the weights file .*, expected weights-<sha256>.safetensors: put back")


def put(folder, key, value):
    """Write to the journal as somebody would who knows the checksums."""
    journal = Journal(folder / JOURNAL)
    with journal.transaction():
        journal.put(key, value)
    journal.close()


def put_data(folder, table, data):
    """Replace the data of every row of a table, with the right checksums."""
    columns = {
        "objects": "generation, first, n, data",
        "events": "generation, number, kind, row, value, time, data",
        "arrays": "kind, data",
    }[table]
    database = sqlite3.connect(folder / JOURNAL)
    database.create_function("row_crc", -1, lambda *fields: _crc(*fields))
    database.execute(f"UPDATE {table} SET data = ?", (data,))
    database.execute(f"UPDATE {table} SET crc = row_crc({columns})")
    database.commit()
    database.close()


class Bomb:
    """Unpickling it leaves a file."""

    def __init__(self, folder):
        self.target = str(folder / "exploded")

    def __reduce__(self):
        return (open, (self.target, "w"))


def test_a_pickle_bomb_in_any_place_does_nothing(stored, tmp_path):
    for i, place in enumerate(["journal", "weights", "meta", "objects", "events", "arrays", "wal", "lock"]):
        folder = Path(shutil.copytree(stored, tmp_path / str(i)))
        bomb = pickle.dumps(Bomb(folder))
        files = {"journal": JOURNAL, "wal": JOURNAL + "-wal", "lock": "work.lock"}
        if place == "weights":
            (file,) = folder.glob("weights-*")
            file.write_bytes(bomb)
        elif place == "meta":
            put(folder, "parameters", bomb.decode("latin1"))
        elif place in files:
            (folder / files[place]).write_bytes(bomb)
        else:
            put_data(folder, place, b"-" + bomb if place == "objects" else bomb)
        try:
            load(folder).ask()
            assert place in ("wal", "lock")
        except StorageError:
            assert place not in ("wal", "lock")
        assert not (folder / "exploded").exists()


def test_every_flipped_bit_is_noticed_or_without_effect(stored, tmp_path):
    rng = np.random.default_rng(0)
    expected = state(load(stored, autosave=False))
    content = (stored / JOURNAL).read_bytes()
    folder = Path(shutil.copytree(stored, tmp_path / "flipped"))
    noticed = 0
    for position in [*range(100), *rng.integers(len(content), size=200).tolist()]:
        flipped = bytearray(content)
        flipped[position] ^= 1 << int(rng.integers(8))
        (folder / JOURNAL).write_bytes(flipped)
        try:
            assert state(load(folder, autosave=False)) == expected, position
        except StorageError:
            noticed += 1
    assert noticed > 100


def with_log(folder):
    """Make of a campaign what earlier versions wrote: a change that is only in a log, as after a kill."""

    def write():
        database = sqlite3.connect(folder / JOURNAL, isolation_level=None)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA wal_autocheckpoint = 0")
        database.execute("REPLACE INTO notes VALUES ('who', 'you', ?)", (_crc("notes", "who", "you"),))
        os._exit(0)  # so that nothing is closed

    finish(fork(write))
    (folder / (JOURNAL + "-shm")).unlink()


def half_committed(folder):
    """Let a process die in the middle of a commit."""

    def write():
        database = sqlite3.connect(folder / JOURNAL, isolation_level=None)
        database.execute("PRAGMA cache_size = 1")
        database.execute("BEGIN IMMEDIATE")
        database.execute("UPDATE objects SET data = zeroblob(100000)")
        database.execute("UPDATE events SET crc = 0")
        os._exit(0)

    finish(fork(write))
    assert (folder / (JOURNAL + "-journal")).stat().st_size > 0


def content(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.parametrize("damage", [with_log, half_committed])
def test_what_a_killed_process_left_is_read_without_a_write_and_mended_with_one(broken, damage):
    expected = state(load(broken, autosave=False))
    damage(broken)
    before = content(broken)
    assert state(load(broken, autosave=False)) == expected
    note = {"who": "you" if damage is with_log else "me"}
    assert campaign_info(broken)["notes"] == note
    assert content(broken) == before
    opt = load(broken)
    assert state(opt) == expected
    assert dict(opt.notes_) == note
    assert not (broken / (JOURNAL + "-wal")).exists()
    opt.tell(words(30, seed=8)[0], 1.0)
    assert state(load(broken, autosave=False)) == state(opt)


def test_a_log_at_rest_or_in_use_is_read_without_a_write(broken):
    database = sqlite3.connect(broken / JOURNAL, isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("REPLACE INTO notes VALUES ('who', 'you', ?)", (_crc("notes", "who", "you"),))
    names = sorted(file.name for file in broken.iterdir())
    assert campaign_info(broken)["notes"] == {"who": "you"}
    opt = load(broken)
    opt.notes_["more"] = "1"  # while a process of an earlier version has it open
    assert database.execute("SELECT value FROM notes WHERE key = 'more'").fetchone() == ("1",)
    assert sorted(file.name for file in broken.iterdir()) == names
    database.close()
    opt._session.campaign.close()
    before = content(broken)
    assert campaign_info(broken)["notes"] == {"more": "1", "who": "you"}
    assert content(broken) == before
    load(broken)
    assert (broken / JOURNAL).read_bytes()[18:20] == b"\x01\x01"  # SQLite's sign of a rollback journal


def test_a_reader_that_takes_its_time_keeps_no_writer_waiting(opt, folder):
    opt.autosave(folder)
    reader = Journal(folder / JOURNAL, read_only=True)
    with reader.transaction(write=False):
        notes = reader.notes()
        opt.notes_["a"] = "1"  # would wait for a minute
        assert reader.notes() == notes
    assert dict(opt.notes_)["a"] == "1"


def test_every_cut_is_noticed(stored, tmp_path):
    content = (stored / JOURNAL).read_bytes()
    folder = Path(shutil.copytree(stored, tmp_path / "cut"))
    for size in np.linspace(0, len(content) - 1, 40).astype(int):
        (folder / JOURNAL).write_bytes(content[:size])
        if not content[size:].strip(b"\0") and size // 4096 == len(content) // 4096 - 1:
            continue  # SQLite reads what is missing of the last page as zeros, which these bytes were
        with pytest.raises(StorageError, match="damaged|another program"):
            load(folder, autosave=False)


@pytest.mark.parametrize("table", ["events", "objects"])
def test_a_missing_row_is_noticed(broken, table):
    column = "number" if table == "events" else "first"
    change_journal(broken, f"DELETE FROM {table} WHERE {column} = (SELECT MAX({column}) - 1 FROM {table})")
    change_journal(broken, f"DELETE FROM {table} WHERE {column} = 0")
    assert_refused(broken, "is missing|are missing")


# ---------------------------------------------------------------- disks


def test_a_full_disk_loses_nothing(opt, folder):
    """A limit on the size of files is what a full disk is to a program."""
    every = ((np.arange(2**12)[:, None] >> np.arange(12)) & 1).astype(np.uint8)
    good = iter(every[every.sum(axis=1) >= 6])

    def refuse(call):
        before = state(opt)
        with pytest.raises(StorageError, match="disk .*not saved|could not be written"):
            call()
        assert state(opt) == before

    def fill():
        opt.autosave(folder).ask()
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 17, resource.RLIM_INFINITY))
        with suppress(StorageError):
            for x in good:
                opt.tell(x, count(x))
        for call in (lambda: opt.tell(next(good), 0.5), opt.retrain, opt.ask):
            refuse(call)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 14, resource.RLIM_INFINITY))
        refuse(lambda: opt.save(folder.with_name("other")))
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        opt.tell(next(good), 8.0)
        assert state(load(folder)) == state(opt)
        opt.save(folder.with_name("other"))

    finish(fork(fill))
    told = [event.value for event in events(folder) if event.kind == "tell"]
    assert 5 < len(told) < 500
    assert 0.5 not in told
    assert told[-1] == 8.0
    assert campaign_info(folder.with_name("other"))["counts"]["observed"] == 40 + len(told)


def test_full_weights_are_an_error_of_their_own(opt, folder):
    def fill():
        opt.autosave(folder)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 11, resource.RLIM_INFINITY))
        with pytest.raises(StorageError, match="the weights could not be written .*not saved"):
            opt.retrain()
        assert not list(folder.glob("*.tmp"))

    finish(fork(fill))


@pytest.fixture
def readable(stored):
    """A copy of the campaign in a folder that those without special rights can reach."""
    base = Path(tempfile.mkdtemp())
    yield Path(shutil.copytree(stored, base / "campaign"))
    for path in (base, *base.iterdir()):
        path.chmod(0o755)
    shutil.rmtree(base)


def read_only(folder, work):
    """Run a function in a process that can read a folder but not write to it."""

    def without_rights():
        if os.getuid() == 0:
            os.setresuid(65534, 65534, 65534)
        work()

    for path in (*folder.iterdir(), folder, folder.parent):
        path.chmod(0o555)
    finish(fork(without_rights))


def test_a_read_only_folder(readable):
    def read():
        with pytest.raises(StorageError, match=r"read-only: allow writing, or load with autosave=False"):
            load(readable)
        opt = load(readable, autosave=False)
        assert len(opt.ask(2)) == 2
        assert campaign_info(readable)["notes"] == {"who": "me"}
        assert len(events(readable)) > 40
        with pytest.raises(StorageError, match="cannot be made"):
            opt.save(readable.with_name("other"))

    read_only(readable, read)


@pytest.mark.parametrize("damage", [None, with_log, half_committed])
def test_changes_that_wait_in_a_read_only_folder_are_read(readable, damage):
    note = {"who": "you" if damage is with_log else "me"}
    if damage is not None:
        damage(readable)
    before = content(readable)

    def read():
        assert campaign_info(readable)["notes"] == note
        assert dict(load(readable, autosave=False).notes_) == note

    read_only(readable, read)
    assert content(readable) == before


def test_reading_needs_no_room_and_writes_nothing(broken):
    before = content(broken)

    def read():
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        assert campaign_info(broken)["notes"] == {"who": "me"}
        assert len(load(broken, autosave=False).ask(2)) == 2

    finish(fork(read))
    assert content(broken) == before


# ---------------------------------------------------------------- campaigns that never came to be


def killed_before(step, work):
    """Run a function in a process that is killed before its n-th call into the system; say whether it was."""
    names = {"write", "write_bytes", "fsync", "open", "replace", "mkdir", "unlink", "execute", "executemany"}
    names |= {"flock", "ftruncate", "close"}

    def run():
        left = [step]

        def count_down(frame, event, argument):
            if event != "c_call" or argument.__name__ not in names:
                return
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.setprofile(count_down)
        work()

    return os.waitstatus_to_exitcode(os.waitpid(fork(run), 0)[1]) == -signal.SIGKILL


def test_a_save_that_is_killed_at_any_moment_is_whole_or_no_hindrance(opt, tmp_path):
    expected = state(opt)
    for step in range(10_000):
        folder = tmp_path / str(step)
        killed = killed_before(step, lambda folder=folder: opt.save(folder))
        if not (folder / JOURNAL).exists():
            opt.save(folder)
        if step % 5 == 0 or not killed:
            assert state(load(folder)) == expected
        if not killed:
            break
    assert step > 30


def test_a_save_that_fails_leaves_nothing(opt, tmp_path):
    def fill():
        for limit in (0, 1 << 10, 1 << 14):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
            with pytest.raises(StorageError, match=r"disk|could not be written"):
                opt.save(tmp_path / "new" / "campaign")
            assert list(tmp_path.iterdir()) == []
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        opt.save(tmp_path / "new" / "campaign")

    finish(fork(fill))


def test_side_files_of_a_journal_that_was_deleted_do_not_get_into_the_next(opt, broken):
    with_log(broken)
    (broken / JOURNAL).unlink()
    opt.save(broken)
    assert state(load(broken)) == state(opt)
    assert dict(load(broken).notes_) == {}


def test_an_interrupt_between_commit_and_memory_is_mended(opt, folder, monkeypatch):
    opt.autosave(folder)
    apply = Changes.apply

    def interrupted(self):
        if not self.objects:
            return apply(self)
        monkeypatch.setattr(Changes, "apply", apply)
        self.history.add(*self.objects[0])
        raise KeyboardInterrupt("now")

    monkeypatch.setattr(Changes, "apply", interrupted)
    x = words(3, seed=9)[0]
    with pytest.raises(KeyboardInterrupt, match="now"):
        opt.tell(1 - x, 2.0)
    opt.tell(x, 3.0)
    assert opt.y_[-2:].tolist() == [2.0, 3.0]
    assert state(load(folder)) == state(opt)
