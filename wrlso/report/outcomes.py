"""Several outcomes in a report: fronts, the volume that they dominate, limits, and what is expected next."""

from typing import Any

import numpy as np
import torch
from markupsafe import Markup
from scipy.special import ndtr

from wrlso._state.merits import Standing, hypervolumes, standing
from wrlso._state.processes import processes
from wrlso.history import History
from wrlso.outcomes import Aims, aims_of
from wrlso.plots.curves import progress_curve
from wrlso.plots.figures import new_figure
from wrlso.report.drawings import draw
from wrlso.report.fronts import front_figures, goal_label
from wrlso.report.page import Figures, heading, pair, paragraph, table
from wrlso.report.snapshot import Campaign
from wrlso.surrogate.points import points_for

__all__ = ["front_text", "outcomes_section"]

_MOST = 50  # rows of a table


def front_text(history: History, aims: Aims) -> str:
    """Return how large the front is, and the volume that it dominates."""
    n = len(standing(history, aims).on_front)
    return f"{n} on the front, hypervolume {hypervolumes(history, aims)[-1]:.6g}" if n else "no point yet"


def outcomes_section(campaign: Campaign, figures: Figures) -> Markup:
    """Return the section; nothing where values have no names."""
    history, aims = campaign.history, aims_of(campaign.opt.outcomes, campaign.opt.direction)
    if not aims.are_named:
        return Markup()
    state = standing(history, aims)
    content = _limits(history, aims, state)
    if len(aims.goals) > 1:
        content += _front(campaign, aims, state, figures)
    return content + _expected_next(campaign, aims)


def _limits(history: History, aims: Aims, state: Standing) -> Markup:
    """Say for each limit how many points satisfy it, and how many violate this one only."""
    if not aims.limits:
        return Markup()
    bad = np.stack([sign * history.observations(name).y < sign * limit for name, sign, limit in aims.limits])
    rows = []
    for place, (name, sign, limit) in enumerate(aims.limits):
        known = ~np.isnan(history.observations(name).y)
        only = bad[place] & (bad.sum(axis=0) == 1)
        rows.append(
            (
                f"{name} {'at least' if sign > 0 else 'at most'} {limit:g} {aims.units[name]}".strip(),
                str(np.count_nonzero(known)),
                str(np.count_nonzero(known & ~bad[place])),
                str(np.count_nonzero(only)),
            )
        )
    columns = ("Limit", "Measured", "Satisfied", "The only one violated")
    caption = f"Limits: {np.count_nonzero(state.satisfies)} of {len(state.merit)} points satisfy all of them."
    return table(caption, columns, rows, numbers=columns[1:])


def _front(campaign: Campaign, aims: Aims, state: Standing, figures: Figures) -> Markup:
    if not state.satisfies.any():
        return paragraph("No point has a value of every goal and satisfies the limits yet.")
    signs = [sign for _, sign in aims.goals]
    drawn = [
        figures.add(f"front-{name}", figure, f"Scatter plot. {caption}", caption)
        for name, figure, caption in front_figures(aims, state)
    ]
    volumes = hypervolumes(campaign.history, aims)
    figure = progress_curve(volumes, names=("values in order", "hypervolume"), figure=new_figure(6.0, 4.0))
    figure.axes[0].set_ylabel("hypervolume")
    caption = f"The hypervolume after each point, {volumes[-1]:.6g} now."
    drawn.append(figures.add("hypervolume", figure, caption, caption))
    bounds = [campaign.history.observations(name, state.rows).bound for name, _ in aims.goals]
    rows = []
    for place in state.on_front[:_MOST]:
        record = campaign.record(state.rows[place])
        shown = [
            f"{('', '>', '<')[bound[place]]}{sign * value:.6g}"
            for sign, value, bound in zip(signs, state.goals[place], bounds, strict=True)
        ]
        rows.append((draw(record.x, campaign.model), *shown))
    columns = ("x", *(goal_label(aims, k) for k in range(len(signs))))
    said = (
        f"The front: {len(state.on_front)} points that satisfy the limits, and that no such point dominates."
    )
    return pair(drawn) + heading("The front") + table(said, columns, rows, numbers=columns[1:])


def _expected_next(campaign: Campaign, aims: Aims) -> Markup:
    """Return what each process expects of the pending points, and how probably the limits hold."""
    opt, rows = campaign.opt, campaign.pending[-_MOST:]
    learned = opt._session.learned
    found = processes(learned, aims) if learned is not None and learned.fitted.rows is not None else {}
    if len(rows) == 0 or not found:
        return Markup()
    X = [campaign.record(row).x for row in rows]
    Z = torch.from_numpy(campaign.encode(rows))
    moments: dict[str, tuple[Any, Any]] = {}
    for name, process in found.items():
        points = points_for(process.surrogate, campaign.model, lambda: X, lambda: Z)
        mean, variance = (moment.numpy() for moment in process.moments(points))
        moments[name] = process.sign * mean, np.sqrt(np.maximum(variance, 1e-300))
    holds = np.ones(len(rows))
    for name, sign, limit in aims.limits:
        if name in moments:
            mean, deviation = moments[name]
            holds *= ndtr(sign * (mean - limit) / deviation)
    columns = ("x", *moments, "Limits hold")
    body = [
        (
            draw(x, campaign.model),
            *(f"{mean[i]:.4g} ± {deviation[i]:.2g}" for mean, deviation in moments.values()),
            f"{holds[i]:.0%}" if aims.limits else "",
        )
        for i, x in enumerate(X)
    ]
    caption = "What is expected of the points that were asked for: mean ± standard deviation of each outcome."
    return heading("Expected of the next batch") + table(caption, columns, body, numbers=columns[1:])
