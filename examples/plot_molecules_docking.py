"""
An expensive objective: docking
===============================

Docking takes a minute a molecule and sometimes fails. Several docking runs go on at once while the search
continues. This example needs no docking program: a stand-in sleeps and returns a score.
"""

import logging
import time
from concurrent.futures import ThreadPoolExecutor

from rdkit import Chem
from rdkit.Chem import Descriptors

from wrlso import minimize
from wrlso.datasets import load_molecules
from wrlso.molecules import molecule_search
from wrlso.plots import molecule_grid

logging.basicConfig(format="%(message)s")  # print warnings of failures


def dock(smiles):
    """Return a binding energy, lower is better; this stand-in likes aromatic rings and hydrogen bonds."""
    time.sleep(0.2)  # here would be: subprocess.run(["vina", ...], check=True, timeout=600)
    molecule = Chem.MolFromSmiles(smiles)
    if Descriptors.NumRotatableBonds(molecule) > 9:
        raise RuntimeError("too flexible: no pose found")
    bonds = Descriptors.NumHDonors(molecule) + Descriptors.NumHAcceptors(molecule)
    return -1.5 * Descriptors.NumAromaticRings(molecule) - 0.6 * min(bonds, 8)


# %%
# Dock forty molecules first. None marks a failure.
def dock_or_none(smiles):
    try:
        return dock(smiles)
    except RuntimeError:
        return None


X = load_molecules().smiles[:40]
with ThreadPoolExecutor(8) as executor:
    y = list(executor.map(dock_or_none, X))
    opt = molecule_search(X, y, direction="minimize", random_state=0, retrain_every=None)
    result = minimize(dock, opt, n_calls=24, executor=executor, timeout=60, verbose=0)

# %%
# The search took part of the time; with a minute of docking a molecule it hardly counts.

seconds = sum(evaluation.seconds for evaluation in result.timeline.evaluations)
print(f"from {min(v for v in y if v is not None):.1f} to {opt.best_y_:.1f}: {opt.best_x_}")
print(f"{result.nfev} molecules, {seconds:.0f} s of docking")

# The four best of all:
ranked = sorted(zip(opt.y_, opt.X_, strict=True))[:4]
molecule_grid([x for _, x in ranked], [f"{value:.1f}" for value, _ in ranked], n_columns=2)
