"""Whether two versions of the library search alike: ``python -m wrlso.benchmarks.speed.same_asks``.

Five short searches, one for each kind of model, with fixed seeds: 30 queries and one retraining each. What
they did is written down to the last bit: every x, what it was told, where in Z it was asked, what the
surrogate expected, and the model and the weights in the end. On one machine, with the same versions of the
packages below, two versions of this library that search alike write the same.

``same_asks OUT.json [NAME ...]`` runs all searches, or those that are named, and
``same_asks --compare A.json B.json`` says of each whether it was identical, or what differs first. The exit
code is 1 where something differs, or where the files have no search in common.
"""

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from wrlso._version import __version__
from wrlso.acquisition.functions import LogExpectedImprovement
from wrlso.acquisition.latent_search import LatentSearch
from wrlso.datasets.molecules import load_molecules
from wrlso.models.junction_tree.vae import JunctionTreeVAE
from wrlso.models.selfies.vae import SelfiesVAE
from wrlso.molecules import molecule_search
from wrlso.optimizer import WeightedRetrainingOptimizer
from wrlso.tasks.expressions.task import Expressions
from wrlso.tasks.molecules.tasks import QED, PenalizedLogP
from wrlso.tasks.shapes import Shapes
from wrlso.training.trainer import Trainer
from wrlso.weighting import RankWeighting

__all__ = ["SEARCHES", "Search", "compare", "first_difference", "main", "record"]

N_QUERIES = 30
RETRAIN_EVERY = 15


class Search(NamedTuple):
    """A fitted optimizer, what it searches for, and how many points it is asked for at once."""

    optimizer: WeightedRetrainingOptimizer
    objective: Callable[[Any], float]
    batch: int


# ---------------------------------------------------------------- the searches


def images() -> Search:
    """Grow squares, by ascent in Z."""
    task = Shapes(subset=150)
    X, y = task.initial_data(0)
    optimizer = WeightedRetrainingOptimizer(
        model=task.model(0),
        weighting=RankWeighting(k=1e-2),
        acquisition=LogExpectedImprovement(LatentSearch(n_starts=5, n_raw=128)),
        trainer=Trainer(initial_epochs=5),
        retrain_every=RETRAIN_EVERY,
        random_state=0,
    )
    return Search(optimizer.fit(X, y), task.objective, 1)


def formulas() -> Search:
    """Find an arithmetic expression, judged by fragments of its derivation."""
    task = Expressions(n_start=300)
    X, y = task.initial_data(0)
    optimizer = WeightedRetrainingOptimizer(
        model=task.model(0),
        surrogate=task.surrogate(),
        acquisition=task.acquisition(),
        trainer=Trainer(initial_epochs=5),
        retrain_every=RETRAIN_EVERY,
        random_state=1,
    )
    return Search(optimizer.fit(X, y), task.objective, 2)


def selfies() -> Search:
    """Make molecules less drug-like than those at the start, with the model that ships."""
    X = list(load_molecules().smiles[:2000:20])
    objective = QED().objective
    optimizer = molecule_search(
        X,
        [objective(x) for x in X],
        model=SelfiesVAE.pretrained(),
        direction="minimize",
        retrain_every=RETRAIN_EVERY,
        random_state=2,
    )
    return Search(optimizer, objective, 5)


def trees() -> Search:
    """Raise penalised logP with the junction trees that ship."""
    X = list(load_molecules().smiles[5:2005:20])
    objective = PenalizedLogP().objective
    optimizer = molecule_search(
        X,
        [objective(x) for x in X],
        model=JunctionTreeVAE.pretrained(),
        retrain_every=RETRAIN_EVERY,
        random_state=3,
    )
    return Search(optimizer, objective, 5)


def bits() -> Search:
    """Set bits that lie in pairs, with two networks of one's own and the default everything."""
    X = (np.random.default_rng(0).random((100, 20)) < 0.3).astype(np.uint8)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = nn.Sequential(nn.Linear(20, 32), nn.Tanh(), nn.Linear(32, 8))
        decoder = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 20))
    optimizer = WeightedRetrainingOptimizer(encoder, decoder, retrain_every=RETRAIN_EVERY, random_state=4)
    return Search(optimizer.fit(X, [_pairs(x) for x in X]), _pairs, 1)


def _pairs(x: Any) -> float:
    return float(np.sum(x) + 2 * np.sum(x[::2] * x[1::2]))


SEARCHES: dict[str, Callable[[], Search]] = {
    "images": images,
    "formulas": formulas,
    "selfies": selfies,
    "trees": trees,
    "bits": bits,
}


# ---------------------------------------------------------------- what they did


def record(search: Search, n_queries: int = N_QUERIES) -> dict[str, Any]:
    """Search, and return all that was asked and learned.

    Parameters
    ----------
    search : Search
    n_queries : int, default=30

    Returns
    -------
    dict
        "queries" (a dict a point: "x", "y", "z", "mean" and "sd"), "trainings" (the loss of each epoch),
        "weights" and "model" (hashes). Floats are texts of all their digits.
    """
    optimizer, objective, batch = search
    history = optimizer.history_
    queries: list[dict[str, Any]] = []
    while len(queries) < n_queries:
        X = optimizer.ask(min(batch, n_queries - len(queries)))
        values = [objective(x) for x in X]
        for x, y in zip(X, values, strict=True):
            row = history.row(optimizer.model_.key(x))
            asked = history.records[-1 if row is None else row]
            mean, deviation = (None, None) if asked.prediction is None else asked.prediction
            queries.append(
                {
                    "x": _text(x),
                    "y": _text(y),
                    "z": _text(asked.z),
                    "mean": _text(mean),
                    "sd": _text(deviation),
                }
            )
        optimizer.tell(X, values)
    return {
        "queries": queries,
        "trainings": [[_text(epoch["loss"]) for epoch in log["epochs"]] for log in history.trainings],
        "weights": _text(optimizer.weights_),
        "model": _model_hash(optimizer.model_),
    }


def _text(value: Any) -> str | None:
    """Return a text that two values share only if they are equal to the last bit."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float):
        return float(value).hex()
    array = np.asarray(value)
    digest = hashlib.sha256(f"{array.dtype.str} {array.shape}".encode())
    digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:32]


def _model_hash(model: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(f"{name} {_text(tensor.detach().cpu().numpy())}\n".encode())
    return digest.hexdigest()[:32]


# ---------------------------------------------------------------- comparing


def first_difference(a: Any, b: Any, place: str = "") -> str | None:
    """Return where two values made of dicts, lists and texts first differ, and how; None if they do not."""
    if isinstance(a, dict) and isinstance(b, dict):
        if list(a) != list(b):
            return f"{place or 'all'}: has {', '.join(a)}, then {', '.join(b)}"
        pairs = [(f"{place}.{key}".lstrip("."), a[key], b[key]) for key in a]
    elif isinstance(a, list) and isinstance(b, list):
        pairs = [(f"{place}[{i}]", x, y) for i, (x, y) in enumerate(zip(a, b, strict=False))]
        if len(a) != len(b):
            pairs.append((f"{place}, length", len(a), len(b)))
    else:
        return None if a == b else f"{place}: {a!r}, then {b!r}"
    return next((found for name, x, y in pairs if (found := first_difference(x, y, name)) is not None), None)


def compare(a: Path, b: Path) -> tuple[list[str], bool]:
    """Compare two files that :func:`main` wrote.

    Parameters
    ----------
    a, b : Path

    Returns
    -------
    list of str
        A line for each search.
    bool
        Whether all that are in both files are identical, and there are some.
    """
    found = [json.loads(path.read_text(encoding="utf-8"))["searches"] for path in (a, b)]
    lines, same = [], []
    for name in dict.fromkeys([*found[0], *found[1]]):
        missing = [str(path) for path, searches in zip((a, b), found, strict=True) if name not in searches]
        if missing:
            lines.append(f"{name}: not in {missing[0]}")
            continue
        difference = first_difference(found[0][name], found[1][name])
        same.append(difference is None)
        lines.append(f"{name}: {'identical' if difference is None else difference}")
    return lines, bool(same) and all(same)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; see the module's text."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path, nargs="?", metavar="OUT.json", help="where the record is written")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SEARCHES)}; none: all")
    parser.add_argument("--compare", type=Path, nargs=2, metavar=("A.json", "B.json"))
    options = parser.parse_args(arguments)
    if options.compare is not None:
        lines, same = compare(*options.compare)
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        return 0 if same else 1
    if options.out is None:
        parser.error("name the file to write, or --compare two of them")
    if unknown := [name for name in options.names if name not in SEARCHES]:
        parser.error(f"there is no search {unknown[0]!r}; there are {', '.join(SEARCHES)}")
    torch.set_num_threads(1)
    found: dict[str, Any] = {"wrlso": __version__, "seconds": {}, "searches": {}}
    for name in options.names or SEARCHES:
        start = time.perf_counter()
        found["searches"][name] = record(SEARCHES[name]())
        found["seconds"][name] = round(time.perf_counter() - start, 1)
        sys.stdout.write(f"{name}: {found['seconds'][name]} s\n")
        sys.stdout.flush()
    options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
