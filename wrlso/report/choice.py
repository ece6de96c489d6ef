"""Which process a surrogate that chooses among several has used, in words."""

from collections import Counter
from typing import Any

from wrlso.history import History

__all__ = ["choice_text", "choices_text", "surrogate_choices"]


def surrogate_choices(history: History) -> list[dict[str, Any]]:
    """Return the summaries of the surrogate at each ask; none where it does not choose."""
    return [e.data.surrogate for e in history.events if e.kind == "search" and e.data.surrogate]


def choices_text(history: History) -> str:
    """Return which process made predictions, and how well each would have; empty where there is one."""
    choices = surrogate_choices(history)
    if not choices:
        return ""
    asks = Counter(choice["chosen"] for choice in choices)
    counts = ", ".join(f"{name} in {count} of {len(choices)} asks" for name, count in asks.most_common())
    return (
        f"Several processes predict each value before it is told; the one with the largest discounted log "
        f"predictive density is used: {counts}. At the last ask: {choice_text(choices[-1])}."
    )


def choice_text(choice: dict[str, Any]) -> str:
    """Return in words what a surrogate that chooses among processes has chosen, and why."""
    ranks = choice["ranks"]

    def rank(name: str) -> str:
        return "" if ranks[name] is None else f"rank correlation {ranks[name]:.2f}"

    chosen = choice["chosen"]
    text = f"{chosen}" + (f" ({rank(chosen)})" if rank(chosen) else "")
    for name, behind in choice["scores"].items():
        if name != chosen:
            text += f"; {name}: {-behind:.1f} nats behind" + (f", {rank(name)}" if rank(name) else "")
    return text
