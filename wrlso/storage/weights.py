"""The files of a campaign that hold weights; each is named after its content."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from wrlso._utils.files import write_whole
from wrlso.exceptions import StorageError
from wrlso.storage.names import WEIGHTS

__all__ = ["read_weights", "weights_files", "write_weights"]

_NAME = re.compile(r"weights-([0-9a-f]{64})\.safetensors")


def write_weights(folder: Path, state: Mapping[str, Tensor]) -> str:
    """Write weights completely or not at all, and return the file's name, which holds their checksum."""
    data = save_tensors({name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()})
    name = f"weights-{hashlib.sha256(data).hexdigest()}.safetensors"
    path = folder / name
    if path.exists():
        return name
    try:
        write_whole(path, data)
    except OSError as error:
        raise StorageError(
            f"the weights could not be written to {folder}: {error}; make room or allow writing. "
            "What this call would have changed is not saved"
        ) from error
    return name


def read_weights(folder: Path, name: str) -> dict[str, Tensor]:
    """Read and check weights.

    Raises StorageError for a name that is not of the form that :func:`write_weights` gives, a missing file or
    another content than the name says.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise StorageError(
            f"the journal of {folder} names the weights file {name!r:.100}, expected "
            "weights-<sha256>.safetensors: put back a copy of the folder"
        )
    try:
        data = (folder / name).read_bytes()
    except OSError as error:
        raise StorageError(
            f"the weights file {folder / name} cannot be read: {error}; put it back"
        ) from error
    if hashlib.sha256(data).hexdigest() != match.group(1):
        raise StorageError(f"the weights file {folder / name} is damaged (checksum differs): put back a copy")
    return load_tensors(data)


def weights_files(folder: Path) -> list[Path]:
    """Return all weights files, unfinished ones too."""
    return sorted(folder.glob(WEIGHTS))
