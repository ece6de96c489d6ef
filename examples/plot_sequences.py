"""
Variants of an enzyme, a plate at a time
========================================

Start from a few mutants of a protein and their values, and ask for a plate. What was mutated where?
"""

import numpy as np

from wrlso import Trainer
from wrlso.plots import mutation_map
from wrlso.sequences import sequence_search, wells

# %%
# The wild type and twenty mutants. Here the "measurement" prefers charged residues in one part and bulky ones
# in another; yours is an assay.

wild_type = "MKTAYIAKQRQISFVKSHFSRQLEERLG"
rng = np.random.default_rng(0)


def measured(x):
    return sum(letter in "KRDE" for letter in x[5:15]) + sum(letter in "FWY" for letter in x[15:])


X = [wild_type]
for _ in range(20):
    x = list(wild_type)
    for place in rng.integers(1, len(x), size=2):
        x[place] = rng.choice(list("ACDEFGHIKLMNPQRSTVWY"))
    X.append("".join(x))
y = [measured(x) for x in X]

# %%
# At most five mutations, no cysteine, and the first residue stays. A short training is enough for a picture;
# leave out ``trainer`` for your own data.

opt = sequence_search(
    X, y, wild_type=wild_type, max_mutations=5, fixed=[1], forbidden=["C"], random_state=0,
    trainer=Trainer(initial_steps=60, retrain_steps=10, batch_size=32, lr=3e-3),
)  # fmt: skip
for plate in (1, 2):
    batch = opt.ask(8)
    opt.tell(batch, [measured(x) for x in batch])
    print(f"plate {plate}:", *(f"{well} {y:g}" for well, y in zip(wells(8), opt.y_[-8:], strict=True)))
print(opt.best_x_, opt.best_y_)

# %%
# Colours are mean values of the sequences with a mutation; dots are the letters of the wild type.

mutation_map(opt.X_, opt.y_, wild_type=wild_type)
