from .ehrlich import Ehrlich as Ehrlich
from .rna import FreeEnergy as FreeEnergy
from .rna import InverseFolding as InverseFolding
