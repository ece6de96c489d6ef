"""The command line: help, exit codes, one-line errors, and that options reach the study."""

import json
import re
import shlex
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

pytest.importorskip("typer")
import typer
from string_models import score, strings
from typer.testing import CliRunner

import wrlso
from wrlso import WrlsoError, __version__
from wrlso.benchmarks.shapes.study import CONFIGURATIONS, ShapesStudy
from wrlso.campaign import open_campaign
from wrlso.cli import main as cli
from wrlso.cli import parse_numbers, parse_seeds
from wrlso.cli.bench import records_in
from wrlso.cli.campaign import EXIT_CODES

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
        ((), "init ask tell status update release retrain export report backtest demo bench"),
        (
            ("init",),
            "CAMPAIGN --data --model --x --y --no-y --direction --seed --decimal-comma --retrain-every",
        ),
        (("ask",), "CAMPAIGN -n --out --force --pending --model"),
        (("tell",), "CAMPAIGN FILE --replicates --no-ids --decimal-comma --x --y"),
        (("status",), "CAMPAIGN"),
        (("update",), "CAMPAIGN POINT VALUE --model"),
        (("release",), "CAMPAIGN POINT --all"),
        (("retrain",), "CAMPAIGN --model"),
        (("export",), "CAMPAIGN --out --json --csv --force"),
        (("report",), "CAMPAIGN --out --force"),
        (("demo",), "--out --task --seed --budget --search"),
        (("bench",), "shapes expressions molecules panel sequences draws scores plot"),
        (("bench", "molecules"), "--settings --seeds --config --objective --max-heavy-atoms --n-start --out"),
        (("bench", "draws"), "--k --seeds --config --objective --model --first-steps --n-samples --out"),
        (("bench", "expressions"), "--settings --seeds --config --target --identity --search --k --r --out"),
        (("bench", "shapes"), "--settings --seeds --config --k --r --n-jobs --out"),
        (("bench", "sequences"), "--problems --methods --seeds --calls --batch --jobs --out"),
        (("bench", "panel"), "--half --problems --starts --peers --seeds --calls --jobs --out"),
        (("bench", "plot"), "DIR --released"),
    ],
)
def test_help_names_everything(arguments, words):
    result = invoke(*arguments, "--help")
    assert result.exit_code == 0
    for word in words.split():
        assert re.search(rf"(^|[\s\[{{]){re.escape(word)}\b", result.output), word


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


def test_bench_expressions_runs_settings_and_peers(tmp_path):
    arguments = ["bench", "expressions", "--settings", "both,genetic", "--seeds", 0, "--out", tmp_path]
    arguments += ["--budget", 4, "--n-start", 60, "--batch", 2, "--initial-epochs", 1, "--identity", "text"]
    result = invoke(*arguments, "--target", "x + 1/2")
    assert result.exit_code == 0, result.output
    records = [json.loads(path.read_text()) for path in sorted(tmp_path.glob("*.json"))]
    assert [(record["setting"], len(record["y"])) for record in records] == [("both", 4), ("genetic", 4)]
    assert {record["options"]["target"] for record in records} == {"x + 1/2"}
    refused = invoke(*arguments[:2], "--settings", "annealing", "--out", tmp_path)
    assert refused.exit_code == 2
    assert "expected some of neither" in refused.output


STUDIES = "shapes expressions molecules panel draws scores outcomes lab realism sequences"


@pytest.mark.parametrize("command", STUDIES.split())
def test_bench_looks_at_its_folder_before_it_runs(command, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("mine")
    monkeypatch.setattr("wrlso.benchmarks.study.run_in_processes", None)
    for out, message in (("file", "is a file; name a folder"), ("file/runs", "a file; name a folder")):
        result = run_main(monkeypatch, "bench", command, "--out", tmp_path / out)
        assert message in str(result)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_picture_cannot_be_a_folder(tmp_path, monkeypatch):
    result = run_main(monkeypatch, "demo", "--out", tmp_path)
    assert "is a folder; give the name of a file in it" in str(result)


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        ("init x --data a.csv --model protein --wild-type MKT --wild-type MKA", "--wild-type"),
        ("ask x -n 2 --number 3", "--number"),
        ("tell x a.csv --decimal-comma --decimal-point", "--decimal-comma"),
        ("bench shapes --out x --seeds 0 --seeds 1", "--seeds"),
        ("backtest a.csv --model selfies --model dna", "--model"),
    ],
)
def test_an_option_that_is_given_twice_is_refused(arguments, option, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = invoke(*arguments.split())
    assert result.exit_code == 2
    assert f"{option}" in result.output
    assert "must be given once, but is given 2 times" in " ".join(result.output.split())


def test_options_for_several_values_are_given_several_times(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = invoke(
        "init", "x", "--data", "no.csv", "--model", "dna", "--forbidden", "AA", "--forbidden", "CC"
    )
    assert "given" not in result.output
    assert isinstance(result.exception, FileNotFoundError)


@pytest.mark.parametrize("command", ["init", "ask", "tell", "bench", "release"])
def test_ctrl_c_says_what_is_kept(command):
    assert cli._after_interrupt([command, "camp"]).startswith("wrlso: interrupted: ")


def test_records_are_counted(tmp_path):
    (tmp_path / "a.json").write_text("{}")
    paths = [tmp_path / "a.json", tmp_path / "a.json", tmp_path / "b.json"]
    assert records_in(paths, tmp_path) == f"1 record in {tmp_path}"
    assert parse_seeds("0,0,0-1") == [0, 1]


def test_bench_scores(tmp_path):
    result = invoke("bench", "scores", "--k", "1e-2,inf", "--n-samples", 20, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert {path.name for path in tmp_path.iterdir()} == {
        "scores-shapes-k0.01-seed0.json", "scores-shapes-kinf-seed0.json",
    }  # fmt: skip


def test_demo_says_what_improved(tmp_path):
    picture = tmp_path / "picture.png"
    result = invoke("demo", "--task", "shapes", "--out", picture, "--budget", 4, "--seed", 3)
    assert result.exit_code == 0, result.output
    assert re.search(r"from \d+ pixels in the starting data to \d+", " ".join(result.output.split()))
    assert picture.exists()


def test_the_demo_searches_molecules(tmp_path, monkeypatch):
    pytest.importorskip("rdkit")
    monkeypatch.setattr("wrlso.benchmarks.molecules.demo._N_START", 30)
    picture = tmp_path / "new" / "picture.png"
    result = invoke("demo", "--out", picture, "--budget", 3, "--seed", 2)
    assert result.exit_code == 0, result.output
    words = " ".join(result.stdout.split())
    assert re.search(
        r"ranolazine_mpo \(0 to 1\): from 0\.\d+, the best of 30 molecules, to 0\.\d+ in 3", words
    )
    assert picture.stat().st_size > 10_000


def test_expected_errors_are_one_line(tmp_path, monkeypatch):
    code = run_main(monkeypatch, "bench", "plot", tmp_path / "nowhere")
    assert code == f"wrlso: error: {tmp_path / 'nowhere'} is not a folder"
    code = run_main(monkeypatch, "bench", "shapes", "--k", 0, "--out", tmp_path)
    assert re.fullmatch(r"wrlso: error: k must be a number > 0, got 0\.0", code)
    # a folder that cannot be made: its parent is a file
    (tmp_path / "file").touch()
    code = run_main(
        monkeypatch, "demo", "--task", "shapes", "--budget", 1, "--out", tmp_path / "file" / "picture.png"
    )
    assert code.startswith("wrlso: error: ")
    assert "\n" not in code


@pytest.mark.parametrize(
    "arguments",
    [
        ("fly",),
        ("demo", "--budget", "0"),
        ("demo", "--task", "poems"),
        ("demo", "--search", "gp"),
        ("bench", "shapes"),
        ("bench", "shapes", "--out", "x", "--search", "lucky"),
        ("bench", "shapes", "--out", "x", "--seeds", "a"),
        ("bench", "shapes", "--out", "x", "--settings", "all"),
        ("init", "x", "--model", "a:b"),
        ("init", "x", "--data", "y", "--model", "a:b", "--direction", "up"),
        ("ask", "x", "-n", "0"),
        ("ask", "x", "-n", "2.5"),
        ("tell", "x"),
        ("update", "x", "3"),
        ("update",),
        ("release",),
    ],
)
def test_wrong_usage_exits_with_2(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert invoke(*arguments).exit_code == 2
    assert not list(tmp_path.iterdir())


COMMANDS = ("init", "ask", "tell", "status", "update", "release", "retrain", "export", "report")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_the_exit_codes_and_keeps_examples_as_they_are(command):
    text = invoke(command, "--help").output
    assert " ".join(EXIT_CODES.split()) in " ".join(text.split())
    if command not in ("status", "retrain"):
        # each on a line of its own, and not filled into a paragraph
        assert re.search(rf"For example:\n +wrlso {command} ", text)


def test_the_examples_of_the_help_are_valid_usage(tmp_path, monkeypatch):
    """They fail for what they name, which is not there, and not for how they are written."""
    monkeypatch.chdir(tmp_path)
    found = [
        line.strip().partition(" | ")[0]
        for command in COMMANDS
        for line in invoke(command, "--help").output.splitlines()
        if re.match(r" +wrlso [a-z]+ [a-z]+ ?", line)
    ]
    assert len(found) >= 9
    for line in found:
        result = invoke(*shlex.split(line)[1:])
        assert result.exit_code == 1, (line, result.output)
        assert isinstance(result.exception, WrlsoError | OSError)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def camp(tmp_path, monkeypatch):
    """A small campaign in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WRLSO_MODEL", "string_models:make")
    rows = "".join(f"{x},{score(x)}\n" for x in strings(12))
    (tmp_path / "start.csv").write_text("x,y\n" + rows)
    result = invoke(
        "init", "camp", "--data", "start.csv", "--epochs", 3, "--seed", 1, "--direction", "minimize"
    )
    assert result.exit_code == 0, result.output
    return tmp_path


def test_options_reach_the_campaign(camp):
    options = ["--retrain-every", 0, "--retrain-epochs", 0.5, "--batch-size", 4, "--learning-rate", 0.01]
    result = invoke("init", "other", "--data", "start.csv", "--no-y", "--y", "pKi", "--epochs", 1, *options)
    assert result.exit_code == 0, result.output
    opt = open_campaign(camp / "other")
    assert (opt.retrain_every, opt.trainer.retrain_epochs) == (None, 0.5)
    assert (opt.trainer.batch_size, opt.trainer.lr, opt.trainer.initial_epochs) == (4, 0.01, 1)
    assert (opt.history_.n_observed, opt.notes_["y"], opt.random_state) == (0, "pKi", 0)
    opt = open_campaign(camp / "camp")
    assert (opt.direction, opt.random_state, opt.retrain_every) == ("minimize", 1, 50)


def test_a_table_goes_to_standard_output_alone(camp):
    result = invoke("ask", "camp", "-n", 2)
    assert re.fullmatch(r"id,x,y\n12,\S+,\n13,\S+,\n", result.stdout)
    assert "2 points, ids 12-13" in result.stderr
    again = invoke("ask", "camp", "--pending", "--out", "batch.csv")
    assert (camp / "batch.csv").read_text() == result.stdout
    assert "2 points in batch.csv" in again.stdout
    table = invoke("ask", "camp", "--pending", "--delimiter", "semicolon").stdout
    assert table == result.stdout.replace(",", ";")
    exported = invoke("export", "camp").stdout
    assert exported.startswith("id,x,y,status,")
    assert json.loads(invoke("export", "camp", "--json").stdout)["points"][13]["status"] == "pending"


def test_rows_are_chosen_by_only(camp, monkeypatch):
    rows = "".join(f"{x},{i},{'uM' if i % 2 else 'nM'}\n" for i, x in enumerate(strings(12)))
    (camp / "units.csv").write_text("x,y,unit\n" + rows)
    code = run_main(monkeypatch, "init", "other", "--data", "units.csv")
    assert code.splitlines()[1] == (
        "  'unit' is nM (6 rows), uM (6 rows); choose one, for example --only \"unit=nM\""
    )
    result = invoke(
        "init", "other", "--data", "units.csv", "--only", "unit=NM", "--only", "y=2", "--epochs", 1
    )
    assert result.exit_code == 0, result.output
    assert "11 rows left out, 1 row kept (--only)" in result.output
    assert "choose one" in run_main(monkeypatch, "tell", "other", "units.csv")
    result = invoke("tell", "other", "units.csv", "--only", "unit=nM")
    assert "5 new values, 1 known already" in result.output
    assert open_campaign(camp / "other").history_.n_observed == 6
    code = run_main(monkeypatch, "tell", "nowhere", "units.csv", "--only", "unit")
    assert code.startswith("wrlso: error: --only 'unit' must be COLUMN=VALUE")


def test_values_below_zero_are_no_options(camp):
    result = invoke("update", "camp", 3, "-2.5")
    assert result.exit_code == 0, result.output
    assert "is now -2.5" in result.output
    assert "is now -1.5" in invoke("update", "camp", 3, "-1,5", "--decimal-comma").output
    assert open_campaign(camp / "camp").history_.records[3].values == [-1.5]


def test_results_come_and_go(camp):
    invoke("ask", "camp", "-n", 2, "--out", "batch.csv")
    text = (camp / "batch.csv").read_text().splitlines()
    (camp / "batch.csv").write_text("\n".join([text[0], text[1] + "0.5", text[2]]) + "\n")
    assert "1 new value, 1 not measured yet" in invoke("tell", "camp", "batch.csv").output
    assert "1 known already" in invoke("tell", "camp", "batch.csv", "--replicates").output
    assert "1 point released" in invoke("release", "camp", 13).output
    assert "trained on 13 points" in invoke("retrain", "camp").output
    assert "1 released" in invoke("status", "camp").output


def test_errors_of_rows_are_listed_below_the_error(camp, monkeypatch):
    (camp / "bad.csv").write_text("x,y\nN,1\nNNNNNN,~2\n")
    code = run_main(monkeypatch, "tell", "camp", "bad.csv")
    assert code.splitlines() == [
        "wrlso: error: bad.csv: 2 rows of 2 cannot be told, so nothing was recorded",
        "  row 2: the model cannot read 'N': expected 6 letters, got 'N'",
        "  row 3: '~2' is about a value and not one; write the number to use for it, or leave the cell blank",
    ]
    monkeypatch.delenv("WRLSO_MODEL")
    code = run_main(monkeypatch, "tell", "camp", "bad.csv")
    assert "name it with --model package.module:factory" in code
    assert "\n" not in code


def test_files_that_are_not_there_are_named_without_a_number(camp, monkeypatch):
    code = run_main(monkeypatch, "tell", "camp", "nowhere.csv")
    assert code == "wrlso: error: nowhere.csv: No such file or directory"


def test_what_a_file_says_does_not_steer_the_terminal(camp, monkeypatch):
    code = run_main(monkeypatch, "update", "camp", "N\x1b[2J", "1")
    assert code == "wrlso: error: 'N\\x1b[2J' is neither an id nor a point of this campaign"
    monkeypatch.setattr(cli, "app", lambda: (_ for _ in ()).throw(WrlsoError("a\x1b[2J\nµ")))
    assert run_main(monkeypatch) == "wrlso: error: a\\x1b[2J µ"


def test_warnings_are_one_line(monkeypatch, capsys):
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    monkeypatch.setattr(cli, "app", lambda: warnings.warn("few\n points", UserWarning, stacklevel=1))
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        monkeypatch.setattr(warnings, "showwarning", None)
        cli.run()
    assert capsys.readouterr().err == "wrlso: warning: few points\n"


def test_progress_is_shown_on_a_terminal_only(camp, monkeypatch):
    seen = []
    commands = "wrlso.campaign.commands"
    monkeypatch.setattr(f"{commands}.open_campaign", lambda *_, verbose, **__: seen.append(verbose))
    monkeypatch.setattr(f"{commands}.retrain", lambda opt: [])
    for terminal in (True, False):
        monkeypatch.setattr("wrlso.cli.campaign._is_terminal", lambda answer=terminal: answer)
        assert invoke("retrain", "camp").exit_code == 0
    assert seen == [1, 0]


PAGE = Path(wrlso.__file__).parent.parent / "docs" / "manual_cycles.rst"


def blocks(page):
    """Yield (kind, caption, lines) of the code blocks of a page."""
    pattern = r"^\.\. code-block:: (\w+)\n((?:   .*\n|\n)+)"
    for kind, body in re.findall(pattern, page.read_text(encoding="utf-8") + "\n", re.MULTILINE):
        lines = [line[3:] for line in body.strip("\n").split("\n")]
        captions = [line.removeprefix(":caption: ") for line in lines if line.startswith(":caption: ")]
        lines = [line for line in lines if not line.startswith(":caption: ")]
        yield kind, captions[0] if captions else None, "\n".join(lines).strip("\n").split("\n")


def write_block(path, lines):
    """Write a file; what was asked for is not the same on all machines, so x stay as they are in a batch."""
    if path.exists():
        asked = {line.split(",")[0]: line.split(",")[1] for line in path.read_text().splitlines()}
        cells = [line.split(",") for line in lines]
        lines = [",".join([first, asked[first], *rest]) for first, _, *rest in cells]
    path.write_text("\n".join(lines) + "\n")


def masked(text):
    text = re.sub(r"\b[CNOFS]{6}\b", "WORD", text)
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "TIME", re.sub(r"in \d+ s\b", "in N s", text))


def test_the_page_on_manual_cycles_says_what_the_commands_say(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WRLSO_MODEL", "")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    said, expected = [], []
    for kind, caption, lines in blocks(PAGE):
        if kind == "python" and not Path("lab.py").exists():
            Path("lab.py").write_text("\n".join(lines))
        elif kind == "text":
            write_block(Path(caption), lines)
        for line in lines if kind == "console" else ():
            expected.append(line)
            if line.startswith("$ export "):
                monkeypatch.setenv(*line.removeprefix("$ export ").split("="))
                said.append(line)
            elif line.startswith("$ wrlso "):
                error = run_main(monkeypatch, *shlex.split(line)[2:])
                said += [line, *capsys.readouterr().out.splitlines()]
                said += error.splitlines() if isinstance(error, str) else []
    monkeypatch.delitem(sys.modules, "lab")
    assert len([line for line in said if line.startswith("$ wrlso")]) >= 10
    assert masked("\n".join(said)) == masked("\n".join(expected))


def test_seeds():
    assert parse_seeds("0-4") == [0, 1, 2, 3, 4]
    assert parse_seeds("7, 2,10-11") == [7, 2, 10, 11]
    for text in ("", "1-", "-1", "a", "1,,2", "1.5"):
        with pytest.raises(typer.BadParameter, match="expected seeds such as"):
            parse_seeds(text)


def test_numbers():
    assert parse_numbers("1e-5,1,inf") == [1e-5, 1.0, float("inf")]
    with pytest.raises(typer.BadParameter, match="expected numbers such as"):
        parse_numbers("1e-5,many")


@pytest.mark.parametrize(
    ("package", "extra"), [("typer", "cli"), ("matplotlib", "plots"), ("rdkit", "molecules")]
)
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
