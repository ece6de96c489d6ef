"""NotFittedError is made when it is first asked for, and is an ordinary class all the same."""

import ast
import contextlib
import importlib
import inspect
import pickle
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import cloudpickle
import pytest
import sklearn.exceptions

import wrlso
from wrlso import exceptions


def test_every_name_is_an_exception_with_a_description():
    assert set(exceptions.__all__) <= set(dir(exceptions))
    for name in exceptions.__all__:
        cls = getattr(exceptions, name)
        assert (cls.__name__, cls.__qualname__, cls.__module__) == (name, name, "wrlso.exceptions")
        assert cls.__doc__.strip().endswith(".")
        assert issubclass(cls, exceptions.WrlsoError | exceptions.WrlsoWarning)


def test_not_fitted_is_caught_under_all_its_names():
    for base in (exceptions.WrlsoError, sklearn.exceptions.NotFittedError, ValueError, AttributeError):
        with pytest.raises(base, match="^no data$"):
            raise wrlso.NotFittedError("no data")


@pytest.mark.parametrize("package", [pickle, cloudpickle])
def test_not_fitted_survives_pickling(package):
    error = package.loads(package.dumps(exceptions.NotFittedError("no data")))
    assert type(error) is exceptions.NotFittedError
    assert error.args == ("no data",)


def test_threads_that_ask_at_once_get_one_class():
    """In a process of its own: the class of this one must stay what it is."""
    code = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from threading import Barrier\n"
        "import sys, sklearn.exceptions\n"
        "sys.setswitchinterval(1e-7)\n"
        "from wrlso import exceptions\n"
        "barrier = Barrier(8)\n"
        "def ask(_):\n"
        "    barrier.wait()\n"
        "    return exceptions.NotFittedError\n"
        "for _ in range(50):\n"
        "    vars(exceptions).pop('NotFittedError', None)\n"
        "    with ThreadPoolExecutor(8) as pool:\n"
        "        assert len({id(cls) for cls in list(pool.map(ask, range(8)))}) == 1\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_pickle_is_read_by_a_process_that_never_asked():
    data = pickle.dumps(exceptions.NotFittedError("no data"))
    code = f"import pickle, sys; assert 'sklearn' not in sys.modules; print(repr(pickle.loads({data!r})))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "NotFittedError('no data')\n"


def test_other_names_are_missing():
    with pytest.raises(AttributeError, match=r"module 'wrlso.exceptions' has no attribute 'FittedError'"):
        _ = exceptions.FittedError


def test_each_error_and_warning_is_on_the_page_of_messages():
    page = (Path(__file__).parent.parent / "docs" / "messages.rst").read_text(encoding="utf-8")
    described = re.findall(r"^(\w+)\n~+$", page, re.MULTILINE)
    names = {
        name
        for name in dir(exceptions)
        if isinstance(found := getattr(exceptions, name), type) and found.__module__ == exceptions.__name__
    }
    assert len(names) > 15
    assert sorted(described) == sorted({*names, "CheckFailedError"})  # that of wrlso.testing


HINT = re.compile(r"(?<![\w.-])([a-z_]{2,})=(?=['\"\d\[(]|True|False|None|\{)")
EXAMPLES = {"solubility", "fit_on", "--no-deps"}  # a user's column; a parameter of before; of pip
ROOT = Path(wrlso.__file__).parent


def messages(tree):
    """Texts in code that users read: all but docstrings and markup."""
    docs = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            text = "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            text = node.value
        else:
            continue
        if " " in text and not {"<", ">"} & set(text):
            yield text


def parameters():
    """The names of parameters of all public functions, classes and their methods."""
    found = set()
    for module in pkgutil.walk_packages([str(ROOT)], "wrlso."):
        parts = module.name.split(".")
        if any(part.startswith("_") for part in parts) or parts[1] in (
            "adapters",
            "benchmarks",
            "cli",
            "web",
        ):
            continue
        try:
            loaded = importlib.import_module(module.name)
        except ImportError:  # of an extra that is not there
            continue
        for name in getattr(loaded, "__all__", ()):
            each = getattr(loaded, name)
            for member in [each, *(vars(each).values() if inspect.isclass(each) else ())]:
                member = getattr(member, "__func__", member)
                if callable(member):
                    with contextlib.suppress(ValueError, TypeError):
                        found |= set(inspect.signature(member).parameters)
    return found


def test_what_a_message_advises_exists():
    """``name=`` in a message is a parameter of something public, ``--name`` an option of the shell."""
    said, shell, options = {}, {}, set()
    for path in ROOT.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for text in messages(tree) if path.parent.name not in ("report", "web") else ():  # which hold markup
            said |= dict.fromkeys(HINT.findall(text), path.name)
            shell |= dict.fromkeys(re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z]", text), path.name)
        for node in ast.walk(tree) if "cli" in path.parts or "benchmarks" in path.parts else ():
            if isinstance(node, ast.arg):
                options.add("--" + node.arg.replace("_", "-"))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                options |= set(re.findall(r"(?:^|/)(--[a-z-]+)", node.value))
    known = parameters() | EXAMPLES
    assert {name: place for name, place in said.items() if name not in known} == {}
    assert {name: place for name, place in shell.items() if name not in options | EXAMPLES} == {}
    assert {"keep_ends", "translate", "salts"} <= set(said)
    assert {"--any-ends", "--translate"} <= set(shell)
