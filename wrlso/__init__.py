"""Latent-space optimization with weighted retraining.

A generative model gives a continuous latent space, a Gaussian process searches it, and every r
evaluations the model is trained further on all data, weighted by rank (Tripp, Daxberger,
Hernández-Lobato, NeurIPS 2020).
"""

from wrlso._version import __version__
from wrlso.acquisition import (
    CandidatePool,
    LatentSearch,
    LogExpectedImprovement,
    Mixture,
    PriorSampling,
    ThompsonSampling,
    TrustRegion,
    UpperConfidenceBound,
)
from wrlso.exceptions import (
    DataError,
    DataTypeError,
    ExecutorError,
    GrammarError,
    LowEffectiveSampleSizeWarning,
    ModelError,
    NoCandidateError,
    NonFiniteLossError,
    NotFittedError,
    ParameterError,
    ParameterTypeError,
    StorageError,
    UnknownPointError,
    WrlsoError,
    WrlsoWarning,
)
from wrlso.feature_gp import FeatureGP
from wrlso.models import VAE, GrammarVAE, LatentModel, conv_vae, coordinate_vae
from wrlso.optimizer import WeightedRetrainingOptimizer
from wrlso.run import maximize, minimize
from wrlso.surrogate import SparseGP
from wrlso.tanimoto import MorganCounts, TanimotoGP
from wrlso.training import GeometricBeta, Trainer
from wrlso.weighting import (
    CEMPIWeighting,
    DbASWeighting,
    RankWeighting,
    RWRWeighting,
    UniformWeighting,
    cem_pi_weights,
    dbas_weights,
    effective_sample_size,
    rank_weights,
    replicate,
    rwr_weights,
    uniform_weights,
)

__all__ = [
    "VAE",
    "CEMPIWeighting",
    "CandidatePool",
    "DataError",
    "DataTypeError",
    "DbASWeighting",
    "ExecutorError",
    "FeatureGP",
    "GeometricBeta",
    "GrammarError",
    "GrammarVAE",
    "LatentModel",
    "LatentSearch",
    "LogExpectedImprovement",
    "LowEffectiveSampleSizeWarning",
    "Mixture",
    "ModelError",
    "MorganCounts",
    "NoCandidateError",
    "NonFiniteLossError",
    "NotFittedError",
    "ParameterError",
    "ParameterTypeError",
    "PriorSampling",
    "RWRWeighting",
    "RankWeighting",
    "SparseGP",
    "StorageError",
    "TanimotoGP",
    "ThompsonSampling",
    "Trainer",
    "TrustRegion",
    "UniformWeighting",
    "UnknownPointError",
    "UpperConfidenceBound",
    "WeightedRetrainingOptimizer",
    "WrlsoError",
    "WrlsoWarning",
    "__version__",
    "cem_pi_weights",
    "conv_vae",
    "coordinate_vae",
    "dbas_weights",
    "effective_sample_size",
    "maximize",
    "minimize",
    "rank_weights",
    "replicate",
    "rwr_weights",
    "uniform_weights",
]
