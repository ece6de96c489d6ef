"""Objects as bytes and back: the x themselves, their identities, and the tensors made of them.

Arrays are stored once: where a tensor holds the numbers of x, x is that tensor's row in its own dtype. Texts
and numbers are stored as they are, other objects as the tensor from which the model's codec makes them again.
"""

import zlib
from collections.abc import Hashable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from wrlso._state.changes import NewObjects
from wrlso._state.codec import dump
from wrlso.exceptions import DataError, DataTypeError
from wrlso.models.protocol import LatentModel
from wrlso.storage.blocks import damage_named, objects_in, read_block

__all__ = ["pack_objects", "split_objects", "unpack_objects"]

_BLOCK_BYTES = 1 << 23
_BLOCK_ROWS = 8192
_N_CHECKED = 16  # stored identities of a block that are compared with what the model says


def split_objects(new: NewObjects) -> Iterator[NewObjects]:
    """Split many objects into blocks of bounded size."""
    row_bytes = max(1, new.inputs[:1].numel() * new.inputs.element_size())
    size = max(1, min(_BLOCK_ROWS, _BLOCK_BYTES // row_bytes))
    for first in range(0, len(new.X), size):
        part = slice(first, first + size)
        yield NewObjects(new.X[part], new.keys[part], new.inputs[part])


def pack_objects(model: LatentModel, new: NewObjects) -> bytes:
    """Return one block as bytes.

    Raises
    ------
    DataTypeError
        For objects that are neither texts, numbers, arrays or containers of them, nor come back the same
        from the model's codec.
    """
    inputs = new.inputs.numpy()
    block = {"inputs": inputs, "keys": _pack_keys(new)} | _pack_x(model, new, inputs)
    data = dump(block)
    compressed = zlib.compress(data, 1)
    return b"z" + compressed if len(compressed) < 0.9 * len(data) else b"-" + data


def unpack_objects(model: LatentModel, data: bytes) -> NewObjects:
    """Return what :func:`pack_objects` was given."""
    with damage_named():
        block = read_block(data)
        X = objects_in(block, lambda inputs: _from_codec(model, inputs))
        keys = _unpack_keys(model, block["keys"], X)
        return NewObjects(X, keys, torch.from_numpy(block["inputs"]))


def _pack_x(model: LatentModel, new: NewObjects, inputs: np.ndarray) -> dict[str, Any]:
    X = new.X
    first = X[0]
    if all(isinstance(x, np.ndarray) and x.dtype == first.dtype and x.shape == first.shape for x in X):
        if first.dtype.kind not in "biufcUS":
            raise DataTypeError(f"a campaign cannot store arrays of dtype {first.dtype}")
        stacked = np.stack(X)
        if stacked.shape == inputs.shape and inputs.astype(stacked.dtype).tobytes() == stacked.tobytes():
            return {"kind": "rows", "dtype": stacked.dtype.str}
        return {"kind": "array", "x": stacked}
    try:
        dump(list(X))
    except DataTypeError as error:
        _check_codec(model, new, inputs, error)
        return {"kind": "codec"}
    return {"kind": "value", "x": list(X)}


def _check_codec(model: LatentModel, new: NewObjects, inputs: np.ndarray, cause: Exception) -> None:
    """Raise unless the codec makes the same objects of the tensors."""
    advice = (
        "a campaign stores texts, numbers, arrays and tuples of them as they are, and other objects where "
        "codec.inverse_transform(codec.transform([x])) gives the same x (by model.key)"
    )
    try:
        same = [model.key(x) for x in _from_codec(model, inputs)] == list(new.keys)
    except (DataError, TypeError, ValueError, AttributeError) as error:
        raise DataTypeError(f"{cause}; {advice}: {error}") from error
    if not same:
        raise DataTypeError(f"{cause}; {advice}")


def _from_codec(model: Any, inputs: np.ndarray) -> list[Any]:
    if getattr(model, "codec", None) is None:
        raise TypeError("the model has no codec")
    restore = getattr(model, "restore", None)
    return list(model.codec.inverse_transform(inputs if restore is None else restore(inputs)))


def _pack_keys(new: NewObjects) -> Any:
    """Return the identities in a compact form, or None where the model must make them again."""
    keys = new.keys
    if type(keys[0]) is bytes and all(type(key) is bytes and len(key) == len(keys[0]) for key in keys):
        joined = np.frombuffer(b"".join(key for key in keys if type(key) is bytes), np.uint8)
        return joined.reshape(len(keys), -1)
    return None


def _unpack_keys(model: LatentModel, stored: Any, X: Sequence[Any]) -> list[Hashable]:
    """Return the stored identities, or the model's where it now gives other ones.

    Those of molecules are made again, as RDKit's canonical SMILES differ from version to version. What the
    model can no longer read is known by its text, so that nothing that was told is lost.
    """
    keys: list[Hashable] = []
    if isinstance(stored, np.ndarray) and len(stored) == len(X):
        keys = [row.tobytes() for row in stored]
    checked = range(0, len(X), max(1, len(X) // _N_CHECKED))
    if keys and all(model.key(X[i]) == keys[i] for i in checked):
        return keys
    return [_key(model, x) for x in X]


def _key(model: LatentModel, x: Any) -> Hashable:
    try:
        return model.key(x)
    except DataError:
        if isinstance(x, str):
            return x
        raise
