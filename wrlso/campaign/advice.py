"""What to do about a problem, in the words of the place where it is read: the shell, or the page."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["advise", "read_on_page"]

_ON_PAGE: ContextVar[bool] = ContextVar("on_page", default=False)

# what to do → how it is said in the shell, and on the page
_WORDS = {
    "decimal comma": ("add --decimal-comma", "choose the decimal comma as decimal sign"),
    "x column": ("name the one of x with --x", "choose below which column is which"),
    "y column": ("name the one of values with --y", "choose below which column is which"),
    "outcome columns": (
        "name the columns so",
        "choose below which column is which",
    ),
    "own names": (
        "add --no-ids if the column holds your own names",
        "say below that they are names of your own, if they are",
    ),
    "correct": (
        "to correct it: wrlso update {campaign} {point} {value}; if both are measurements: add --replicates",
        "choose in the cell what counts",
    ),
    "not measured": (
        "wrlso update {campaign} {point} {name}=n.d.",
        "on the page of the point, {name}=n.d.",
    ),
    "complete": (
        "to write a table to complete: wrlso ask {campaign} --pending --out FILE",
        "they stay under Results until they are complete",
    ),
    "only looking": ("only wrlso status and wrlso export work here", "it can be looked at here"),
    "bring back": ("wrlso update {campaign} {point} {values}", "on the page of the point, {values}"),
    "release": ("wrlso release {campaign} {point}", "give it back under Next batch"),
    "reason": ("say why it is corrected", "say below why it is corrected"),
    "replicates": (
        "if both are measurements: add --replicates",
        "say below that they are repeated measurements, if both are",
    ),
    "tell": ("use: wrlso tell", "enter it under Results"),
    "only": ("choose the rows with --only", "leave the other rows out"),
    "only one": ('choose one, for example --only "{column}={value}"', "leave the rows of all others out"),
    "leave out": ('leave out with --only "{column}={value}"', "leave these rows out"),
    "salts": (" (--salts refuse says otherwise)", ""),
    "feasible": (
        "if you trust that code, pass it again with --feasible package.module:function",
        "who starts the page must name that code, and trust it",
    ),
    "model file": ("name the file with --model", "who starts the page must name the file"),
    "model code": (
        "name it with --model package.module:factory, or in the variable {variable}",
        "who starts the page must name it",
    ),
    "same model code": (
        "if you trust that code, pass the same name again with --model",
        "who starts the page must trust that code, and name it again",
    ),
    "as JSON": (
        "use ask and tell in Python, or: wrlso export CAMPAIGN --out all.json",
        "use ask and tell in Python, or download JSON",
    ),
}


@contextmanager
def read_on_page() -> Iterator[None]:
    """Let advice be in the words of the page inside the block."""
    before = _ON_PAGE.set(True)
    try:
        yield
    finally:
        _ON_PAGE.reset(before)


def advise(what: str, **facts: object) -> str:
    """Return what to do.

    Examples
    --------
    >>> advise("decimal comma")
    'add --decimal-comma'
    >>> with read_on_page():
    ...     advise("decimal comma")
    'choose the decimal comma as decimal sign'
    """
    return _WORDS[what][_ON_PAGE.get()].format(**facts)
