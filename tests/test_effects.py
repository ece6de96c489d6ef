"""Every argument of every public estimator has an effect: one that is changed alone changes what is seen."""

import contextlib
import importlib
import inspect
import io
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import make_optimizer, networks, words
from sklearn.base import BaseEstimator
from torch import nn

import wrlso
from wrlso import (
    VAE,
    CandidatePool,
    DataError,
    GeometricBeta,
    LogExpectedImprovement,
    Minimize,
    NoCandidateError,
    ParameterError,
    PriorSampling,
    SparseGP,
    ThompsonSampling,
    Trainer,
    UniformWeighting,
    UpperConfidenceBound,
)
from wrlso.acquisition import AskRecord, Goals, Proposal
from wrlso.acquisition.state import Process
from wrlso.models import DerivationFragments
from wrlso.rules import explain
from wrlso.surrogate import Points
from wrlso.testing.grid import Grid, grid_state

RNG = np.random.default_rng
GRAMMAR = "S -> 'x' | S '+' 'x'"
SMILES = [
    "C[C@H](O)N",
    "C[C@@H](O)N",
    "CCCCO",
    "CCCCCC",
    "c1ccccc1O",
    "CC(C)C",
    "CCN",
    "OCCO",
    "CCCl",
    "CCOC",
]


# ------------------------------------------------------------------ what is seen of each


def of_weighting(weighting):
    return weighting([0.1, 0.5, 2.0, 2.5, 3.0, 9.0])


def of_acquisition(acquisition, rare=7):
    """Proposals, or the words of giving up, where little may be proposed."""
    here = grid_state()
    screen = here.screen
    here = replace(here, screen=lambda x: screen(x) or ("infeasible" if sum(x) % rare else None))
    try:
        proposals, record = acquisition.propose(here, 3, RNG(0))
    except NoCandidateError as error:
        return str(error)
    return [(p.x, p.value) for p in proposals], record.n_decoded, record.rejected, record.strategy


def of_goals(acquisition):
    """Proposals of a search for two goals that pull apart."""
    here = grid_state()
    second = SparseGP(max_iter=10).fit(here.Z, -((here.Z + 0.5) ** 2).sum(dim=1), RNG(1))
    processes = {"a": Process(here.surrogate, 1.0), "b": Process(second, 1.0)}
    goals = Goals(("a", "b"), np.array([-20.0, -20.0]), np.arange(len(here.y)))
    proposals, record = acquisition.propose(replace(here, outcomes=processes, goals=goals), 2, RNG(0))
    return [(p.x, p.value) for p in proposals], record.n_decoded


def of_prior(acquisition):
    """Proposals of a model that knows what is likely, and the order of molecules, where some are alike."""
    likely = replace(grid_state(), model=Likely())
    try:
        drawn = [p.x for p in acquisition.propose(likely, 3, RNG(0))[0]]
    except NoCandidateError as error:
        drawn = str(error)
    return of_acquisition(acquisition), drawn, of_draws(acquisition)


def of_draws(acquisition):
    """Proposals of a model that makes molecules, of which few are far apart."""
    here = grid_state()

    class Chains(Grid):
        def decode(self, Z, temperature=0, generator=None):
            return ["C" * (1 + i % 9) + "O" * (i % 7) for i in range(len(Z))]

        def key(self, x):
            return x

    fresh = replace(here, model=Chains(), screen=lambda x: None, pending=here.Z[:0], pending_X=[])
    fresh = replace(fresh, candidates=(), candidates_Z=None, success=None)
    return [p.x for p in PriorSampling(apart=acquisition.apart).propose(fresh, 4, RNG(0))[0]]


def of_search(search):
    return of_acquisition(LogExpectedImprovement(search))


class Likely(Grid):
    """Points of a grid, of which those near the middle are likely."""

    def likelihood(self, X):
        return -np.abs(np.array(X, dtype=np.float64)).sum(axis=1), np.full(len(X), 4.0)


def of_pool(search):
    """Proposals of a search, and those among molecules that were supplied."""
    here, Z = grid_state(), torch.linspace(-0.3, 0.3, 40, dtype=torch.float64).reshape(10, 4)
    state = replace(here, candidates=SMILES, candidates_Z=Z, pending=here.Z[:0], pending_X=[])
    state = replace(state, screen=lambda x: None if isinstance(x, str) else "no molecule")
    apart = CandidatePool(60, generations=1, sources=["near"], apart=search.apart)
    proposals, _ = LogExpectedImprovement(apart).propose(state, 3, RNG(0))
    likely = LogExpectedImprovement(search).propose(replace(grid_state(), model=Likely()), 3, RNG(0))[0]
    return of_search(search), [p.x for p in proposals], [p.x for p in likely]


class Blocks(Grid):
    """Points of a grid, two coordinates in a block."""

    block = 2


def of_source(source):
    """Proposals with where they came from, of the source alone and beside another one."""
    other = "prior" if source.name == "mutate" else "mutate"
    state, found = replace(grid_state(), model=Blocks()), []
    for sources in ([source], [source, other]):
        search = CandidatePool(60, generations=2, sources=sources)
        proposals, record = LogExpectedImprovement(search).propose(state, 3, RNG(0))
        found.append(([(p.x, p.source) for p in proposals], record.sources))
    return found


class Listed:
    """Proposes the first of its molecules that may be proposed."""

    def __init__(self, X):
        self.X = X

    def propose(self, state, n, rng, criterion):
        found = [x for x in self.X if state.screen(x) is None]
        return [Proposal(x, torch.zeros(1), 0.0) for x in found[:n]], AskRecord()


def of_sizes(search):
    """The first proposal beside molecules of at most ten atoms."""
    pytest.importorskip("rdkit")
    state = replace(grid_state(), point=lambda i: "C" * (1 + i % 10))
    return [p.x for p in search.propose(state, 1, RNG(0), LogExpectedImprovement())[0]]


def of_process(surrogate, points=None):
    """Predictions after a fit, a warm fit, and an observation far away."""
    draw = RNG(0)
    Z = torch.from_numpy(draw.normal(size=(60, 2)) * [1.0, 3.0])
    y = torch.sin(2 * Z[:, 0]) + 0.1 * Z[:, 1] - torch.from_numpy(0.3 * draw.exponential(size=60) ** 2)
    points = (lambda Z: Z) if points is None else points
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        surrogate.fit(points(Z[:50]), y[:50], RNG(0)).fit(points(Z), y, RNG(1))
    far = torch.tensor([[9.0, 9.0]], dtype=torch.float64)
    surrogate = surrogate.condition_on(points(far), torch.tensor([1.0], dtype=torch.float64))
    return [*surrogate.predict(points(Z)), *surrogate.predict(points(far))]


def of_botorch(surrogate):
    """Predictions of a process that sees Z or features of x."""
    Z = torch.from_numpy(RNG(0).normal(size=(60, 2)) * [1.0, 3.0])
    y = torch.sin(2 * Z[:, 0]) - torch.from_numpy(0.3 * RNG(1).exponential(size=60) ** 2)
    points = Z if surrogate.on == "latent" else Points(Z, Z.sin())
    return surrogate.fit(points, y, RNG(0)).predict(points)


def rough(X, Y):
    """A process with a Matérn kernel."""
    from botorch.models import SingleTaskGP
    from gpytorch.kernels import MaternKernel, ScaleKernel

    return SingleTaskGP(X, Y, covar_module=ScaleKernel(MaternKernel(nu=0.5)))


def of_choice(surrogate):
    """Predictions after a fit to values with outliers below, and scores after a value that is told."""
    draw = RNG(0)
    Z = torch.from_numpy(draw.normal(size=(60, 2)))
    y, points = torch.sin(Z[:, 0]) - torch.from_numpy(draw.exponential(size=60) ** 2), Points(Z, Z.sin())
    surrogate.fit(points[:59], y[:59], RNG(0))
    scores = surrogate.scored(points[59:], y[59:]).scores_
    return [*surrogate.predict(points), *scores.values()]


def of_molecules(surrogate):
    pytest.importorskip("rdkit")
    y = torch.tensor([-20.0, 5.0, 1.0, 1.5, 3.0, 0.5, 2.0, 2.2, 1.1, 0.7], dtype=torch.float64)
    return surrogate.fit(SMILES, y, RNG(0)).predict([*SMILES, "CCCCCCCCCO"])


def of_features(features):
    pytest.importorskip("rdkit")
    found = features(SMILES).tocoo()
    return found.data, found.row, found.col


def of_rules(filters):
    pytest.importorskip("rdkit")
    return [str(breach) for x in SMILES for breach in explain(x, filters, ["CCCCCO"])]


def of_fragments(fragments):
    try:
        return fragments(["x + x", "x"])
    except DataError as error:
        return str(error)


def of_trainer(trainer):
    """Weights and losses after a first training and a later one, and what a campaign makes of it."""
    torch.manual_seed(0)
    vae = VAE(nn.Linear(12, 4), nn.Linear(2, 12))
    inputs, weights, draw = vae.tensorize(words()), np.arange(40.0) ** 4, RNG(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logs = [*trainer.fit(vae, inputs, weights, draw), *trainer.fine_tune(vae, inputs, weights, draw)]
    seen = [[entry["loss"], entry["n_steps"]] for entry in logs], [p.detach() for p in vae.parameters()]
    if trainer.retrain == "finetune":
        return seen
    return seen, of_optimizer({"trainer": trainer})


CALLS = []


class Listener:
    def on_ask(self, opt, X):
        CALLS.append(X)


class Opposite:
    """A codec of letters that are written the other way round."""

    def transform(self, X):
        return 1 - np.stack([np.asarray(x) for x in X])

    def inverse_transform(self, array):
        return list(1 - array)


def of_optimizer(options):
    """What a short campaign asks and predicts, prints, and calls; or the words of a refusal."""
    X, text = words(), io.StringIO()
    y = [None if i % 4 == 0 else float(x.sum()) for i, x in enumerate(X)]
    CALLS.clear()
    options = {"trainer": Trainer(initial_epochs=2, lr=0.01), "retrain_every": 3} | options
    try:
        with contextlib.redirect_stderr(text), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            opt = make_optimizer(**options).fit(X, y)
            asked = []
            for _ in range(3):
                batch = opt.ask(2)
                asked += batch
                opt.tell(batch, [float(np.sum(x)) for x in batch])
    except ParameterError as error:
        return str(error)
    return asked, [record.prediction for record in opt.history_.records], bool(text.getvalue()), len(CALLS)


# ------------------------------------------------------------------ which change is seen, beside what else

FEW = {"n_inducing": 10, "n_trained": 0}
SOME = {"n_inducing": 10, "n_trained": 4, "train_iter": 5}
POOL = {"n_candidates": 60, "generations": 2}
SHARE = {"share": ({}, 1.0, 9.0)}
HOT = {"temperature": ({}, 1.0, 3.0)}
LATENT = {"n_starts": 3, "n_raw": 32, "max_iter": 3}

# class → what is seen of it; argument → (the other arguments, its value, another value)
TABLE = {
    "RankWeighting": (of_weighting, {"k": ({}, 1e-3, 0.1)}),
    "RWRWeighting": (of_weighting, {"alpha": ({}, 1.0, 2.0)}),
    "CEMPIWeighting": (of_weighting, {"quantile": ({}, 0.8, 0.3)}),
    "DbASWeighting": (of_weighting, {"quantile": ({}, 0.8, 0.3), "noise": ({}, 1.0, 2.0)}),
    "UniformWeighting": (of_weighting, {}),
    "LogExpectedImprovement": (
        of_acquisition,
        {"search": ({}, None, CandidatePool(60)), "xi": ({}, 0.0, 3.0)},
    ),
    "UpperConfidenceBound": (
        of_acquisition,
        {"search": ({}, None, CandidatePool(60)), "beta": ({}, 2.0, 0.0)},
    ),
    "ThompsonSampling": (of_acquisition, {"search": ({}, None, CandidatePool(60))}),
    "LogHypervolumeImprovement": (
        of_goals,
        {"search": ({}, None, CandidatePool(60)), "n_samples": ({}, 64, 8)},
    ),
    "LogParEGO": (of_goals, {"search": ({}, None, CandidatePool(60)), "n_samples": ({}, 64, 8)}),
    "Mixture": (
        of_acquisition,
        {
            "parts": ({}, [ThompsonSampling()], [ThompsonSampling(CandidatePool(60))]),
            "turns": ({"parts": [LogExpectedImprovement(), ThompsonSampling()]}, [1, 1], [5, 1]),
            "search": ({"parts": [ThompsonSampling()]}, None, CandidatePool(60)),
        },
    ),
    "PriorSampling": (
        of_prior,
        {
            "temperature": ({}, 1.0, 3.0),
            "max_attempts": ({}, 1000, 1),
            "plausibility": ({}, None, 0.9),
            "apart": ({}, None, 0.9),
        },
    ),
    "CandidatePool": (
        of_pool,
        {
            "n_candidates": (POOL, 60, 90),
            "generations": (POOL, 2, 3),
            "sources": (POOL, None, ["near"]),
            "parents": (POOL, (0.02, 2.0), (100.0,)),
            "max_attempts": (POOL, None, 20),
            "apart": (POOL, None, 0.9),
            "plausibility": (POOL, None, 0.5),
        },
    ),
    "Near": (of_source, SHARE | HOT | {"sigma": ({}, (0.1, 2.0), (0.01, 0.02))}),
    "Prior": (of_source, SHARE | HOT),
    "Splice": (of_source, SHARE | HOT),
    "Rewrite": (of_source, SHARE | HOT),
    "Mutate": (of_source, SHARE),
    "Cross": (of_source, SHARE),
    "LatentSearch": (
        lambda search: of_acquisition(LogExpectedImprovement(search), rare=23),
        {
            "n_starts": (LATENT, 3, 6),
            "n_raw": (LATENT, 32, 64),
            "margin": (LATENT, 1.1, 0.5),
            "quantile": (LATENT, 0.999, 0.3),
            "max_iter": (LATENT, 3, 0),
            "step": (LATENT, 0.1, 1.0),
            "temperature": (LATENT | {"n_starts": 1}, 1.0, 3.0),
            "max_attempts": (LATENT, 1000, 1),
        },
    ),
    "SizeRange": (
        of_sizes,
        {
            "search": ({}, Listed(["C" * 30, "C" * 12]), Listed(["C" * 11])),
            "margin": ({"search": Listed(["C" * 30, "C" * 12])}, 1.3, 3.0),
        },
    ),
    "SparseGP": (
        of_process,
        {
            "n_inducing": (FEW, 10, 15),
            "n_best": ({"n_random": 10}, 20, 25),
            "n_random": ({"n_best": 20}, 10, 15),
            "n_trained": (SOME, 4, 8),
            "n_hyper": (FEW, 20, 40),
            "kernel": ({}, "rbf", "matern52"),
            "transform": ({}, "standardize", "winsorize"),
            "ard": ({}, True, False),
            "grow_inducing": (FEW, True, False),
            "max_iter": (FEW | {"warm_iter": 0}, 3, 6),
            "warm_iter": (FEW | {"max_iter": 3}, 0, 5),
            "train_iter": (SOME, 5, 30),
            "jitter": ({}, 1e-8, 1e-4),
            "max_noise": ({}, None, 1e-3),
        },
    ),
    "AutoSurrogate": (
        of_choice,
        {
            "n_best": ({"n_random": 10}, 20, 25),
            "n_random": ({"n_best": 20}, 10, 15),
            "transform": ({}, "robust", "floor"),
            "half_life": ({}, 50.0, 2.0),
        },
    ),
    "BoTorchSurrogate": (
        of_botorch,
        {
            "factory": ({}, None, rough),
            "on": ({}, "latent", "features"),
            "n_best": ({"n_random": 10}, 20, 25),
            "n_random": ({"n_best": 20}, 10, 15),
            "transform": ({}, "standardize", "winsorize"),
            "scale": ({}, True, False),
            "fit_model": ({}, None, lambda model: None),
        },
    ),
    "FeatureGP": (
        lambda surrogate: of_process(surrogate, lambda Z: [tuple(z) for z in Z.tolist()]),
        {
            "features": ({}, np.array, lambda X: np.array(X)[:, :1]),
            "gp": ({"features": np.array}, None, SparseGP(kernel="matern52")),
        },
    ),
    "TanimotoGP": (
        of_molecules,
        {
            "fingerprint": ({}, None, lambda X: np.array([[len(x)] for x in X])),
            "n_best": ({"n_random": 3}, 5, 6),
            "n_random": ({"n_best": 5}, 3, 4),
            "transform": ({}, "floor", "standardize"),
            "linear": ({}, 0.0, 0.5),
        },
    ),
    "MorganCounts": (
        of_features,
        {"radius": ({}, 2, 1), "counts": ({}, True, False), "chirality": ({}, True, False)},
    ),
    "PairCounts": (
        lambda counts: counts(["ATTACT", "ATAACT"]).toarray().sum(axis=0),
        {
            "alphabet": ({}, "protein", "ACDT"),
            "wild_type": ({}, None, "ATTACT"),
            "farthest": ({}, 5, 1),
            "translate": ({}, False, True),
        },
    ),
    "Filters": (
        of_rules,
        {
            "alerts": ({}, (), ["BRENK"]),
            "max_sa": ({}, None, 2.0),
            "weight": ({}, None, 60),
            "heavy_atoms": ({}, None, (5, None)),
            "logp": ({}, None, 1),
            "tpsa": ({}, None, 20),
            "rotatable": ({}, None, 1),
            "donors": ({}, None, 0),
            "acceptors": ({}, None, (1, 1)),
            "charge": ({}, 0, 1),
            "ring_sizes": ({}, None, 5),
            "elements": ({}, None, ["C", "N"]),
            "no": ({}, (), ["CO"]),
            "keep": ({}, None, "CO"),
            "near": ({}, None, ("CCCCO", 0.4)),
            "novel": ({}, None, 0.9),
        },
    ),
    "DerivationFragments": (
        of_fragments,
        {
            "grammar": ({}, GRAMMAR, "S -> T | S '+' T \n T -> 'x'"),
            "n_features": ({"grammar": GRAMMAR}, 32, 64),
            "separator": ({"grammar": GRAMMAR}, " ", ""),
        },
    ),
    "GeometricBeta": (
        lambda schedule: [schedule(step) for step in range(0, 3000, 100)],
        {
            "start": ({}, 1e-6, 1e-3),
            "stop": ({}, 1e-4, 1e-3),
            "factor": ({}, 1.1, 1.2),
            "every": ({}, 10, 20),
            "warmup": ({}, 1000, 10),
        },
    ),
    "Trainer": (
        of_trainer,
        {
            "initial_epochs": ({}, 1, 2),
            "retrain_epochs": ({"initial_epochs": 1}, 1, 2),
            "initial_steps": ({"initial_epochs": 1, "batch_size": 10}, None, 2),
            "retrain_steps": ({"initial_epochs": 1, "batch_size": 10}, None, 2),
            "batch_size": ({"initial_epochs": 1}, 10, 20),
            "lr": ({"initial_epochs": 1}, 1e-3, 1e-2),
            "retrain_lr": ({"initial_epochs": 1}, None, 1e-2),
            "variance_reduction": ({"initial_epochs": 1}, "replicate", "sample"),
            "w_max": ({"initial_epochs": 1}, 5.0, 2.0),
            "retrain": ({"initial_epochs": 1}, "finetune", "scratch"),
            "grad_clip": ({"initial_epochs": 1, "batch_size": 10}, None, 1e-8),
            "beta_schedule": ({"initial_epochs": 1}, None, GeometricBeta(start=1e-3)),
        },
    ),
    "WeightedRetrainingOptimizer": (
        None,
        {
            "encoder": ({}, networks()[0], nn.Linear(12, 6)),
            "decoder": ({}, networks()[1], nn.Linear(3, 12)),
            "model": ({}, VAE(*networks()), VAE(*networks(), beta=9.0)),
            "likelihood": ({}, "bernoulli", "gaussian"),
            "beta": ({}, 1.0, 9.0),
            "codec": ({}, None, Opposite()),
            "feasible": ({}, None, lambda x: x[0] == 1),
            "outcomes": ({}, None, [Minimize("y")]),
            "candidates": ({}, None, words(300, most=12, seed=1)),
            "generate": ({"acquisition": None, "candidates": words(300, most=12, seed=1)}, True, False),
            "direction": ({}, "maximize", "minimize"),
            "weighting": ({}, None, UniformWeighting()),
            "surrogate": ({}, None, SparseGP(kernel="matern52")),
            "acquisition": ({}, None, UpperConfidenceBound(5.0)),
            "trainer": ({}, None, Trainer(initial_epochs=3)),
            "retrain_every": ({}, 3, None),
            "refit_every": ({"retrain_every": None}, None, 1),
            "unlabelled_share": ({}, 0.9, 0.0),
            "device": ({}, "cpu", "no such device"),
            "random_state": ({}, 0, 1),
            "verbose": ({}, 0, 1),
            "callbacks": ({}, (), [Listener()]),
        },
    ),
}
CASES = [(name, argument) for name, (_, arguments) in TABLE.items() for argument in arguments]


def classes():
    """The estimators that the faces hand out, apart from tasks, which are a problem and no setting."""
    found = {"GeometricBeta": GeometricBeta, "DerivationFragments": DerivationFragments}
    for face in ("", ".acquisition", ".surrogate", ".weighting", ".training", ".models"):
        module = importlib.import_module(f"wrlso{face}")
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isclass(value) and issubclass(value, BaseEstimator):
                found[name] = value
    return found


def plain(value):
    """Return what was seen without arrays."""
    if isinstance(value, torch.Tensor):
        value = value.detach().numpy()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def test_every_argument_is_in_the_table():
    assert {name: set(arguments) for name, (_, arguments) in TABLE.items()} == {
        name: set(inspect.signature(cls).parameters) for name, cls in classes().items()
    }
    assert set(TABLE) <= {*wrlso.__all__, *wrlso.acquisition.__all__, "DerivationFragments"}


@pytest.mark.parametrize(("name", "argument"), CASES)
def test_an_argument_that_changes_alone_is_seen(name, argument):
    view, arguments = TABLE[name]
    others, one, other = arguments[argument]
    cls = classes()[name]

    def seen(value):
        options = others | {argument: value}
        if argument == "model":
            options |= {"encoder": None, "decoder": None}
        return repr(plain(of_optimizer(options) if view is None else view(cls(**options))))  # NaN equals NaN

    first = seen(one)
    assert first == seen(one)  # what differs by chance would show nothing
    assert first != seen(other)
