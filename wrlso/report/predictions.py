"""How well results were predicted, in a report: each outcome in its own unit."""

import numpy as np
from markupsafe import Markup
from scipy.stats import rankdata

from wrlso._state.observed import modelled
from wrlso.outcomes import aims_of
from wrlso.plots import curves as plots
from wrlso.report.choice import choices_text
from wrlso.report.page import Figures, heading, pair, paragraph
from wrlso.report.points import number
from wrlso.report.snapshot import (
    MIN_PREDICTIONS,
    Campaign,
    Predictions,
    asked_predictions,
    held_out_predictions,
)
from wrlso.surrogate.calibration import interval_coverage

__all__ = ["predictions_section"]


def predictions_section(campaign: Campaign, figures: Figures) -> Markup:
    """Return predictions against measurements: of the one number, or of each goal and limit by name."""
    if not campaign.history.trainings:
        return paragraph("Nothing is predicted before the first training.")
    aims = aims_of(campaign.opt.outcomes, campaign.opt.direction)
    if not aims.are_named:
        return _one(campaign, figures, "", "") + paragraph(choices_text(campaign.history))
    content = Markup()
    units = campaign.history.units | {name: unit for name, unit in aims.units.items() if unit}
    for place, (name, sign) in enumerate(modelled(aims).items()):
        label = f"{name} ({units[name]})" if units.get(name) else name
        content += heading(label) + _one(campaign.of_outcome(name, sign), figures, label, f"-{place}")
    return content + paragraph(choices_text(campaign.history))


def _one(campaign: Campaign, figures: Figures, label: str, suffix: str) -> Markup:
    """Return what is to be said of one outcome."""
    found = asked_predictions(campaign) or held_out_predictions(campaign)
    if found is None:
        return paragraph(f"At least {MIN_PREDICTIONS} values are needed to judge predictions.")
    arrays = (found.mean, found.deviation, found.measured)
    quality, of = _quality(found), f" of {label}" if label else ""
    drawn = [
        figures.add(
            f"prediction{suffix}",
            plots.prediction_scatter(*arrays, label=label),
            f"Predicted against measured values{of} of {len(found.mean)} points. {quality}",
            "Prediction against measurement.",
        ),
        figures.add(
            f"calibration{suffix}",
            plots.calibration_curve(*arrays),
            f"Share of measurements{of} inside predicted intervals, by level. {quality}",
            "Above the diagonal predictions are too cautious, below it too sure.",
        ),
    ]
    return paragraph(_origin(campaign, found)) + paragraph(quality) + pair(drawn)


def _origin(campaign: Campaign, found: Predictions) -> str:
    """Say how predictions came to be."""
    if found.in_advance:
        return (
            f"These {len(found.mean)} predictions were made when the points were asked, before their results "
            "were known. The search picks points that look good or are uncertain, not a random sample."
        )
    some = ""
    if len(found.mean) < len(campaign.y):
        some = f" (half of them the best of {len(campaign.y):,}, the rest spread evenly)"
    return (
        f"Cross-validation: each of {len(found.mean)} points{some} is predicted by a surrogate fitted to "
        "four fifths of them, without it. The generative model behind it was trained on all of them, so "
        "expect new points to be predicted less well. (Fewer than "
        f"{MIN_PREDICTIONS} points have a prediction that was made before they were measured.)"
    )


def _quality(found: Predictions) -> str:
    half, most = interval_coverage(found.mean, found.deviation, found.measured, [0.5, 0.95])
    errors = found.mean - found.measured
    size = float(np.abs(errors).max()) or 1.0  # divided out, as the squares of large values would overflow
    text = f"Root mean square error {number(size * np.sqrt(np.mean((errors / size) ** 2)))}"
    if np.ptp(found.mean) > 0 and np.ptp(found.measured) > 0:
        correlation = np.corrcoef(rankdata(found.mean), rankdata(found.measured))
        text += f", rank correlation {correlation[0, 1]:.2f}"
    return f"{text}; {half:.0%} of the measurements lie in their 50% interval, {most:.0%} in the 95% one."
