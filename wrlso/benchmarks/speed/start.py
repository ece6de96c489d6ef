"""How soon does the command line answer? ``python -m wrlso.benchmarks.speed.start``.

Prints a table: for each command the processor seconds (user and system) of a new process, as the median,
and their ratio to those of ``python -c "import torch"`` in the same run. The commands take turns, so that a
change in the machine's load meets all of them.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wrlso._utils.validation import check_count
from wrlso.benchmarks.records import machine, versions, write_record

__all__ = ["COMMANDS", "main", "start_costs"]

_TORCH = "import torch"
COMMANDS: Mapping[str, int] = {
    "wrlso --help": 0,
    "wrlso --version": 0,
    "wrlso ask camp -n 0": 2,
    "wrlso status nowhere": 1,
    "wrlso status camp": 0,
    "wrlso export camp": 0,
    "wrlso tell camp batch.csv": 0,
}
"""What is measured, and the exit code that it must have; batch.csv is known to the campaign already."""


def start_costs(repeats: int = 5) -> dict[str, Any]:
    """Measure the processor time of some commands in new processes.

    Parameters
    ----------
    repeats : int, default=5
        How often each command is run, at least 1.

    Returns
    -------
    dict
        "repeats"; "torch_seconds", the median for ``import torch``; and "commands": for each of
        :data:`COMMANDS` a dict with "seconds", the median, and "ratio" of the two.

    Raises
    ------
    ParameterError, ParameterTypeError
        If ``repeats`` is not an integer of at least 1.
    RuntimeError
        If a command ends with another exit code than it must.
    """
    check_count("repeats", repeats)
    found: dict[str, list[float]] = {name: [] for name in (_TORCH, *COMMANDS)}
    with tempfile.TemporaryDirectory(prefix="wrlso-start-") as folder:
        _make_campaign(Path(folder))
        for _ in range(repeats):
            found[_TORCH].append(_processor_seconds(["-c", _TORCH], Path(folder)))
            for command, code in COMMANDS.items():
                found[command].append(_wrlso(command, Path(folder), code))
    seconds = {name: statistics.median(values) for name, values in found.items()}
    torch_seconds = seconds.pop(_TORCH)
    commands = {name: {"seconds": s, "ratio": s / torch_seconds} for name, s in seconds.items()}
    return {"repeats": repeats, "torch_seconds": torch_seconds, "commands": commands}


def _make_campaign(folder: Path) -> None:
    """Make a campaign of 18 expressions, ask for two more, and tell them."""
    terms = [f"{a} {sign} {b}" for a in "x12" for sign in "+*" for b in ("3", "sin( x )", "exp( x )")]
    rows = [f"{term},{i}" for i, term in enumerate(terms)]
    (folder / "start.csv").write_text("\n".join(["x,y", *rows]) + "\n", encoding="utf-8")
    _wrlso("wrlso init camp --data start.csv --model expressions --epochs 0", folder)
    _wrlso("wrlso ask camp -n 2 --out batch.csv", folder)
    batch = folder / "batch.csv"
    batch.write_text(batch.read_text(encoding="utf-8").replace(",\n", ",0.5\n"), encoding="utf-8")
    _wrlso("wrlso tell camp batch.csv", folder)


def _wrlso(command: str, folder: Path, code: int = 0) -> float:
    return _processor_seconds(["-m", *command.split()], folder, code)


def _processor_seconds(arguments: Sequence[str], folder: Path, code: int = 0) -> float:
    """Run Python with these arguments in a folder, and return the processor time that it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    root = str(Path(__file__).parents[3])  # these sources, wherever the process runs
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    result = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    if result.returncode != code:
        raise RuntimeError(
            f"{' '.join(arguments)} ended with {result.returncode}, expected {code}: {result.stderr}"
        )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _table(record: dict[str, Any]) -> str:
    lines = [f"{'':28}{'seconds':>9}{'ratio':>8}", f"{_TORCH:28}{record['torch_seconds']:9.3f}{1:8.3f}"]
    for name, row in record["commands"].items():
        lines.append(f"{name:28}{row['seconds']:9.3f}{row['ratio']:8.3f}")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line: print a table, and write the record to ``--out``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5, help="how often each command is run")
    parser.add_argument("--out", type=Path, help="write the record here")
    options = parser.parse_args(arguments)
    record = start_costs(options.repeats)
    sys.stdout.write(_table(record))
    if options.out is not None:
        record |= {"kind": "start-costs", "versions": versions(), "machine": machine()}
        write_record(options.out, record)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
