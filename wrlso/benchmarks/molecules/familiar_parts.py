"""The file of the surroundings of atoms, and the shapes of ring systems, that are common in ZINC250k.

``python -m wrlso.benchmarks.molecules.familiar_parts --out FILE``

A surrounding is common where at least 3 of the 250,000 molecules have it, a shape of ring systems where at
least 25 have it: there are far fewer shapes, and those of two dozen molecules are mostly macrocycles.
The file takes 145 kB.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from wrlso._chemistry.familiar import ring_systems, surroundings, written
from wrlso._utils.progress_bar import ProgressBar
from wrlso.datasets.molecules import fetch_zinc250k

__all__ = ["common_parts", "main"]

_LEAST = (3, 25)  # molecules that have a common surrounding, and a common shape of ring systems


def common_parts(molecules: Iterable[str], least: tuple[int, int] = _LEAST) -> tuple[set[int], set[int]]:
    """Return the surroundings, and shapes of ring systems, that at least so many molecules have."""
    counts: tuple[Counter[int], Counter[int]] = (Counter(), Counter())
    for x in molecules:
        for kind, parts in zip(counts, (surroundings, ring_systems), strict=True):
            kind.update(parts.__wrapped__(x))  # not remembered: each molecule comes once
    found = [
        {part for part, n in kind.items() if n >= enough} for kind, enough in zip(counts, least, strict=True)
    ]
    return found[0], found[1]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args(arguments).out
    molecules = fetch_zinc250k()
    out.write_bytes(written(common_parts(ProgressBar(molecules, desc="molecules"))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
