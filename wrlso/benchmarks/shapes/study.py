"""The study of the 2D shapes task: its configurations, and score samples of models trained with several k."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save

from wrlso._utils.files import write_whole
from wrlso._utils.progress_bar import ProgressBar
from wrlso._utils.random import stream
from wrlso._utils.validation import check_choice, check_count, check_real
from wrlso.acquisition.functions import LogExpectedImprovement, Mixture, ThompsonSampling
from wrlso.acquisition.protocol import Acquisition
from wrlso.benchmarks.records import data_hash, is_recorded, machine, versions, write_record
from wrlso.benchmarks.study import configured, quiet_about_small_k
from wrlso.models.protocol import LatentModel
from wrlso.models.vae import VAE
from wrlso.optimizer import WeightedRetrainingOptimizer
from wrlso.surrogate.sparse_gp import SparseGP
from wrlso.tasks.shapes import CopiedRankWeighting, OracleGrid, Shapes
from wrlso.training.schedules import GeometricBeta
from wrlso.training.trainer import Trainer
from wrlso.weighting import RankWeighting, UniformWeighting

__all__ = ["CONFIGURATIONS", "ShapesStudy", "sample_scores", "shapes_study"]


@dataclass(frozen=True)
class ShapesStudy:
    """Options of a study on :class:`wrlso.tasks.Shapes`; records hold all of them.

    Parameters
    ----------
    data : {"released", "dsprites"}
    subset : int or None
        Number of starting images sampled for each seed; None: all.
    search : {"oracle", "gp"}
        The oracle grid, which evaluates the true objective, or LogEI on a sparse GP, which does not.
    budget : int
        Queries (M).
    k : float
        Rank-weighting parameter of the settings "weighting" and "both".
    r : int
        The settings "retraining" and "both" retrain every r new values.
    batch : int
        Points asked for at once.
    network, latent_dim, beta
        See :class:`wrlso.tasks.Shapes` and :class:`wrlso.VAE`.
    label_smoothing : float
        See :class:`wrlso.VAE`.
    beta_start : float or None
        β at the start of a model's first training, in which it grows to ``beta``; None: β is constant.
    beta_warmup, beta_factor, beta_every
        See :class:`wrlso.training.GeometricBeta`.
    pretrain_epochs : float
        Epochs of uniform training before the setting's own, shared by all settings of a seed; 0: none.
    pretrain_seed : int or None
        Seed of one pretrained model for all runs; None: each seed has its own.
    pretrain_batch_size : int
    initial_epochs, retrain_epochs, batch_size, lr, retrain_lr, variance_reduction, grad_clip
        See :class:`wrlso.Trainer`.
    n_inducing, transform
        Inducing points and transformation of y of the GP search's surrogate; see :class:`wrlso.SparseGP`.
    thompson : int
        Number of points in every five that Thompson sampling chooses instead of log EI.
    copies : int
        Number of copies of each starting image in the weights (``CopiedRankWeighting``).
    bounds, margin, n_per_axis, radius, n_points
        See :class:`wrlso.tasks.OracleGrid`.
    """

    data: Literal["released", "dsprites"] = "released"
    subset: int | None = None
    search: Literal["oracle", "gp"] = "oracle"
    budget: int = 500
    k: float = 1e-3
    r: int = 5
    batch: int = 5
    network: str = "coordinate"
    latent_dim: int = 2
    beta: float = 1.0
    label_smoothing: float = 0.06
    beta_start: float | None = 1e-3
    beta_warmup: int = 0
    beta_factor: float = 1.0066
    beta_every: int = 1
    pretrain_epochs: float = 0.0
    pretrain_seed: int | None = None
    pretrain_batch_size: int = 16
    initial_epochs: float = 43.0
    retrain_epochs: float = 1.15
    batch_size: int = 32
    lr: float = 1e-3
    retrain_lr: float | None = 3e-4
    variance_reduction: str = "sample"
    grad_clip: float | None = 300.0
    n_inducing: int = 200
    transform: str = "standardize"
    thompson: int = 0
    copies: int = 1
    bounds: float | Literal["data"] = "data"
    margin: float = 1.2
    n_per_axis: int = 50
    radius: float | None = None
    n_points: int | None = None

    def __post_init__(self) -> None:
        """Check the options that nothing else checks, before a run takes hours."""
        check_choice("data", self.data, ("released", "dsprites"))
        check_choice("search", self.search, ("oracle", "gp"))
        check_real("k", self.k, above=0, finite=False)
        for name in ("budget", "r", "batch", "latent_dim", "copies"):
            check_count(name, getattr(self, name))
        check_count("thompson", self.thompson, minimum=0)
        check_real("beta", self.beta, above=0)
        check_real("pretrain_epochs", self.pretrain_epochs, minimum=0)

    @property
    def name(self) -> str:
        """Name of the task."""
        return "shapes"

    @property
    def variant(self) -> str:
        """Name part that distinguishes runs of a folder with the same setting and seed."""
        changed = {name: value for name, value in self.options().items() if name in _LATER}
        return "-".join([self.search, *(f"{name}-{value}" for name, value in changed.items())])

    @property
    def task(self) -> Shapes:
        """The task with this study's data and network."""
        return Shapes(self.data, subset=self.subset, network=self.network, latent_dim=self.latent_dim)

    def options(self) -> dict[str, Any]:
        """Return every option, except newer ones with their default, which older records do not have."""
        options = asdict(self)
        return {k: v for k, v in options.items() if k not in _LATER or v != _LATER[k]}

    def objective(self, x: Any) -> float:
        """Return the area of x."""
        return Shapes().objective(x)

    def initial_data(self, seed: int) -> tuple[Any, Any]:
        """Return the starting images and areas of a seed."""
        return self.task.initial_data(seed)

    def prepare(self, seed: int, folder: Path) -> None:
        """Pretrain the seed's model on unweighted data, unless its weights are in the folder."""
        seed = seed if self.pretrain_seed is None else self.pretrain_seed
        path = self._pretrained(seed, folder)
        if not self.pretrain_epochs or path.exists():
            return
        X, _ = self.initial_data(seed)
        model = self._untrained(seed)
        trainer = Trainer(
            initial_epochs=self.pretrain_epochs,
            batch_size=self.pretrain_batch_size,
            lr=self.lr,
            beta_schedule=self._beta_schedule(),
        )
        trainer.fit(model, model.tensorize(X), np.ones(len(X)), rng=stream(seed, _PRETRAINING))
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, save(model.state_dict()))

    def optimizer(self, setting: str, seed: int, folder: Path) -> WeightedRetrainingOptimizer:
        """Return the optimizer of one run, not yet fitted."""
        acquisition = self._acquisition()
        process = SparseGP(n_inducing=self.n_inducing, transform=self.transform)
        return WeightedRetrainingOptimizer(
            model=self.start_model(seed, folder),
            weighting=self.weighting(self.k if setting in ("weighting", "both") else math.inf),
            acquisition=acquisition,
            surrogate=process if acquisition.uses_surrogate else None,
            trainer=self.trainer(),
            retrain_every=self.r if setting in ("retraining", "both") else None,
            random_state=seed,
        )

    def start_model(self, seed: int, folder: Path) -> LatentModel:
        """Return the model at the start of a run: a pretrained one, or the seed's untrained one."""
        seed = seed if self.pretrain_seed is None or not self.pretrain_epochs else self.pretrain_seed
        model = self._untrained(seed)
        if self.pretrain_epochs:
            model.load_state_dict(load_file(self._pretrained(seed, folder)))
        return model

    def trainer(self) -> Trainer:
        """Return the trainer of a run, whose model may be pretrained."""
        return Trainer(
            initial_epochs=self.initial_epochs,
            retrain_epochs=self.retrain_epochs,
            batch_size=self.batch_size,
            lr=self.lr,
            retrain_lr=self.retrain_lr,
            variance_reduction=self.variance_reduction,
            grad_clip=self.grad_clip,
            beta_schedule=None if self.pretrain_epochs else self._beta_schedule(),
        )

    def weighting(self, k: float) -> RankWeighting | UniformWeighting | CopiedRankWeighting:
        """Return the rank weighting with this k and the study's number of copies."""
        if self.copies > 1:
            n_start = self.subset or len(self.task.initial_data()[1])
            return CopiedRankWeighting(k, n_start=n_start, copies=self.copies)
        return UniformWeighting() if math.isinf(k) else RankWeighting(k)

    def grid(self) -> OracleGrid:
        """Return the oracle grid of this study."""
        return OracleGrid(
            Shapes().objective,
            self.bounds,
            self.n_per_axis,
            self.radius,
            n_points=self.n_points,
            margin=self.margin,
        )

    def _acquisition(self) -> Acquisition:
        if self.search == "oracle":
            return self.grid()
        if self.thompson == 0:
            return LogExpectedImprovement()
        parts = [LogExpectedImprovement(), ThompsonSampling()]
        return Mixture(parts, [5 - self.thompson, self.thompson])

    def _beta_schedule(self) -> GeometricBeta | None:
        if self.beta_start is None:
            return None
        return GeometricBeta(self.beta_start, self.beta, self.beta_factor, self.beta_every, self.beta_warmup)

    def _untrained(self, seed: int) -> VAE:
        model = self.task.model(seed)
        model.beta, model.label_smoothing = self.beta, self.label_smoothing
        return model

    def _pretrained(self, seed: int, folder: Path) -> Path:
        return folder / f"pretrained-{self.data}-{self.network}-d{self.latent_dim}-seed{seed}.safetensors"


_PRETRAINING, _SCORES = 0, 1
_LATER = {"transform": "standardize", "thompson": 0}  # options that earlier records do not have

CONFIGURATIONS: dict[str, ShapesStudy] = {
    # The released code's protocol: one pretrained model for all runs, then an epoch with the setting's
    # weights in every setting. Its 10,900 images are ten copies of 1,090, which are one point each here.
    # So our epoch is a tenth of theirs: 20, 1 and 0.1 of their epochs are 200, 10 and 1 of ours.
    "released": ShapesStudy(
        r=50,
        network="released",
        beta=10.0,
        label_smoothing=0.0,
        beta_start=1e-6,
        beta_warmup=1000,
        beta_factor=1.1,
        beta_every=10,
        retrain_lr=None,
        grad_clip=None,
        pretrain_epochs=200,
        pretrain_seed=0,
        initial_epochs=10,
        retrain_epochs=1,
        copies=10,
        bounds=3.0,
    ),
    # The preprint's protocol (section 6.1, appendix C.4).
    "preprint": ShapesStudy(
        data="dsprites",
        k=1e-5,
        r=50,
        network="preprint",
        latent_dim=5,
        label_smoothing=0.0,
        beta_start=None,
        retrain_lr=None,
        grad_clip=None,
        initial_epochs=1,
        retrain_epochs=0.1,
        bounds=5.0,
        n_per_axis=21,
        radius=5.0,
    ),
    "default": ShapesStudy(),
}


def shapes_study(config: str = "default", **options: Any) -> ShapesStudy:
    """Return a configuration with some options changed; None keeps an option.

    The default of ``batch`` is r for the oracle and 1 for the GP.

    Raises
    ------
    ParameterError, ParameterTypeError
        For an unknown configuration or option, or an invalid value.
    """
    study = configured(CONFIGURATIONS, config, options)
    if options.get("batch") is None:
        study = replace(study, batch=study.r if study.search == "oracle" else 1)
    return study


def sample_scores(
    study: ShapesStudy,
    ks: Sequence[float],
    seeds: Sequence[int],
    out: Path,
    *,
    n_samples: int = 5000,
    progress: bool = True,
) -> list[Path]:
    """Train a model with each k and record the areas of its images (paper, Figs. 3 right and 8).

    Each record holds three distributions, as distinct values with counts: of the starting data, of decoded
    samples from the prior N(0, I), and of a uniform enumeration of the latent space, the study's oracle grid.
    Existing records are skipped.

    Returns
    -------
    list of Path
        The records, one for each k and seed.
    """
    check_count("n_samples", n_samples)
    paths = []
    for seed in seeds:
        study.prepare(seed, out)
        for k in ProgressBar(ks, desc=f"models, seed {seed}", disable=not progress):
            path = out / f"scores-{study.name}-k{k:g}-seed{seed}.json"
            paths.append(path)
            if not is_recorded(path):
                _record_scores(study, k, seed, path, n_samples)
    return paths


def _record_scores(study: ShapesStudy, k: float, seed: int, path: Path, n_samples: int) -> None:
    X, y = study.initial_data(seed)
    model = study.start_model(seed, path.parent)
    rng = stream(seed, _SCORES)
    inputs = model.tensorize(X)
    with quiet_about_small_k():
        study.trainer().fit(model, inputs, study.weighting(k)(y), rng=rng)
    samples = [rng.standard_normal((n_samples, study.latent_dim))]
    grid = study.grid().points(model.encode(inputs).double(), rng)
    write_record(
        path,
        {
            "kind": "scores",
            "task": study.name,
            "k": k,
            "seed": seed,
            "n_samples": n_samples,
            "options": study.options(),
            "versions": versions(),
            "machine": machine(),
            "starting_data": {"sha256": data_hash(X, y), "n": len(y), "best": float(np.max(y))},
            "data": _counts([y]),
            "prior": _counts(_areas(model, study, Z) for Z in samples),
            "enumeration": _counts(_areas(model, study, Z) for Z in grid),
        },
    )


def _areas(model: LatentModel, study: ShapesStudy, Z: NDArray[np.float64]) -> NDArray[np.float64]:
    X = model.decode(torch.from_numpy(Z))
    return np.array([study.objective(x) for x in X if x is not None])


def _counts(parts: Any) -> dict[str, Any]:
    values, counts = np.unique(np.concatenate(list(parts)), return_counts=True)
    return {"value": values, "count": counts}
