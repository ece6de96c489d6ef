"""The report as a page: its parts are the macros of ``report.html.j2``, and nothing is fetched or run.

Every part takes text and markup, escapes the text, and returns markup.
"""

from collections.abc import Callable, Iterable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from wrlso.report.drawings import image_source

__all__ = [
    "Figures",
    "alert",
    "code",
    "details",
    "heading",
    "page",
    "pair",
    "paragraph",
    "strip",
    "table",
    "tiles",
]

_DPI = 150

_parts: Any = (
    Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    .get_template("report.html.j2")
    .module
)
Part = Callable[..., Markup]
alert: Part = _parts.alert
code: Part = _parts.code
details: Part = _parts.details
heading: Part = _parts.heading
page: Part = _parts.page
pair: Part = _parts.pair
paragraph: Part = _parts.paragraph
strip: Part = _parts.strip
tiles: Part = _parts.tiles
_figure: Part = _parts.figure
_table: Part = _parts.table


class Figures:
    """The pictures of a page: each is drawn once, as PNG, for the page and for a file of its own."""

    def __init__(self) -> None:
        self.pngs: dict[str, bytes] = {}

    def add(self, name: str, figure: Any, alt: str, caption: str = "") -> Markup:
        """Return a matplotlib figure with a caption, and a text for those who cannot see it."""
        self.pngs[name] = _to_png(figure)
        return _figure(image_source(self.pngs[name], "png"), alt, caption)


def _to_png(figure: Any) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": "wrlso"})
    return buffer.getvalue()


def table(
    caption: str, columns: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Sequence[str] = ()
) -> Markup:
    """Return a table without the columns that are empty in all rows; ``numbers`` are aligned to the right."""
    cells = list(rows)
    kept = [i for i in range(len(columns)) if i == 0 or any(row[i] for row in cells)]
    shown = ([row[i] for i in kept] for row in cells)
    return _table(caption, [columns[i] for i in kept], shown, numbers)
