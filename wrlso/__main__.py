"""Entry point of the command line, which works without its libraries far enough to say what is missing."""

import sys

__all__ = ["main"]

_EXTRAS = (
    {"typer": "cli", "matplotlib": "plots", "mol_ga": "peers"}
    | dict.fromkeys(("starlette", "uvicorn", "python_multipart"), "web")
    | dict.fromkeys(("rdkit", "selfies", "networkx"), "molecules")
)


def main() -> None:
    """Run the command line; missing packages are named in one line, and Ctrl-C leaves no traceback."""
    try:
        from wrlso.cli.main import run

        run()
    except KeyboardInterrupt:
        sys.exit(130)  # as typer does, which only begins to once it has been imported
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        extra = _EXTRAS.get(package)
        if extra is None:
            raise
        sys.exit(f"wrlso: error: {package} is missing; install it with: pip install 'wrlso[{extra}]'")


if __name__ == "__main__":
    main()
