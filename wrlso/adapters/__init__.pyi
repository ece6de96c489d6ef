from .botorch_choice import BoTorchAcquisition as BoTorchAcquisition
from .botorch_choice import Choice as Choice
from .nevergrad_loop import Candidate as Candidate
from .nevergrad_loop import NevergradOptimizer as NevergradOptimizer
from .optuna_study import OptunaTrials as OptunaTrials
from .ray_tune import TuneSearch as TuneSearch
from .skopt_loop import SkoptOptimizer as SkoptOptimizer
