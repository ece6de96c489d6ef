"""Progress bars that no other process can stop."""

import threading
from typing import Any

from tqdm.auto import tqdm

__all__ = ["ProgressBar"]


class ProgressBar(tqdm):
    """tqdm's bar with a lock of its own.

    The usual lock is shared with all forked processes, and even a bar that shows nothing takes it: a worker
    that is killed while it holds the lock, with a bar in its objective, would stop this process for ever.
    No thread watches over it either, so every update is looked at.
    """

    _lock = threading.RLock()
    monitor_interval = 0

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **({"miniters": 1} | options))
