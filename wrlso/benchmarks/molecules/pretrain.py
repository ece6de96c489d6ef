"""Training of a model like the one that ships: ``python -m wrlso.benchmarks.molecules.pretrain OUT``.

Trains :class:`wrlso.models.SelfiesVAE` on ZINC250k without 5,000 held-out molecules. Each epoch holds every
molecule, one in seven of them again without stereochemistry (for searches without it), and 15,000 longer
molecules, each of two joined molecules of the training set. You may stop the command at any time and run it
again to continue. It uses a GPU if there is one.

OUT is a folder: ``checkpoint.pt``, ``log.jsonl`` with a line every two minutes, and at the end
``selfies_zinc250k.safetensors`` in half precision. ``--card FILE`` measures the figures of the model card.
"""

import argparse
import io
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from wrlso._chemistry.selfies_tokens import read_all, read_smiles, to_smiles
from wrlso._utils.files import write_whole
from wrlso.benchmarks.molecules.model_card import measure
from wrlso.datasets.molecules import canonical_smiles, fetch_zinc250k
from wrlso.models.molecules.base import MoleculeVAE
from wrlso.models.selfies.vae import SelfiesVAE
from wrlso.models.tokens.training import SequenceTraining

__all__ = ["exact", "main", "save_checkpoint", "split"]

N_HELD_OUT = 5000
_FLAT_SHARE = 0.15
_N_JOINED, _JOINED_TOKENS = 15_000, (45, 100)


class Stage(NamedTuple):
    """A part of the training: minutes, learning rate, and the divergence's weight at both ends."""

    minutes: float
    lr: float
    beta_start: float
    beta: float
    chunk_dropout: float
    token_dropout: float


# Stage 1 learns the code of each chunk in its latent block. In stage 2 a third of the chunks is hidden, so
# the decoder becomes a language model. Stage 3 restores reconstruction. The weights that ship had 57 minutes
# of stage 1 without the convolutions over earlier tokens and 18 with them (at a rate of 1.2e-3).
STAGES = (
    Stage(70.0, 2e-3, 0.01, 0.15, 0.1, 0.2),
    Stage(32.0, 1.2e-3, 0.1, 0.15, 0.35, 0.05),
    Stage(11.0, 6e-4, 0.15, 0.15, 0.12, 0.1),
)
_SHIPPED_CHUNK_DROPOUT = 0.2  # for later training in a search


def split(X: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the training molecules and the held-out ones, always the same."""
    order = np.random.default_rng(0).permutation(len(X))
    return [X[i] for i in order[N_HELD_OUT:]], [X[i] for i in order[:N_HELD_OUT]]


def joined(X: Sequence[str], n: int) -> list[str]:
    """Return n molecules, each of two molecules of X with concatenated SELFIES."""
    rng = np.random.default_rng(0)
    readings = read_all(X, True, "refuse")
    low, high = _JOINED_TOKENS
    found: dict[str, None] = {}
    while len(found) < n:
        first, second = (readings[i].tokens for i in rng.choice(len(X), 2))
        length = len(first) + len(second)
        if low <= length <= high and length >= rng.integers(low, high):
            smiles = to_smiles((*first, *second), True)
            if smiles is not None and len(read_smiles(smiles, True, "refuse").tokens) in range(1, high + 1):
                found[smiles] = None
    return list(found)


def vocabulary(X: Iterable[Sequence[str]]) -> list[str]:
    """Return the tokens of some sequences, most frequent first."""
    counts: dict[str, int] = {}
    for tokens in X:
        for token in tokens:
            counts[token] = counts.get(token, 0) + 1
    return sorted(counts, key=lambda token: -counts[token])


def training_data(model: SelfiesVAE, X: Sequence[str]) -> dict[str, Tensor]:
    """Return token numbers ("inputs") and each row's probability to be in an epoch ("shares")."""
    flat = [x for x in canonical_smiles(X, stereo=False) if x]
    parts = [(_readable(model, X), 1.0), (_readable(model, flat), _FLAT_SHARE)]
    parts.append((_readable(model, joined(X, _N_JOINED)), 1.0))
    return {
        "inputs": torch.cat([model.tensorize(part) for part, _ in parts]),
        "shares": torch.cat([torch.full((len(part),), share) for part, share in parts]),
    }


def _readable(model: SelfiesVAE, X: Sequence[str]) -> list[str]:
    known = set(model.vocabulary)
    return [
        reading.smiles
        for reading in read_all(X, True, "refuse")
        if reading.problem is None
        and len(reading.tokens) <= model.max_tokens
        and known.issuperset(reading.tokens)
    ]


def train(out: Path, speed: float = 1.0, progress: Callable[[str], None] = print) -> None:
    """Train, or continue the training in the folder, and write the model's file.

    Each stage takes its minutes divided by ``speed``.
    """
    out.mkdir(parents=True, exist_ok=True)
    X = [x for x in canonical_smiles(fetch_zinc250k()) if x]
    known, held_out = split(X)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokens = vocabulary(reading.tokens for reading in read_all(X, True, "refuse"))
    model = SelfiesVAE(tokens).to(device)
    checkpoint, prepared = out / "checkpoint.pt", out / "data.pt"
    if not prepared.exists():
        save_checkpoint(prepared, training_data(model, known))
    data = torch.load(prepared, weights_only=True)
    stored: dict[str, Any] = {"stage": 0, "training": None}
    if checkpoint.exists():
        stored = torch.load(checkpoint, weights_only=True, map_location=device)
        model.load_state_dict(stored["model"])
    sample = model.tensorize(held_out[:1000])
    about: list[dict[str, float]] = []
    for stage in range(stored["stage"], len(STAGES)):
        plan = STAGES[stage]
        model.beta = plan.beta
        model.chunk_dropout, model.token_dropout = plan.chunk_dropout, plan.token_dropout
        training = SequenceTraining(model, lr=plan.lr, random_state=stage, beta_start=plan.beta_start)
        if stage == stored["stage"] and stored["training"] is not None:
            training.load_state_dict(stored["training"])

        def check(state: SequenceTraining, stage: int = stage) -> None:
            line = {"stage": stage} | state.summary() | {"exact": exact(model, held_out[:1000], sample)}
            with (out / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            progress(json.dumps(line))
            save_checkpoint(
                checkpoint,
                {"stage": stage, "model": model.state_dict(), "training": state.state_dict()},
            )

        training.run(data["inputs"], minutes=plan.minutes / speed, shares=data["shares"], on_check=check)
        about.append(training.summary())
    model.chunk_dropout = _SHIPPED_CHUNK_DROPOUT
    learn_own_tokens(model.cpu().eval())
    header = {"data": "ZINC250k", "made_by": "wrlso.benchmarks.molecules.pretrain", "stages": about}
    model.to_file(out / "selfies_zinc250k.safetensors", about=header)


def learn_own_tokens(model: SelfiesVAE, n: int = 5000, rounds: int = 3) -> None:
    """Add tokens of molecules that the model writes but cannot read, such as sulfur with a hydrogen atom."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(rounds):
        for scale in (1.0, 1.5):  # the second scale is further from the data than the prior
            Z = scale * model.sample_prior(n, generator)
            model.extend(x for x in model.write(Z) if x is not None)


def exact(model: MoleculeVAE, X: Sequence[str], inputs: Tensor) -> float:
    """Return the share of exactly reconstructed molecules."""
    decoded = model.decode(model.encode(inputs))
    return float(np.mean([a == b for a, b in zip(X, decoded, strict=True)]))


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint completely or not at all."""
    stream = io.BytesIO()
    torch.save(content, stream)
    write_whole(path, stream.getvalue())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run from the shell."""
    parser = argparse.ArgumentParser(
        prog="python -m wrlso.benchmarks.molecules.pretrain", description=__doc__
    )
    parser.add_argument("out", type=Path, help="folder for checkpoint, log and weights")
    parser.add_argument("--speed", type=float, default=1.0, help="divide the training time by this number")
    parser.add_argument(
        "--card", type=Path, help="write a model card of the weights in OUT to this JSON file"
    )
    options = parser.parse_args(arguments)
    train(options.out, options.speed, progress=lambda line: print(line, flush=True))  # noqa: T201
    if options.card is not None:
        held_out = split([x for x in canonical_smiles(fetch_zinc250k()) if x])
        card = measure(SelfiesVAE.from_file(options.out / "selfies_zinc250k.safetensors"), *held_out)
        options.card.write_text(json.dumps(card, indent=1) + "\n")


if __name__ == "__main__":
    main()
