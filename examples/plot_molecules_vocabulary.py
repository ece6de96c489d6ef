"""
Elements that the model does not know
=====================================

The model that ships knows the elements of ZINC250k. Extend it for other elements, such as boron.
"""

import torch

from wrlso.datasets import load_molecules
from wrlso.models import SelfiesVAE  # or JunctionTreeVAE
from wrlso.molecules import molecule_search
from wrlso.plots import molecule_grid

acids = ["OB(O)c1ccccc1", "Cc1ccc(B(O)O)cc1", "OB(O)c1ccc(F)cc1", "COc1cccc(B(O)O)c1", "OB(O)c1cccnc1"]
silanes = ["C[Si](C)(C)c1ccccc1", "C[Si](C)(C)OCc1ccccc1", "CC(C)[Si](C)(C)OCCO", "C[Si](C)(C)CCN"]
others = load_molecules().smiles[:40]

# %%
# The tokens that the model lacks, and the error for molecules with these tokens:

model = SelfiesVAE.pretrained()
print(model.missing_tokens(acids + silanes))
try:
    model.tensorize(acids)
except ValueError as error:
    print(error)

# %%
# After ``extend`` the model reads them (``molecule_search`` calls it for you). Old encodings stay the same.

known = [x for x in others if not model.missing_tokens([x])]
before = model.encode(model.tensorize(known))
model.extend(acids + silanes + others)
print(torch.equal(before, model.encode(model.tensorize(known))))

# %%
# The new tokens are untrained. The search trains its copy of the model on the data that have them.

X = acids + silanes + others
y = [float("B" in x.replace("Br", "")) + x.count("c") / 20 for x in X]
opt = molecule_search(X, y, model=model, random_state=0)
batch = opt.ask(4)
molecule_grid(batch, ["boron" if "B" in x.replace("Br", "") else "" for x in batch], n_columns=2)
