"""Proposed molecules as a chemist looks at them: easy to make, alerts, the nearest known one, properties."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from wrlso._chemistry.drawing import molecule_svg
from wrlso._chemistry.scores import logp, qed, synthetic_accessibility
from wrlso._chemistry.smiles import Mol, parse
from wrlso.models.molecules.base import MoleculeVAE
from wrlso.report.drawings import image_source
from wrlso.report.page import heading, paragraph, table
from wrlso.report.snapshot import Campaign, contributions_now
from wrlso.rules.book import explain, words_of
from wrlso.rules.checks import PROPERTIES, likeness, unlike_atoms

__all__ = ["as_molecules", "leaning_pictures"]

_ALERTS = "no-alerts"
_MOST = 50  # proposals that are looked at
_MOST_KNOWN = 5000  # known molecules whose properties are compared, and that proposals are compared with
_CAPTION = (
    "SA: synthetic accessibility, from 1 (easy) to 10. QED: drug-likeness, from 0 to 1. Alerts: those of "
    "Brenk and PAINS. Similarity: Tanimoto, ECFP4. Coloured atoms have other neighbours than any in the "
    "other molecule."
)
_LEANS = (
    " What the prediction leans on: blue atoms raise it, orange ones lower it, by the surroundings that hold "
    "them; one scale for all."
)
_PROPERTIES: dict[str, Callable[[Mol], float]] = {
    "heavy atoms": PROPERTIES["heavy_atoms"].of,
    "molecular weight": PROPERTIES["weight"].of,
    "logP": logp,
    "TPSA": PROPERTIES["tpsa"].of,
    "rotatable bonds": PROPERTIES["rotatable"].of,
    "SA": synthetic_accessibility,
    "QED": qed,
}


def as_molecules(campaign: Campaign) -> Markup:
    """Return the pending molecules with SA, QED, alerts and the nearest known one; nothing for other x."""
    said = Markup()
    if campaign.opt.feasible is not None:
        said = paragraph(f"Rules that every proposal keeps to: {words_of(campaign.opt.feasible)}.")
    if not isinstance(campaign.model, MoleculeVAE) or len(campaign.pending) == 0:
        return said
    known = [str(campaign.record(row).key) for row in campaign.rows[-_MOST_KNOWN:]]
    proposed = [str(campaign.record(row).key) for row in campaign.pending[-_MOST:]]
    return (
        said
        + heading("The candidates as molecules")
        + _table(campaign, proposed, known)
        + _compared(proposed, known)
    )


def _table(campaign: Campaign, proposed: Sequence[str], known: Sequence[str]) -> Markup:
    body = []
    first = len(campaign.pending) - len(proposed)
    rows = [int(row) for row in campaign.pending[-_MOST:]]
    leaning = [_picture(x, each) for x, each in zip(proposed, leaning_pictures(campaign, rows), strict=False)]
    for number, x in enumerate(proposed, start=first + 1):
        molecule = parse(x)
        similarity, place = likeness(x, known)
        nearest, value = Markup(), ""
        atoms: tuple[int, ...] = ()
        if place >= 0:
            atoms = unlike_atoms(x, known[place])
            nearest = _drawn(known[place], unlike_atoms(known[place], x))
            row = campaign.rows[-_MOST_KNOWN:][place]
            value = f"{campaign.y[-_MOST_KNOWN:][place]:.4g} (id {row})"
        alerts = dict.fromkeys(breach.says.replace(" alert", "") for breach in explain(x, _ALERTS))
        body.append(
            (
                str(number),
                _drawn(x, atoms),
                *([leaning[number - first - 1]] if leaning else []),
                f"{synthetic_accessibility(molecule):.1f}",
                f"{qed(molecule):.2f}",
                "; ".join(alerts) or "none",
                nearest,
                f"{similarity:.2f}" if place >= 0 else "",
                value,
            )
        )
    leans = ["What the prediction leans on"] if leaning else []
    columns = ("No.", "Molecule", *leans, "SA", "QED", "Alerts", "Nearest known", "Similarity", "Its value")
    caption = _CAPTION + (_LEANS if leaning else "")
    return table(caption, columns, body, numbers=("SA", "QED", "Similarity"))


def leaning_pictures(campaign: Campaign, rows: Sequence[int]) -> list[str]:
    """Return data URIs of molecules with what each atom adds to the prediction, on one scale.

    Empty for other x, and where the process does not say it.
    """
    if not isinstance(campaign.model, MoleculeVAE):
        return []
    X = [str(campaign.record(row).key) for row in rows]
    found = contributions_now(campaign, X)
    if found is None:
        return []
    largest = max((float(np.abs(each).max(initial=0.0)) for each in found), default=0.0)
    return [_source(x, contributions=each, largest=largest) for x, each in zip(X, found, strict=True)]


def _compared(proposed: Sequence[str], known: Sequence[str]) -> Markup:
    """Return a table of properties of the proposals beside those of the data."""
    groups = [[m for x in group if (m := parse(x)) is not None] for group in (known, proposed)]
    body = []
    for name, of in _PROPERTIES.items():
        cells = []
        for group in groups:
            values = np.array([of(molecule) for molecule in group])
            low, middle, high = np.quantile(values, [0.1, 0.5, 0.9]) if len(values) else [np.nan] * 3
            cells.append(f"{middle:.3g} ({low:.3g} to {high:.3g})" if len(values) else "")
        body.append((name, *cells))
    shares = [
        np.mean([not explain(x, _ALERTS) for x in group]) if group else np.nan for group in (known, proposed)
    ]
    body.append(("without alerts", *("" if np.isnan(share) else f"{share:.0%}" for share in shares)))
    caption = "Median of the properties, with the range of the middle 80 %."
    return table(caption, ("Property", "Known", "Proposed"), body, numbers=("Known", "Proposed"))


def _drawn(x: str, atoms: Sequence[int]) -> Markup:
    return _picture(x, _source(x, atoms=atoms))


def _source(x: str, **options: Any) -> str:
    return image_source(molecule_svg(x, (220, 160), **options).encode(), "svg+xml")


def _picture(x: str, source: str) -> Markup:
    return Markup('<img class="drawing" src="{}" alt="{name}" title="{name}">').format(source, name=x)
