"""
Choose from a catalogue
=======================

Only what a vendor sells can be had. The search goes through the list, and asks for nothing else.
"""

from rdkit.Chem import MolFromSmiles
from rdkit.Chem.Crippen import MolLogP

from wrlso import Catalogue
from wrlso.datasets import load_molecules
from wrlso.molecules import molecule_search
from wrlso.plots import progress_curve

stock = load_molecules().smiles


def assay(smiles):  # yours: an experiment; here: a computed logP
    return MolLogP(MolFromSmiles(smiles))


measured = stock[:10]
catalogue = Catalogue(stock[10:310], names=[f"V-{i}" for i in range(10, 310)])
opt = molecule_search(
    measured, [assay(x) for x in measured], candidates=catalogue, generate=False, random_state=0
)
print(f"best of what was measured: {opt.best_y_:.1f}")
for week in range(3):
    batch = opt.ask(5)
    print(f"week {week + 1}: order {', '.join(catalogue.names_of(batch).values())}")
    opt.tell(batch, [assay(x) for x in batch])
print(f"best after 15 orders: {opt.best_y_:.1f}")
print(f"best in the catalogue: {max(map(assay, catalogue)):.1f}")

# %%
# What was ordered, in its order, and the best that the list holds:

progress_curve(opt.y_[10:], start=max(opt.y_[:10]), optimum=max(map(assay, catalogue)))
