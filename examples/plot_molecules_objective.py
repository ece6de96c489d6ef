"""
Your own objective for molecules
================================

Search with any function from SMILES to a number. The task calls it with valid canonical SMILES only.
"""

from rdkit import Chem
from rdkit.Chem import Crippen, Descriptors

from wrlso import maximize
from wrlso.datasets import load_molecules
from wrlso.molecules import molecule_search
from wrlso.plots import molecule_timeline
from wrlso.tasks import Molecules

# %%
# The objective: polar and lipophilic, which contradict each other, and no heavier than 350.


def polar_and_lipophilic(smiles):
    molecule = Chem.MolFromSmiles(smiles)
    excess = max(0.0, Descriptors.MolWt(molecule) - 350)
    return Descriptors.TPSA(molecule) / 20 + Crippen.MolLogP(molecule) - excess / 10


# %%
# The task tells which SMILES are valid and new. The search starts from 80 molecules that ship.

task = Molecules(polar_and_lipophilic, data=load_molecules().smiles[:80], n_start=None, max_heavy_atoms=30)
X, y = task.initial_data()
opt = molecule_search(X, y, feasible=task.feasible, random_state=0)
result = maximize(task.objective, opt, n_calls=24, batch_size=8, verbose=0)
print(f"best of the data {y.max():.2f}, best found {opt.best_y_:.2f}: {opt.best_x_}")

# %%
# The best over time, with the value and the number of heavy atoms:

molecule_timeline(result.x_iters, result.func_vals, n_pictures=6, n_columns=3)
