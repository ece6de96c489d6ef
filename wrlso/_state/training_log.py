"""What a training's log says, in words."""

import math
from typing import Any

__all__ = ["in_words"]


def in_words(entry: dict[str, Any]) -> str:
    """Return one sentence about an entry of ``history_.trainings``; what it lacks is left out."""
    epochs = entry["epochs"]
    last = epochs[-1] if epochs else {"n_steps": 0}
    steps = int(last["n_steps"])
    parts = [f"{steps:,} step{'s' * (steps != 1)} on {entry['n_observed']:,} values"]
    if "best_step" in last and last["best_step"] < steps:
        parts.append(f"the weights of step {int(last['best_step']):,} kept")
    if math.isfinite(held_out := last.get("held_out", math.nan)):
        parts.append(f"loss of what was held out {held_out:.4g}")
    if "active" in entry:
        parts.append(f"{entry['active']} of {entry['latent_dim']} dimensions active")
    if "beta" in last:
        parts.append(f"beta {last['beta']:.3g}")
    if entry.get("k") is not None:
        parts.append(f"k {entry['k']:.3g}")
    if "effective_sample_size" in entry:
        parts.append(f"effective sample size {entry['effective_sample_size']:,.1f}")
    if "diverged" in entry:
        parts.append("diverged, so that the model stays as it was")
    return "; ".join(parts)
