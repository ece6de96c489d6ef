"""Linter, formatter and type checker find nothing; modules and functions stay small."""

import ast
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("wrlso", "tests", "examples", "docs")  # not the README, whose code is laid out to be short
SOURCES = sorted((ROOT / "wrlso").rglob("*.py"))


@pytest.mark.parametrize(
    "command",
    [("ruff", "check"), ("ruff", "format", "--check", *FOLDERS), ("mypy",)],
    ids=lambda command: " ".join(command),
)
def test_tool_finds_nothing(command, tmp_path):
    pytest.importorskip(command[0])
    cache = ("--cache-dir", str(tmp_path))
    result = subprocess.run(
        [sys.executable, "-m", *command, *cache], capture_output=True, text=True, cwd=ROOT
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_job_with_the_oldest_versions_pins_every_requirement():
    """Each lower bound exactly; the tested version where there is none, and for torch; never a newer one."""
    script = runpy.run_path(str(ROOT / ".ci" / "oldest"))
    pins = dict(pin.split("==") for pin in script["oldest_pins"]())
    requirements = [requirement.partition(">=") for requirement in script["read_setup"]()]
    assert {name for name, _, _ in requirements} == pins.keys()
    tested = script["tested_versions"]()
    for name, _, bound in requirements:
        version = pins[name]
        assert version == (bound if bound and name != "torch" else tested[script["_plain"](name)])
        newest = tested[script["_plain"](name.partition("[")[0])]
        assert [*map(int, version.split("."))] <= [*map(int, newest.split("."))], name


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_sizes(path):
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert len(text.splitlines()) <= 700, "split this module"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = node.body[0] if ast.get_docstring(node) else None
            skipped = docstring.end_lineno - docstring.lineno + 1 if docstring else 0
            start = node.body[0].lineno
            assert node.end_lineno - start + 1 - skipped <= 40, f"{node.name} is too long"
