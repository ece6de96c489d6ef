"""The study from the shell: ``python -m wrlso.benchmarks.outcomes --out runs --seeds 100,101``."""

from wrlso.benchmarks.outcomes.methods import METHODS
from wrlso.benchmarks.outcomes.problems import PROBLEMS
from wrlso.benchmarks.outcomes.study import hypervolume_table, run_outcomes
from wrlso.benchmarks.study import study_parser

__all__ = ["main"]


def main() -> None:
    """Run what is missing, and print mean hypervolumes."""
    parser = study_parser(__doc__ or "")
    parser.add_argument("--problems", default=",".join(PROBLEMS))
    parser.add_argument("--methods", default=",".join(METHODS))
    given = parser.parse_args()
    problems, methods = given.problems.split(","), given.methods.split(",")
    paths = run_outcomes(given.out, problems, methods, given.seeds, calls=given.calls, n_jobs=given.jobs)
    print(hypervolume_table(paths))  # noqa: T201


if __name__ == "__main__":
    main()
