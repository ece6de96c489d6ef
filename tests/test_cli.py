"""The command line: help, exit codes, one-line errors, and that options reach the study."""

import json
import re
import subprocess
import sys

import pytest

pytest.importorskip("typer")
import typer
from typer.testing import CliRunner

from wrlso import __version__, cli
from wrlso.benchmarks.shapes_study import CONFIGURATIONS, ShapesStudy

FAST = ShapesStudy(subset=20, budget=4, r=2, batch=2, initial_epochs=2, bounds=30.0, n_per_axis=9)


def invoke(*arguments):
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setitem(CONFIGURATIONS, "default", FAST)


def run_main(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["wrlso", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        cli.run()
    return caught.value.code


def test_version():
    result = invoke("--version")
    assert result.exit_code == 0
    assert result.output == f"wrlso {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "demo bench"),
        (("demo",), "--out --seed --budget --search"),
        (("bench",), "shapes scores plot"),
        (("bench", "shapes"), "--settings --seeds --config --k --r --n-jobs --out"),
        (("bench", "plot"), "DIR --released"),
    ],
)
def test_help_names_everything(arguments, words):
    result = invoke(*arguments, "--help")
    assert result.exit_code == 0
    for word in words.split():
        assert re.search(rf"(^|\s){re.escape(word)}\b", result.output), word


def test_bench_runs_resumes_and_plots(tmp_path):
    out = tmp_path / "runs"
    arguments = ["bench", "shapes", "--settings", "neither,both", "--seeds", "0,1", "--out", out]
    arguments += ["--budget", 3, "--k", "1e-2", "--r", 2]
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output
    assert f"4 records in {out}" in result.output
    record = json.loads((out / "shapes-oracle-both-seed1.json").read_text())
    assert (record["options"]["k"], record["options"]["r"], record["options"]["batch"]) == (0.01, 2, 2)
    assert len(record["y"]) == 3
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    assert invoke(*arguments).exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before
    result = invoke("bench", "plot", out)
    assert result.exit_code == 0, result.output
    assert "| both | 2 |" in result.output
    assert (out / "topk.png").exists()


def test_bench_scores(tmp_path):
    result = invoke("bench", "scores", "--k", "1e-2,inf", "--n-samples", 20, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert {path.name for path in tmp_path.iterdir()} == {
        "scores-shapes-k0.01-seed0.json", "scores-shapes-kinf-seed0.json",
    }  # fmt: skip


def test_demo_says_what_improved(tmp_path):
    picture = tmp_path / "picture.png"
    result = invoke("demo", "--out", picture, "--budget", 4, "--seed", 3)
    assert result.exit_code == 0, result.output
    assert re.search(r"from \d+ pixels in the starting data to \d+", " ".join(result.output.split()))
    assert picture.exists()


def test_expected_errors_are_one_line(tmp_path, monkeypatch):
    code = run_main(monkeypatch, "bench", "plot", tmp_path / "nowhere")
    assert code == f"wrlso: error: {tmp_path / 'nowhere'} is not a folder"
    code = run_main(monkeypatch, "bench", "shapes", "--k", 0, "--out", tmp_path)
    assert re.fullmatch(r"wrlso: error: k must be a number > 0, got 0\.0", code)
    # a folder that cannot be made: its parent is a file
    (tmp_path / "file").touch()
    code = run_main(monkeypatch, "demo", "--budget", 1, "--out", tmp_path / "file" / "picture.png")
    assert code.startswith("wrlso: error: ")
    assert "\n" not in code


@pytest.mark.parametrize(
    "arguments",
    [
        ("fly",),
        ("demo", "--budget", "0"),
        ("bench", "shapes"),
        ("bench", "shapes", "--out", "x", "--search", "lucky"),
        ("bench", "shapes", "--out", "x", "--seeds", "a"),
        ("bench", "shapes", "--out", "x", "--settings", "all"),
    ],
)
def test_wrong_usage_exits_with_2(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert invoke(*arguments).exit_code == 2
    assert not list(tmp_path.iterdir())


def test_seeds():
    assert cli.parse_seeds("0-4") == [0, 1, 2, 3, 4]
    assert cli.parse_seeds("7, 2,10-11") == [7, 2, 10, 11]
    for text in ("", "1-", "-1", "a", "1,,2", "1.5"):
        with pytest.raises(typer.BadParameter, match="expected seeds such as"):
            cli.parse_seeds(text)


def test_numbers():
    assert cli.parse_numbers("1e-5,1,inf") == [1e-5, 1.0, float("inf")]
    with pytest.raises(typer.BadParameter, match="expected numbers such as"):
        cli.parse_numbers("1e-5,many")


@pytest.mark.parametrize(("package", "extra"), [("typer", "cli"), ("matplotlib", "plots")])
def test_missing_packages_are_named(package, extra, tmp_path):
    code = (
        f"import sys; sys.modules[{package!r}] = None; sys.argv = ['wrlso', 'demo', '--budget', '1'];"
        "from wrlso.__main__ import main; main()"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr == (
        f"wrlso: error: {package} is missing; install it with: pip install 'wrlso[{extra}]'\n"
    )
