"""Tables of points in a report: the next candidates, the best, and all observations."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from markupsafe import Markup

from wrlso.history import Record
from wrlso.outcomes import Aims, aims_of
from wrlso.report.drawings import draw
from wrlso.report.latent import kind_of
from wrlso.report.page import details, paragraph, table
from wrlso.report.snapshot import N_FITTED, Campaign, format_time, predict_now

__all__ = ["N_ROWS", "best_points", "candidates", "last_of", "number", "observations"]

N_ROWS = 500  # of a table
_N_BEST = 20


def candidates(campaign: Campaign) -> Markup:
    """Return the pending points with their predictions."""
    rows = campaign.pending
    if len(rows) == 0:
        return paragraph("No point is pending: every point that was asked for has been told or released.")
    shown = rows[-N_ROWS:]
    # with several goals a process of merits says nothing to a reader; outcomes have a table of their own
    now = predict_now(campaign, shown) if len(_aims(campaign).goals) == 1 else None
    body = []
    for place, row in enumerate(shown):
        record = campaign.record(row)
        body.append(
            (
                str(len(rows) - len(shown) + place + 1),
                _drawn(campaign, record),
                _when_asked(campaign, record),
                "" if now is None else _expected((now[0][place], now[1][place])),
                format_time(record.asked_at),
            )
        )
    columns = ("No.", "x", "Predicted when asked", "Predicted now", "Asked (UTC)")
    caption = f"Points asked for and not yet told{last_of(len(shown), len(rows))}."
    if now is not None or any(row[2] for row in body):
        caption += " Predictions of a measurement: mean ± standard deviation."
    else:
        caption += " Too few values are known to predict theirs."
    if now is not None and len(campaign.y) > N_FITTED:
        caption += (
            f" Those of now are from {N_FITTED} of the {len(campaign.y):,} values, the best among them."
        )
    return table(caption, columns, body, numbers=columns[2:4])


def best_points(campaign: Campaign) -> Markup:
    """Return the best measurements, and the point of which most is expected."""
    if len(campaign.y) == 0:
        return paragraph("No value has been told yet.")
    order = np.argsort(-campaign.sign * campaign.y, kind="stable")[:_N_BEST]
    measured = _observed_table(
        campaign, order, f"The best {len(order)} of {len(campaign.y):,} points.", ranked=True
    )
    return _recommended(campaign) + measured


def _recommended(campaign: Campaign) -> Markup:
    """Say of which point most is expected, where that is not the one with the best measurement."""
    row = campaign.recommended
    if row is None or campaign.best is None or row == campaign.rows[campaign.best]:
        return Markup()
    value = campaign.y[np.flatnonzero(campaign.rows == row)[0]]
    return paragraph(
        f"The best measurement may be a lucky one. The process, which has seen all values, expects most of "
        f"another point, id {row}, measured as {number(value)}:"
    ) + _drawn(campaign, campaign.record(row))


def observations(campaign: Campaign) -> Markup:
    """Return all measured points, and those whose experiments failed."""
    n = len(campaign.y)
    if n:
        positions = np.arange(max(0, n - N_ROWS), n)
        caption = f"Points with a value in the order of their first value{last_of(len(positions), n)}."
        content = details(f"Values ({n:,})", _observed_table(campaign, positions, caption))
    else:
        content = paragraph("No value has been told yet.")
    failed = campaign.failed
    if len(failed) == 0:
        return content + paragraph("No experiment has failed.")
    shown = failed[-N_ROWS:]
    rows = [
        (
            str(place),
            _drawn(campaign, record, pixels=48, registered=False),
            str(record.n_failures),
            format_time(record.told_at),
        )
        for place, record in enumerate(map(campaign.record, shown), start=len(failed) - len(shown) + 1)
    ]
    columns = ("No.", "x", "Failures", "Told (UTC)")
    caption = f"Points whose experiments failed, which are not asked again{last_of(len(shown), len(failed))}."
    return content + details(f"Failed ({len(failed):,})", table(caption, columns, rows, numbers=["Failures"]))


def _observed_table(
    campaign: Campaign, positions: Iterable[int | np.integer[Any]], caption: str, *, ranked: bool = False
) -> Markup:
    rows = []
    for rank, position in enumerate(positions, start=1):
        record = campaign.record(campaign.rows[position])
        x = _drawn(campaign, record, pixels=64 if ranked else 48, registered=ranked)
        rows.append(
            (
                str(rank) if ranked else str(position + 1),
                x,
                _value(campaign, position),
                _replicates(record),
                _when_asked(campaign, record),
                kind_of(campaign, position) + (", corrected" if record.revisions else ""),
                format_time(record.told_at),
            )
        )
    columns = (
        "Rank" if ranked else "No.",
        "x",
        "Value",
        "Replicates",
        "Predicted when asked",
        "Origin",
        "Told (UTC)",
    )
    return table(caption, columns, rows, numbers=("Value", "Replicates", "Predicted when asked"))


def _drawn(campaign: Campaign, record: Record, **options: Any) -> Markup:
    """Return an x as it is drawn, with the name that it has in a catalogue."""
    drawn = draw(record.x, campaign.model, **options)
    name = campaign.names.get(record.x) if isinstance(record.x, str) else None
    return drawn + Markup("<br><small>{}</small>").format(name) if name else drawn


def _aims(campaign: Campaign) -> Aims:
    return aims_of(campaign.opt.outcomes, campaign.opt.direction)


def _value(campaign: Campaign, position: int | np.integer[Any]) -> str:
    """Return the value of a point; of several goals each with its name."""
    aims, record = _aims(campaign), campaign.record(campaign.rows[position])
    if len(aims.goals) == 1:
        return number(campaign.y[position])
    known = [(name, found) for name in aims.names if (found := record.current(name)) is not None]
    return ", ".join(f"{name} {('', '>', '<')[bound]}{number(y)}" for name, (y, _, _, bound) in known)


def _when_asked(campaign: Campaign, record: Record) -> str:
    """Return what was predicted when a point was asked for: of outcomes with names each."""
    expected = record.expected or {}
    if len(expected) < 2:
        return _expected(record.prediction)
    return ", ".join(f"{name} {_expected(predicted)}" for name, predicted in expected.items())


def _replicates(record: Record) -> str:
    if len(record.values) < 2:
        return ""
    return f"{len(record.values)} (sd {np.std(record.values, ddof=1):.2g})"


def _expected(prediction: tuple[float, float] | None) -> str:
    """Return mean ± standard deviation, the latter with two digits and the former with as many places."""
    if prediction is None:
        return ""
    mean, deviation = prediction
    places = 1 - math.floor(math.log10(deviation)) if deviation > 0 else 6
    if not (-4 <= places <= 6 and abs(mean) < 1e6):
        return f"{mean:.4g} ± {deviation:.2g}"
    return f"{mean:.{max(places, 0)}f} ± {deviation:.{max(places, 0)}f}"


def last_of(shown: int, total: int) -> str:
    """Return a remark for a table that shows the last rows only."""
    return f" (the last {shown:,} of {total:,})" if shown < total else ""


def number(value: Any) -> str:
    """Return a number as the report shows it."""
    return f"{float(value):.6g}" if np.isfinite(value) else "unknown"
