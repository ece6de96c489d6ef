from .loop import maximize as maximize
from .loop import minimize as minimize
