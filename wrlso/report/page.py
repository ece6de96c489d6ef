"""The report as a page: sections of HTML with embedded pictures, styled, and nothing to fetch or to run."""

import html
from collections.abc import Iterable, Sequence
from io import BytesIO
from typing import Any

from wrlso.report.drawings import image_source

__all__ = ["Figures", "alert", "details", "page", "paragraph", "section", "strip", "table", "tiles"]

_DPI = 150

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2126; --soft: #5b6670; --line: #d9dee3; --back: #f5f6f8;
  --card: #fff; --accent: #0072b2; --mark: #fff4d6; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ec; --soft: #a3adb6; --line: #3a424a; --back: #16191d; --card: #1f2429;
    --accent: #56b4e9; --mark: #4a3d12; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main, header, footer { max-width: 66rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 2rem; }
h1 { margin: 0; font-size: 1.75rem; line-height: 1.25; }
h2 { margin: 0 0 .5rem; font-size: 1.2rem; }
h3 { margin: 1.25rem 0 .25rem; font-size: 1rem; }
p { margin: .5rem 0; max-width: 48rem; }
a { color: var(--accent); }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin: 1rem 0; padding: 0; list-style: none; }
.soft, figcaption, caption, footer { color: var(--soft); font-size: .875rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .75rem;
  margin: 1.25rem 0 0; }
.tiles div, section { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; }
.tiles div { padding: .6rem .9rem; }
.tiles dt { color: var(--soft); font-size: .8rem; }
.tiles dd { margin: 0; font-size: 1.35rem; font-weight: 600; font-variant-numeric: tabular-nums;
  overflow-wrap: anywhere; }
.tiles small { display: block; color: var(--soft); font-size: .8rem; font-weight: 400; }
section { margin: 1rem 0; padding: 1.1rem 1.25rem; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 1.25rem; }
.strip { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; }
figure { margin: .75rem 0 0; }
figure > img:not([class]) { display: block; width: 100%; height: auto; padding: .4rem; border-radius: .35rem;
  background: #fff; }
figcaption { margin-top: .35rem; max-width: 48rem; }
.alert { padding: .5rem .75rem; border-radius: .35rem; background: var(--mark); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; min-width: min(100%, 36rem); margin: .75rem 0; font-size: .9rem;
  font-variant-numeric: tabular-nums; }
caption { padding-bottom: .35rem; text-align: left; }
th, td { padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: middle; }
thead th { color: var(--soft); font-weight: 600; white-space: nowrap; }
tbody th { font-weight: 500; }
.number { text-align: right; white-space: nowrap; }
code { font: .85em/1.4 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
img.pixels { display: block; width: 3.5rem; height: 3.5rem; object-fit: contain; image-rendering: pixelated;
  border: 1px solid var(--line); }
img.drawing { display: block; height: 7rem; max-width: 14rem; object-fit: contain; padding: .2rem;
  border-radius: .35rem; background: #fff; }
details { margin-top: .5rem; }
summary { cursor: pointer; color: var(--accent); }
footer { padding-bottom: 2rem; }
@media print {
  :root { --ink: #000; --soft: #444; --line: #bbb; --back: #fff; --card: #fff; --mark: #eee; }
  body { font-size: 10pt; }
  main, header, footer { max-width: none; padding: 0; }
  nav { display: none; }
  section { padding: .5rem 0; border-width: 1px 0 0; border-radius: 0; }
  .pair { grid-template-columns: 1fr 1fr; }
  figure, tr, .tiles { break-inside: avoid; }
  h2 { break-after: avoid; }
}
"""

# no script, no font, no request: what is not inside the file is refused by the browser as well
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


class Figures:
    """The pictures of a page: each is drawn once, as PNG, for the page and for a file of its own."""

    def __init__(self) -> None:
        self.pngs: dict[str, bytes] = {}

    def add(self, name: str, figure: Any, alt: str, caption: str = "") -> str:
        """Return HTML of a matplotlib figure, with a text instead of it and a caption (both escaped)."""
        self.pngs[name] = _to_png(figure)
        source = image_source(self.pngs[name], "png")
        below = f"<figcaption>{html.escape(caption)}</figcaption>" if caption else ""
        return f'<figure><img src="{source}" alt="{html.escape(alt)}">{below}</figure>'


def _to_png(figure: Any) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": "wrlso"})
    return buffer.getvalue()


def page(title: str, subtitle: str, head: str, sections: Sequence[tuple[str, str, str]], foot: str) -> str:
    """Return a complete page.

    Parameters
    ----------
    title, subtitle, foot : str
        Plain text.
    head : str
        HTML above the sections.
    sections : sequence of (name, title, HTML)
        The names are the anchors of the table of contents.
    """
    links = "".join(f'<li><a href="#{name}">{html.escape(text)}</a></li>' for name, text, _ in sections)
    body = "\n".join(section(name, text, content) for name, text, content in sections)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f'<header>\n<h1>{html.escape(title)}</h1>\n<p class="soft">{html.escape(subtitle)}</p>\n{head}\n'
        f'<nav aria-label="Contents"><ul>{links}</ul></nav>\n</header>\n<main>\n{body}\n</main>\n'
        f"<footer><p>{html.escape(foot)}</p></footer>\n</body>\n</html>\n"
    )


def section(name: str, title: str, content: str) -> str:
    """Return a titled section of HTML."""
    heading = f'<h2 id="{name}-title">{html.escape(title)}</h2>'
    return f'<section id="{name}" aria-labelledby="{name}-title">\n{heading}\n{content}\n</section>'


def paragraph(text: str) -> str:
    """Return plain text as a paragraph."""
    return f"<p>{html.escape(text)}</p>"


def alert(text: str) -> str:
    """Return plain text that shall not be overlooked."""
    return f'<p class="alert">{html.escape(text)}</p>'


def tiles(facts: Iterable[tuple[str, str, str]]) -> str:
    """Return headline figures: name, value and a remark each, plain text."""
    cells = "".join(
        f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(value)}"
        + (f"<small>{html.escape(remark)}</small>" if remark else "")
        + "</dd></div>"
        for name, value, remark in facts
    )
    return f'<dl class="tiles">{cells}</dl>'


def strip(pictures: Iterable[tuple[str, str]]) -> str:
    """Return pictures (HTML) side by side, each with a caption (plain text)."""
    figures = "".join(
        f"<figure>{drawn}<figcaption>{html.escape(caption)}</figcaption></figure>"
        for drawn, caption in pictures
    )
    return f'<div class="strip">{figures}</div>'


def details(summary: str, content: str) -> str:
    """Return HTML that opens when its summary (plain text) is clicked."""
    return f"<details><summary>{html.escape(summary)}</summary>\n{content}\n</details>"


def table(
    caption: str, columns: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Sequence[str] = ()
) -> str:
    """Return a table; the first cell of each row is its header.

    Parameters
    ----------
    caption : str
        Plain text.
    columns : sequence of str
        Plain text. Columns that are empty in all rows are left out.
    rows : iterable of sequences of str
        HTML: the caller escapes.
    numbers : sequence of str
        Columns that are aligned to the right.
    """
    cells = [list(row) for row in rows]
    kept = [i for i in range(len(columns)) if i == 0 or any(row[i] for row in cells)]
    style = {i: ' class="number"' if columns[i] in numbers else "" for i in kept}
    head = "".join(f'<th scope="col"{style[i]}>{html.escape(columns[i])}</th>' for i in kept)
    body = []
    for row in cells:
        first, *others = kept
        line = f'<th scope="row"{style[first]}>{row[first]}</th>'
        line += "".join(f"<td{style[i]}>{row[i]}</td>" for i in others)
        body.append(f"<tr>{line}</tr>")
    return (
        f'<div class="scroll"><table><caption>{html.escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n" + "\n".join(body) + "\n</tbody></table></div>"
    )
