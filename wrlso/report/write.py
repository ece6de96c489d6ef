"""Write a report of a whole campaign."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wrlso._chemistry.drawing import molecule_svg
from wrlso._utils.files import write_whole
from wrlso.exceptions import ParameterError
from wrlso.report.drawings import register_drawing
from wrlso.report.summary import _title

__all__ = ["molecule_svg", "register_drawing", "write_report"]

_FIGURES = (
    "hypervolume",
    "progress",
    "prediction",
    "calibration",
    "latent",
    "weights",
    "reconstruction",
    "loss",
    "mutations",
    "logo",
    "alignment",
)


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
    # here, as Jinja loads only where a report is written
    from wrlso.report.page import Figures, page
    from wrlso.report.sections import headline, sections
    from wrlso.report.snapshot import Campaign, format_time

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
    write_whole(path, text.encode("utf-8", "backslashreplace"))
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


def _write_pictures(folder: Path, pngs: dict[str, bytes]) -> None:
    folder.mkdir(exist_ok=True)
    for name, png in pngs.items():
        write_whole(folder / f"{name}.png", png)
    former = {*_FIGURES, *(path.stem for path in folder.glob("front-*.png"))}
    for name in former - pngs.keys():  # of an older report, which this one would contradict
        (folder / f"{name}.png").unlink(missing_ok=True)
