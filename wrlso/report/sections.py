"""The sections of a report: each says in words, figures and tables one thing about a campaign."""

import inspect
import platform
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import sklearn
import torch
from markupsafe import Markup

from wrlso._state.reconstruction import measure_reconstruction, rows_to_reconstruct
from wrlso._state.training_due import training_due_in
from wrlso._state.training_log import in_words
from wrlso._version import __version__
from wrlso.history import iso_time
from wrlso.outcomes import aims_of
from wrlso.plots import curves as plots
from wrlso.plots.figures import improvements, new_figure
from wrlso.report.chemistry import as_molecules
from wrlso.report.drawings import draw, picture, text_of
from wrlso.report.latent import latent_points
from wrlso.report.origins import origins
from wrlso.report.outcomes import front_text, outcomes_section
from wrlso.report.page import Figures, alert, code, details, heading, pair, paragraph, strip, table, tiles
from wrlso.report.points import N_ROWS, best_points, candidates, last_of, number, observations
from wrlso.report.predictions import predictions_section
from wrlso.report.remarks import remarks_section
from wrlso.report.sequences import sequences_section
from wrlso.report.snapshot import Campaign, format_time
from wrlso.report.success import success_section
from wrlso.weighting import effective_sample_size

__all__ = ["headline", "sections"]

_N_OVER_TIME = 8  # pictures of the best over time
_N_SAMPLES = 6  # points shown with their reconstruction

Section = tuple[str, str, Markup]


def headline(campaign: Campaign) -> Markup:
    """Return the figures that a reader looks for first."""
    history, y, best = campaign.history, campaign.y, campaign.best
    told = len(y) - campaign.n_start
    start = ""
    if campaign.n_start and told:
        values = campaign.sign * y[: campaign.n_start]
        start = f"starting data: {number(campaign.sign * values.max())}"
    aims = aims_of(campaign.opt.outcomes, campaign.opt.direction)
    best_fact = (
        "Best so far",
        "–" if best is None else number(y[best]),
        start or "no value yet" * (best is None),
    )
    if len(aims.goals) > 1:
        best_fact = ("Front", front_text(history, aims).partition(",")[0], front_text(history, aims))
    facts = [
        best_fact,
        ("Values", f"{len(y):,}", f"{campaign.n_start:,} starting, {told:,} told since"),
        ("Pending", f"{len(campaign.pending):,}", "asked, not yet told"),
        ("Failed", f"{len(campaign.failed):,}", "not asked again"),
        ("Trainings", f"{len(history.trainings):,}", _next_training(campaign)),
    ]
    if len(campaign.unlabelled):
        facts.append(("Without a value", f"{len(campaign.unlabelled):,}", "given, not measured"))
    return tiles(facts)


def sections(campaign: Campaign, figures: Figures, only: Collection[str] | None = None) -> list[Section]:
    """Return (name, title, content) of all sections, or of some; figures are added to ``figures``.

    With several goals no number says which point is best: fronts take the place of progress and best points.
    """
    several = len(aims_of(campaign.opt.outcomes, campaign.opt.direction).goals) > 1
    parts: list[tuple[str, str, Callable[[], Markup]]] = [
        ("outcomes", "Goals and limits", lambda: outcomes_section(campaign, figures)),
        ("progress", "Progress", lambda: Markup() if several else _progress(campaign, figures)),
        (
            "candidates",
            "Next candidates",
            lambda: candidates(campaign) + as_molecules(campaign) + origins(campaign),
        ),
        ("best", "Best points", lambda: Markup() if several else best_points(campaign)),
        ("sequences", "Mutations", lambda: sequences_section(campaign, figures)),
        (
            "predictions",
            "Prediction against measurement",
            lambda: predictions_section(campaign, figures) + success_section(campaign.history),
        ),
        ("latent", "Latent space", lambda: _latent(campaign, figures)),
        ("weights", "Weights in training", lambda: _weights(campaign, figures)),
        ("trainings", "Trainings and reconstruction", lambda: _trainings(campaign, figures)),
        ("observations", "All observations", lambda: observations(campaign)),
        ("remarks", "Notes and reasons", lambda: remarks_section(campaign)),
        ("settings", "Settings", lambda: _settings(campaign)),
    ]
    wanted = [part for part in parts if only is None or part[0] in only]
    return [(name, title, content) for name, title, make in wanted if (content := make())]


# -------------------------------------------------------------------- sections


def _progress(campaign: Campaign, figures: Figures) -> Markup:
    y, n_start, best = campaign.y, campaign.n_start, campaign.best
    if best is None:
        return paragraph("No value has been told yet.")
    told = len(y) > n_start
    shown = y[n_start:] if told else y
    start = float(campaign.sign * (campaign.sign * y[:n_start]).max()) if told and n_start else None
    trainings = campaign.history.trainings[1:]
    figure = plots.progress_curve(
        shown,
        start=start,
        retrained_at=[entry["n_observed"] - n_start for entry in trainings] if told else (),
        maximize=campaign.sign > 0,
        names=("values told since the start", "value told") if told else ("starting data", "starting value"),
        figure=new_figure(10.0, 3.8),
    )
    where = f"value {best - n_start + 1} since the start" if best >= n_start else "in the starting data"
    what = "The values told since the first training" if told else "The values of the starting data"
    caption = f"{what}, in order, and the best so far."
    alt = f"{caption} {len(shown)} values from {number(shown.min())} to {number(shown.max())}."
    text = f"Best so far: {number(y[best])}, {where}."
    if trainings:
        text += f" The model was retrained {len(trainings)} times; grey lines say when."
    return paragraph(text) + figures.add("progress", figure, alt, caption) + _best_over_time(campaign)


def _best_over_time(campaign: Campaign) -> Markup:
    """Return pictures of the points that were better than all before; nothing where x have no pictures."""
    better, n_start = campaign.sign * campaign.y, campaign.n_start
    first = [int(better[:n_start].argmax())] if n_start else []
    positions = [*first, *range(n_start, len(better))]
    pictures = []
    for i in improvements(better[positions], _N_OVER_TIME):
        position = positions[i]
        x = campaign.record(campaign.rows[position]).x
        if picture(x, campaign.model) is None:
            return Markup()
        where = "starting data" if position < n_start else f"value {position - n_start + 1}"
        pictures.append((draw(x, campaign.model), f"{where}: {number(campaign.y[position])}"))
    return heading("The best over time") + strip(pictures)


def _latent(campaign: Campaign, figures: Figures) -> Markup:
    found = latent_points(campaign)
    if found is None:
        return paragraph("There is no point to draw.")
    d = campaign.model.latent_dim
    figure = plots.latent_scatter(
        found.Z, found.y, found.kinds, maximize=campaign.sign > 0, figure=new_figure(8.5, 5.2)
    )
    view = {1: "The latent space against the value", 2: "The latent space as it is"}.get(
        d, f"The {d}-dimensional latent space on its first two principal axes"
    )
    counts = ", ".join(f"{kind} ({found.kinds.count(kind):,})" for kind in plots.KINDS if kind in found.kinds)
    caption = f"{view}, with the encodings of points by the present model: {counts}."
    if found.n_known < len(campaign.y):
        caption += (
            f" {found.n_known:,} of {len(campaign.y):,} points with a value are drawn, the best among them."
        )
    untrained = Markup() if campaign.history.trainings else alert("The model has not been trained yet.")
    return untrained + figures.add("latent", figure, f"Scatter plot. {caption}", caption)


def _weights(campaign: Campaign, figures: Figures) -> Markup:
    y, w = campaign.y, campaign.weights
    if len(y) == 0:
        return paragraph("No value has been told yet, so all points weigh the same.")
    ordered = np.cumsum(w[np.argsort(-campaign.sign * y, kind="stable")]) / w.sum()
    tenth = max(1, len(y) // 10)
    size = effective_sample_size(w)
    text = (
        f"Effective sample size: {size:,.1f} of {len(y):,} points. The best point holds {ordered[0]:.1%} of "
        "the weight" + ("." if tenth == 1 else f", the best {tenth:,} hold {ordered[tenth - 1]:.1%}.")
    )
    label = "value"
    if len(aims_of(campaign.opt.outcomes, campaign.opt.direction).goals) > 1:
        y, label = 1.0 - y, "rank of the point (1: on the front; what breaks limits comes last)"
    figure = plots.weight_distribution(
        y, {"all points alike": np.ones(len(y)), "weights now": w}, label=label, figure=new_figure(9.0, 3.6)
    )
    what = "values" if label == "value" else "ranks"
    caption = (
        f"How the {what} are distributed among the points, and among the weight that they have in training."
    )
    return paragraph(text) + figures.add("weights", figure, f"{caption} {text}", caption)


def _trainings(campaign: Campaign, figures: Figures) -> Markup:
    trainings = campaign.history.trainings
    content = _reconstruction_now(campaign)
    if not trainings:
        return alert("The model has not been trained yet.") + content
    measured = [entry.get("reconstruction") for entry in trainings]
    shares, losses = (
        [[_of(m, when, what) for when in ("before", "after")] for m in measured] for what in ("share", "loss")
    )
    drawn = []
    for name, label, values, limits in (
        ("reconstruction", "share given back exactly", shares, (-0.03, 1.03)),
        ("loss", "mean loss", losses, None),
    ):
        before, after = np.array(values, dtype=np.float64).T
        if np.isfinite(before).any() or np.isfinite(after).any():
            caption = f"The best points before and after each training: {label}."
            alt = f"{caption} At the last training from {number(before[-1])} to {number(after[-1])}."
            figure = plots.before_after(before, after, ylabel=label, ylim=limits)
            drawn.append(figures.add(name, figure, alt, caption))
    log = details("All trainings", _training_log(campaign, shares, losses))
    said = paragraph(f"The last training: {in_words(trainings[-1])}.")
    return pair(drawn) + said + log + content


def _training_log(campaign: Campaign, shares: list[list[float]], losses: list[list[float]]) -> Markup:
    """Return the table of trainings; ``shares`` and ``losses`` hold before and after for each."""
    times = [iso_time(event.time) for event in campaign.history.events if event.kind == "train"]
    rows = [
        (
            str(number),
            format_time(time),
            f"{entry['n_observed']:,}",
            "diverged" if "diverged" in entry else str(len(entry["epochs"])),
            _change(*share, percent=True),
            _change(*loss),
            f"{entry['seconds']:.1f}",
        )
        for number, (entry, time, share, loss) in enumerate(
            zip(campaign.history.trainings, times, shares, losses, strict=True), start=1
        )
    ]
    shown = rows[-N_ROWS:]
    columns = (
        "Training",
        "At (UTC)",
        "Values known",
        "Passes",
        "Given back exactly",
        "Mean loss",
        "Seconds",
    )
    caption = (
        f"Trainings{last_of(len(shown), len(rows))}; reconstruction and loss of the best points at that time "
        "(100 at most), before → after."
    )
    return table(caption, columns, shown, numbers=columns[2:])


def _reconstruction_now(campaign: Campaign) -> Markup:
    rows = rows_to_reconstruct(campaign.rows, campaign.sign * campaign.y, campaign.unlabelled)
    if len(rows) == 0:
        return Markup()
    found = measure_reconstruction(campaign.model, campaign.history, rows)
    which = "best points" if len(campaign.y) else "points without a value"
    text = f"The present model gives back {found['n_exact']} of {len(rows)} {which} exactly."
    sample = rows[:_N_SAMPLES]
    body = []
    for rank, (row, decoded) in enumerate(
        zip(sample, campaign.decode(campaign.encode(sample)), strict=True), start=1
    ):
        record = campaign.record(row)
        value = number(np.mean(record.values)) if record.values else ""
        given_back = "nothing valid" if decoded is None else draw(decoded, campaign.model)
        body.append((str(rank), draw(record.x, campaign.model), given_back, value))
    caption = f"The first {len(sample)} of them, and what the model makes of their encodings."
    columns = ("Rank" if len(campaign.y) else "No.", "x", "Given back", "Value")
    shown = table(caption, columns, body, numbers=["Value"])
    return heading("Reconstruction now") + paragraph(text) + shown


def _settings(campaign: Campaign) -> Markup:
    opt = campaign.opt
    defaults = {name: p.default for name, p in inspect.signature(type(opt)).parameters.items()}
    rows = []
    for name, value in opt.get_params(deep=False).items():
        changed = repr(value) != repr(defaults.get(name))
        rows.append((code(name), _setting(value), "changed" if changed else ""))
    parameters = table("Parameters of the optimizer.", ("Parameter", "Value", "From the default"), rows)
    weights = sum(int(parameter.numel()) for parameter in campaign.model.parameters())
    facts = [
        ("Model", type(campaign.model).__name__),
        ("Latent dimensions", str(campaign.model.latent_dim)),
        ("Trainable numbers", f"{weights:,}"),
        ("wrlso", __version__),
        ("Python", platform.python_version()),
        ("torch", torch.__version__),
        ("numpy", np.__version__),
        ("scikit-learn", sklearn.__version__),
        ("System", f"{platform.system()} {platform.machine()}"),
    ]
    about = table("Model and versions that made this report.", ("What", "Which"), facts)
    return pair([parameters, about])


# -------------------------------------------------------------------- parts


def _next_training(campaign: Campaign) -> str:
    history = campaign.history
    n_trainings = len(history.trainings)
    left = training_due_in(campaign.opt.retrain_every, len(campaign.y), history.n_at_training, n_trainings)
    if left is None:
        return "no more unless called for"
    if n_trainings == 0:
        return "the first at the next ask"
    return f"next in {left} new values" if left else "next at the next ask"


def _of(reconstruction: dict[str, Any] | None, when: str, what: str) -> float:
    """Return the share given back exactly, or the loss; NaN where it was not measured."""
    found = (reconstruction or {}).get(when)
    if not found or not found["n_points"]:
        return float("nan")
    value = found["n_exact"] / found["n_points"] if what == "share" else found["loss"]
    return float("nan") if value is None else float(value)


def _change(before: float, after: float, *, percent: bool = False) -> str:
    if not (np.isfinite(before) and np.isfinite(after)):
        return ""
    return f"{before:.0%} → {after:.0%}" if percent else f"{before:.4g} → {after:.4g}"


def _setting(value: Any) -> Markup:
    return code(type(value).__name__ if isinstance(value, torch.nn.Module) else text_of(value))
