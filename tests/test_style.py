"""Linter, formatter and type checker find nothing; modules and functions stay small."""

import ast
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
