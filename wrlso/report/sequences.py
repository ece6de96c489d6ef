"""The section of a report on sequences: what was mutated where, a logo of the best, the batch aligned."""

import numpy as np
from markupsafe import Markup

from wrlso._sequences.alphabets import listed_sequences
from wrlso._sequences.codons import coded_proteins
from wrlso.models.sequences.vae import SequenceVAE
from wrlso.plots import sequences as plots
from wrlso.report.page import Figures, paragraph
from wrlso.report.snapshot import Campaign

__all__ = ["sequences_section"]

_BEST = 20  # sequences of the logo
_BATCH = 24  # that are aligned
_LONGEST = 240  # letters of an alignment


def sequences_section(campaign: Campaign, figures: Figures) -> Markup:
    """Return the pictures of a campaign of sequences; empty for other models, and without values."""
    model = campaign.model
    if not isinstance(model, SequenceVAE) or len(campaign.y) < 2:
        return Markup()
    named = model.rules.start if model.rules is not None else None
    X = _texts(model, [campaign.record(row).x for row in campaign.rows])
    wild, letters = named or X[0], model.alphabet.letters
    which = "the wild type" if named else "the first sequence of the data"
    order = np.argsort(-campaign.sign * campaign.y, kind="stable")[:_BEST]
    content = paragraph(
        f"Places are those of {which}" + (", and letters those of proteins." if model.is_coding else ".")
    )
    if any(x != wild for x in X):
        caption = "What was mutated where, and the mean value of the sequences with a mutation."
        figure = plots.mutation_map(X, campaign.y, wild_type=wild, alphabet=letters)
        content += figures.add("mutations", figure, f"{caption} {len(X)} sequences.", caption)
    caption = f"The best {len(order)} sequences: which letters stand where."
    figure = plots.sequence_logo([X[i] for i in order], wild_type=wild, alphabet=letters)
    content += figures.add("logo", figure, caption, caption)
    batch = campaign.pending[-_BATCH:]
    if len(batch) and len(wild) <= _LONGEST:
        caption = f"The last {len(batch)} pending sequences, aligned to {which}; dots are its letters."
        aligned = _texts(model, [campaign.record(row).x for row in batch])
        ids = [str(row) for row in batch]
        figure = plots.sequence_alignment(aligned, wild_type=wild, labels=ids, alphabet=letters)
        content += figures.add("alignment", figure, caption, caption)
    return content


def _texts(model: SequenceVAE, X: list[str]) -> list[str]:
    return coded_proteins(X) if model.is_coding else listed_sequences(X, model.alphabet)
