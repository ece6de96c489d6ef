"""Training of a junction-tree model on ZINC250k.

``python -m wrlso.benchmarks.molecules.pretrain_trees OUT``

Trains :class:`wrlso.models.JunctionTreeVAE` on ZINC250k without stereochemistry and without the 5,000
held-out molecules of :mod:`wrlso.benchmarks.molecules.pretrain`. The vocabulary is that of the whole set. You
may stop the command at any time and run it again to continue. It uses a GPU if there is one.

OUT is a folder: ``checkpoint.pt``, ``log.jsonl`` with a line every five minutes, and at the end
``junction_tree_zinc250k.safetensors`` in half precision. ``--card FILE`` measures the model card's figures.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wrlso._chemistry.smiles import canonical
from wrlso._utils.cache import content_hash
from wrlso.benchmarks.molecules.model_card import measure
from wrlso.benchmarks.molecules.pretrain import exact, save_checkpoint, split
from wrlso.benchmarks.records import file_name
from wrlso.datasets.molecules import canonical_smiles, fetch_zinc250k
from wrlso.exceptions import DataError, ParameterError
from wrlso.models.junction_tree._reading import readable
from wrlso.models.junction_tree.vae import JunctionTreeVAE
from wrlso.models.junction_tree.vocabulary import clique_vocabulary
from wrlso.models.tokens.training import SequenceTraining

__all__ = ["flat_split", "main", "train"]

FILE = "junction_tree_zinc250k.safetensors"
_CHECK_EVERY = 300.0  # seconds
_N_CHECKED = 500  # held-out molecules decoded at each check


def flat_split(X: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return disjoint training and held-out molecules, without stereochemistry.

    Both omit the few molecules that no tree represents, such as phosphine oxides with hydrogen.
    """
    known, held_out = ([canonical(x, stereo=False) or "" for x in part] for part in split(X))
    seen = dict.fromkeys(known)
    apart = [x for x in dict.fromkeys(held_out) if x not in seen]
    taken = set(readable([*seen, *apart], "refuse", progress=True))
    return [x for x in seen if x in taken], [x for x in apart if x in taken]


def train(
    out: Path,
    X: Sequence[str],
    *,
    hidden: int = 200,
    minutes: float = 600.0,
    batch_size: int = 64,
    lr: float = 1e-3,
    start: Path | None = None,
    progress: Callable[[str], None] = print,
) -> Path:
    """Train, or continue the training in the folder; return the file with the weights.

    Parameters
    ----------
    out : Path
    X : sequence of str
        Canonical SMILES.
    hidden : int, default=200
        Units; the paper's 450 takes five times as long.
    minutes : float, default=600
        Minutes of training in total; the learning rate falls to zero at the end.
    batch_size, lr
        See ``SequenceTraining`` of ``wrlso/models/tokens/training.py``.
    start : Path, default=None
        File of a model to train further, instead of an untrained one with ``hidden`` units. Its vocabulary
        is extended for X, and the divergence has its full weight from the beginning.
    progress : callable, default=print
        Called with each line of the log.

    Raises
    ------
    DataError
        When X has no training molecules.
    ParameterError
        When the folder holds a training with another ``hidden`` or other molecules.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    options: dict[str, Any] = {"hidden": hidden, "X": content_hash(X)}
    if start is not None:
        options["start"] = file_name(start)
    checkpoint = out / "checkpoint.pt"
    stored = _stored(checkpoint, options, device)
    known, held_out = flat_split(X)
    if not known:
        raise DataError(f"X must hold more than the held-out molecules, got {len(X)}")
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    everything = [*known, *held_out]  # one list, because the cache holds whole lists
    if start is None:
        model, beta_start = JunctionTreeVAE(clique_vocabulary(everything), hidden=hidden), None
    else:
        model = JunctionTreeVAE.from_file(start).extend(everything)
        beta_start = model.beta
    model.to(device)
    training = SequenceTraining(model, lr=lr, batch_size=batch_size, beta_start=beta_start)
    if stored is not None:
        model.load_state_dict(stored["model"])
        training.load_state_dict(stored["training"])
    rows = model.tensorize(everything)
    inputs, sample = rows[: len(known)], rows[len(known) :][:_N_CHECKED]

    def check(state: SequenceTraining) -> None:
        model.eval()
        line = state.summary() | {"exact": exact(model, held_out[:_N_CHECKED], sample)}
        model.train()
        with (out / "log.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")
        progress(json.dumps(line))
        parts = {"model": model.state_dict(), "training": state.state_dict()}
        save_checkpoint(checkpoint, parts | {"options": options})

    training.run(inputs, minutes=minutes, on_check=check, check_every=_CHECK_EVERY)
    about = {"data": "ZINC250k", "made_by": "wrlso.benchmarks.molecules.pretrain_trees"} | options
    model.cpu().eval().to_file(out / FILE, about=about | training.summary())
    return out / FILE


def _stored(checkpoint: Path, options: Mapping[str, Any], device: str) -> dict[str, Any] | None:
    """Return an earlier run's checkpoint, None without one; raise ParameterError for another training's."""
    if not checkpoint.exists():
        return None
    stored: dict[str, Any] = torch.load(checkpoint, weights_only=True, map_location=device)
    if stored.get("options") != options:
        raise ParameterError(
            f"{checkpoint.parent} holds a training with {stored.get('options')}, got {options}: use "
            "another folder"
        )
    return stored


def main(arguments: Sequence[str] | None = None) -> None:
    """Run from the shell."""
    parser = argparse.ArgumentParser(
        prog="python -m wrlso.benchmarks.molecules.pretrain_trees", description=__doc__
    )
    parser.add_argument("out", type=Path, help="folder for checkpoint, log and weights")
    parser.add_argument("--hidden", type=int, default=200, help="units; the paper's are 450")
    parser.add_argument("--minutes", type=float, default=600.0, help="minutes, earlier runs included")
    parser.add_argument("--batch-size", type=int, default=64, help="molecules in a step")
    parser.add_argument("--lr", type=float, default=1e-3, help="largest learning rate")
    parser.add_argument("--start", type=Path, help="file of a model to train further")
    parser.add_argument("--n", type=int, help="train on this many molecules only")
    parser.add_argument(
        "--card", type=Path, help="write a model card of the weights in OUT to this JSON file"
    )
    options = parser.parse_args(arguments)
    X = [x for x in canonical_smiles(fetch_zinc250k()) if x]
    if options.n is not None:
        X = [X[i] for i in np.random.default_rng(0).permutation(len(X))[: options.n]]
    say = lambda line: print(line, flush=True)  # noqa: E731, T201
    path = train(
        options.out, X, hidden=options.hidden, minutes=options.minutes, batch_size=options.batch_size,
        lr=options.lr, start=options.start, progress=say,
    )  # fmt: skip
    if options.card is not None:
        card = measure(JunctionTreeVAE.from_file(path), *flat_split(X))
        options.card.write_text(json.dumps(card, indent=1) + "\n")


if __name__ == "__main__":
    main()
