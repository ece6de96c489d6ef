"""Where points lie in the latent space of the present model, and what each of them is."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from wrlso.report.snapshot import Array, Campaign, Rows, thin

__all__ = ["LatentPoints", "kind_of", "latent_points"]

_MOST = 2000  # points of each kind


@dataclass(frozen=True)
class LatentPoints:
    """Encodings Z (n, d) of records (rows), their values (NaN: none) and kinds; ``n_known`` have a value."""

    rows: Rows
    Z: Array
    y: Array
    kinds: list[str]
    n_known: int


def latent_points(campaign: Campaign) -> LatentPoints | None:
    """Return points of every kind, of many the best and some others; None where there is none."""
    n_start, better = campaign.n_start, campaign.sign * campaign.y
    known = np.concatenate([thin(better[:n_start], _MOST), n_start + thin(better[n_start:], _MOST)])
    kinds = [kind_of(campaign, position) for position in known]
    rows, values = [campaign.rows[known]], [campaign.y[known]]
    for kind, found in (
        ("pending", campaign.pending),
        ("failed", campaign.failed),
        ("no value", campaign.unlabelled),
    ):
        some = found[thin(np.zeros(len(found)), _MOST)]
        rows.append(some)
        values.append(np.full(len(some), np.nan))
        kinds += [kind] * len(some)
    every = np.concatenate(rows)
    Z, y = campaign.encode(every), np.concatenate(values)
    finite = np.flatnonzero(np.isfinite(Z).all(axis=1))
    if len(finite) == 0:
        return None
    return LatentPoints(every[finite], Z[finite], y[finite], [kinds[i] for i in finite], len(known))


def kind_of(campaign: Campaign, position: int | np.integer[Any]) -> str:
    """Return what a point with a value is, by its position among these."""
    if position < campaign.n_start:
        return "starting data"
    return "asked and told" if campaign.record(campaign.rows[position]).asked else "told"
