"""The record of an ask; it needs no torch, so that a campaign can be looked at without."""

from dataclasses import dataclass, field
from typing import Any

__all__ = ["AskRecord"]


@dataclass
class AskRecord:
    """What one search did.

    Attributes
    ----------
    n_decoded : int
        Candidates made.
    rejected : dict of str to int
        How many of them were rejected, by reason.
    seconds : dict of str to float
        By phase.
    strategy : str
        Name of the search.
    sources : dict of str to dict
        By source of candidates how many it "made", how many of these were "new", and how many were "chosen".
    surrogate : dict or None
        The summary of a surrogate that chooses among several, see
        :meth:`wrlso.surrogate.AutoSurrogate.summary`; None for others.
    """

    n_decoded: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    strategy: str = ""
    sources: dict[str, dict[str, int]] = field(default_factory=dict)
    surrogate: dict[str, Any] | None = None
