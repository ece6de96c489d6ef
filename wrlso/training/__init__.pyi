from .loop import Inputs as Inputs
from .schedules import GeometricBeta as GeometricBeta
from .trainer import Trainer as Trainer
