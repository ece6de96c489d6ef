"""What an ask costs beside busy processes: ``python -m wrlso.benchmarks.speed.neighbours``.

Every search of :mod:`wrlso.benchmarks.speed.same_asks` is asked again and again on an idle machine, beside
one and beside two processes that never sleep, with the default numbers of threads: once as the library
does it, with the threads of the linear algebra bounded by the size of the problem, and once without that
bound. The figure is the ratio of seconds, both measured in turn in the same process.
"""

import argparse
import contextlib
import copy
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from wrlso._utils import threads
from wrlso._utils.progress_bar import ProgressBar
from wrlso.benchmarks.records import machine, read_record, versions, write_record
from wrlso.benchmarks.speed.same_asks import SEARCHES, Search
from wrlso.exceptions import DataError

__all__ = ["main", "seconds_of_asks"]


@contextlib.contextmanager
def _busy(n: int) -> Iterator[None]:
    """Keep n processes busy meanwhile."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(n)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


@contextlib.contextmanager
def _unbounded() -> Iterator[None]:
    before = threads.ENOUGH_WORK
    threads.ENOUGH_WORK = 0.0
    try:
        yield
    finally:
        threads.ENOUGH_WORK = before


def seconds_of_asks(search: Search, n_asks: int) -> tuple[float, float]:
    """Return median wall-clock and processor seconds of an ask, with a tell after each."""
    opt = copy.deepcopy(search.optimizer)
    wall, processor = [], []
    for _ in range(n_asks):
        start, used = time.perf_counter(), time.process_time()
        X = opt.ask(search.batch, retrain=False)
        wall.append(time.perf_counter() - start)
        processor.append(time.process_time() - used)
        opt.tell(X, [search.objective(x) for x in X])
    return statistics.median(wall), statistics.median(processor)


def measure(
    names: Sequence[str], neighbours: Sequence[int], n_asks: int, rows: Sequence[dict[str, Any]] = ()
) -> Iterator[dict[str, Any]]:
    """Yield a row for each search and number of neighbours that ``rows`` lack, as soon as it is there."""
    known = {(row["search"], row["neighbours"]) for row in rows}
    missing = {name: [n for n in neighbours if (name, n) not in known] for name in names}
    for name in ProgressBar([name for name in missing if missing[name]], desc="searches"):
        search = SEARCHES[name]()
        for n in missing[name]:
            with _busy(n):
                bounded, processor = seconds_of_asks(search, n_asks)
                with _unbounded():
                    free, free_processor = seconds_of_asks(search, n_asks)
            yield {
                "search": name,
                "neighbours": n,
                "seconds": round(bounded, 4),
                "processor": round(processor, 4),
                "unbounded_seconds": round(free, 4),
                "unbounded_processor": round(free_processor, 4),
                "ratio": round(free / bounded, 3),
            }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line: print the result as JSON, or write it to ``--out`` after each row."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", default=list(SEARCHES), help=f"some of {', '.join(SEARCHES)}")
    parser.add_argument("--asks", type=int, default=5)
    parser.add_argument("--neighbours", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, help="the record; rows that it has are not measured again")
    options = parser.parse_args(arguments)
    about = {"kind": "neighbours", "asks": options.asks, "versions": versions(), "machine": machine()}
    rows: list[dict[str, Any]] = []
    if options.out is not None and options.out.exists():
        before = read_record(options.out)
        rows = before.pop("rows", [])
        if before != about:
            raise DataError(
                f"{options.out} was measured otherwise ({before}): name another file, or remove it"
            )
    for row in measure(options.names, options.neighbours, options.asks, rows):
        rows.append(row)
        if options.out is not None:
            write_record(options.out, about | {"rows": rows})
    if options.out is None:
        sys.stdout.write(json.dumps(about | {"rows": rows}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
