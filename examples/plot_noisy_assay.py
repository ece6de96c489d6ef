"""
A noisy assay with replicates
=============================

The assay has an error of 0.5 units. Its values come with what is known of them: a standard error, the mean of
several replicates, or only that the value lies beyond what the assay can measure. Where that is told, weights
follow what the search believes of a value, not the luckiest measurement.
"""

import matplotlib.pyplot as plt
import numpy as np
from rdkit.Chem import MolFromSmiles
from rdkit.Chem.QED import qed

from wrlso import Reading, above
from wrlso.datasets import load_molecules
from wrlso.molecules import molecule_search

NOISE, LARGEST = 0.5, 9.0
rng = np.random.default_rng(0)


def assay(smiles, n):
    """Return the mean of n replicates, or that the value is too large for this assay."""
    value = 10 * qed(MolFromSmiles(smiles)) + NOISE / np.sqrt(n) * rng.normal()
    return above(LARGEST) if value > LARGEST else Reading(value, sd=NOISE / np.sqrt(n), n=n)


START = list(load_molecules().smiles[:40])
opt = molecule_search(START, [assay(smiles, n=1) for smiles in START], random_state=0)
batch = opt.ask(6)
opt.tell(batch, [assay(smiles, n=3) for smiles in batch])  # three replicates each

# %%
# What is known of a value, and its weight in training. A single measurement counts for less than three:
observed, weights = opt.history_.observations(), opt.weights_
for i in np.argsort(-weights)[:8]:
    sign = ">" if observed.bound[i] else " "
    print(f"{weights[i]:5.2f}  {sign}{observed.y[i]:.2f} from {observed.n[i]}: {opt.X_[i]}")

# %%
# The value and standard error of each molecule, and how much the training makes of it:

kept = ~observed.bound.astype(bool)
figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
axes.errorbar(
    observed.y[kept], weights[kept], xerr=NOISE / np.sqrt(observed.n[kept]), fmt="none", ecolor="0.8"
)
points = axes.scatter(observed.y[kept], weights[kept], c=observed.n[kept], cmap="viridis_r", zorder=2)
axes.set(xlabel="measured value", ylabel="weight in training")
figure.colorbar(points, label="replicates")
