"""Speed of models of molecules, and whether decoding ends: ``python -m wrlso.benchmarks.molecules.models``.

Rates are molecules per second of the processor, for whole batches and for a loop over single molecules, with
the same model in the same run on one thread. ``--points`` also decodes latent points of three kinds: samples
near the data, extreme points, and points of a search that follows a surrogate far from the data.
"""

import argparse
import copy
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wrlso._chemistry.smiles import canonical
from wrlso._utils.progress_bar import ProgressBar
from wrlso._utils.validation import check_choice, check_count
from wrlso.benchmarks.molecules.pretrain import split
from wrlso.benchmarks.records import file_name, machine, versions, write_record
from wrlso.datasets.molecules import canonical_smiles, fetch_zinc250k
from wrlso.exceptions import DataError
from wrlso.models.files import load_molecule_model
from wrlso.models.junction_tree.vae import JunctionTreeVAE
from wrlso.models.molecules.base import MoleculeVAE
from wrlso.models.selfies.vae import SelfiesVAE
from wrlso.models.workers import decode_in_workers
from wrlso.surrogate.sparse_gp import SparseGP
from wrlso.tasks.molecules.tasks import PenalizedLogP

__all__ = ["KINDS", "in_workers", "latent_points", "main", "rates", "walk"]

KINDS = ("data", "extreme", "optimized")
_REPEATS = 3
_BATCH, _STEP = 512, 64  # molecules in a batch, and in a training step
_FAR = 10.0  # largest coordinate of extreme points
_ASCENT, _AHEAD = 200, 0.1  # steps of the ascent, and their length


def rates(model: MoleculeVAE, X: Sequence[str], n_alone: int = 32) -> dict[str, dict[str, float]]:
    """Return molecules per second of the processor: ``batch``, ``alone``, and the first over the second.

    Parameters
    ----------
    model : SelfiesVAE or JunctionTreeVAE
        Its weights stay as they are.
    X : sequence of n str
        Molecules that the model has not read before, because it caches them. Unreadable ones are left out.
    n_alone : int, default=32
        Molecules processed one by one.

    Returns
    -------
    dict
        For "read" (SMILES to rows), "encode", "decode" (at temperature 0) and "train" (a step of Adam).

    Raises
    ------
    DataError
        When the model can read none of X.
    """
    start = time.process_time()
    known = [x for x in X if model._can_read(x)]
    if not known:
        raise DataError(f"X must hold molecules that the model can read, got {len(X)} unreadable ones")
    inputs = model.tensorize(known)
    read = len(X) / (time.process_time() - start)
    Z = model.encode(inputs[:_BATCH])
    stages: dict[str, tuple[Callable[[Tensor], Any], int]] = {
        "encode": (model.encode, _BATCH),
        "decode": (model.decode, _BATCH),
        "train": (_training(copy.deepcopy(model)), _STEP),
    }
    found = {"read": {"batch": read}}
    for name, (call, size) in stages.items():
        rows = (Z if name == "decode" else inputs)[:size]
        _timed(call, [rows[:2]])  # one-time work
        pairs = [(_timed(call, [rows]), _timed(call, list(rows[:n_alone].split(1)))) for _ in range(_REPEATS)]
        whole, alone = (float(np.median(column)) for column in zip(*pairs, strict=True))
        found[name] = {"batch": whole, "alone": alone, "ratio": whole / alone}
    return {
        name: {key: float(f"{rate:.4g}") for key, rate in values.items()} for name, values in found.items()
    }


def _timed(call: Callable[[Tensor], Any], parts: Sequence[Tensor]) -> float:
    """Return rows per second."""
    start = time.process_time()
    for part in parts:
        call(part)
    return sum(map(len, parts)) / (time.process_time() - start)


def _training(model: MoleculeVAE) -> Callable[[Tensor], None]:
    optimizer = torch.optim.Adam(model.parameters(), lr=0.0)

    model.train()

    def step(rows: Tensor) -> None:
        optimizer.zero_grad()
        model.loss(rows).mean().backward()
        optimizer.step()

    return step


def in_workers(model: MoleculeVAE, Z: Tensor, n_jobs: int) -> dict[str, float]:
    """Compare decoding in worker processes with decoding in this one.

    Parameters
    ----------
    model : SelfiesVAE or JunctionTreeVAE
    Z : Tensor (n, d)
    n_jobs : int
        Processes of :func:`wrlso.models.decode_in_workers`, started before the time is taken.

    Returns
    -------
    dict
        ``here`` and ``workers``: latent points per second of the clock, medians of three; ``ratio``: the
        second over the first; ``same``: share of equal results (rounding depends on batches).
    """
    seconds: dict[str, list[float]] = {"here": [], "workers": []}
    decode_in_workers(model, Z, n_jobs=n_jobs)
    for _ in range(_REPEATS):
        start = time.perf_counter()
        expected = model.decode(Z)
        between = time.perf_counter()
        found = decode_in_workers(model, Z, n_jobs=n_jobs)
        seconds["workers"].append(time.perf_counter() - between)
        seconds["here"].append(between - start)
    same = [x == y for x, y in zip(expected, found, strict=True)]
    here, shared = (len(Z) / float(np.median(seconds[name])) for name in ("here", "workers"))
    return {
        "n_jobs": n_jobs, "here": round(here, 1), "workers": round(shared, 1),
        "ratio": round(shared / here, 3), "same": float(np.mean(same)),
    }  # fmt: skip


def latent_points(
    kind: str, model: MoleculeVAE, Z: Tensor, y: np.ndarray, n: int, seed: int = 0
) -> Iterator[Tensor]:
    """Yield batches of latent points (m, d), n in all.

    Parameters
    ----------
    kind : {"data", "extreme", "optimized"}
        Samples of ``sample_prior``; uniform in [-10, 10]^d; the paths of a gradient ascent, from data and far
        beyond it, on the upper confidence bound of a Gaussian process.
    model : SelfiesVAE or JunctionTreeVAE
    Z, y : (k, d) and (k,)
        Encodings and values for the process.
    n, seed : int
    """
    check_choice("kind", kind, KINDS)
    generator = torch.Generator().manual_seed(seed)
    sizes = [min(_BATCH, n - first) for first in range(0, n, _BATCH)]
    path = _ascent(Z, y, generator) if kind == "optimized" else iter(())
    for size in sizes:
        if kind == "data":
            yield model.sample_prior(size, generator)
        elif kind == "extreme":
            yield _FAR * (2.0 * torch.rand(size, model.latent_dim, generator=generator) - 1.0)
        else:
            yield next(path)[:size].float()


def _ascent(Z: Tensor, y: np.ndarray, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield points (512, d) after every tenth step of the ascent, with new starts after each ascent."""
    gp = SparseGP(200, n_best=1000, n_random=1000, kernel="matern52", n_trained=0).fit(
        Z.double(), torch.from_numpy(y), np.random.default_rng(0)
    )
    unit = Z.double().std(dim=0)
    while True:
        at = Z.double()[torch.randint(len(Z), (_BATCH,), generator=generator)]
        for step in range(1, _ASCENT + 1):
            at = at.detach().requires_grad_(True)
            mean, variance = gp.predict(at)
            (slope,) = torch.autograd.grad((mean + 2.0 * variance.sqrt()).sum(), at)
            direction = slope / slope.norm(dim=1, keepdim=True).clamp_min(1e-12)
            at = at.detach() + _AHEAD * unit * direction * len(unit) ** 0.5
            if step % 10 == 0:
                yield at


def walk(model: MoleculeVAE, batches: Iterator[Tensor], n: int) -> dict[str, Any]:
    """Decode n latent points, and count the results.

    Returns
    -------
    dict
        ``points``; ``molecules``; ``nothing``: points without a molecule, by reason if the model counts them;
        ``not_canonical``: molecules that RDKit cannot read or writes differently; ``seconds`` in total;
        ``slowest``: seconds of the slowest batch of 512, by the clock; ``distinct`` molecules.
    """
    distinct: set[str] = set()
    reasons: Counter[str] = Counter()
    slowest, n_molecules, wrong = 0.0, 0, 0
    begin = time.perf_counter()
    with ProgressBar(total=n, desc="points") as bar:
        for Z in batches:
            start = time.perf_counter()
            if isinstance(model, JunctionTreeVAE):
                decoded, found = model.decode_counted(Z)
                reasons += found
            else:
                decoded = model.decode(Z)
                reasons["nothing"] += decoded.count(None)
            slowest = max(slowest, time.perf_counter() - start)
            there = [x for x in decoded if x is not None]
            wrong += sum(canonical(x, model.stereo) != x for x in there)
            n_molecules += len(there)
            distinct.update(there)
            bar.update(len(Z))
    return {
        "points": n, "molecules": n_molecules, "distinct": len(distinct),
        "nothing": {reason: count for reason, count in reasons.most_common() if count},
        "not_canonical": wrong, "seconds": round(time.perf_counter() - begin, 1),
        "slowest": round(slowest, 2),
    }  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line: print the results, and write the record to ``--out``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path, nargs="?", help="a model's file; without, the one that ships")
    parser.add_argument("--points", type=int, default=0, help="latent points to decode, a third of each kind")
    parser.add_argument("--molecules", type=int, default=2000, help="molecules to read and encode")
    parser.add_argument("--workers", type=int, default=0, help="also decode in this many processes")
    parser.add_argument("--out", type=Path, help="write the record here")
    options = parser.parse_args(arguments)
    check_count("points", options.points, minimum=0)
    check_count("molecules", options.molecules)
    check_count("workers", options.workers, minimum=0)
    torch.set_num_threads(1)
    model: SelfiesVAE | JunctionTreeVAE
    model = SelfiesVAE.pretrained(stereo=False) if options.file is None else load_molecule_model(options.file)
    held_out = split([x for x in canonical_smiles(fetch_zinc250k()) if x])[1]
    X = list(dict.fromkeys(canonical(x, model.stereo) or "" for x in held_out))[: options.molecules]
    results: dict[str, Any] = {"per_second": rates(model, X)}
    X = [x for x in X if model._can_read(x)]
    Z = model.encode(model.tensorize(X))
    if options.workers:
        results["workers"] = in_workers(model, Z, options.workers)
    if options.points:
        y = np.array([PenalizedLogP().objective(x) for x in X])
        share = -(-options.points // len(KINDS))
        for kind in KINDS:
            results[kind] = walk(model, latent_points(kind, model, Z, y, share), share)
    sys.stdout.write(json.dumps(results, indent=1) + "\n")
    if options.out is not None:
        about = {
            "kind": "molecule models", "model": type(model).__name__,
            "file": None if options.file is None else file_name(options.file),
            "parameters": model._parameters_to_keep(), "molecules": options.molecules, "threads": 1,
            "versions": versions(), "machine": machine(),
        }  # fmt: skip
        write_record(options.out, about | results)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
