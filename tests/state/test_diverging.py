"""A retraining that diverges does not end a search: smaller steps, or the model as it was."""

import numpy as np
import pytest
import torch
from conftest import count, make_optimizer, networks, words
from numpy.testing import assert_array_equal

from wrlso import VAE, NonFiniteLossError, TrainingDivergedWarning, WeightedRetrainingOptimizer
from wrlso.report import write_report

X0 = words()
Y0 = X0.sum(axis=1)


class Exploding(VAE):
    """Its loss is NaN where the weights have moved further from those of the first training than ``most``."""

    most = float("inf")

    def loss(self, inputs):
        """Return the losses, or NaN."""
        losses = super().loss(inputs)
        weights = torch.cat([p.detach().flatten() for p in self.parameters()])
        if not hasattr(self, "first"):
            self.first = weights
        return losses * float("nan") if float((weights - self.first).abs().max()) > self.most else losses


def fitted(**options):
    opt = make_optimizer(model=Exploding(*networks()), **options).fit(X0, Y0)
    opt.model_.first = torch.cat([p.detach().flatten() for p in opt.model_.parameters()])
    return opt


def tell(opt, n=5):
    for _ in range(n):
        x = opt.ask(retrain=False)
        opt.tell(x, count(x))


def test_smaller_steps_are_tried():
    opt = fitted()
    opt.model_.most = 0.02  # a step of Adam is about the learning rate, 0.01: three are too many
    tell(opt)
    with pytest.warns(TrainingDivergedWarning, match=r"diverged with 1 of the learning rate"):
        opt.ask()
    log = opt.history_.trainings[-1]
    assert "diverged" not in log
    assert log["epochs"][-1]["lr"] == pytest.approx(0.001)
    assert not opt.training_due_
    assert opt.model_ is not None


def test_the_model_stays_where_every_step_diverges(tmp_path, monkeypatch):
    opt = fitted()
    before = {name: tensor.clone() for name, tensor in opt.model_.state_dict().items()}
    monkeypatch.setattr(Exploding, "most", -1.0)
    opt.autosave(tmp_path / "campaign")
    tell(opt)
    with pytest.warns(TrainingDivergedWarning) as caught:
        opt.ask()
    assert len(caught) == 4  # three lengths of steps, and what follows
    assert "the model stays as it was" in str(caught[-1].message)
    for name, tensor in opt.model_.state_dict().items():
        assert torch.equal(tensor, before[name])
    # the training counts: it is not repeated at the next ask, which would give the same
    assert len(opt.history_.trainings) == 2
    assert "loss became nan" in opt.history_.trainings[-1]["diverged"]
    opt.ask()
    # nothing told is lost, and the campaign goes on from the folder
    again = WeightedRetrainingOptimizer.load(
        tmp_path / "campaign", model=Exploding(*networks()), autosave=False
    )
    assert_array_equal(again.y_, opt.y_)
    assert not again.training_due_
    assert "diverged" in write_report(opt, tmp_path / "report").read_text()


def test_a_first_training_that_diverges_raises():
    model = Exploding(*networks())
    model.most = -1.0
    with pytest.raises(NonFiniteLossError, match="the loss became nan"):
        make_optimizer(model=model).fit(X0, np.asarray(Y0))
