"""Molecules as pictures: SVG for pages, pixels for figures, each with its number of heavy atoms."""

from collections.abc import Sequence
from io import BytesIO
from typing import Any

from wrlso._chemistry.smiles import optional_module, parse, unparsed_problem
from wrlso.exceptions import DataError

__all__ = ["molecule_pixels", "molecule_svg"]

_SIZE = (300, 220)  # width and height of one picture, in pixels
_SHARPNESS = 2  # pixels of a figure's picture for each of those
_BOND = 28  # pixels of a bond, fewer where the molecule is large
_TEXT = 18  # pixels of the text below


def molecule_svg(smiles: str, size: tuple[int, int] = _SIZE, *, atoms: Sequence[int] = ()) -> str:
    """Return a molecule as SVG, with the number of its heavy atoms below.

    What a model's ``draw`` returns where x are SMILES, and what :func:`wrlso.report.register_drawing` takes
    for a model without. Needs RDKit (the extra ``molecules``).

    Parameters
    ----------
    smiles : str
    size : tuple of two int, default (300, 220)
        Width and height in pixels.
    atoms : sequence of int, default ()
        Atoms that are coloured.

    Raises
    ------
    DataError
        When the SMILES is invalid.

    Examples
    --------
    >>> molecule_svg("CCO").rstrip().endswith("</svg>")
    True
    """
    drawer = optional_module("rdkit.Chem.Draw.rdMolDraw2D").MolDraw2DSVG(*size)
    _draw(drawer, smiles, 1, atoms)
    return str(drawer.GetDrawingText())


def molecule_pixels(smiles: str) -> Any:
    """Return a molecule as an array (height, width, 3 or 4) that matplotlib draws."""
    from matplotlib.image import imread

    module = optional_module("rdkit.Chem.Draw.rdMolDraw2D")
    drawer = module.MolDraw2DCairo(*(_SHARPNESS * side for side in _SIZE))
    _draw(drawer, smiles, _SHARPNESS)
    return imread(BytesIO(drawer.GetDrawingText()), format="png")


def _draw(drawer: Any, smiles: str, scale: int, highlighted: Sequence[int] = ()) -> None:
    molecule = parse(smiles)
    if molecule is None:
        problem = unparsed_problem(smiles)
        raise DataError(f"expected the SMILES of a molecule, but {str(smiles)[:200]!r} {problem}")
    atoms = molecule.GetNumHeavyAtoms()
    legend = f"{atoms} heavy atom{'' if atoms == 1 else 's'}"
    options = drawer.drawOptions()
    options.fixedBondLength, options.legendFontSize = float(scale * _BOND), scale * _TEXT
    prepare = optional_module("rdkit.Chem.Draw.rdMolDraw2D").PrepareAndDrawMolecule
    with optional_module("rdkit.rdBase").BlockLogs():
        prepare(drawer, molecule, legend=legend, highlightAtoms=list(highlighted))
    drawer.FinishDrawing()
