"""Several goals in a report: each outcome is judged in its own unit, and hidden merits are shown nowhere."""

import numpy as np
import pytest

pytest.importorskip("matplotlib")
from string_models import make, strings

from wrlso import Maximize, Minimize, Trainer, WeightedRetrainingOptimizer, above
from wrlso.plots import curves, new_figure
from wrlso.report.page import Figures
from wrlso.report.sections import sections
from wrlso.report.snapshot import Campaign


@pytest.fixture(scope="module")
def busy():
    """A search for two goals of 24 strings, one value of which is a bound, and one is missing."""
    outcomes = [Maximize("pIC50"), Minimize("dose", unit="mg")]
    trainer = Trainer(initial_epochs=1)
    opt = WeightedRetrainingOptimizer(model=make(), outcomes=outcomes, trainer=trainer, random_state=0)
    y = [{"pIC50": 5 + (i % 7) / 4, "dose": 100.0 + 10 * ((5 * i) % 11)} for i in range(24)]
    y[3]["pIC50"] = above(6.0)
    del y[4]["dose"]
    opt.fit(strings()[:24], y)
    opt.ask(2)
    return opt


@pytest.fixture
def drawn(monkeypatch):
    """What is drawn: (name of the function, its arrays, its label)."""
    calls = []

    def spy(name):
        def draw(*arrays, label="", **options):
            calls.append((name, arrays, label))
            return new_figure(3.0, 3.0)

        return draw

    for name in ("prediction_scatter", "calibration_curve", "weight_distribution"):
        monkeypatch.setattr(curves, name, spy(name))
    return calls


def test_each_outcome_is_judged_in_its_own_unit(busy, drawn):
    sections(Campaign.of(busy), Figures(), ["predictions"])
    found = {label: arrays for name, arrays, label in drawn if name == "prediction_scatter"}
    assert list(found) == ["pIC50", "dose (mg)"]
    history = busy.history_
    for label, outcome in (("pIC50", "pIC50"), ("dose (mg)", "dose")):
        rows = history.measured_rows(outcome)
        seen = history.observations(outcome, rows)
        mean, deviation, measured = found[label]
        assert np.array_equal(np.sort(measured), np.sort(seen.y[seen.bound == 0]))
        assert np.all((mean > measured.min() - 50) & (mean < measured.max() + 50))
        assert np.all(deviation > 0)
    assert len(found["pIC50"][2]) == len(found["dose (mg)"][2]) == 23


def test_weights_are_shown_over_ranks(busy, drawn):
    sections(Campaign.of(busy), Figures(), ["weights"])
    ((_, (ranks, weights), label),) = drawn
    assert "rank" in label
    assert ranks.min() == 1
    better = ranks < np.median(ranks)
    assert weights["weights now"][better].mean() > weights["weights now"][~better].mean()


def test_tables_show_outcomes(busy):
    ((_, _, text),) = sections(Campaign.of(busy), Figures(), ["observations"])
    assert "pIC50 &gt;6, dose 140" in text
    ((_, _, text),) = sections(Campaign.of(busy), Figures(), ["candidates"])
    assert "Predicted now" not in text
    expected = [record.expected["dose"][0] for record in busy.history_ if record.status == "pending"]
    assert len(expected) == 2
    assert text.count("dose ") == 2
