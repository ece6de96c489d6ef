"""Cost of the trainer over a bare PyTorch loop: ``python -m wrlso.benchmarks.speed.training``.

Both train the same model from the same weights on the same minibatches, alternating in the same process; the
result is the ratio of seconds, pair by pair. The bare loop gets its minibatches in advance and has no checks;
the trainer samples them, checks the loss of each step and keeps a copy of the last good weights.
"""

import argparse
import copy
import json
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wrlso.benchmarks.records import machine, versions, write_record
from wrlso.models.conv import conv_vae
from wrlso.models.coordinate import coordinate_vae
from wrlso.models.vae import VAE
from wrlso.tasks.shapes import Shapes
from wrlso.training.trainer import Trainer
from wrlso.weighting import rank_weights

__all__ = ["main", "training_overhead"]

_MODELS = {
    "coordinate": lambda: coordinate_vae(random_state=0),
    "small": lambda: conv_vae("small", random_state=0),
}


def training_overhead(
    models: Sequence[str] = tuple(_MODELS), epochs: int = 2, repeats: int = 5, batch_size: int = 64
) -> dict[str, Any]:
    """Return, for each model, seconds of both loops and the median ratio trainer / bare loop."""
    X, y = Shapes("released").initial_data(0)
    weights = rank_weights(y, 1e-2)
    trainer = Trainer(initial_epochs=epochs, batch_size=batch_size)
    results: dict[str, Any] = {"n": len(X), "epochs": epochs, "batch_size": batch_size, "models": {}}
    for name in models:
        model = _MODELS[name]()
        inputs = model.tensorize(X)
        pairs = [_one_pair(trainer, model, inputs, weights, seed) for seed in range(repeats + 1)][1:]
        results["models"][name] = {
            "trainer_seconds": [trained for trained, _ in pairs],
            "bare_seconds": [bare for _, bare in pairs],
            "ratio": statistics.median(trained / bare for trained, bare in pairs),
        }
    return results


def _one_pair(
    trainer: Trainer, model: VAE, inputs: Tensor, weights: np.ndarray, seed: int
) -> tuple[float, float]:
    """Time the trainer and the bare loop once each, alternating which goes first."""
    timed = {}
    for which in ("trainer", "bare") if seed % 2 else ("bare", "trainer"):
        own = copy.deepcopy(model)
        if which == "trainer":
            start = time.perf_counter()
            trainer.fit(own, inputs, weights, np.random.default_rng(seed))
        else:
            batches = _batches(trainer, weights, seed)
            start = time.perf_counter()
            _bare_loop(own, inputs, batches, trainer.lr)
        timed[which] = time.perf_counter() - start
    return timed["trainer"], timed["bare"]


def _batches(trainer: Trainer, weights: np.ndarray, seed: int) -> list[tuple[Tensor, Tensor]]:
    rng = np.random.default_rng(seed)
    rng.integers(2**63)  # the trainer first samples a seed for torch
    return [
        (rows, copies)
        for _ in range(int(trainer.initial_epochs))
        for rows, copies in trainer.batches(weights, 1.0, rng)
        if copies is not None
    ]


def _bare_loop(model: VAE, inputs: Tensor, batches: list[tuple[Tensor, Tensor]], lr: float) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    model.train()
    for rows, weights in batches:
        optimizer.zero_grad()
        (model.loss(inputs[rows]) * weights).mean().backward()
        optimizer.step()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line: print the result as JSON, or write it to ``--out``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, help="write the record here instead of to standard output")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    record = training_overhead(epochs=options.epochs, repeats=options.repeats)
    record |= {"kind": "training-overhead", "versions": versions(), "machine": machine()}
    if options.out is None:
        sys.stdout.write(json.dumps(record, indent=1) + "\n")
    else:
        write_record(options.out, record)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
