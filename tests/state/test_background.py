"""Training beside a search: what it must not disturb, and what becomes of it."""

import threading

import numpy as np
import pytest
from conftest import count, make_optimizer, words

from wrlso import Trainer, WeightedRetrainingOptimizer
from wrlso._state.retraining import StoppableRows, TrainingStopped
from wrlso.history import TensorRows

X0 = words()
Y0 = X0.sum(axis=1).astype(float)


def fitted(**options):
    return make_optimizer(**options).fit(X0, Y0)


def weights(opt):
    return [tensor.numpy().tobytes() for tensor in opt.model_.state_dict().values()]


def tell(opt, n, **options):
    for _ in range(n):
        x = opt.ask(**options)
        opt.tell(x, count(x))


class Held(Trainer):
    """A trainer that waits in each fine-tuning until it is let go."""

    def fine_tune(self, *args, **options):
        begun.set()
        assert go.wait(30)
        return super().fine_tune(*args, **options)


begun, go = threading.Event(), threading.Event()


@pytest.fixture
def held():
    begun.clear()
    go.clear()
    yield fitted(trainer=Held(initial_epochs=5, retrain_epochs=2, lr=0.01))
    go.set()


def in_thread(work, **options):
    thread = threading.Thread(target=work, kwargs=options)
    thread.start()
    assert begun.wait(30)
    return thread


def test_ask_without_training_leaves_it_due():
    opt, usual = fitted(), fitted()
    tell(opt, 5)
    tell(usual, 5)
    assert opt.training_due_
    before = weights(opt)
    opt.ask(retrain=False)
    assert weights(opt) == before
    assert opt.training_due_
    usual.ask()
    assert not usual.training_due_


def test_a_model_that_was_never_trained_is_trained_in_any_case():
    opt = make_optimizer()
    opt.tell(list(X0), Y0)
    opt.ask(retrain=False)
    assert len(opt.history_.trainings) == 1


def test_training_beside_is_the_same_training():
    """Nothing else goes on here: then there is no difference to the bit."""
    opt, usual = fitted(), fitted()
    for one in (opt, usual):
        tell(one, 3)
    assert weights(opt.retrain(block=False)) == weights(usual.retrain())
    assert opt.ask().tolist() == usual.ask().tolist()


def test_asks_and_tells_go_on_beside_a_training_and_count(held):
    thread = in_thread(held.retrain, block=False)
    before = weights(held)
    tell(held, 3, retrain=False)
    out = held.ask(2, retrain=False)
    assert weights(held) == before
    go.set()
    thread.join()
    assert weights(held) != before
    assert len(held.X_) == 43
    assert [x.tolist() for x in held.pending_] == [x.tolist() for x in out]
    assert held.history_.trainings[-1]["n_observed"] == 40
    new = held.ask(5)
    known = {tuple(x) for x in [*held.X_, *out]}
    assert not known & {tuple(x) for x in new}


def test_an_ask_that_may_train_waits_for_a_training_that_is_under_way(held):
    tell(held, 5)
    thread = in_thread(held.retrain, block=False)
    asked = threading.Thread(target=held.ask)
    asked.start()
    asked.join(0.2)
    assert asked.is_alive()
    go.set()
    thread.join()
    asked.join()
    assert len(held.history_.trainings) == 2  # it was not done twice


def test_training_that_is_stopped_changes_nothing():
    opt = fitted()
    tell(opt, 5)
    before, n = weights(opt), len(opt.history_.events)
    stop = threading.Event()
    stop.set()
    for block in (True, False):
        opt.retrain(block=block, stop=stop)
    assert weights(opt) == before
    assert len(opt.history_.events) == n
    assert opt.training_due_


def test_a_training_that_others_have_overtaken_is_dropped(held):
    thread = in_thread(held.retrain, block=False)
    held._session.training = threading.RLock()  # as another process does not see this one's lock
    other = threading.Thread(target=held.fit, args=(X0[:20], Y0[:20]))
    other.start()
    other.join()
    after = weights(held)
    go.set()
    thread.join()
    assert weights(held) == after
    assert len(held.history_.trainings) == 1


def test_training_beside_a_campaign_is_committed(held, tmp_path):
    held.autosave(tmp_path / "campaign")
    thread = in_thread(held.retrain, block=False)
    tell(held, 2, retrain=False)
    go.set()
    thread.join()
    again = WeightedRetrainingOptimizer.load(
        tmp_path / "campaign",
        encoder=held.encoder,
        decoder=held.decoder,
        trainer=held.trainer,
        autosave=False,
    )
    assert weights(again) == weights(held)
    assert len(again.X_) == 42
    assert again.ask().tolist() == held.ask().tolist()


def test_the_reason_of_a_failure_is_kept_with_the_campaign(tmp_path):
    opt = fitted().autosave(tmp_path / "campaign")
    X = opt.ask(3)
    opt.tell(X, [1.0, None, np.nan], reason="the furnace went out")
    opt.tell(X[0], None)
    again = WeightedRetrainingOptimizer.load(
        tmp_path / "campaign", encoder=opt.encoder, decoder=opt.decoder, autosave=False
    )
    for one in (opt, again):
        records = [one.history_.records[one.history_.row(one.model_.key(x))] for x in X]
        assert [record.reason for record in records] == [None, "the furnace went out", "the furnace went out"]


def test_the_published_model_is_always_in_evaluation_mode():
    opt = fitted()
    assert not opt.model_.training
    opt.retrain()
    assert not opt.model_.training


def test_stoppable_rows_are_rows_until_they_are_stopped():
    import torch

    data = TensorRows()
    data.append(torch.arange(10.0)[:, None])
    stop = threading.Event()
    rows = StoppableRows(data, torch.tensor([4, 7, 2]), stop)
    assert rows[torch.tensor([1, 0])].flatten().tolist() == [7, 4]
    stop.set()
    with pytest.raises(TrainingStopped, match="^$"):
        rows[torch.tensor([1])]
