"""Costs and durability of campaigns: ``python -m wrlso.benchmarks.speed.storage``.

Without options: seconds to save and load 100,000 observations, milliseconds of a tell, and bytes on disk over
bytes of the raw data. ``--kills 200`` kills a campaign 200 times (see
:mod:`wrlso.benchmarks.speed.crashes`).
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from wrlso.acquisition.candidate_pool import CandidatePool
from wrlso.acquisition.functions import LogExpectedImprovement
from wrlso.benchmarks.records import machine, versions, write_record
from wrlso.benchmarks.speed.crashes import kill_often
from wrlso.models.protocol import Objects
from wrlso.optimizer import WeightedRetrainingOptimizer
from wrlso.surrogate.sparse_gp import SparseGP
from wrlso.training.trainer import Trainer

__all__ = ["main", "storage_costs"]


class _Letters:
    """A codec of texts: codes of the letters, padded with zeros."""

    def transform(self, X: Objects) -> np.ndarray:
        array = np.zeros((len(X), 60), dtype=np.int64)
        for row, x in zip(array, X, strict=True):
            row[: len(x)] = np.frombuffer(x.encode(), dtype=np.uint8)
        return array

    def inverse_transform(self, array: np.ndarray) -> list[str]:
        return ["".join(map(chr, row[row > 0])) for row in array]


def _problem(kind: str, n: int) -> tuple[Any, dict[str, Any], dict[str, Any], int]:
    """Return X, the arguments of load, other options of the optimizer, and the bytes of the raw data."""
    rng = np.random.default_rng(0)
    if kind == "images":
        images = (rng.random((n, 64, 64)) < np.linspace(0, 0.2, 64)).astype(np.uint8)
        encoder = nn.Sequential(nn.Flatten(), nn.Linear(4096, 4))
        decoder = nn.Sequential(nn.Linear(2, 4096), nn.Unflatten(1, (64, 64)))
        return images, {"encoder": encoder, "decoder": decoder}, {}, images.nbytes
    if kind == "vectors":
        vectors = rng.normal(size=(n, 32)).astype(np.float32)
        parts = {"encoder": nn.Linear(32, 4), "decoder": nn.Linear(2, 32)}
        return vectors, parts, {"likelihood": "gaussian"}, vectors.nbytes
    alphabet = np.array(list("CCCCCcccNnOoFS()=123"))
    texts = ["".join(rng.choice(alphabet, rng.integers(30, 60))) for _ in range(n)]
    encoder = nn.Sequential(nn.Embedding(128, 4), nn.Flatten(), nn.Linear(240, 4))
    decoder = nn.Sequential(nn.Linear(2, 60 * 128), nn.Unflatten(1, (60, 128)))
    codec = _Letters()
    return (
        texts,
        {"encoder": encoder, "decoder": decoder, "codec": codec},
        {"likelihood": "categorical"},
        sum(map(len, texts)),
    )


def storage_costs(kind: str = "vectors", n: int = 100_000, n_tells: int = 200) -> dict[str, Any]:
    """Return the costs of a campaign with n observations.

    Parameters
    ----------
    kind : {"vectors", "texts", "images"}
        32 random numbers, 30 to 59 letters, or 64 × 64 binary pixels each.

    Returns
    -------
    dict
        "save_seconds", "load_seconds", "tell_milliseconds" (median, and largest; every second point told is
        new), "raw_bytes" (of X and y), "bytes_ratio" (journal over raw) and "weights_bytes".
    """
    X, parts, options, raw = _problem(kind, n)
    opt = WeightedRetrainingOptimizer(
        **parts,
        **options,
        trainer=Trainer(initial_epochs=0),
        surrogate=SparseGP(n_inducing=100, max_iter=5),
        acquisition=LogExpectedImprovement(search=CandidatePool(n_candidates=100)),
        random_state=0,
    )
    opt.fit(X, np.random.default_rng(1).normal(size=n))
    with tempfile.TemporaryDirectory(prefix="wrlso-storage-") as base:
        folder = Path(base) / "campaign"
        save = _seconds(lambda: opt.autosave(folder))
        opt.ask()
        new = [x + "C" if isinstance(x, str) else np.roll(x, 1, axis=-1) for x in X[:n_tells:2]]
        told = [x for pair in zip(X[1:n_tells:2], new, strict=True) for x in pair]
        tells = [_seconds(lambda x=x: opt.tell(x, 1.0)) for x in told]
        load = _seconds(lambda: WeightedRetrainingOptimizer.load(folder, **parts))
        sizes = {file.name: file.stat().st_size for file in folder.iterdir()}
    weights = sum(size for name, size in sizes.items() if name.startswith("weights"))
    raw += 8 * n
    return {
        "kind": kind,
        "n": n,
        "save_seconds": round(save, 2),
        "load_seconds": round(load, 2),
        "tell_milliseconds": [round(1e3 * statistics.median(tells), 2), round(1e3 * max(tells), 2)],
        "raw_bytes": raw,
        "bytes_ratio": round((sum(sizes.values()) - weights) / raw, 3),
        "weights_bytes": weights,
    }


def _seconds(call: Any) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line: print the result as JSON, or write it to ``--out``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kinds", nargs="*", default=["vectors", "texts", "images"])
    parser.add_argument("--n", type=int, default=100_000, help="observations")
    parser.add_argument("--kills", type=int, help="kill a campaign this many times instead")
    parser.add_argument("--seed", type=int, default=0, help="seed of the times of the kills")
    parser.add_argument("--out", type=Path, help="write the record here instead of to standard output")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if options.kills is not None:
        record: dict[str, Any] = {"kind": "kills"} | kill_often(options.kills, seed=options.seed)
    else:
        costs = [storage_costs(kind, options.n) for kind in options.kinds]
        record = {"kind": "storage-costs", "costs": costs}
    record |= {"versions": versions(), "machine": machine()}
    if options.out is None:
        sys.stdout.write(json.dumps(record, indent=1) + "\n")
    else:
        write_record(options.out, record)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
