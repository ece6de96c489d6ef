from .expressions.task import Expressions as Expressions
from .molecules.tasks import QED as QED
from .molecules.tasks import GuacaMol as GuacaMol
from .molecules.tasks import Molecules as Molecules
from .molecules.tasks import PenalizedLogP as PenalizedLogP
from .shapes import CopiedRankWeighting as CopiedRankWeighting
from .shapes import OracleGrid as OracleGrid
from .shapes import Shapes as Shapes
