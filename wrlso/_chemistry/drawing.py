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
Shade = tuple[float, ...]
_RAISES: Shade = (0.35, 0.6, 0.95)  # blue, for what raises a prediction
_LOWERS: Shade = (0.98, 0.6, 0.25)  # orange: the two differ to all eyes
_LITTLE = 0.1  # share of the largest contribution below which an atom is left white


def molecule_svg(
    smiles: str,
    size: tuple[int, int] = _SIZE,
    *,
    atoms: Sequence[int] = (),
    contributions: Any = None,
    largest: float | None = None,
) -> str:
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
    contributions : array_like of float (atoms,), default None
        What each atom adds to a prediction (:func:`wrlso.molecules.atom_contributions`): those that raise it
        are blue, those that lower it orange, the stronger the more.
    largest : float, default None
        The contribution with the full colour; None: the molecule's own largest.

    Raises
    ------
    DataError
        When the SMILES is invalid, or contributions are not one for each atom.

    Examples
    --------
    >>> molecule_svg("CCO").rstrip().endswith("</svg>")
    True
    """
    drawer = optional_module("rdkit.Chem.Draw.rdMolDraw2D").MolDraw2DSVG(*size)
    _draw(drawer, smiles, 1, atoms, _shades(contributions, largest))
    return str(drawer.GetDrawingText())


def molecule_pixels(smiles: str, contributions: Any = None, largest: float | None = None) -> Any:
    """Return the picture of :func:`molecule_svg` as an array (height, width, 3 or 4)."""
    from matplotlib.image import imread

    module = optional_module("rdkit.Chem.Draw.rdMolDraw2D")
    drawer = module.MolDraw2DCairo(*(_SHARPNESS * side for side in _SIZE))
    _draw(drawer, smiles, _SHARPNESS, (), _shades(contributions, largest))
    return imread(BytesIO(drawer.GetDrawingText()), format="png")


def _shades(contributions: Any, largest: float | None) -> list[Shade | None] | None:
    """Return the colour of each atom, None for those that matter little."""
    if contributions is None:
        return None
    contributions = [float(c) for c in contributions]
    most = max(map(abs, contributions), default=0.0) if largest is None else largest
    shares = [min(abs(c) / most, 1.0) if most > 0 else 0.0 for c in contributions]
    strong = [_RAISES if c > 0 else _LOWERS for c in contributions]
    return [
        (*(1.0 - share * (1.0 - part) for part in colour),) if share >= _LITTLE else None
        for share, colour in zip(shares, strong, strict=True)
    ]


def _draw(
    drawer: Any,
    smiles: str,
    scale: int,
    highlighted: Sequence[int] = (),
    shades: Sequence[Shade | None] | None = None,
) -> None:
    molecule = parse(smiles)
    if molecule is None:
        problem = unparsed_problem(smiles)
        raise DataError(f"expected the SMILES of a molecule, but {str(smiles)[:200]!r} {problem}")
    atoms = molecule.GetNumHeavyAtoms()
    legend = f"{atoms} heavy atom{'' if atoms == 1 else 's'}"
    highlighted, colours = list(highlighted), {}
    if shades is not None:
        if len(shades) != molecule.GetNumAtoms():
            raise DataError(
                f"contributions must be one for each of {molecule.GetNumAtoms()} atoms, got {len(shades)}"
            )
        colours = {i: shade for i, shade in enumerate(shades) if shade is not None}
        highlighted = list(colours)
    options = drawer.drawOptions()
    options.fixedBondLength, options.legendFontSize = float(scale * _BOND), scale * _TEXT
    prepare = optional_module("rdkit.Chem.Draw.rdMolDraw2D").PrepareAndDrawMolecule
    with optional_module("rdkit.rdBase").BlockLogs():
        prepare(drawer, molecule, legend=legend, highlightAtoms=highlighted, highlightAtomColors=colours)
    drawer.FinishDrawing()
