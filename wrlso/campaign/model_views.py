"""What is seen of a campaign with its model: sections of the report, and a map of the latent space."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from wrlso.optimizer import WeightedRetrainingOptimizer

__all__ = ["latent_map", "predictions_lean_on", "report_sections"]


def report_sections(opt: "WeightedRetrainingOptimizer", names: Collection[str]) -> list[tuple[str, str, str]]:
    """Return name, title and HTML of some sections of the report, complete with their pictures."""
    from wrlso.report.page import Figures
    from wrlso.report.sections import sections
    from wrlso.report.snapshot import Campaign

    return [(name, title, str(part)) for name, title, part in sections(Campaign.of(opt), Figures(), names)]


def predictions_lean_on(opt: "WeightedRetrainingOptimizer", most: int) -> list[tuple[int, str]]:
    """Return ids of the first pending molecules, and pictures of what each atom adds to the prediction.

    Pictures are data URIs. Empty for other x, and where the process does not predict by atoms.
    """
    from wrlso.report.chemistry import leaning_pictures
    from wrlso.report.snapshot import Campaign

    campaign = Campaign.of(opt)
    rows = [int(row) for row in campaign.pending[:most]]
    return list(zip(rows, leaning_pictures(campaign, rows), strict=False))


def latent_map(opt: "WeightedRetrainingOptimizer") -> dict[str, Any]:
    """Return where points lie in the plane of the latent space, from 0 to 1, what each is, and its colour.

    Keys: "axes" (two names), "points" (id, across, up, kind, colour "#rrggbb"; the best ones last, so that
    they are drawn on top).
    """
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    from wrlso.plots.curves import KINDS, flattened
    from wrlso.report.latent import latent_points
    from wrlso.report.snapshot import Campaign

    campaign = Campaign.of(opt)
    found = latent_points(campaign)
    if found is None:
        return {"axes": ["", ""], "points": []}
    flat, names = flattened(found.Z, found.y)
    low, spread = flat.min(axis=0), np.ptp(flat, axis=0)
    places = (flat - low) / np.where(spread > 0, spread, 1.0)
    better = campaign.sign * found.y
    known = np.isfinite(better)
    least, most = (better[known].min(), better[known].max()) if known.any() else (0.0, 1.0)
    shade = (better - least) / ((most - least) or 1.0)
    points = [
        (
            int(found.rows[i]),
            round(float(places[i, 0]), 4),
            round(float(places[i, 1]), 4),
            found.kinds[i],
            to_hex(colormaps["viridis"](shade[i])) if known[i] else to_hex(KINDS[found.kinds[i]][2]),
        )
        for i in np.argsort(np.where(known, better, -np.inf), kind="stable")
    ]
    # what is waited for lies on top
    return {"axes": list(names), "points": sorted(points, key=lambda point: point[3] == "pending")}
