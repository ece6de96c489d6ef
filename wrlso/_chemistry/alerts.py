"""RDKit's catalogues of structural alerts."""

from functools import cache
from typing import Any

from wrlso._chemistry.smiles import optional_module

__all__ = ["catalogue", "catalogues"]


@cache
def catalogues() -> dict[str, str]:
    """Return the names of the catalogues: each in small letters → as RDKit writes it."""
    names = optional_module("rdkit.Chem.FilterCatalog").FilterCatalogParams.FilterCatalogs.names
    return {name.casefold(): name for name in names}


@cache
def catalogue(name: str) -> Any:
    """Return one of them by RDKit's name."""
    module = optional_module("rdkit.Chem.FilterCatalog")
    parameters = module.FilterCatalogParams()
    parameters.AddCatalog(module.FilterCatalogParams.FilterCatalogs.names[name])
    return module.FilterCatalog(parameters)
