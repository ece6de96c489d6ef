"""The files of a campaign that hold its candidates, and what was computed of them.

Both are mapped into memory and not read as a whole. The first is named after its content. The second can be
computed again: where it is missing or of another model, nothing is lost but time.
"""

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from wrlso._state.shelf import Shelf
from wrlso._utils.files import write_whole
from wrlso.catalogue import Catalogue
from wrlso.exceptions import StorageError
from wrlso.storage.names import CATALOGUE
from wrlso.surrogate.tanimoto_screening import Counted

__all__ = ["catalogue_files", "file_name", "keep_shelf", "read_catalogue", "restore_shelf"]

_NAME = re.compile(r"catalogue-([0-9a-f]{64})\.safetensors")
_COUNTED = ("vocabulary", "places", "counts", "ends")


def file_name(shelf: Shelf | None) -> str | None:
    """Return the name of the file for a shelf's candidates; None where no file can hold them."""
    digest = None if shelf is None else shelf.catalogue.digest
    return None if digest is None else f"catalogue-{digest}.safetensors"


def keep_shelf(folder: Path, shelf: Shelf | None) -> None:
    """Write the candidates, and what was computed of them, where these files are not there yet."""
    name = file_name(shelf)
    if shelf is None or name is None:
        return
    fields = shelf.catalogue.fields() or {}
    try:
        if not (folder / name).exists():
            write_whole(folder / name, _packed(fields, fields["x"].dtype.str))
    except OSError as error:
        raise StorageError(f"the candidates could not be written to {folder}: {error}") from error
    if not shelf.tag or shelf.kept_in == (folder, shelf.tag):
        return
    found = {"keys": shelf.keys}
    if shelf.counted is not None:
        found |= shelf.counted._asdict()
    with suppress(OSError):  # it can be computed again
        write_whole(_index(folder, name), _packed(found, shelf.tag))
        shelf.kept_in = (folder, shelf.tag)


def read_catalogue(folder: Path, name: str) -> Catalogue:
    """Return the candidates in a file.

    Raises StorageError for a name that :func:`file_name` does not give, a missing file, or another content
    than the name says.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise StorageError(f"the journal of {folder} names the candidates {name!r:.100}: put back a copy")
    try:
        dtype, fields = _read(folder / name)
        fields["x"] = fields["x"].view(dtype)
        catalogue = Catalogue.from_fields(fields)
    except (OSError, SafetensorError, LookupError, TypeError, ValueError) as error:
        raise StorageError(
            f"the file of candidates {folder / name} cannot be read: {error}; put it back, or give load() "
            "the candidates"
        ) from error
    if catalogue.digest != match.group(1):
        raise StorageError(f"the file of candidates {folder / name} is damaged: put back a copy")
    return catalogue


def restore_shelf(folder: Path, shelf: Shelf) -> None:
    """Put in place what was computed of the candidates, where the folder holds it."""
    name = file_name(shelf)
    if name is None:
        return
    try:
        tag, found = _read(_index(folder, name))
        keys = found["keys"].view(np.uint64)
        counted = None
        if "counts" in found:
            counted = Counted(*(found[part] for part in _COUNTED))
            counted = counted._replace(counts=counted.counts.view(np.uint16))
    except (OSError, SafetensorError, LookupError):
        return
    if len(keys) == len(shelf):
        shelf.restore(tag, keys, counted)
        shelf.kept_in = (folder, tag)


def catalogue_files(folder: Path) -> list[Path]:
    """Return all files of candidates, unfinished ones too."""
    return sorted(folder.glob(CATALOGUE))


def _index(folder: Path, name: str) -> Path:
    return folder / name.replace(".safetensors", ".index.safetensors")


def _packed(arrays: dict[str, Any], tag: str) -> bytes:
    tensors = {}
    for name, array in arrays.items():
        signed = array.dtype.newbyteorder("=").str.replace("u", "i") if array.itemsize > 1 else array.dtype
        tensors[name] = torch.from_numpy(np.require(array, requirements=["C", "W"]).view(signed))
    return bytes(save(tensors, metadata={"tag": tag}))


def _read(path: Path) -> tuple[str, dict[str, np.ndarray]]:
    path.open("rb").close()  # raises a clearer OSError than safe_open does
    with safe_open(path, framework="pt") as file:
        tag = (file.metadata() or {}).get("tag", "")
        return tag, {name: file.get_tensor(name).numpy() for name in file.keys()}  # noqa: SIM118
