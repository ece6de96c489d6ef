"""What every search shares: decoding, encoding and screening, and the record of them."""

import time
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import torch

from wrlso._utils.random import torch_generator
from wrlso.acquisition.ask_record import AskRecord
from wrlso.acquisition.state import SearchState
from wrlso.exceptions import DataError, ModelError, NoCandidateError
from wrlso.models.inference import Array, decoded, encoded, evaluating, key_of, tensorized, to_array, to_model

__all__ = ["RULE", "Screener"]

RULE = "rule "  # how the reasons begin of which the rest is the name of a rule
_CHUNK = 1024  # points that go through the model at once


class Screener:
    """Decodes, encodes and screens for one search, and counts what happened."""

    def __init__(self, state: SearchState, strategy: str, rng: np.random.Generator) -> None:
        self.state = state
        self.generator: torch.Generator = torch_generator(rng)
        self.record: AskRecord = AskRecord(strategy=strategy, seconds={"acquire": 0.0, "decode": 0.0})
        self._counts: Counter[str] = Counter()
        self._verdicts: dict[Hashable, str | None] = {}
        self._taken: set[Hashable] = set()
        self._start = time.perf_counter()

    def decode(self, Z: Array, temperature: float, carriers: Sequence[Any] = ()) -> list[Any]:
        """Decode Z (q, d) into q objects, None where nothing valid comes out.

        What does not fit ``state.anchor`` gives a part to one of the ``carriers`` (q), if there are any.
        """
        if len(Z) == 0:  # models need not support it
            return []
        start = time.perf_counter()
        model, objects = self.state.model, []
        with evaluating(model):
            for rows in torch.from_numpy(Z).split(_CHUNK):
                objects += decoded(model, to_model(model, rows), temperature, self.generator)
            if carriers and self.state.anchor is not None:
                objects = self.state.anchor.mend(objects, carriers, self.generator)
        self.record.n_decoded += len(Z)
        self.record.seconds["decode"] += time.perf_counter() - start
        return objects

    def vary(self, method: str, *parents: Sequence[Any], again: bool = False) -> list[Any]:
        """Let the model's ``mutate`` or ``cross`` make objects; None where nothing valid came out.

        ``again`` says that these were counted as candidates already.
        """
        n = len(parents[0])
        if not n:
            return []
        start = time.perf_counter()
        with evaluating(self.state.model):
            moves = self.state.model if self.state.anchor is None else self.state.anchor
            made = getattr(moves, method)(*parents, self.generator)
        if len(made) != n:
            raise ModelError(f"{method} must return as many objects as it gets, {n}, got {len(made)}")
        self.record.n_decoded += 0 if again else n
        self.record.seconds["decode"] += time.perf_counter() - start
        return list(made)

    def encode(self, X: Sequence[Any]) -> tuple[list[Any], Array]:
        """Encode objects; return those that have a finite encoding, and the encodings (k, d)."""
        start = time.perf_counter()
        kept: list[Any] = []
        encodings: list[Array] = [np.empty((0, self.state.model.latent_dim))]
        with evaluating(self.state.model):
            for first in range(0, len(X), _CHUNK):
                chunk = X[first : first + _CHUNK]
                try:
                    self._encode(chunk, kept, encodings)
                except DataError:  # the model cannot represent one of them: encode them one by one
                    for x in chunk:
                        try:
                            self._encode([x], kept, encodings)
                        except DataError:
                            self._counts["unencodable"] += 1
        self.record.seconds["decode"] += time.perf_counter() - start
        return kept, np.concatenate(encodings)

    def _encode(self, X: Sequence[Any], kept: list[Any], encodings: list[Array]) -> None:
        model = self.state.model
        Z = to_array(encoded(model, to_model(model, tensorized(model, X), like_weights=False)))
        finite = np.flatnonzero(np.isfinite(Z).all(axis=1))
        self._counts["unencodable"] += len(X) - len(finite)
        kept += [X[int(i)] for i in finite]
        encodings.append(Z[finite])

    def admit(self, x: Any, repeated: str) -> bool:
        """Whether x may be proposed and did not come before (which counts as ``repeated``); count if not."""
        reason: str | None = "undecodable"
        if x is not None:
            key = key_of(self.state.model, x)
            if key not in self._verdicts:
                self._verdicts[key] = self.state.screen(x)
            reason = self._verdicts[key]
            if reason is None and key in self._taken:
                reason = repeated
            if reason is None:
                self._taken.add(key)
                return True
        self._counts[str(reason)] += 1
        return False

    def free(self, X: Sequence[Any]) -> None:
        """Forget that some x were admitted, as they were not chosen."""
        self._taken -= {key_of(self.state.model, x) for x in X}

    def reject(self, reason: str, count: int) -> None:
        """Count candidates that were turned away for another reason than those of :meth:`admit`."""
        self._counts[reason] += count

    def count(self, source: str, made: int, new: int) -> None:
        """Count what a source of candidates made, and how many of these were new."""
        counts = self.record.sources.setdefault(source, {"made": 0, "new": 0, "chosen": 0})
        counts["made"] += made
        counts["new"] += new

    def finish(self) -> AskRecord:
        """Complete the record."""
        self.record.rejected = {reason: count for reason, count in self._counts.items() if count}
        elapsed = time.perf_counter() - self._start
        self.record.seconds["acquire"] = elapsed - self.record.seconds["decode"]
        return self.record

    def give_up(self, found: int, wanted: int) -> NoCandidateError:
        """Return the error that says what was tried."""
        record = self.finish()
        ruled_out = sum(n for reason, n in record.rejected.items() if reason.startswith(RULE))
        hint = "Retrain, or try a higher temperature or more attempts; or the model can produce nothing new"
        if 2 * ruled_out > record.n_decoded:
            hint = f"The rules of feasible turned away {ruled_out} of them: loosen the strictest"
        counts = ", ".join(f"{reason} {count}" for reason, count in sorted(record.rejected.items()))
        return NoCandidateError(
            f"{record.strategy} found {found} of {wanted} new, valid, feasible points among "
            f"{record.n_decoded} candidates; rejected: {counts or 'nothing'}. {hint}"
        )
