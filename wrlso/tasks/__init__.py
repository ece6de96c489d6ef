"""Ready tasks: an objective, starting data, a model and, where it is known, the optimum."""

from wrlso.tasks.expressions import Expressions
from wrlso.tasks.molecules import QED, GuacaMol, Molecules, PenalizedLogP
from wrlso.tasks.shapes import CopiedRankWeighting, OracleGrid, Shapes

__all__ = [
    "QED",
    "CopiedRankWeighting",
    "Expressions",
    "GuacaMol",
    "Molecules",
    "OracleGrid",
    "PenalizedLogP",
    "Shapes",
]
