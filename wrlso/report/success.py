"""How well the probabilities of success came true."""

import itertools

import numpy as np
from markupsafe import Markup

from wrlso.history import History
from wrlso.report.page import heading, paragraph, table

__all__ = ["success_section"]

_BINS = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0)


def success_section(history: History) -> Markup:
    """Return predicted against observed shares of success; nothing while no experiment has failed."""
    asked = [record for record in history if record.asked and record.status in ("observed", "failed")]
    failed = sum(record.status == "failed" for record in asked)
    found = [(record.success, record.status == "observed") for record in asked if record.success is not None]
    if not found:
        return Markup()
    predicted, succeeded = np.array(found, dtype=np.float64).T
    rows = []
    for low, high in itertools.pairwise(_BINS):
        inside = (predicted >= low) & ((predicted < high) | (high == 1.0))
        if inside.any():
            expected, seen = f"{predicted[inside].mean():.0%}", f"{succeeded[inside].mean():.0%}"
            rows.append((f"{low:.0%} to {high:.0%}", str(np.count_nonzero(inside)), expected, seen))
    error, least = np.mean((predicted - succeeded) ** 2), succeeded.mean() * (1.0 - succeeded.mean())
    text = (
        f"{failed:,} of {len(asked):,} experiments that the search asked for failed. Before each of "
        f"{len(found):,} of them it stated the probability of success. Mean squared error {error:.3f}; "
        f"{least:.3f} for their mean, known beforehand."
    )
    columns = ("Stated", "Experiments", "Mean stated", "Succeeded")
    caption = "Where the last two columns agree, the probabilities are calibrated."
    return (
        heading("Success and failure") + paragraph(text) + table(caption, columns, rows, numbers=columns[1:])
    )
