"""
Molecules with your own measurements
====================================

Start from a table of molecules and measured values, with the model that ships. Which molecules come next?
"""

import csv
import tempfile
from pathlib import Path

from wrlso import WeightedRetrainingOptimizer
from wrlso.datasets import load_molecules
from wrlso.models import SelfiesVAE  # or JunctionTreeVAE
from wrlso.molecules import atom_contributions, molecule_search
from wrlso.plots import molecule_grid

# %%
# The table of an assay. Here the "measurement" is a solubility from a rule of thumb.

folder = Path(tempfile.mkdtemp())
molecules = load_molecules()
with open(folder / "assay.csv", "w", newline="") as file:
    table = csv.writer(file)
    table.writerow(["compound", "smiles", "logS"])
    for i, (x, logp) in enumerate(zip(molecules.smiles[:60], molecules.logp[:60], strict=True)):
        table.writerow([f"A-{i}", x, "" if i % 10 == 7 else f"{0.5 - logp:.2f}"])  # blank: not measured

# %%
# Monday: read the table and ask for four molecules. The campaign is a folder, as the results take weeks.

with open(folder / "assay.csv", newline="") as file:
    rows = list(csv.DictReader(file))
X = [row["smiles"] for row in rows]
y = [float(row["logS"]) if row["logS"] else None for row in rows]
opt = molecule_search(X, y, model=SelfiesVAE.pretrained(), random_state=0).autosave(folder / "solubility")
batch = opt.ask(4)
del opt

# %%
# Weeks later: tell the results. One synthesis failed, and one molecule is not measured yet.

opt = WeightedRetrainingOptimizer.load(folder / "solubility", model=SelfiesVAE.pretrained())
opt.tell(batch[:3], [1.1, None, 0.4])
print(opt)

# %%
# The four molecules, with the value that the search expected. Blue atoms raise what is expected now, orange
# ones lower it:

records = [opt.history_.records[opt.history_.row(opt.model_.key(x))] for x in batch]
labels = ["{}: expected {:.1f} ± {:.1f}".format(record.status, *record.prediction) for record in records]
molecule_grid(batch, labels, contributions=atom_contributions(opt, batch))
