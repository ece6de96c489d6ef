"""Randomness without global state.

All random numbers come from one seed and a counter per purpose, so that the state of an optimizer's
randomness is a few integers: an interrupted call that did not count up changes nothing, and what was
saved continues bit for bit.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_random_state

from wrlso._utils.validation import check_seed

__all__ = ["as_random_state", "draw_seed", "isolated_torch_rng", "seed_of", "stream", "torch_generator"]


def as_random_state(random_state: Any) -> np.random.RandomState:
    """Turn scikit-learn's ``random_state`` (None, int, RandomState) into a RandomState.

    Raises ParameterError or ParameterTypeError for anything else.
    """
    check_seed("random_state", random_state)
    found: np.random.RandomState = check_random_state(random_state)
    return found


def draw_seed(random_state: Any) -> int:
    """Turn scikit-learn's ``random_state`` into one integer seed; raises as :func:`as_random_state`."""
    return int(as_random_state(random_state).randint(np.iinfo(np.int32).max))


def seed_of(random_state: Any) -> int:
    """Return an integer ``random_state`` as it is, and a seed drawn from any other; raises likewise."""
    check_seed("random_state", random_state)
    return int(random_state) if isinstance(random_state, Integral) else draw_seed(random_state)


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
