"""An optimizer at a prompt and in a notebook."""

import html
from typing import Any

import numpy as np

from wrlso._state.merits import hypervolumes, standing
from wrlso._state.training_due import training_due_in
from wrlso.exceptions import NotFittedError, ParameterError
from wrlso.history import History
from wrlso.outcomes import Aims, aims_of
from wrlso.report.choice import choice_text, surrogate_choices
from wrlso.report.drawings import picture, text_of
from wrlso.rules.book import words_of

__all__ = ["html_summary", "text_summary"]

_WIDTH, _HEIGHT = 420, 90  # of the sparkline, in pixels


def text_summary(opt: Any) -> str:
    """Return a few lines that say how far the search of an optimizer is."""
    lines = [f"  {name + ':':<10}{value}" for name, value in _facts(opt).items()]
    return "\n".join([_title(opt), *lines])


def html_summary(opt: Any) -> str:
    """Return the same as an HTML table with a curve and a picture of the best so far, without scripts."""
    if not opt.__sklearn_is_fitted__():
        return f"<pre>{html.escape(repr(opt))}</pre>"
    rows = "".join(
        f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
        f"<td style='text-align:left'>{html.escape(value)}</td></tr>"
        for name, value in _facts(opt).items()
    )
    title = f"<strong>{html.escape(_title(opt))}</strong>"
    return f"<div class='wrlso'>{title}<table>{rows}</table>{_sparkline(opt)}{_best_picture(opt)}</div>"


def _best_picture(opt: Any) -> str:
    """Return a picture of the best x as HTML; nothing where there is none."""
    try:
        x = opt.best_x_
    except (NotFittedError, ParameterError):  # no value yet, or several goals
        return ""
    found = picture(x, opt.model_)
    if found is None:
        return ""
    name = html.escape(text_of(x), quote=True)
    rendering = "pixelated" if found[1] == "pixels" else "auto"
    return f"<img src='{found[0]}' alt='best: {name}' height='{_HEIGHT}' style='image-rendering:{rendering}'>"


def _title(opt: Any) -> str:
    aims = aims_of(opt.outcomes, opt.direction)
    names = ", ".join(f"{'maximize' if sign > 0 else 'minimize'} {name}" for name, sign in aims.goals)
    return f"{type(opt).__name__} ({names if aims.are_named else opt.direction})"


def _facts(opt: Any) -> dict[str, str]:
    history = opt.history_
    told = history.n_observed - history.n_start
    facts = {}
    counts = {s: len(history.rows_with(s)) for s in ("failed", "pending", "unlabelled")}
    facts["data"] = f"{history.n_start} starting points, {told} told since" + "".join(
        f", {count} {status}" for status, count in counts.items() if count
    )
    if best := _best_in_words(history, aims_of(opt.outcomes, opt.direction)):
        facts["best"] = best
    n_trainings = len(history.trainings)
    facts["training"] = f"{n_trainings} so far"
    left = training_due_in(opt.retrain_every, history.n_observed, history.n_at_training, n_trainings)
    if left is not None and n_trainings:
        facts["training"] += f", the next in {left} new values" if left else ", the next at the next ask"
    if opt.feasible is not None:
        facts["rules"] = words_of(opt.feasible)
    if choices := surrogate_choices(history):
        facts["predicts"] = choice_text(choices[-1])
    return facts


def _best_in_words(history: History, aims: Aims) -> str:
    """Return the best value and that of the starting data, or how large the front is; "" without values."""
    state = standing(history, aims)
    good = np.flatnonzero(state.satisfies)
    if len(aims.goals) > 1:
        volume = f"hypervolume {hypervolumes(history, aims)[-1]:.6g}, " if len(good) else ""
        return f"{volume}{len(state.on_front)} on the front" if len(state.merit) else ""
    if not len(good):
        return "no point is known to satisfy the limits" if aims.limits and len(state.merit) else ""
    sign, values = aims.goals[0][1], state.goals[good, 0]
    text, start = f"{sign * values.max():.6g}", values[good < history.n_start]
    if len(start) and history.n_observed > history.n_start:
        text += f" (starting data: {sign * start.max():.6g})"
    return text


def _sparkline(opt: Any) -> str:
    """Draw values in order as dots and the best so far as a line, as inline SVG."""
    history = opt.history_
    aims = aims_of(opt.outcomes, opt.direction)
    if len(aims.goals) > 1:
        if not standing(history, aims).satisfies.any():
            return ""
        values = hypervolumes(history, aims)
    else:
        name = aims.goals[0][0]
        values = history.observations(name, history.measured_rows(name)).y
    y = values[max(0, history.n_start - 1) :]
    if len(y) < 2:
        return ""
    accumulate = np.maximum if len(aims.goals) > 1 or aims.goals[0][1] > 0 else np.minimum
    best = accumulate.accumulate(values)[-len(y) :]
    low, high = float(min(y.min(), best.min())), float(max(y.max(), best.max()))
    across = np.linspace(4, _WIDTH - 4, len(y))

    def height(values: np.ndarray) -> np.ndarray:
        return _HEIGHT - 6 - (values - low) / max(high - low, 1e-300) * (_HEIGHT - 12)

    line = " ".join(f"{a:.1f},{h:.1f}" for a, h in zip(across, height(best), strict=True))
    dots = "".join(
        f"<circle cx='{a:.1f}' cy='{h:.1f}' r='1.5' fill='#888'/>"
        for a, h in zip(across, height(y), strict=True)
    )
    return (
        f"<svg width='{_WIDTH}' height='{_HEIGHT}' role='img' aria-label='values in order and best so far'>"
        f"{dots}<polyline points='{line}' fill='none' stroke='#0072b2' stroke-width='2'/></svg>"
    )
