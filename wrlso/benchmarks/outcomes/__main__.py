"""The study from the shell: ``python -m wrlso.benchmarks.outcomes --out runs --seeds 100,101``."""

import argparse
from pathlib import Path

from wrlso.benchmarks.outcomes.methods import METHODS
from wrlso.benchmarks.outcomes.problems import PROBLEMS
from wrlso.benchmarks.outcomes.study import hypervolume_table, run_outcomes

__all__ = ["main"]


def main() -> None:
    """Run what is missing, and print mean hypervolumes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--problems", default=",".join(PROBLEMS))
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--seeds", default="100")
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--jobs", type=int, default=1)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    seeds = [int(seed) for seed in given.seeds.split(",")]
    problems, methods = given.problems.split(","), given.methods.split(",")
    paths = run_outcomes(given.out, problems, methods, seeds, calls=given.calls, n_jobs=given.jobs)
    print(hypervolume_table(paths))  # noqa: T201


if __name__ == "__main__":
    main()
