"""Scores of single molecules: logP, QED, synthetic accessibility.

Every function takes RDKit's molecule (of :func:`wrlso._chemistry.smiles.parse`) and returns a float.
"""

import sys
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from wrlso._chemistry.smiles import Mol, optional_module

__all__ = ["logp", "qed", "synthetic_accessibility"]


def logp(molecule: Mol) -> float:
    """Return Crippen's estimate of the octanol-water partition coefficient."""
    value: float = optional_module("rdkit.Chem.Crippen").MolLogP(molecule)
    return value


def qed(molecule: Mol) -> float:
    """Return the quantitative estimate of drug-likeness, 0 to 1 (Bickerton et al., Nature Chem. 4, 2012)."""
    value: float = optional_module("rdkit.Chem.QED").qed(molecule)
    return value


def synthetic_accessibility(molecule: Mol) -> float:
    """Return Ertl's score, 1 (easy to make) to 10 (J. Cheminform. 1:8, 2009), by RDKit's Contrib module."""
    value: float = _contributed_scorer().calculateScore(molecule)
    return value


@cache
def _contributed_scorer() -> Any:
    """Load ``sascorer`` from its file beside RDKit's package, because it cannot be imported by name."""
    folder = Path(optional_module("rdkit.RDConfig").RDContribDir) / "SA_Score"
    spec = spec_from_file_location("_wrlso_sascorer", folder / "sascorer.py")
    if spec is None or spec.loader is None or not (folder / "sascorer.py").exists():
        raise ModuleNotFoundError(
            f"RDKit's synthetic accessibility score is not in {folder}; "
            "install RDKit's wheel, which contains it: pip install 'wrlso[molecules]'",
            name="rdkit",
        )
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
