"""The folder of a campaign: its journal, its weights and its lock, as the optimizer reads and writes them."""

import json
import logging
import platform
import sys
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from shutil import copyfile
from typing import Any

import numpy as np
import sklearn
import torch

from wrlso._state.changes import Changes, NewObjects
from wrlso._state.codec import dump, load
from wrlso._state.learned import Learned
from wrlso._state.shelf import Shelf
from wrlso._utils.files import put_whole
from wrlso._version import __version__
from wrlso.exceptions import ModelError, StorageError
from wrlso.history import History
from wrlso.storage.beginning import new_campaign
from wrlso.storage.catalogue import catalogue_files, keep_shelf
from wrlso.storage.journal import Journal, open_journal
from wrlso.storage.learned import counters, model_fields, new_arrays, restore_arrays, restore_counters
from wrlso.storage.lock import WorkLock
from wrlso.storage.names import JOURNAL, LOCK, NEW_JOURNAL, PRETRAINED
from wrlso.storage.objects import pack_objects, split_objects, unpack_objects
from wrlso.storage.weights import read_weights, weights_files, write_weights

__all__ = ["Campaign", "create_campaign", "describe_environment"]

_logger = logging.getLogger(__name__)
_PLACES = ("encodings", "subset", "condition")  # what is stored of where points lie


class Campaign:
    """An open campaign: what an optimizer reads from it and writes to it.

    It holds no state of the search itself; the history that is handed over says how far it has been read.

    Parameters
    ----------
    path : Path
        An existing campaign's folder.
    read_only : bool
        Whether to read it as it is now, and to write nothing.

    Examples
    --------
    >>> from torch import nn
    >>> from wrlso import WeightedRetrainingOptimizer
    >>> opt = WeightedRetrainingOptimizer(nn.Linear(4, 4), nn.Linear(2, 4)).autosave("opened")
    >>> campaign = Campaign(Path("opened"), read_only=True)
    >>> campaign.has_learned_more
    True
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self.journal: Journal = open_journal(path, read_only=read_only)
        self.lock: WorkLock = WorkLock(path / LOCK)
        self.version: int = -1  # of what was learned, when it was last read or written
        self.state: str | None = None  # what its model keeps beside its weights, such as a vocabulary
        self._files: list[tuple[Any, str]] = []  # models and given weights, and the files that hold them

    @contextmanager
    def transaction(self, *, write: bool = True) -> Iterator[None]:
        """Hold one transaction of the journal; on an error nothing of it is written."""
        with self.journal.transaction(write=write):
            yield

    @property
    def generation(self) -> tuple[int, str]:
        """Number and identity of the history that is current; every fit begins a new one."""
        return self.journal.generation

    @property
    def has_learned_more(self) -> bool:
        """Whether something was learned since that was last read or written here."""
        return int(self.journal.get("core_version") or 0) != self.version

    @property
    def has_new_state(self) -> bool:
        """Whether the stored model keeps other things beside its weights than the one known here."""
        stored = self.journal.get("model")
        return stored is not None and json.loads(stored)["state"] != self.state

    def note_learned(self, learned: Learned) -> None:
        """Note that what is stored is this."""
        stored = json.loads(self.journal.get("model") or "{}")
        self.state = _packed_state(learned.model)
        self._note_files(learned.model, learned.given_weights, stored)

    def has_grown(self, model: Any) -> bool:
        """Whether a model keeps other things beside its weights than when it was last read or written."""
        return _packed_state(model) != self.state

    @property
    def has_learned(self) -> bool:
        """Whether there is a model."""
        return self.journal.get("model") is not None

    def read_changes(self, model: Any, history: History) -> Changes:
        """Return the objects and events that this history has not taken in."""
        number, _ = self.generation
        changes = Changes(history)
        blocks = [unpack_objects(model, data) for _, _, data in self.journal.objects(number, len(history))]
        changes.objects = list(_merged(blocks))
        self._report_merged(history, changes)
        changes.events = list(self.journal.events(number, len(history.events)))
        n_rows = len(history) + sum(len(new.keys) for new in changes.objects)
        self.journal.expect_objects(n_rows, changes.events)
        return changes

    def read_model(self, model: Any) -> dict[str, Any] | None:
        """Put the stored weights into a model of the same structure.

        Returns the weights that it was given before its first training, None where they are not kept.
        """
        stored = json.loads(self.journal.get("model") or "{}")
        self.state = stored["state"]
        if stored["state"]:  # first, as it may say how large the weights are: a vocabulary that has grown
            _set_state(model, load(bytes.fromhex(stored["state"])), stored["class"])
        _load_weights(model, read_weights(self.path, stored["weights"]), stored["class"])
        given = None if stored["given"] is None else read_weights(self.path, stored["given"])
        self._note_files(model, given, stored)
        return given

    def read_learned(self, learned: Learned, history: History, acquisition: Any, surrogate: Any) -> None:
        """Put counters, acquisition, encodings and surrogate in place."""
        void = _PLACES if self._has_moved else ()
        arrays = [part for part in self.journal.arrays() if part[0] not in void]
        stored = next(load(data) for kind, data in arrays if kind == "core")
        restore_counters(learned, stored, acquisition)
        restore_arrays(learned, history, arrays, surrogate)
        self.version = int(self.journal.get("core_version") or 0)

    def prepare(self, learned: Learned) -> tuple[str, str | None]:
        """Write the weights, where they are in no file of this campaign yet; return the files' names.

        Call it before the transaction, which makes others wait.
        """
        weights = self._file_of(learned.model, learned.model.state_dict)
        given = learned.given_weights
        return weights, None if given is None else self._file_of(given, lambda: given)

    def _file_of(self, owner: Any, state: Callable[[], Mapping[str, torch.Tensor]]) -> str:
        # what was learned is replaced, never overwritten: the same object has the same weights
        for known, name in self._files:
            if known is owner and (self.path / name).exists():
                return name
        name = write_weights(self.path, state())
        self._files = [(owner, name), *self._files[:3]]
        return name

    def _note_files(self, model: Any, given: Any, stored: dict[str, Any]) -> None:
        pairs = ((model, stored.get("weights")), (given, stored.get("given")))
        self._files = [(owner, name) for owner, name in pairs if owner is not None and name is not None]

    def begin(self, history: History) -> None:
        """Let a new history take the place of the current one."""
        _begin(self.journal, history)

    def write_changes(self, model: Any, history: History, changes: Changes | None = None) -> None:
        """Write what the journal does not have yet of a history, and changes that it is about to take in."""
        _write_history(self.journal, model, history, changes)

    def write_learned(self, learned: Learned, before: Learned | None) -> None:
        """Write what was learned: all of it, or what has come since ``before``, which is stored."""
        if self.has_grown(learned.model):
            self._files = []  # the model's weights have grown with what it keeps beside them
        self.version = _write_learned(self.journal, learned, before, self.prepare(learned))
        self.state = _packed_state(learned.model)

    def write_parameters(self, parameters: str, needs: str) -> None:
        """Write the optimizer's parameters where they have changed."""
        if self._has_moved:
            self.journal.remove_arrays(*_PLACES)
        for key, value in (("parameters", parameters), ("needs", needs)):
            if self.journal.get(key) != value:
                self.journal.put(key, value)

    @property
    def _has_moved(self) -> bool:
        """Whether former parameters put points elsewhere than at their encodings."""
        parameters = json.loads(self.journal.get("parameters") or "{}")
        return bool(parameters.get("fit_on", "encoding") != "encoding")

    def report_environment(self) -> None:
        """Log what differs from when the campaign began, as results may differ in their last bits then."""
        then, now = json.loads(self.journal.get("created") or "{}"), describe_environment()
        rdkit, rdkit_now = ((e.get("versions") or {}).get("rdkit") for e in (then, now))
        if rdkit is None or rdkit_now is None:  # it is of no use to this campaign, or was not noted then
            now["versions"].pop("rdkit", None)
            (then.get("versions") or {}).pop("rdkit", None)
        for name in ("versions", "threads"):
            if then.get(name) != now[name]:
                message = "%s began with %s %s, now it is %s: results may differ in their last bits"
                _logger.info(message, self.path, name, then.get(name), now[name])
        if rdkit is not None and rdkit_now not in (None, rdkit):
            message = "%s began with RDKit %s, now it is %s: molecules are known by the new one's SMILES"
            _logger.warning(message, self.path, rdkit, rdkit_now)

    def _report_merged(self, history: History, changes: Changes) -> None:
        """Log the stored objects that are one by the keys of today; no row of them is lost."""
        first: dict[Hashable, int] = {}
        keys = (key for new in changes.objects for key in new.keys)
        for row, key in enumerate(keys, len(history)):
            known = history.row(key)
            known = first.setdefault(key, row) if known is None else known
            if known != row:
                message = "%s: rows %d and %d are one point by the model's key of today; both are kept"
                _logger.warning(message, self.path, known, row)

    def clean(self) -> None:
        """Remove weights that nothing refers to; only for who holds the lock."""
        with suppress(OSError), self.transaction():  # what is left over does no harm
            stored = json.loads(self.journal.get("model") or "{}")
            for file in weights_files(self.path):
                if file.name not in (stored.get("weights"), stored.get("given")):
                    file.unlink(missing_ok=True)
            parameters = json.loads(self.journal.get("parameters") or "{}")
            kept = str(parameters.get("candidates")).removesuffix(".safetensors")
            for file in catalogue_files(self.path):
                if not file.name.startswith(f"{kept}."):
                    file.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the journal."""
        self.journal.close()


def create_campaign(
    path: Path,
    history: History,
    learned: Learned | None,
    parameters: tuple[str, str],
    notes: Mapping[str, str],
    origin: Path | None = None,
    shelf: Shelf | None = None,
) -> None:
    """Make a new campaign; it is there completely, or not at all.

    A copy of a campaign in another folder, ``origin``, has its model's file, too.
    """
    with new_campaign(path, LOCK):
        try:
            if origin is not None and (origin / PRETRAINED).exists():
                copyfile(origin / PRETRAINED, path / PRETRAINED)
            keep_shelf(path, shelf)
            _fill(path / NEW_JOURNAL, path, history, learned, parameters, notes)
            put_whole(path / NEW_JOURNAL, path / JOURNAL)
        except OSError as error:
            raise (
                error
                if isinstance(error, StorageError)
                else StorageError(f"{path} could not be written: {error}")
            ) from error


def _fill(
    file: Path,
    folder: Path,
    history: History,
    learned: Learned | None,
    parameters: tuple[str, str],
    notes: Mapping[str, str],
) -> None:
    journal = Journal.create(file)
    try:
        with journal.transaction():
            _begin(journal, history)
            for key, value in zip(("parameters", "needs"), parameters, strict=True):
                journal.put(key, value)
            journal.put("created", json.dumps(describe_environment()))
            for key, value in notes.items():
                journal.put(key, value, "notes")
            if learned is not None:
                _write_history(journal, learned.model, history, None)
                given = learned.given_weights
                files = (
                    write_weights(folder, learned.model.state_dict()),
                    None if given is None else write_weights(folder, given),
                )
                _write_learned(journal, learned, None, files)
    finally:
        journal.close()


def describe_environment() -> dict[str, Any]:
    """Return the time, and what the last bits of results depend on."""
    versions = {
        "wrlso": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": torch.__version__,
        "scikit-learn": sklearn.__version__,
    }
    if "rdkit" in sys.modules:  # on which the identity of molecules depends
        versions["rdkit"] = sys.modules["rdkit"].__version__
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions,
        "threads": torch.get_num_threads(),
    }


def _begin(journal: Journal, history: History) -> None:
    journal.put("generation", json.dumps([journal.generation[0] + 1, history.uid]))


def _write_history(journal: Journal, model: Any, history: History, changes: Changes | None) -> None:
    number, _ = journal.generation
    n_records, n_events = journal.counts(number)
    staged = [] if changes is None else changes.objects
    for new in [*_unwritten(history, n_records), *staged]:
        for block in split_objects(new):
            journal.add_objects(number, n_records, len(block.X), pack_objects(model, block))
            n_records += len(block.X)
    coming = [] if changes is None else changes.events
    journal.add_events(number, n_events, history.events[n_events:] + coming)


def _unwritten(history: History, first: int) -> Iterator[NewObjects]:
    for start in range(first, len(history), 8192):
        rows = range(start, min(start + 8192, len(history)))
        records = history.records[rows.start : rows.stop]
        inputs = history.inputs[torch.arange(rows.start, rows.stop)]
        yield NewObjects([r.x for r in records], [r.key for r in records], inputs)


def _write_learned(
    journal: Journal, learned: Learned, before: Learned | None, files: tuple[str, str | None]
) -> int:
    void, added = new_arrays(learned, before)
    journal.remove_arrays("core", *void)
    for kind, data in [("core", dump(counters(learned), foreign=True)), *added]:
        journal.add_array(kind, data)
    stored = {
        "class": type(learned.model).__name__,
        "weights": files[0],
        "given": files[1],
        "state": _packed_state(learned.model),
    }
    journal.put("model", json.dumps(stored))
    version = int(journal.get("core_version") or 0) + 1
    journal.put("core_version", str(version))
    return version


def _packed_state(model: Any) -> str | None:
    state = model_fields(model)
    return None if state is None else dump(state).hex()


def _merged(blocks: list[NewObjects]) -> Iterator[NewObjects]:
    """Join the blocks of equal dtype, as one large tensor is faster to read rows of."""
    while blocks:
        n = next((i for i, b in enumerate(blocks) if b.inputs.dtype != blocks[0].inputs.dtype), len(blocks))
        same, blocks = blocks[:n], blocks[n:]
        if n == 1:
            yield same[0]
            continue
        inputs = torch.cat([block.inputs for block in same])
        # objects that are rows of the tensors become rows of the joined one: no second copy of the data
        X = (
            list(inputs.numpy())
            if all(_is_shared(block) for block in same)
            else [x for block in same for x in block.X]
        )
        yield NewObjects(X, [key for block in same for key in block.keys], inputs)


def _is_shared(block: NewObjects) -> bool:
    first = block.X[0]
    return isinstance(first, np.ndarray) and first.ctypes.data == block.inputs.data_ptr()


def _set_state(model: Any, state: Any, class_name: str) -> None:
    try:
        model.set_state(state)
    except (LookupError, TypeError, AttributeError, ModelError) as error:
        if isinstance(error, ModelError) and type(model).__name__ == class_name:
            raise
        raise ModelError(
            f"this is another model than the campaign's ({class_name}), got {type(model).__name__}: "
            "it cannot take what is stored beside the weights"
        ) from error


def _load_weights(model: Any, weights: dict[str, Any], class_name: str) -> None:
    own = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    stored = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    if own != stored:
        differing = sorted(name for name in own.keys() | stored.keys() if own.get(name) != stored.get(name))
        name = differing[0]
        raise ModelError(
            f"this is another model than the campaign's ({class_name}): {len(differing)} weights differ, for "
            f"example {name}, stored as {stored.get(name, 'missing')} and given as {own.get(name, 'missing')}"
        )
    model.load_state_dict(weights)
