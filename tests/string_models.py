"""A small model of strings of six letters, which the command line can load as ``string_models:make``."""

import numpy as np
import torch
from torch import nn

from wrlso import VAE

LETTERS = "CNO=-"
LENGTH = 6


class Codec:
    """Strings to class indices and back."""

    def transform(self, X):
        for x in X:
            if not isinstance(x, str) or len(x) != LENGTH:
                raise ValueError(f"expected {LENGTH} letters, got {x!r}")
        return np.array([[LETTERS.index(letter) for letter in x] for x in X], dtype=np.int64)

    def inverse_transform(self, array):
        return ["".join(LETTERS[i] for i in row) for row in array]


def make(seed=0):
    """Return an untrained model."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = nn.Sequential(
            nn.Embedding(len(LETTERS), 4),
            nn.Flatten(),
            nn.Linear(4 * LENGTH, 16),
            nn.Tanh(),
            nn.Linear(16, 6),
        )
        decoder = nn.Sequential(
            nn.Linear(3, 16),
            nn.Tanh(),
            nn.Linear(16, LENGTH * len(LETTERS)),
            nn.Unflatten(1, (LENGTH, len(LETTERS))),
        )
    return VAE(encoder, decoder, likelihood="categorical", codec=Codec())


def score(x):
    """The more N the better, and a leading sign is good: such x look like formulas to a spreadsheet."""
    return x.count("N") + 0.5 * (x[0] in "=-") - 0.25 * x.count("C")


def strings(n=30, seed=0):
    """Distinct strings."""
    rng = np.random.default_rng(seed)
    found = {}
    while len(found) < n:
        found["".join(rng.choice(list(LETTERS), LENGTH, p=[0.4, 0.1, 0.3, 0.1, 0.1]))] = None
    return list(found)
