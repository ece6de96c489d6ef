"""Blocks of objects as a journal holds them, read without the model that they belong to."""

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from wrlso._state.codec import load
from wrlso.exceptions import StorageError

__all__ = ["damage_named", "objects_in", "objects_shown", "read_block"]


@contextmanager
def damage_named() -> Iterator[None]:
    """Turn what damaged objects raise into StorageError."""
    try:
        yield
    except (zlib.error, KeyError, ValueError, TypeError, IndexError) as error:
        raise StorageError(f"stored objects are damaged: {error}") from error


def read_block(data: bytes) -> dict[str, Any]:
    """Return the parts of a block: "inputs", "keys", "kind" and what this kind needs."""
    block: dict[str, Any] = load(zlib.decompress(data[1:]) if data[:1] == b"z" else data[1:])
    return block


def objects_in(block: dict[str, Any], decode: Callable[[np.ndarray], list[Any]]) -> list[Any]:
    """Return all x of a block; ``decode`` makes those of which only the tensors are stored."""
    kind, inputs = block["kind"], block["inputs"]
    if kind == "rows":
        return list(inputs.astype(np.dtype(block["dtype"]), copy=False))
    return decode(inputs) if kind == "codec" else list(block["x"])


def objects_shown(data: bytes) -> list[Any]:
    """Return all x of a block to be looked at: arrays in place of those that only the codec makes."""
    with damage_named():
        return objects_in(read_block(data), list)
