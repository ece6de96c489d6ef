from .guacamol import GUACAMOL_OBJECTIVES as GUACAMOL_OBJECTIVES
from .tasks import QED as QED
from .tasks import GuacaMol as GuacaMol
from .tasks import Molecules as Molecules
from .tasks import PenalizedLogP as PenalizedLogP
from .tasks import properties as properties
