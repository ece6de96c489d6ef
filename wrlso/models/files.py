"""Reading a trained model of molecules of any class."""

from pathlib import Path
from typing import Any

from wrlso.exceptions import ModelError
from wrlso.models.junction_tree.vae import JunctionTreeVAE
from wrlso.models.selfies.vae import SelfiesVAE
from wrlso.models.tokens.base import read_header

__all__ = ["load_molecule_model", "molecule_model_class"]

MoleculeModel = SelfiesVAE | JunctionTreeVAE


def load_molecule_model(path: str | Path, **changes: Any) -> MoleculeModel:
    """Return the model that ``to_file`` of :class:`SelfiesVAE` or :class:`JunctionTreeVAE` wrote.

    Parameters
    ----------
    path : str or Path
    **changes
        As in ``from_file`` of the model that the file holds.

    Raises
    ------
    ParameterError
        For a change that this model does not allow.
    ModelError
        When the file holds no such model, or the weights do not fit.
    OSError
        When the file cannot be read.

    Examples
    --------
    >>> from wrlso.models import SelfiesVAE, load_molecule_model
    >>> SelfiesVAE.pretrained().to_file("mine.safetensors")
    >>> type(load_molecule_model("mine.safetensors")).__name__
    'SelfiesVAE'
    """
    return molecule_model_class(path).from_file(path, **changes)


def molecule_model_class(path: str | Path) -> type[MoleculeModel]:
    """Return the class of the model in a file, without reading its weights; errors as above."""
    written = read_header(Path(path)).get("format")
    kinds: tuple[type[MoleculeModel], ...] = (SelfiesVAE, JunctionTreeVAE)
    for kind in kinds:
        if written == kind._FORMAT:
            return kind
    raise ModelError(f"{path} holds no model of molecules: its header does not come from to_file")
