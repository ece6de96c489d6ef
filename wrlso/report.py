"""The optimizer in words and pictures: what its repr shows, and a report of the whole campaign."""

import html
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from wrlso._drawings import molecule_svg, picture, register_drawing, text_of
from wrlso.exceptions import ParameterError

__all__ = ["html_summary", "molecule_svg", "register_drawing", "text_summary", "write_report"]

_FIGURES = ("progress", "prediction", "calibration", "latent", "weights", "reconstruction", "loss")

_WIDTH, _HEIGHT = 420, 90  # of the sparkline, in pixels


def write_report(
    opt: Any, out: str | os.PathLike[str], *, title: str = "Campaign report", pictures: bool = True
) -> Path:
    """Write a report of a campaign: one HTML file that holds everything and fetches nothing.

    It shows the progress, the points that wait for a result with what is expected of them, the best points,
    predictions against measurements with their calibration, the latent space, the weights, reconstruction
    before and after each training, all observations, and the settings. Values have the user's sign.

    The file stays small however long the campaign is: long tables are cut, crowded plots thinned, and both
    say so. The optimizer is only read; the surrogate of a report is fitted apart.

    Parameters
    ----------
    opt : WeightedRetrainingOptimizer
        Any that was given data, be it trained or not.
    out : str or path
        A file that ends in .html, or a folder in which report.html is written. Missing folders are made,
        and an older report is replaced.
    title : str, default="Campaign report"
    pictures : bool, default=True
        Write the figures as PNG, too, into a folder beside the file (report-figures/ for report.html).

    Returns
    -------
    Path
        The HTML file.

    Raises
    ------
    NotFittedError
        When nothing has been given by fit or tell.
    ParameterError
        When ``out`` is neither a folder nor a name that ends in .html.
    ModuleNotFoundError
        When matplotlib is not installed (the extra ``plots``).

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from torch import nn
    >>> from wrlso import WeightedRetrainingOptimizer
    >>> X = np.tril(np.ones((12, 12)))[:6]
    >>> opt = WeightedRetrainingOptimizer(nn.Linear(12, 4), nn.Linear(2, 12), random_state=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_report(opt.tell(X, X.sum(axis=1)), folder)
    ...     path.name, "Best so far" in path.read_text(encoding="utf-8")
    ('report.html', True)
    """
    # here, as a repr needs nothing of this
    from wrlso._report_data import Campaign, format_time
    from wrlso._report_page import Figures, page
    from wrlso._report_sections import headline, sections

    path = _file_name(out)
    campaign, figures = Campaign.of(opt), Figures()
    told = [record.told_at for record in campaign.history if record.told_at]
    subtitle = f"{_title(opt)} · made {format_time(datetime.now(UTC).isoformat())} UTC"
    if told:
        subtitle += f" · results from {format_time(min(told))} to {format_time(max(told))} UTC"
    body = sections(campaign, figures)
    foot = "This page is complete in itself: it fetches nothing and runs no scripts."
    text = page(title, subtitle, headline(campaign), body, foot)
    path.parent.mkdir(parents=True, exist_ok=True)
    # an x may hold half a surrogate pair, which has no UTF-8
    _replace(path, text.encode("utf-8", "backslashreplace"))
    if pictures:
        _write_pictures(path.with_name(f"{path.stem}-figures"), figures.pngs)
    return path


def _file_name(out: str | os.PathLike[str]) -> Path:
    path = Path(out)
    if path.suffix.lower() in (".html", ".htm") and not path.is_dir():
        return path
    if path.is_dir() or not (path.suffix or path.exists()):
        return path / "report.html"
    raise ParameterError(f"out must be a folder or a file name that ends in .html, got {str(out)!r}")


def _replace(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old one or the new one."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(data)
    temporary.replace(path)


def _write_pictures(folder: Path, pngs: dict[str, bytes]) -> None:
    folder.mkdir(exist_ok=True)
    for name in _FIGURES:
        picture = folder / f"{name}.png"
        if name in pngs:
            _replace(picture, pngs[name])
        else:
            picture.unlink(missing_ok=True)  # of an older report, which this one would contradict


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
    if not len(opt.history_.y):
        return ""
    x = opt.best_x_
    found = picture(x, opt.model_)
    if found is None:
        return ""
    name = html.escape(text_of(x), quote=True)
    rendering = "pixelated" if found[1] == "pixels" else "auto"
    return f"<img src='{found[0]}' alt='best: {name}' height='{_HEIGHT}' style='image-rendering:{rendering}'>"


def _title(opt: Any) -> str:
    return f"{type(opt).__name__} ({opt.direction})"


def _facts(opt: Any) -> dict[str, str]:
    history = opt.history_
    y = history.y
    told = len(y) - history.n_start
    best = np.max if opt.direction == "maximize" else np.min
    facts = {}
    counts = {s: len(history.rows_with(s)) for s in ("failed", "pending", "unlabelled")}
    facts["data"] = f"{history.n_start} starting points, {told} told since" + "".join(
        f", {count} {status}" for status, count in counts.items() if count
    )
    if len(y):
        facts["best"] = f"{best(y):.6g}"
        if history.n_start and told:
            facts["best"] += f" (starting data: {best(y[: history.n_start]):.6g})"
    n_trainings = len(history.trainings)
    facts["training"] = f"{n_trainings} so far"
    if opt.retrain_every is not None and n_trainings:
        left = opt.retrain_every - (len(y) - history.trainings[-1]["n_observed"])
        facts["training"] += f", the next in {left} new values" if left > 0 else ", the next at the next ask"
    return facts


def _sparkline(opt: Any) -> str:
    """Draw values in order as dots and the best so far as a line, as inline SVG."""
    history = opt.history_
    y = history.y[max(0, history.n_start - 1) :]
    if len(y) < 2:
        return ""
    accumulate = np.maximum if opt.direction == "maximize" else np.minimum
    best = accumulate.accumulate(history.y)[-len(y) :]
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
