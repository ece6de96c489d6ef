"""
Two goals and a limit
=====================

Molecules that are drug-like (QED) and dissolve in water rather than in fat (logP), of 400 g/mol at most. The
two goals pull apart: the search answers with a front, on which no molecule is better than another in both.

An outcome that was not measured yet is left out, and told when it is known: rows may come in parts.
"""

from matplotlib.figure import Figure
from rdkit.Chem import Crippen, Descriptors, MolFromSmiles
from rdkit.Chem.QED import qed

from wrlso import AtMost, Maximize, Minimize
from wrlso.molecules import molecule_search
from wrlso.plots import front_scatter

START = [
    "CC(=O)Oc1ccccc1C(=O)O", "CC(C)Cc1ccc(cc1)C(C)C(=O)O", "CN1C=NC2=C1C(=O)N(C(=O)N2C)C",
    "CC(=O)Nc1ccc(O)cc1", "COc1ccc2cc(ccc2c1)C(C)C(=O)O", "OC(=O)Cc1ccccc1Nc1c(Cl)cccc1Cl",
    "CCOC(=O)c1ccc(N)cc1", "CC(N)Cc1ccccc1",
]  # fmt: skip


def measure(smiles):
    """The place of two assays and a balance."""
    molecule = MolFromSmiles(smiles)
    return {"QED": qed(molecule), "logP": Crippen.MolLogP(molecule), "weight": Descriptors.MolWt(molecule)}


opt = molecule_search(
    START,
    [measure(smiles) for smiles in START],
    outcomes=[Maximize("QED"), Minimize("logP", reference=4.0), AtMost("weight", 400.0, unit="g/mol")],
    random_state=0,
)
before = opt.hypervolume_

for smiles in opt.ask(8):
    result = measure(smiles)
    opt.tell(smiles, {"weight": result.pop("weight")})  # known at once
    opt.tell(smiles, result)  # and the assays weeks later

# %%
# The front, in the order of QED:
for smiles, (drug_likeness, logp) in sorted(
    zip(opt.pareto_X_, opt.pareto_Y_, strict=True), key=lambda p: -p[1][0]
):
    print(f"{drug_likeness:.2f}  {logp:5.2f}  {smiles}")
print(f"hypervolume: {before:.2f} at the start, {opt.hypervolume_:.2f} now")
Y = [[v["QED"], v["logP"]] for v in map(measure, opt.X_)]
light = [measure(smiles)["weight"] <= 400 for smiles in opt.X_]
on_front = [smiles in opt.pareto_X_ for smiles in opt.X_]
figure = Figure(figsize=(4.8, 3.6), layout="constrained")
front_scatter(Y, light, on_front, ["QED", "logP"], figure=figure)
