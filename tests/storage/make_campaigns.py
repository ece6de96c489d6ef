"""Campaigns of every kind, as a version before the first release stored them, and what comes back from them.

``python make_campaigns.py NAME ...`` makes folders anew in ``tests/data/campaigns``, each with a NAME.json of
what is expected. That is for new kinds only: the point of the others is that they are old.

The networks are small and hardly trained: what counts is that everything is found again.
"""

import csv
import gc
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from wrlso import (
    VAE,
    CandidatePool,
    CEMPIWeighting,
    DbASWeighting,
    FeatureGP,
    GeometricBeta,
    GrammarVAE,
    LatentSearch,
    LogExpectedImprovement,
    Mixture,
    MorganCounts,
    PriorSampling,
    RankWeighting,
    RWRWeighting,
    SparseGP,
    TanimotoGP,
    ThompsonSampling,
    Trainer,
    UniformWeighting,
    UpperConfidenceBound,
    WeightedRetrainingOptimizer,
    coordinate_vae,
    rank_weights,
)
from wrlso.acquisition import Near
from wrlso.campaign import export
from wrlso.models import DerivationFragments, JunctionTreeVAE, SelfiesVAE, clique_vocabulary
from wrlso.molecules import molecule_search
from wrlso.storage import campaign_info

HERE = Path(__file__).parent
FOLDER = HERE.parent / "data" / "campaigns"
MODULES = ("encoder", "decoder", "model", "codec", "callbacks")  # have no representation worth comparing
LETTERS, LENGTH = "CNO=-", 6
GRAMMAR = "S -> S '+' T | S '*' T | T \n T -> '(' S ')' | 'x' | '1' | '2'"
MOLECULES = [
    *("CCO", "CCN", "CC=O", "C1CCCCC1", "CC(=O)N", "O=CN(C)C"),
    *("CCCC", "CCCO", "CC(C)O", "C1CCCC1O", "CCOC", "NCCO"),
]
TOKENS = ["[C]", "[=C]", "[O]", "[N]", "[Branch1]", "[Ring1]", "[=O]", "[=Branch1]"]

Arguments = dict[str, Any]


class Kind(NamedTuple):
    """How a campaign is made in a folder, and what ``load`` needs for it."""

    make: Callable[[Path], None]
    arguments: Callable[[Path], Arguments]
    shell: bool = False  # whether the shell made it


# ---------------------------------------------------------------- models of one's own


def seeded(build: Callable[[], Any], seed: int = 0) -> Any:
    """Return what a function builds, with weights that are always the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def dense(n_in: int, n_out: int, d: int = 3) -> Arguments:
    """Return an encoder and a decoder of one hidden layer."""

    def build() -> Arguments:
        encoder = nn.Sequential(nn.Linear(n_in, 12), nn.Tanh(), nn.Linear(12, 2 * d))
        decoder = nn.Sequential(nn.Linear(d, 12), nn.Tanh(), nn.Linear(12, n_out))
        return {"encoder": encoder, "decoder": decoder}

    return seeded(build)


class Codec:
    """Strings of six letters to class indices and back."""

    def transform(self, X: Sequence[str]) -> np.ndarray:
        return np.array([[LETTERS.index(letter) for letter in x] for x in X], dtype=np.int64)

    def inverse_transform(self, array: np.ndarray) -> list[str]:
        return ["".join(LETTERS[i] for i in row) for row in array]


def string_networks() -> Arguments:
    """Return an encoder of class indices and a decoder to logits of classes."""

    def build() -> Arguments:
        n = len(LETTERS)
        encoder = nn.Sequential(nn.Embedding(n, 3), nn.Flatten(), nn.Linear(3 * LENGTH, 12), nn.Tanh())
        encoder.append(nn.Linear(12, 6))
        decoder = nn.Sequential(nn.Linear(3, 12), nn.Tanh(), nn.Linear(12, LENGTH * n))
        decoder.append(nn.Unflatten(1, (LENGTH, n)))
        return {"encoder": encoder, "decoder": decoder}

    return seeded(build)


def string_model() -> VAE:
    """Return a model of strings; the shell knows it as ``make_campaigns:string_model``."""
    return VAE(**string_networks(), likelihood="categorical", codec=Codec())


def starts_plainly(x: str) -> bool:
    """Say whether a string may be proposed."""
    return x[0] not in "=-"


def score(x: str) -> float:
    """Return the value of a string."""
    return x.count("N") - 0.25 * x.count("C")


def strings(n: int = 20) -> list[str]:
    """Return distinct strings."""
    rng = np.random.default_rng(0)
    drawn = ("".join(rng.choice(list(LETTERS), LENGTH, p=[0.4, 0.1, 0.3, 0.1, 0.1])) for _ in range(4 * n))
    return list(dict.fromkeys(drawn))[:n]


def squares(size: int) -> np.ndarray:
    """Return images (n, size, size) of filled squares."""
    X = np.zeros((3, 4, size, size), dtype=np.uint8)
    for i in range(3):
        for j in range(4):
            X[i, j, i : i + j + 2, 2 * i : 2 * i + j + 2] = 1
    return X.reshape(-1, size, size)


# ---------------------------------------------------------------- the campaigns


def bernoulli(folder: Path) -> None:
    """Make one that was saved at every step: values, failures and corrections of many kinds, conditioned."""
    X = (np.random.default_rng(0).random((24, 12)) < 0.4).astype(np.uint8)
    opt = WeightedRetrainingOptimizer(
        **dense(12, 12),
        weighting=RankWeighting(k=0.1),
        surrogate=SparseGP(max_iter=10, warm_iter=5),
        acquisition=LogExpectedImprovement(search=CandidatePool(n_candidates=100), xi=0.01),
        trainer=Trainer(initial_epochs=5, retrain_epochs=2, batch_size=8, lr=0.01),
        retrain_every=8,
        refit_every=4,
        random_state=0,
    )
    opt.fit(X, [None, None, *X[2:].sum(axis=1)]).autosave(folder)
    for _ in range(14):  # trained after 8, fitted again after 4 more, conditioned on the last two
        x = opt.ask()
        opt.tell(x, float(x.sum()))
    first, second, third, _ = opt.ask(4)
    opt.tell(X[3], 6.5).update(X[5], 0.5).release(first)
    opt.tell(second, None, reason="the reactor leaked").tell(third, None)
    opt.notes_.update(who="me", batch="naïve, 2")
    del opt.notes_["batch"]
    opt.notes_["batch"] = "three"


def categorical(folder: Path) -> None:
    """Make one of strings with a codec and a test of one's own, smaller is better, ascent in Z."""
    opt = WeightedRetrainingOptimizer(
        **string_networks(),
        likelihood="categorical",
        beta=0.5,
        codec=Codec(),
        feasible=starts_plainly,
        direction="minimize",
        weighting=DbASWeighting(quantile=0.7, noise=0.5),
        surrogate=SparseGP(n_inducing=10, max_iter=10, kernel="matern52", transform="winsorize"),
        acquisition=UpperConfidenceBound(1.5, search=LatentSearch(n_starts=3, n_raw=64, max_iter=5)),
        trainer=Trainer(initial_epochs=3, batch_size=8, lr=0.01, w_max=2.0, retrain_lr=0.005, grad_clip=1.0),
        retrain_every=6,
        random_state=1,
    ).fit(strings(), [score(x) for x in strings()])
    opt.autosave(folder)
    for _ in range(5):
        X = opt.ask(2)
        opt.tell(X, [score(x) for x in X])
    x, _ = opt.ask(2)
    opt.tell(x, None, reason="lost")


def gaussian(folder: Path) -> None:
    """Make one of vectors, saved once, trained from scratch each time, with values by Thompson sampling."""
    X = np.random.default_rng(0).normal(size=(20, 5))
    opt = WeightedRetrainingOptimizer(
        **dense(5, 5, d=2),
        likelihood="gaussian",
        weighting=RWRWeighting(alpha=2.0),
        surrogate=SparseGP(max_iter=10, n_best=8, n_random=6),
        acquisition=ThompsonSampling(search=CandidatePool(n_candidates=100, generations=2)),
        trainer=Trainer(
            initial_epochs=4,
            batch_size=8,
            lr=0.01,
            variance_reduction="sample",
            retrain="scratch",
            beta_schedule=GeometricBeta(warmup=2, every=2),
        ),
        retrain_every=3,
        refit_every=None,
        unlabelled_share=0.2,
        random_state=np.random.RandomState(2),
    ).fit(X, [None if i % 4 == 0 else float(-abs(x).sum()) for i, x in enumerate(X)])
    for _ in range(4):
        X = opt.ask(2)
        opt.tell(X, [None, float(-abs(X[1]).sum())])
    opt.ask(3)
    opt.save(folder)


def prior(folder: Path) -> None:
    """Make one that samples the model without a surrogate, weighted by a function of the library."""
    X = (np.random.default_rng(1).random((12, 10)) < 0.4).astype(float)
    opt = WeightedRetrainingOptimizer(
        **dense(10, 10, d=2),
        weighting=rank_weights,
        acquisition=PriorSampling(temperature=2.0),
        trainer=Trainer(initial_epochs=1, batch_size=8),
        retrain_every=None,
        random_state=3,
    ).fit(X, X.sum(axis=1))
    X = opt.ask(3)
    opt.tell(X[:2], [float(X[0].sum()), None])
    opt.save(folder)


def coordinates(folder: Path) -> None:
    """Make one of images with two acquisition functions in turn, fitted where points are likely."""
    X = squares(16)
    opt = WeightedRetrainingOptimizer(
        model=small_coordinate_vae(),
        direction="maximize",
        weighting=CEMPIWeighting(quantile=0.6),
        surrogate=SparseGP(max_iter=10, kernel="linear+rbf", inducing="greedy", max_noise=0.1),
        acquisition=Mixture(
            [LogExpectedImprovement(), UpperConfidenceBound(beta=1.0)],
            [2, 1],
            search=CandidatePool(n_candidates=60, generations=2, parents=(0.1, 1.0)),
        ),
        trainer=Trainer(initial_epochs=3, batch_size=8, lr=0.01),
        retrain_every=4,
        random_state=4,
    ).fit(X, X.sum(axis=(1, 2)))
    opt.autosave(folder)
    for _ in range(3):
        X = opt.ask(2)
        opt.tell(X, [float(x.sum()) for x in X])
    opt.ask()


def small_coordinate_vae() -> VAE:
    return coordinate_vae(image_size=16, width=6, label_smoothing=0.05, random_state=0)


def grammar(folder: Path) -> None:
    """Make one of formulas, judged by fragments of their derivations."""
    X = ["x", "1", "x + 1", "x * 2", "( x + 1 ) * 2", "2 * 2", "x + x", "1 + 2", "x * x", "( x )", "2"]
    opt = WeightedRetrainingOptimizer(
        model=small_grammar_vae(),
        weighting=RankWeighting(k=float("inf")),
        surrogate=FeatureGP(
            DerivationFragments(GRAMMAR, 64), SparseGP(40, n_hyper=30, max_iter=10, ard=False)
        ),
        acquisition=Mixture(
            [LogExpectedImprovement(), ThompsonSampling()],
            search=CandidatePool(60, generations=1, sources=[Near(temperature=2.0)]),
        ),
        trainer=Trainer(initial_epochs=3, batch_size=8, lr=0.01),
        retrain_every=4,
        random_state=5,
    ).fit(X, [float(len(x)) for x in X])
    opt.autosave(folder)
    for _ in range(3):
        X = opt.ask(2)
        opt.tell(X, [float(len(x)) for x in X])
    opt.tell(opt.ask(3)[0], None)


def small_grammar_vae() -> GrammarVAE:
    return seeded(lambda: GrammarVAE(GRAMMAR, max_rules=9, latent_dim=3, hidden=12))


def selfies(folder: Path) -> None:
    """Make one of molecules whose vocabulary grew, with what ``molecule_search`` takes by itself."""
    X = MOLECULES
    opt = molecule_search(
        X,
        [None, *(float(len(x)) for x in X[1:])],
        model=small_selfies_vae(),
        direction="minimize",
        retrain_every=4,
        random_state=6,
    )
    opt.autosave(folder)
    for _ in range(3):
        X = opt.ask(2)
        opt.tell(X, [float(len(x)) for x in X])
    opt.extend(["CCF", "CCS"]).tell(["CCF", "CCCF"], [4.5, None], reason="volatile")
    opt.ask(2)


def small_selfies_vae() -> SelfiesVAE:
    return seeded(lambda: SelfiesVAE(TOKENS, width=8, hidden=8, chunk_dim=1, max_tokens=24))


def trees(folder: Path) -> None:
    """Make one of molecules as junction trees, with stereochemistry, all points weighing the same."""
    X = [*MOLECULES, "C[C@H](N)O"]
    opt = WeightedRetrainingOptimizer(
        model=small_tree_vae(),
        weighting=UniformWeighting(),
        surrogate=TanimotoGP(MorganCounts(2, chirality=True), linear=0.2, transform="standardize"),
        acquisition=LogExpectedImprovement(CandidatePool(40, generations=1)),
        trainer=Trainer(initial_epochs=2, batch_size=8),
        retrain_every=4,
        random_state=7,
    ).fit(X, [float(len(x)) for x in X])
    opt.autosave(folder)
    for _ in range(3):
        X = opt.ask(2)
        opt.tell(X, [float(len(x)) for x in X])
    opt.ask(2)


def small_tree_vae() -> JunctionTreeVAE:
    vocabulary = clique_vocabulary(MOLECULES, progress=False)
    return seeded(
        lambda: JunctionTreeVAE(
            vocabulary, stereo=True, hidden=6, tree_dim=1, graph_dim=1, tree_depth=3, max_length=256
        )
    )


# ---------------------------------------------------------------- campaigns from the shell


def from_shell(folder: Path, x: str, X: Sequence[str], values: Sequence[Any], *options: str) -> None:
    """Make one with ``init``, ``ask``, ``tell``, ``update`` and ``release``."""
    work = folder.parent
    model = ["--model", options[1]]  # a name that is code must be given each time
    _write_table(work / "start.csv", [x, "value"], zip(X, values, strict=True))
    _wrlso(work, "init", folder.name, "--data", "start.csv", "--seed", "8", *options)
    _wrlso(work, "ask", folder.name, "-n", "4", "--out", "batch.csv", *model)
    with open(work / "batch.csv", encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    place = header.index("value")
    for row, value in zip(rows, ("1.5", "failed", "", "2"), strict=True):
        row[place] = value
    _write_table(work / "batch.csv", header, rows)
    _wrlso(work, "tell", folder.name, "batch.csv", *model)
    _wrlso(work, "update", folder.name, rows[3][header.index("id")], "2.5", *model)
    _wrlso(work, "ask", folder.name, "-n", "2", "--out", "next.csv", *model)
    for name in ("start.csv", "batch.csv", "next.csv"):
        (work / name).unlink()


def shell_own(folder: Path) -> None:
    """Make one of a model that is the user's own code, smaller is better."""
    X = strings(15)
    options = ("--model", "make_campaigns:string_model", "--direction", "minimize", "--epochs", "2")
    from_shell(folder, "formula", X, [score(x) for x in X], *options, "--batch-size", "8")


def shell_file(folder: Path) -> None:
    """Make one of a model of molecules from a file, of which it keeps a copy."""
    small_tree_vae().to_file(folder.parent / "small.safetensors")
    values = ["" if i == 2 else "failed" if i == 4 else len(x) for i, x in enumerate(MOLECULES)]
    from_shell(folder, "SMILES", MOLECULES, values, "--model", "small.safetensors", "--retrain-every", "3")
    (folder.parent / "small.safetensors").unlink()


def _wrlso(folder: Path, *arguments: str) -> str:
    """Run a command in a folder and return what it printed."""
    command = [sys.executable, "-m", "wrlso", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=_environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _environment() -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")]))
    return os.environ | {"PYTHONPATH": path, "COLUMNS": "100", "TZ": "UTC"}


def _write_table(path: Path, header: Sequence[str], rows: Any) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])


# ---------------------------------------------------------------- all of them

KINDS: dict[str, Kind] = {
    "bernoulli": Kind(bernoulli, lambda folder: dense(12, 12)),
    "categorical": Kind(
        categorical, lambda folder: string_networks() | {"codec": Codec(), "feasible": starts_plainly}
    ),
    "gaussian": Kind(gaussian, lambda folder: dense(5, 5, d=2)),
    "prior": Kind(prior, lambda folder: dense(10, 10, d=2)),
    "coordinate_vae": Kind(coordinates, lambda folder: {"model": small_coordinate_vae()}),
    "grammar": Kind(grammar, lambda folder: {"model": small_grammar_vae()}),
    "selfies": Kind(selfies, lambda folder: {"model": small_selfies_vae()}),
    "junction_tree": Kind(trees, lambda folder: {"model": small_tree_vae()}),
    "shell_own": Kind(shell_own, lambda folder: {"model": string_model()}, shell=True),
    "shell_file": Kind(
        shell_file,
        lambda folder: {"model": JunctionTreeVAE.from_file(folder / "pretrained.safetensors")},
        shell=True,
    ),
}


def load(name: str, folder: Path, *, autosave: bool = True) -> WeightedRetrainingOptimizer:
    """Return the optimizer of a campaign; what it does is written to the folder."""
    return WeightedRetrainingOptimizer.load(folder, autosave=autosave, **KINDS[name].arguments(folder))


def state(opt: WeightedRetrainingOptimizer) -> dict[str, Any]:
    """Return what is known of a campaign as texts and numbers, floats with all their digits."""
    history = opt.history_
    return {
        "n": len(history),
        "y": [y.hex() for y in opt.y_.tolist()],
        "best": [_text(opt.best_x_), opt.best_y_.hex()],
        "pending": [_text(opt.model_.key(x)) for x in opt.pending_],
        "keys": [_text(record.key) for record in history],
        "records": [
            [record.status, record.values, record.asked, record.n_failures, record.reason, record.revisions]
            for record in history
        ],
        "asked": [[_text(record.z), _text(record.prediction)] for record in history],
        "times": [[record.asked_at, record.told_at] for record in history],
        "searches": [[ask.strategy, ask.n_decoded, ask.rejected] for ask in history.asks],
        "trainings": [
            [log["n_observed"], [_text(epoch["loss"]) for epoch in log["epochs"]]]
            for log in history.trainings
        ],
        "n_start": history.n_start,
        "training_due": opt.training_due_,
        "notes": dict(opt.notes_),
        "parameters": {
            key: _described(value) for key, value in opt.get_params(deep=False).items() if key not in MODULES
        },
        "weights": opt.weights_.tolist(),
        "model": {key: _text(tensor.numpy()) for key, tensor in opt.model_.state_dict().items()},
    }


def next_asked(opt: WeightedRetrainingOptimizer, n: int = 2) -> list[list[str]]:
    """Ask for n points and return key, place in Z and prediction of each."""
    history, key = opt.history_, opt.model_.key
    records = [history.records[history.row(key(x))] for x in opt.ask(n)]
    return [[_text(record.key), _text(record.z), _text(record.prediction)] for record in records]


def _described(value: Any) -> str:
    """Return a parameter's text, without its address in memory."""
    if isinstance(value, np.random.RandomState):
        return f"RandomState {_text(value.get_state()[1])}"
    return getattr(value, "__name__", None) or repr(value)


def _text(value: Any) -> str | None:
    """Return a text that two values share only if they are equal to the last bit."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float):
        return float(value).hex()
    if isinstance(value, tuple):
        return " ".join(str(_text(part)) for part in value)
    array = np.asarray(value)
    digest = hashlib.sha256(f"{array.dtype.str} {array.shape}".encode())
    digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:32]


def make(name: str) -> None:
    """Make a campaign and the JSON of what must come back from it."""
    target = FOLDER / name
    shutil.rmtree(target, ignore_errors=True)
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / name
        KINDS[name].make(made)
        gc.collect()  # closes the journal, so that it is one file
        for lock in made.glob("*.lock"):
            lock.unlink()
        shutil.copytree(made, target)
        opt = load(name, made)
        info = campaign_info(made)
        expected = {
            "needs": info["needs"],
            "counts": info["counts"],
            "export": export(made) if KINDS[name].shell else "",
            "state": state(opt),
        }
    text = json.dumps(expected, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    target.with_suffix(".json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for wanted in sys.argv[1:]:
        make(wanted)
