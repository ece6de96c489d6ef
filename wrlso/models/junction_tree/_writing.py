"""Writing trees depth first, one step at a time for all molecules, with labels that fit their neighbours."""

from typing import NamedTuple

import torch
from torch import Tensor

from wrlso.models.junction_tree._building import Bounds, fits_around
from wrlso.models.junction_tree._networks import TreeDecoder

__all__ = ["WrittenTree", "gumbel", "write_trees"]


class WrittenTree(NamedTuple):
    """Label numbers and parents in depth-first order, or the name of an exceeded bound."""

    labels: list[int]
    parents: list[int]
    reason: str | None


def gumbel(shape: torch.Size, generator: torch.Generator | None) -> Tensor:
    """Return Gumbel noise on the CPU: the argmax of logits plus this noise is a sample from their softmax."""
    return -torch.log(-torch.log(torch.rand(shape, generator=generator).clamp(1e-30, 1 - 1e-7)))


def write_trees(
    decoder: TreeDecoder,
    x: Tensor,
    z: Tensor,
    vocabulary: list[str],
    bounds: Bounds,
    temperature: float = 0.0,
    generator: torch.Generator | None = None,
) -> list[WrittenTree]:
    """Return n trees for ``z`` (n, latent); ``x`` (n_labels, hidden) stands for the labels."""
    writer = _Writer(decoder, x, z, vocabulary, bounds)
    writer.begin(temperature, generator)
    for _ in range(2 * bounds.max_cliques):  # the traversal enters and leaves each clique once
        rows = [row for row, at in enumerate(writer.at) if at >= 0]
        if not rows:
            break
        writer.step(rows, temperature, generator)
    return [
        WrittenTree(labels, parents, reason)
        for labels, parents, reason in zip(writer.labels, writer.parents, writer.reasons, strict=True)
    ]


class _Writer:
    """n unfinished trees; ``at`` is the current clique of each traversal, -1 after its end."""

    def __init__(
        self, decoder: TreeDecoder, x: Tensor, z: Tensor, vocabulary: list[str], bounds: Bounds
    ) -> None:
        self.decoder, self.x, self.z, self.vocabulary, self.bounds = decoder, x, z, vocabulary, bounds
        self.own = decoder.cell.own(x)
        n, self.hidden = len(z), x.shape[1]
        self.arrived = x.new_zeros(n * bounds.max_cliques * 2, 2 * self.hidden)  # as in TreeDecoder
        self.labels: list[list[int]] = [[] for _ in range(n)]
        self.parents: list[list[int]] = [[] for _ in range(n)]
        self.children: list[list[list[int]]] = [[] for _ in range(n)]
        self.reasons: list[str | None] = [None] * n
        self.at = [0] * n

    def begin(self, temperature: float, generator: torch.Generator | None) -> None:
        """Write the roots."""
        logits = self.decoder.named(self.x.new_zeros(len(self.z), self.hidden), self.z).float().cpu()
        for row, label in enumerate(_ranked(logits, 1, temperature, generator)):
            self._enter(row, label[0], -1)

    def step(self, rows: list[int], temperature: float, generator: torch.Generator | None) -> None:
        """Make one move in each of some trees: to a new child, to the parent, or out of the root."""
        device, z = self.x.device, self.z[rows]
        places = torch.tensor([row * self.bounds.max_cliques + self.at[row] for row in rows], device=device)
        labels = torch.tensor([self.labels[row][self.at[row]] for row in rows], device=device)
        above, below = self.arrived[2 * places], self.arrived[2 * places + 1]
        total = above + below
        logits = self.decoder.more(self.x[labels], total[:, : self.hidden], z).float().cpu()
        if temperature > 0:
            chance = torch.sigmoid(logits / temperature)
            more = torch.rand(chance.shape, generator=generator) < chance
        else:
            more = logits > 0
        names = self.decoder.named(self.decoder.cell(self.own[labels], total), z).float().cpu()
        ranked = _ranked(names, self.bounds.label_tries, temperature, generator)
        # contributions from the parent count for a child and not for the parent itself
        before = [self.at[row] for row in rows]
        downward = torch.tensor(
            [
                self._move(row, names if expand else [])
                for row, expand, names in zip(rows, more.tolist(), ranked, strict=True)
            ],
            device=device,
        )
        message = self.decoder.cell(self.own[labels], above * downward[:, None] + below)
        moved = [(i, row) for i, row in enumerate(rows) if self.at[row] >= 0 and self.at[row] != before[i]]
        if moved:
            index = torch.tensor([i for i, _ in moved], device=device)
            to = torch.tensor([self.labels[row][self.at[row]] for _, row in moved], device=device)
            place = [row * self.bounds.max_cliques + self.at[row] for _, row in moved]
            slots = 2 * torch.tensor(place, device=device) + ~downward[index]
            self.arrived.index_add_(0, slots, self.decoder.cell.received(self.own[to], message[index]))

    def _move(self, row: int, names: list[int]) -> bool:
        """Enter a child with the first label that fits, else go back; return whether it entered a child."""
        at, labels = self.at[row], self.labels[row]
        parent = self.parents[row][at]
        around = [self.vocabulary[labels[k]] for k in self.children[row][at]]
        around += [self.vocabulary[labels[parent]]] if parent >= 0 else []
        own = self.vocabulary[labels[at]]
        for name in names:
            label = self.vocabulary[name]
            if fits_around(own, tuple(sorted([*around, label]))):
                if len(labels) == self.bounds.max_cliques:
                    self.reasons[row], self.at[row] = "max_cliques", -1
                else:
                    self._enter(row, name, at)
                return True
        self.at[row] = parent
        return False

    def _enter(self, row: int, label: int, parent: int) -> None:
        self.at[row] = len(self.labels[row])
        self.labels[row].append(label)
        self.parents[row].append(parent)
        self.children[row].append([])
        if parent >= 0:
            self.children[row][parent].append(self.at[row])


def _ranked(logits: Tensor, n: int, temperature: float, generator: torch.Generator | None) -> list[list[int]]:
    """Return the n likeliest numbers of each row, or n numbers sampled without replacement."""
    if temperature > 0:
        logits = logits + temperature * gumbel(logits.shape, generator)
    ranked: list[list[int]] = logits.topk(min(n, logits.shape[1]), dim=1).indices.tolist()
    return ranked
