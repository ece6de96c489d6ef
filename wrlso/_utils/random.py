"""Randomness without global state.

All random numbers come from one seed and a counter per purpose, so that the state of an optimizer's
randomness is a few integers: an interrupted call that did not count up changes nothing, and what was
saved continues bit for bit.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_random_state

__all__ = ["draw_seed", "isolated_torch_rng", "stream", "torch_generator"]


def draw_seed(random_state: Any) -> int:
    """Turn scikit-learn's ``random_state`` (None, int, RandomState) into one integer seed."""
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))


def stream(seed: int, *purpose: int) -> np.random.Generator:
    """Return the generator for one purpose and counter, independent of all others of this seed."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=purpose))


def torch_generator(rng: np.random.Generator) -> torch.Generator:
    """Return a torch generator (CPU) that is seeded by ``rng``."""
    return torch.Generator().manual_seed(int(rng.integers(2**63)))


@contextmanager
def isolated_torch_rng(seed: int) -> Iterator[None]:
    """Seed torch's global generators inside the block and put their states back afterwards.

    Modules such as dropout draw from the global generators, which cannot be passed in.
    """
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
