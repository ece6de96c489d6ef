"""Where proposals came from, as a table of the report."""

from collections import Counter

import numpy as np
from markupsafe import Markup

from wrlso.report.page import table
from wrlso.report.snapshot import Campaign

__all__ = ["origins"]


def origins(campaign: Campaign) -> Markup:
    """Return a table of the sources of candidates; nothing where the searches did not say any."""
    made: Counter[str] = Counter()
    new: Counter[str] = Counter()
    chosen: Counter[str] = Counter()
    for ask in campaign.history.asks:
        for name, counts in (getattr(ask, "sources", None) or {}).items():
            made[name] += counts["made"]
            new[name] += counts["new"]
            chosen[name] += counts["chosen"]
    better: Counter[str] = Counter()
    values = campaign.sign * campaign.y
    peaks = np.maximum.accumulate(values)
    for place in range(max(campaign.n_start, 1), len(values)):
        if values[place] > peaks[place - 1]:
            better[campaign.record(campaign.rows[place]).source] += 1
    if not made:
        return Markup()
    rows = [
        (name, *(f"{count[name]:,}" for count in (made, new, chosen, better)))
        for name in sorted(made, key=lambda name: (-chosen[name], name))
    ]
    columns = ("Source", "Made", "New", "Proposed", "Improved")
    caption = (
        "Candidates of all searches by source, and how many proposals improved on all values before. Sources "
        "whose candidates do well make more."
    )
    return table(caption, columns, rows, numbers=columns[1:])
