"""Documentation runs: code blocks of the README and the guide, examples, docstrings; the commands agree."""

import doctest
import html
import importlib
import importlib.util
import inspect
import os
import pkgutil
import re
import shlex
import subprocess
import sys
import textwrap
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
import typer

import wrlso
from wrlso.benchmarks.molecules.realism import realism_table
from wrlso.benchmarks.outcomes.study import hypervolume_table
from wrlso.benchmarks.panel.calls import Calls, Spent
from wrlso.benchmarks.panel.peers import genetic_algorithm
from wrlso.benchmarks.panel.problems import Problem
from wrlso.benchmarks.panel.spaces import bits
from wrlso.cli import app

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.rst"))]
TORCH_SCRIPT = "`torch.jit.script` is deprecated"  # what importing GPyTorch says
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
MODULES = sorted(
    info.name
    for info in pkgutil.walk_packages(wrlso.__path__, "wrlso.")
    if not info.name.endswith("__main__")
)


def code_blocks(path):
    """Return the Python code blocks of a page, as (first line, code)."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        found = re.finditer(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        return [(text[: match.start(1)].count("\n") + 1, match[1]) for match in found]
    pattern = r"^\.\. (?:code-block:: python|plot::)\n(?:   :.*\n)*((?:[ ]+.*\n|\n)+)"
    blocks = []
    for match in re.finditer(pattern, text + "\n", re.MULTILINE):
        lines = match[1].split("\n")
        blocks.append((text[: match.start(1)].count("\n") + 1, "\n".join(line[3:] for line in lines)))
    return blocks


WITH_CODE = [path for path in PAGES if path.exists() and code_blocks(path)]


@pytest.mark.parametrize("path", WITH_CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_code_blocks_run(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "__main__"}
    for line, code in code_blocks(path):
        # the empty lines make error messages point into the page
        exec(compile("\n" * (line - 1) + code, str(path), "exec"), namespace)


def test_the_first_block_of_the_readme_is_ahead_of_a_genetic_algorithm(tmp_path, monkeypatch):
    """Both make forty experiments from the same data; the algorithm does so ten times."""
    monkeypatch.chdir(tmp_path)
    found = {}
    exec(next(code for _, code in code_blocks(ROOT / "README.md")), found)
    experiment, X = found["experiment"], np.unique(found["X"], axis=0).astype(np.uint8)
    assert len(found["opt"].y_) == len(X) + 40
    y = np.array([experiment(x) for x in X])
    problem = Problem("threes", "bits", "maximize", np.inf, len(X), experiment, None, bits(64), None)
    rivals = []
    for seed in range(10):
        calls = Calls(problem, X, y, 40)
        with suppress(Spent):
            genetic_algorithm(calls, seed)
        assert calls.left == 0
        rivals.append(max(calls.y))
    assert found["opt"].best_y_ > max(rivals) > y.max()
    # what the page says; rounding differs between processors, and with it the search
    assert found["opt"].best_y_ == pytest.approx(2, abs=0.4)
    assert (y.max(), np.mean(rivals), max(rivals)) == pytest.approx((-0.8, 0.6, 1.4), abs=0.1)


def test_pages_have_code():
    names = {path.name for path in WITH_CODE}
    assert {"ask_tell.rst", "weighting.rst", "testing_weightings.rst", "models.rst"} <= names


def test_code_blocks_are_found(tmp_path):
    page = tmp_path / "page.rst"
    page.write_text(
        "Title\n\n.. code-block:: python\n\n   a = 1\n   if a:\n       b = 2\n\nText\n"
        "\n.. plot::\n   :alt: two\n\n   c = b\n"
    )
    (line, code), (_, plot) = code_blocks(page)
    assert line == 4
    namespace = {}
    exec(code, namespace)
    exec(plot, namespace)
    assert namespace["c"] == 2


NEEDED = {"ray_tune.py": "ray"}  # by examples: packages that the extra "all" does not install


# as sphinx-gallery does: a module __main__ without a __file__
IN_THE_GALLERY = """
import pathlib, sys, types
path = sys.argv.pop()
sys.modules["__main__"] = main = types.ModuleType("__main__")
exec(compile(pathlib.Path(path).read_text(encoding="utf-8"), path, "exec"), main.__dict__)
"""


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_examples_run_as_in_the_gallery_and_leave_nothing(path, tmp_path):
    assert len(path.read_text(encoding="utf-8").splitlines()) < 60
    if not importlib.util.find_spec(NEEDED.get(path.name, "wrlso")):
        pytest.skip(f"needs {NEEDED[path.name]}: pip install -c constraints.txt 'wrlso[{NEEDED[path.name]}]'")
    folder, temporary = tmp_path / "examples", tmp_path / "temporary"
    folder.mkdir()
    temporary.mkdir()
    environment = {"MPLBACKEND": "Agg", "PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)}
    result = subprocess.run(
        [sys.executable, "-W", "error", "-W", f"ignore:{TORCH_SCRIPT}:DeprecationWarning",
         "-c", IN_THE_GALLERY, str(path)],
        capture_output=True, text=True, cwd=folder, env=os.environ | environment,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    if path.name not in NEEDED:  # Ray's experiment is a folder
        assert [left for left in folder.iterdir() if left.name != ".hypothesis"] == []  # a cache


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # some write files
    module = importlib.import_module(name)
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert doctest.testmod(module, optionflags=options).failed == 0


def public_classes():
    """Return the classes of the faces by the names under which users find them; studies are left out."""
    listed = re.findall(r"^   (wrlso\.\S+)$", (ROOT / "docs" / "api.rst").read_text(), re.MULTILINE)
    found = {}
    for face in ["wrlso", *(name for name in listed if not name.startswith("wrlso.benchmarks"))]:
        module = importlib.import_module(face)
        for name in getattr(module, "__all__", None) or [name for name in vars(module) if name[0] != "_"]:
            thing = getattr(module, name)
            if inspect.isclass(thing) and thing.__module__.startswith("wrlso."):
                found[f"{face}.{name}"] = thing
    return found


def shown_code():
    """Return all code that users read: of pages, examples and docstrings of public classes and functions."""
    blocks = [code for path in PAGES if path.exists() for _, code in code_blocks(path)]
    blocks += [path.read_text(encoding="utf-8") for path in EXAMPLES]
    parser = doctest.DocTestFinder(exclude_empty=True)
    tests = [test for name in MODULES for test in parser.find(importlib.import_module(name))]
    return "\n".join(blocks + [example.source for test in tests for example in test.examples])


def test_every_public_class_has_an_example():
    """In its docstring or elsewhere, by name; errors and warnings on the page of messages."""
    classes, code = public_classes(), shown_code()
    assert len(classes) > 150
    headings = set(re.findall(r"^(\w+)\n~+$", (ROOT / "docs" / "messages.rst").read_text(), re.MULTILINE))
    words = set(re.findall(r"\w+", code))
    errors = {name: c for name, c in classes.items() if issubclass(c, BaseException)}
    assert not {name for name, c in errors.items() if c.__name__ not in headings}
    others = {name: c for name, c in classes.items() if name not in errors and ">>>" not in (c.__doc__ or "")}
    assert not {name for name, c in others.items() if c.__name__ not in words}


def broken_links(folder):
    """Return the links within built pages that lead to no file or no anchor, as (page, link)."""
    texts = {path: path.read_text(encoding="utf-8") for path in folder.rglob("*.html")}
    anchors = {path: set(re.findall(r'\b(?:id|name)="([^"]+)"', text)) for path, text in texts.items()}
    found = []
    for path, text in texts.items():
        for link in set(re.findall(r'<(?:a|img)\b[^>]*?\b(?:href|src)="([^"]+)"', text)):
            link = html.unescape(link)
            if re.match(r"[a-z]+:|//", link):
                continue
            file, _, anchor = link.partition("#")
            target = (path.parent / unquote(file)).resolve() if file else path
            is_there = target.exists() and (not anchor or unquote(anchor) in anchors.get(target, ()))
            if not is_there and not (file == "" and anchor == ""):
                found.append((str(path.relative_to(folder)), link))
    return sorted(found)


def test_broken_links_are_found(tmp_path):
    (tmp_path / "a.html").write_text(
        '<p id="x"><a href="b.html#y">b</a> <a href="#x">x</a> <a href="https://z">z</a>'
    )
    (tmp_path / "b.html").write_text(
        '<a class="up" href="a.html#z">a</a><img src="c.png"><a href="a.html?q=1"></a>'
    )
    assert broken_links(tmp_path) == [
        ("a.html", "b.html#y"), ("b.html", "a.html#z"), ("b.html", "a.html?q=1"), ("b.html", "c.png"),
    ]  # fmt: skip


def readme_command(marker):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    match = re.search(rf"<!-- {marker} command -->\n```bash\n(.*?)\n```", text, re.DOTALL)
    assert match, f"README.md has no {marker} command"
    return match[1]


def test_the_ci_script_runs_the_readmes_test_command(tmp_path):
    """With a bash in between that only prints what it is given."""
    fake = tmp_path / "bash"
    fake.write_text('#!/bin/sh\nprintf "%s" "$4"\n')
    fake.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    script = ROOT / ".ci" / "run"
    result = subprocess.run(
        ["/bin/bash", script], capture_output=True, text=True, env=environment, check=True
    )
    echoed, _, executed = result.stdout.partition("\n")
    assert executed == readme_command("test")
    assert echoed == "+ " + executed


@pytest.mark.parametrize("marker", ["demo", "test"])
def test_readme_commands_are_one_line_from_nothing(marker):
    command = readme_command(marker)
    assert "\n" not in command
    assert command.startswith("python3 -m venv .venv && .venv/bin/pip install -c constraints.txt -e ")


def test_constraints_pin_what_setup_requires():
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    pinned = {name.lower(): version for name, version in pinned.items()}
    assert pinned["torch"] == "2.13.0"
    setup = (ROOT / "setup.cfg").read_text()
    listed = re.search(r"^install_requires =\n((?:    .*\n)+)", setup, re.MULTILINE)[1]
    extras = re.search(r"^\[options\.extras_require\]\n(.*?)^\[", setup, re.MULTILINE | re.DOTALL)[1]
    names = re.findall(r"^    ([a-z][\w-]*)", listed + extras, re.MULTILINE)
    assert len(names) > 15
    assert {name for name in names if name != "wrlso"} <= set(pinned)


def test_the_reference_lists_every_public_module():
    listed = set(re.findall(r"^   (wrlso\.\S+)$", (ROOT / "docs" / "api.rst").read_text(), re.MULTILINE))
    folder = Path(wrlso.__file__).parent
    faces = {f"wrlso.{path.parent.relative_to(folder).as_posix().replace('/', '.')}"
             for path in folder.glob("*/**/__init__.pyi")}  # fmt: skip
    files = {f"wrlso.{path.stem}" for path in folder.glob("*.py") if not path.stem.startswith("_")}
    studies = {name for name in MODULES if re.fullmatch(r"wrlso\.benchmarks(\.[a-z]\w*)+", name)}
    packages = {name for name in studies if hasattr(importlib.import_module(name), "__path__")}
    elsewhere = {"wrlso.cli", "wrlso.models.selfies", "wrlso.models.junction_tree", "wrlso.tasks",
                 "wrlso.models.sequences"}  # fmt: skip
    expected = (faces | files | studies | {"wrlso.tasks.shapes"}) - packages - elsewhere
    assert listed == expected, "docs/api.rst and the modules differ"


def test_documentation_builds_without_warnings(tmp_path):
    """As the documented command does, but for running the examples, which have their own test."""
    pytest.importorskip("sphinx_gallery")
    pytest.importorskip("furo")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-D", "plot_gallery=0"]
    result = subprocess.run(
        [*command, "-d", str(tmp_path / "trees"), "docs", str(tmp_path / "html")],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert result.returncode == 0, result.stderr
    assert "ask" in (tmp_path / "html" / "api" / "generated" / "wrlso.optimizer.html").read_text()
    assert broken_links((tmp_path / "html").resolve()) == []
    assert (tmp_path / "html" / "guide" / "search.html").read_text().count("<math") == 1
    # readers may be without a network
    loaded = r'<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)="(?:https?:)?//[^"]*'
    pages = {path.name: path.read_text() for path in (tmp_path / "html").rglob("*.html")}
    assert {name: found for name, text in pages.items() if (found := re.findall(loaded, text))} == {}


def shell_commands(path, program):
    """Return the commands of a page that begin so, as (command, whether it is a whole one)."""
    text = re.sub(r"\\\n\s*", " ", path.read_text(encoding="utf-8"))
    opening = r"(?:::|^```\w+|^ *\.\. code-block:: \w+)\n(?: +:.*\n)*\n?"
    blocks = re.findall(rf"{opening}((?:.*\n)+?)(?=```|\S|\Z)", text, re.MULTILINE)
    if path.suffix == ".rst":
        blocks = re.findall(rf"{opening}((?: +.*\n|\n)+)", text, re.MULTILINE)
    lines = [line for block in blocks for line in block.splitlines()]
    line = rf"(?:\s*\$)?\s*(?:PYTHONPATH=\S+ )?({program}[a-z].*?)(?: +[#&].*)?"
    whole = [match[1] for match in (re.fullmatch(line, text) for text in lines) if match]
    named = re.findall(rf"(?<!`)(`{{1,2}})({program}[a-z][^`]*)\1(?!`)", text)
    return [(command, True) for command in whole] + [(" ".join(c.split()), False) for _, c in named]


def parse_error(command, whole):
    """Return what the command line says against a command, None if nothing; files need not be there."""
    parser, words = typer.main.get_command(app), shlex.split(command.replace("…", "0"))[1:]
    while hasattr(parser, "commands"):
        if words[0] not in parser.commands:
            return f"no command {words[0]}"
        parser = parser.commands[words.pop(0)]
    try:
        parser.make_context(parser.name, words)
    except Exception as error:  # Typer has a copy of Click, whose errors have no public name
        message = error.format_message()
        return message if whole or not message.startswith("Missing") else None
    return None


def test_faults_of_commands_are_found():
    assert parse_error("wrlso status", False) is None
    assert "Missing" in parse_error("wrlso status", True)
    assert "No such option" in parse_error("wrlso status lead --colour", True)
    assert "oracle" in parse_error("wrlso bench shapes --search nothing --out x", True)
    assert parse_error("wrlso bench nothing", False) == "no command nothing"


def test_every_command_of_the_pages_is_one():
    found = [(path.name, *command) for path in PAGES for command in shell_commands(path, "wrlso ")]
    assert len(found) > 150
    assert sum(whole for _, _, whole in found) > 80
    assert [(page, c) for page, c, whole in found if parse_error(c, whole)] == []


def test_every_module_of_the_pages_has_the_options_that_they_name():
    found = [command for path in PAGES for command, _ in shell_commands(path, r"(?:\S*/)?python -m wrlso\.")]
    assert len(found) > 15
    for command in found:
        module, *words = shlex.split(command)[2:]
        spec = importlib.util.find_spec(module)
        if spec.submodule_search_locations:  # a package
            spec = importlib.util.find_spec(f"{module}.__main__")
        source = Path(spec.origin).read_text(encoding="utf-8")
        assert not [word for word in words if word.startswith("--") and f'"{word}"' not in source], command


@pytest.mark.parametrize(("study", "table"), [("goals", hypervolume_table), ("realism", realism_table)])
def test_the_tables_in_words_are_those_of_the_records(study, table):
    """The others are read from files when the pages are built."""
    records = sorted((ROOT / "docs" / "benchmarks" / study).glob("*.json"))
    assert len(records) > 10
    page = (ROOT / "docs" / "benchmarks.rst").read_text(encoding="utf-8")
    assert textwrap.indent(table(records).strip(), "   ") in page
