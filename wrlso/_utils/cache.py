"""Results that are kept between runs, each in a file behind its checksum.

All of them can be computed again: a folder that cannot be written, or a damaged file, raises no error.
joblib.Memory would unpickle its files, warn of damaged ones, and not notice some of them.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import platformdirs
from numpy.typing import NDArray

from wrlso._utils.files import write_whole

__all__ = ["cache_folder", "content_hash", "keep_lines", "keep_values", "kept_lines", "kept_values"]

Values = NDArray[np.float64]


def cache_folder() -> Path:
    """Return the folder for downloads and scores; it can be deleted at any time.

    The variable ``WRLSO_CACHE`` names it; else it is ``wrlso`` in the system's place for such things:
    ``$XDG_CACHE_HOME`` or ``~/.cache``, ``~/Library/Caches`` (macOS), ``%LOCALAPPDATA%`` (Windows).
    """
    chosen = os.environ.get("WRLSO_CACHE") or platformdirs.user_cache_dir("wrlso", False, opinion=False)
    return Path(chosen).expanduser()


def content_hash(X: Iterable[str]) -> str:
    """Return 32 hexadecimal digits that stand for these texts in this order."""
    digest = hashlib.sha256()
    for x in X:
        data = x.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()[:32]


def keep_values(key: str, values: Values) -> None:
    """Keep n numbers under a key."""
    data = np.ascontiguousarray(values, dtype="<f8").tobytes()
    _keep(_path(key, "f8"), data)


def kept_values(key: str, n: int) -> Values | None:
    """Return the n numbers that were kept under a key, None when there are none."""
    data = _kept(_path(key, "f8"))
    if data is None or len(data) != 8 * n:
        return None
    return np.frombuffer(data, dtype="<f8").astype(np.float64)


def keep_lines(key: str, lines: Sequence[str]) -> None:
    """Keep n texts without line breaks under a key."""
    _keep(_path(key, "txt"), "".join(f"{line}\n" for line in lines).encode())


def kept_lines(key: str, n: int) -> list[str] | None:
    """Return the n texts that were kept under a key, None when there are none."""
    data = _kept(_path(key, "txt"))
    if data is None:
        return None
    lines = data.decode("utf-8", "replace").split("\n")[:-1]
    return lines if len(lines) == n else None


def _path(key: str, ending: str) -> Path:
    return cache_folder() / "scores" / f"{re.sub(r'[^A-Za-z0-9._-]+', '_', key)}.{ending}"


def _keep(path: Path, data: bytes) -> None:
    """Write the data behind their checksum, if that is possible."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, hashlib.sha256(data).digest() + data)


def _kept(path: Path) -> bytes | None:
    try:
        content = path.read_bytes()
    except OSError:
        return None
    data = content[32:]
    return data if hashlib.sha256(data).digest() == content[:32] else None
