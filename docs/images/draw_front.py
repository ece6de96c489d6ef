"""Draw the picture of the first page from the records of the shapes study.

Run from the root of the repository: python docs/images/draw_front.py
"""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

ROOT = Path(__file__).parent.parent
SETTINGS = {
    "both": ("weighted retraining", "#0072B2"),
    "retraining": ("retraining, uniform weights", "#009E73"),
    "weighting": ("weights, no retraining", "#E69F00"),
    "neither": ("neither", "#999999"),
}
OPTIMUM = 4096


def main():
    """Write front.png beside this file."""
    figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    for setting, (label, colour) in SETTINGS.items():
        paths = sorted((ROOT / "benchmarks" / "shapes-oracle").glob(f"shapes-oracle-{setting}-seed*.json"))
        records = [json.loads(path.read_text()) for path in paths]
        start = records[0]["starting_data"]["best"]
        curves = [np.maximum.accumulate([start, *record["y"]]) for record in records]
        for curve in curves:
            axes.plot(curve, color=colour, alpha=0.25, lw=1)
        axes.plot(np.mean(curves, axis=0), color=colour, lw=2.5, label=f"{label} ({len(curves)} seeds)")
    axes.axhspan(0, start, color="#56B4E9", alpha=0.3, lw=0)
    axes.text(495, start / 2, "all that the starting data reach", va="center", ha="right", fontsize=9)
    axes.axhline(OPTIMUM, color="black", lw=0.8, ls=":")
    axes.text(495, OPTIMUM + 60, "the best possible image", va="bottom", ha="right", fontsize=9)
    axes.set(xlim=(0, 500), ylim=(0, 4600), xlabel="evaluations", ylabel="white pixels of the best image")
    axes.legend(frameon=False, fontsize=9, loc="center right", bbox_to_anchor=(1, 0.45))
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(ROOT / "images" / "front.png", dpi=110)


if __name__ == "__main__":
    main()
