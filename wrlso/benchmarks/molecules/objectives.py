r"""Comparison of our objectives with those of GuacaMol, and their speed.

``python -m wrlso.benchmarks.molecules.objectives``

The command compares every score of ``GUACAMOL_OBJECTIVES`` with that of the package
``guacamol`` on molecules of ZINC250k and on reference drugs, small, large, charged and odd molecules. The
package is not a dependency; install it into a folder of its own::

    pip install --no-deps --target guacamol-package guacamol
    python -m wrlso.benchmarks.molecules.objectives --guacamol guacamol-package \
        --out docs/benchmarks/objectives/record.json

The package imports ``scipy.histogram``, which no longer exists, and ``fcd``, which only its distribution
benchmarks need. This module supplies both in its own process. ``--golden`` writes the package's values for
tests.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from wrlso._chemistry.smiles import optional_module, parse
from wrlso._utils.validation import check_count
from wrlso.benchmarks.records import machine, versions, write_record
from wrlso.datasets.molecules import fetch_zinc250k
from wrlso.exceptions import ParameterError
from wrlso.tasks.molecules.guacamol import GUACAMOL_OBJECTIVES, guacamol_objective
from wrlso.tasks.molecules.scores import penalized_logp

__all__ = ["ODD_MOLECULES", "compare", "main", "peer_scores"]

Score = Callable[[str], float]

#: Reference drugs of the objectives, and small, large, charged, inorganic molecules, salts and radicals.
ODD_MOLECULES = (
    "CC1=CC=C(C=C1)C1=CC(=NN1C1=CC=C(C=C1)S(N)(=O)=O)C(F)(F)F",  # celecoxib
    "Cc1c(C)c2OC(C)(COc3ccc(CC4SC(=O)NC4=O)cc3)CCc2c(C)c1O",  # troglitazone
    "CN(C)S(=O)(=O)c1ccc2Sc3ccccc3C(=CCCN4CCN(C)CC4)c2c1",  # thiothixene
    "CC(C)(C)NCC(O)c1ccc(O)c(CO)c1",  # albuterol
    "COc1ccc2[C@H]3CC[C@@]4(C)[C@@H](CC[C@@]4(O)C#C)[C@@H]3CCc2c1",  # mestranol
    "CC1(C)C2CCC1(C)C(=O)C2",  # camphor
    "CC(C)C1CCC(C)CC1O",  # menthol
    "O=C1N(CC(N2C1CC3=C(C2C4=CC5=C(OCO5)C=C4)NC6=C3C=CC=C6)=O)C",  # tadalafil
    "CCCC1=NN(C2=C1N=C(NC2=O)C3=C(C=CC(=C3)S(=O)(=O)N4CCN(CC4)C)OCC)C",  # sildenafil
    "COc1cc(N(C)CCN(C)C)c(NC(=O)C=C)cc1Nc2nccc(n2)c3cn(C)c4ccccc34",  # osimertinib
    "CC(C)(C(=O)O)c1ccc(cc1)C(O)CCCN2CCC(CC2)C(O)(c3ccccc3)c4ccccc4",  # fexofenadine
    "COc1ccccc1OCC(O)CN2CCN(CC(=O)Nc3c(C)cccc3C)CC2",  # ranolazine
    "O=C(OCC)C(NC(C(=O)N1C(C(=O)O)CC2CCCCC12)C)CCC",  # perindopril
    r"Clc1ccccc1C2C(=C(/N/C(=C2/C(=O)OCC)COCCN)C)\C(=O)OC",  # amlodipine
    "Fc1cc(c(F)cc1F)CC(N)CC(=O)N3Cc2nnc(n2CC3)C(F)(F)F",  # sitagliptin
    "O=C(C)N(CC)C1=CC=CC(C2=CC=NC3=C(C=NN23)C#N)=C1",  # zaleplon
    "CCCCC(=O)N(Cc1ccc(cc1)-c1ccccc1-c1nn[nH]n1)C(C(C)C)C(=O)O",  # valsartan
    "CN(C=O)Cc1ccc(cc1)-c1ccccc1",  # valsartan's pattern
    "CN(Cc1ccc(-c2cc(F)ccc2F)cc1)C(=O)CCS(N)(=O)=O",  # with that pattern, and more like sitagliptin
    "CCN(Cc1ccc(-c2cc(N)ccc2C)cc1)C(=O)CS(C)(=O)=O",
    "CCCOc1cc2ncnc(Nc3ccc4ncsc4c3)c2cc1S(=O)(=O)C(C)(C)C",  # where both hops start
    "CCCOc1cc2ncnc(Nc3ccccc3)c2cc1",  # its scaffold without its decoration
    "CC(=O)Oc1ccccc1C(=O)O",  # aspirin
    "Cn1cnc2c1c(=O)n(C)c(=O)n2C",  # caffeine
    "COc1ccc2[nH]c(N)nc2c1O",
    "CC(=O)N(O)c1cccnc1",
    "OP(O)(=O)C(F)(F)c1ccc(Cl)nc1NCCO",
    "C",
    "O",
    "[Na+].[Cl-]",
    "CC(=O)[O-].[Na+]",
    "C[N+](C)(C)CC(=O)[O-]",
    "C[CH2]",
    "[13CH3]C(=O)[2H]",
    "C" * 38,
    "S" * 12,
    "C1CCCCCCCCCCCCCC1",
    "C12C3C4C1C5C2C3C45",  # cubane
    "OB(O)c1ccc([Si](C)(C)C)cc1[Se]C",
    "FC(F)(F)" + "C(F)(F)" * 8 + "F",
    "NC(=O)" * 6 + "C",
    "c1ccc2c(c1)ccc1c2ccc2ccccc21",
)


def peer_scores(folder: Path | None) -> dict[str, Score]:
    """Return GuacaMol's own scores by our names.

    Parameters
    ----------
    folder : Path or None
        Folder of the package ``guacamol``; None: where Python finds it.

    Raises
    ------
    ParameterError
        When the package is missing.
    """
    import scipy

    if folder is not None:
        sys.path.append(str(folder))
    if not hasattr(scipy, "histogram"):
        scipy.histogram = np.histogram
    sys.modules.setdefault("fcd", ModuleType("fcd"))
    try:
        suites = import_module("guacamol.benchmark_suites")
    except ModuleNotFoundError as error:
        raise ParameterError(
            f"the package guacamol is not in {folder or 'the environment'} ({error}); "
            "install it with pip install --no-deps --target FOLDER guacamol"
        ) from error
    # two that GuacaMol's second suite omits, as the package defines them: with geometric means
    standard = import_module("guacamol.standard_benchmarks")
    others = [standard.isomers_c7h8n2o2(), standard.qed_benchmark()]
    suite = [*suites.goal_directed_suite_v2(), *others]
    found = {_our_name(benchmark.name): benchmark.objective.score for benchmark in suite}
    return {name: found[name] for name in GUACAMOL_OBJECTIVES}


def _our_name(name: str) -> str:
    name = name.lower().replace(" molecules ", "").replace(" ", "_")
    return f"isomers_{name}" if name.startswith("c") and name[1].isdigit() else name


def _our_score(name: str) -> Score:
    objective = guacamol_objective(name)
    return lambda x: objective(parse(x))


def compare(X: Sequence[str], peers: dict[str, Score]) -> dict[str, Any]:
    """Return for each objective the largest difference on n molecules, its molecule, and both speeds.

    Raises
    ------
    ParameterError
        When X is empty.
    """
    if not X:
        raise ParameterError("X must hold at least one molecule, got none")
    results = {}
    for name, peer in peers.items():
        theirs, slow = _timed(peer, X)
        ours, fast = _timed(_our_score(name), X)
        differences = [abs(a - b) for a, b in zip(ours, theirs, strict=True)]
        worst = max(range(len(X)), key=differences.__getitem__)
        results[name] = {
            "largest_difference": differences[worst],
            "there": X[worst],
            "smallest": min(ours),
            "largest": max(ours),
            "molecules_per_second": round(fast, 1),
            "guacamol_molecules_per_second": round(slow, 1),
            "ratio": round(fast / slow, 2),
        }
    return results


def _timed(score: Score, X: Sequence[str]) -> tuple[list[float], float]:
    """Return the values and molecules a second of processor time."""
    with optional_module("rdkit.rdBase").BlockLogs():
        score(X[0])  # reads tables once
        start = time.process_time()
        values = [float(score(x)) for x in X]
        return values, len(X) / (time.process_time() - start)


def _golden(peers: dict[str, Score]) -> dict[str, Any]:
    """Return GuacaMol's values of the odd molecules, with their origin."""
    with optional_module("rdkit.rdBase").BlockLogs():
        values = {name: [float(peer(x)) for x in ODD_MOLECULES] for name, peer in peers.items()}
    if not all(math.isfinite(value) for row in values.values() for value in row):
        raise ParameterError("all values of the package guacamol must be finite, got NaN or infinity")
    return {
        "kind": "golden",
        "origin": "scores of the package guacamol, by "
        "python -m wrlso.benchmarks.molecules.objectives --golden",
        "versions": _versions(),
        "molecules": list(ODD_MOLECULES),
        "values": values,
    }


def _versions() -> dict[str, str]:
    return versions() | {package: version(package) for package in ("rdkit", "networkx")}


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the comparison from the command line; write JSON to ``--out`` or standard output and return it."""
    parser = argparse.ArgumentParser(prog="python -m wrlso.benchmarks.molecules.objectives")
    parser.description = "Compare the objectives on molecules with those of the package guacamol."
    parser.add_argument("--guacamol", type=Path, help="folder of the package guacamol")
    parser.add_argument("--n", type=int, default=1000, help="number of molecules of ZINC250k")
    parser.add_argument("--seed", type=int, default=0, help="seed of the sample")
    parser.add_argument("--out", type=Path, help="file for the JSON; standard output when left out")
    parser.add_argument("--golden", type=Path, help="file for GuacaMol's values of the odd molecules")
    options = parser.parse_args(arguments)
    check_count("n", options.n)
    peers = peer_scores(options.guacamol)
    zinc = fetch_zinc250k()
    chosen = np.sort(np.random.default_rng(options.seed).choice(len(zinc), options.n, replace=False))
    X = [zinc[i] for i in chosen]
    record = {
        "kind": "objectives",
        "n_zinc": options.n,
        "n_odd": len(ODD_MOLECULES),
        "seed": options.seed,
        "versions": _versions() | {"guacamol": _guacamol_version(options.guacamol)},
        "machine": machine(),
        "penalized_logp_per_second": round(_timed(lambda x: penalized_logp(parse(x)), X)[1], 1),
        "zinc": compare(X, peers),
        "odd": compare(ODD_MOLECULES, peers),
    }
    if options.golden is not None:
        write_record(options.golden, _golden(peers))
    if options.out is None:
        sys.stdout.write(json.dumps(record, indent=1) + "\n")
    else:
        write_record(options.out, record)
    return record


def _guacamol_version(folder: Path | None) -> str:
    found = sorted(folder.glob("guacamol-*.dist-info")) if folder else []
    return (
        found[0].name.removeprefix("guacamol-").removesuffix(".dist-info") if found else version("guacamol")
    )


if __name__ == "__main__":
    main()
