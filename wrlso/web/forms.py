"""What forms hold, read strictly."""

from typing import Any

from wrlso.exceptions import DataError

__all__ = ["id_of", "text_of"]

_LENGTH = 2000  # characters of a text


def id_of(form: Any) -> str:
    """Return the id of the point that a form is about; raises DataError for what is no id."""
    text = str(form.get("id", ""))
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise DataError(f"a point is named by its id, a number, got {text[:20]!r}")
    return text


def text_of(form: Any, name: str) -> str:
    """Return a text of a form; raises DataError for one that is too long."""
    text = str(form.get(name, ""))
    if len(text) > _LENGTH:
        raise DataError(f"the text is too long: at most {_LENGTH} characters, got {len(text)}")
    return text
