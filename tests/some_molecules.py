"""Molecules of many kinds that the models of molecules must take."""

MOLECULES = [
    "CC(=O)Oc1ccccc1C(=O)O",
    "CN1CCC[C@H]1c1cccnc1",
    "Cn1c(=O)c2c(ncn2C)n(C)c1=O",
    "C/C=C/C(=O)[O-]",
    "C[NH+](C)CCc1c[nH]c2ccccc12",
    "O=S(=O)(N1CCCCC1)c1ccc(Cl)cc1",
    "CC(C)(C)c1ccc2occ(CC(=O)Nc3ccccc3F)c2c1",
]
