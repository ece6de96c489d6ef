"""Ready tasks: an objective, starting data, a model and, where it is known, the optimum."""

from wrlso.tasks.expressions import Expressions
from wrlso.tasks.shapes import CopiedRankWeighting, OracleGrid, Shapes

__all__ = ["CopiedRankWeighting", "Expressions", "OracleGrid", "Shapes"]
