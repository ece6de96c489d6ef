"""What the page says is in words of the page: no message names an option or a command of the shell."""

import ast
import re
from pathlib import Path

import pytest

import wrlso.campaign
from wrlso.campaign import advice

from .forms import post

OPTION = re.compile(r"(?<![\w-])--[a-z]|wrlso (?!serve)[a-z]+ ?[A-Z{-]|: wrlso [a-z]+")
ROOT = Path(wrlso.campaign.__file__).parent
# what only commands of the shell do, by module: begin a campaign, read its catalogue, write files, backtest
SHELL = {
    "advice": {"_WORDS"},
    "backtest_table": {"check_out"},
    "columns": {"guess_x_column", "guess_values_column"},
    "assays": {"keep_only", "_split"},
    "commands": {"init", "ask", "_asked", "check_points"},
    "model_names": {"set_salts"},
    "new_optimizer": {"*"},
    "beginning": {"*"},
    "outcome_columns": {"read_outcomes", "choose_outcomes", "decimal_of"},
    "point_names": {"check_plate"},
    "rule_options": {"*"},
    "sequence_options": {"*"},
    "start_table": {"choose_columns", "start_columns", "_decimal_sign"},
    "tables": {"_exists"},
    "views": {"_training_line"},
}


def texts(tree):
    """Yield (name of the outermost function, text) of every text that is no docstring."""
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for part in tree.body:
        name = getattr(part, "name", "") or getattr(getattr(part, "targets", [None])[0], "id", "")
        for node in ast.walk(part):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
                yield name, node.value


MODULES = sorted(ROOT.glob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=[path.stem for path in MODULES])
def test_no_message_of_a_function_that_the_page_calls_names_an_option(path):
    only_shell = SHELL.get(path.stem, set())
    found = [
        (name, text)
        for name, text in texts(ast.parse(path.read_text(encoding="utf-8")))
        if OPTION.search(text) and "*" not in only_shell and name not in only_shell
    ]
    assert not found, "say it by wrlso.campaign.advice, which knows the words of the page"


@pytest.mark.parametrize("path", sorted((ROOT.parent / "web").glob("*.py")), ids=lambda path: path.stem)
def test_no_text_of_the_page_itself_names_an_option(path):
    allowed = {"_check_free"}  # serve, which is a command
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not [text for name, text in texts(tree) if OPTION.search(text) and name not in allowed]


@pytest.mark.parametrize("what", advice._WORDS)
def test_each_advice_has_words_of_the_page(what):
    facts = dict.fromkeys(("campaign", "point", "value", "values", "name", "column", "variable"), "thing")
    with advice.read_on_page():
        words = advice.advise(what, **facts)
    assert not OPTION.search(words)
    assert advice.advise(what, **facts) != words


TABLES = {
    "another decimal sign": 'id,y\n30,"1,5"\n',
    "thousands": 'id,y\n30,"1,500"\n',
    "other names of columns": "number,activity\n30,1\n",
    "no column of values": "id,activity\n30,1\n",
    "ids of others": "id,y\nAB-7,1\n",
    "another value": "id,y\n0,99\n",
    "two values": "id,y\n30,1\n30,2\n",
    "failed after a value": "id,y\n0,failed\n",
    "mixed units": "id,y,y_units\n30,1,nM\n31,2,uM\n",
    "a vague relation": "id,y,y_relation\n30,1,~\n31,2,~\n",
    "a spreadsheet's own format": "PK\x03\x04rest",
    "too many cells": "id,y\n30,1,2\n",
    "unknown id": "id,y\n9999,1\n",
    "not readable": "x,y\n???,1\n",
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_mistakes_in_tables_are_explained_in_words_of_the_page(looking, table):
    answer = post(looking, "/results/check", pasted=table)
    assert answer.status_code == 422
    said = re.sub(r"<[^>]*>", " ", answer.text)
    assert not OPTION.search(said)


@pytest.mark.parametrize(
    ("address", "fields"),
    [
        ("/update", {"id": "30", "value": "1", "reason": "x"}),
        ("/update", {"id": "0", "value": "1,5", "reason": "x"}),
        ("/update", {"id": "0", "value": "", "reason": "x"}),
        ("/batch/reject", {"id": "0", "reason": "x"}),
        ("/note", {"id": "9999", "text": "x"}),
    ],
)
def test_refused_changes_are_explained_in_words_of_the_page(looking, address, fields):
    answer = post(looking, address, **fields)
    assert answer.status_code in (400, 422)
    assert not OPTION.search(re.sub(r"<[^>]*>", " ", answer.text))
