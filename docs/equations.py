"""Equations as MathML, which browsers show by themselves: no script, and nothing to fetch from elsewhere."""

import re

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

# what browsers do not space: the name of a function and an argument without brackets
APPLIED = r"<mo>&ApplyFunction;</mo>(?!\s*(?:<mrow>\s*)?<mo[^>]*>\()"


def mathml(text, **options):
    """Return TeX as MathML."""
    return re.sub(APPLIED, '<mspace width="0.1667em"></mspace>', tex2mathml(text, **options))


def visit_inline(self, node):
    """Write an equation within a line."""
    self.body.append(mathml(node.astext()))
    raise nodes.SkipNode


def visit_block(self, node):
    """Write an equation of its own, which scrolls where the page is narrow."""
    self.body.append(self.starttag(node, "div", CLASS="math notranslate", tabindex=0))
    self.body.append(mathml(node.astext(), as_block=True) + "</div>\n")
    raise nodes.SkipNode


def setup(app):
    """Give Sphinx the renderer, by its name for ``html_math_renderer``."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
