"""The wells of a plate."""

from wrlso._utils.validation import check_count
from wrlso.exceptions import ParameterError

__all__ = ["PLATES", "wells"]

PLATES = {24: (4, 6), 96: (8, 12), 384: (16, 24)}
"""Wells of a plate → its rows and columns."""


def wells(n: int, plate: int = 96) -> list[str]:
    """Return the names of the first n wells of a plate, row by row, such as A1, A2 to A12, B1.

    Parameters
    ----------
    n : int
    plate : {24, 96, 384}, default=96
        The number of its wells.

    Raises
    ------
    ParameterError
        For another plate, and where n is larger than the plate.

    Examples
    --------
    >>> wells(13)[-2:]
    ['A12', 'B1']
    """
    if isinstance(plate, bool) or plate not in PLATES:
        raise ParameterError(f"plate must be one of {', '.join(map(str, PLATES))}, got {plate!r}")
    check_count("n", n, minimum=0)
    if n > plate:
        raise ParameterError(f"a plate of {plate} wells must hold all points, got {n} points")
    columns = PLATES[plate][1]
    return [f"{chr(ord('A') + i // columns)}{i % columns + 1}" for i in range(n)]
