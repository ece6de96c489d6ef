"""Sphinx configuration. Build: python -m sphinx -q -W --keep-going docs docs/_build/html"""

import logging
import pkgutil
import re
import sys
from functools import lru_cache
from pathlib import Path

from wrlso import __version__

project = "wrlso"
author = "The wrlso developers"
copyright = f"2026, {author}"
version = release = __version__

# a package of the theme would write everything that examples log, unless somebody has set this before
logging.basicConfig(handlers=[logging.NullHandler()])

sys.path.insert(0, str(Path(__file__).parent))  # equations, shown_figures
extensions = [
    "equations",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "matplotlib.sphinxext.plot_directive",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "_templates", "benchmarks/**/*.md"]
html_theme = "furo"
html_title = f"wrlso {release}"
html_static_path = ["_static"]
html_css_files = ["wrlso.css"]
html_math_renderer = "mathml"
toc_object_entries_show_parents = "hide"  # their names fit beside the page

autosummary_generate = True
autosummary_ignore_module_all = False
autodoc_typehints = "none"  # numpydoc's Parameters sections say it in words
numpydoc_show_class_members = False

plot_include_source = True  # pictures of the guides are made at build time, by the code above them
plot_html_show_formats = plot_html_show_source_link = False
plot_formats = [("png", 110)]

nitpicky = True  # a reference that leads nowhere is a warning
nitpick_ignore_regex = [
    ("py:.*", r"(sklearn|torch|concurrent|collections|ray|optuna|skopt|distributed)\..*"),  # other packages
    ("py:class", r"wrlso\.(.*\._\w+|.*\.(SeveralGoals|ChunkVAE|MoleculeVAE))"),  # bases that are no interface
    ("py:class", r".*\s.*"),  # the docstrings of tuple and dict: text, read as a type
]

root = Path(__file__).parent.parent
sphinx_gallery_conf = {
    "examples_dirs": str(root / "examples"),
    "gallery_dirs": "gallery",
    "filename_pattern": r"/plot_\w+\.py$",  # the others are shown, but need a package that is not there
    "ignore_pattern": r"__init__\.py",
    "image_scrapers": ("matplotlib", "shown_figures.scrape"),
    "reset_modules": ("matplotlib", "shown_figures.larger_letters"),
    "ignore_repr_types": r"matplotlib",  # the picture says it
    "within_subsection_order": "shown_figures.Order",
    "download_all_examples": False,
    "show_memory": False,
    "write_computation_times": False,  # its page loads scripts from elsewhere
    "min_reported_time": 1e9,
    "abort_on_example_error": True,
}


def skip_member(app, what, name, obj, skip, options):
    """Leave out what scikit-learn adds to every estimator with a fit or predict method."""
    return True if name in {"get_metadata_routing"} or name.endswith("_request") else skip


def escape_bars(app, what, name, obj, options, lines):
    """Keep absolute values such as |z| in docstrings from being read as substitutions."""
    for number, line in enumerate(lines):
        # every second part lies in backquotes, where bars mean themselves
        parts = re.split(r"(`+[^`]*`+)", line)
        parts[::2] = [re.sub(r"\|(\w+)\|", r"\|\1\|", part) for part in parts[::2]]
        lines[number] = "".join(parts)


def find_reference(app, env, node, contnode):
    """Lead from the name by which users import an object, ``wrlso.SparseGP``, to its page."""
    target, domain = node.get("reftarget", ""), env.get_domain("py")
    if node.get("refdomain") != "py" or not target.startswith("wrlso."):
        return None
    thing = resolved(target)
    for name in domain.objects:
        if (
            thing is not None
            and name.rpartition(".")[2] == target.rpartition(".")[2]
            and resolved(name) is thing
        ):
            return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", name, node, contnode)
    return None


@lru_cache(None)
def resolved(name):
    """Return what a dotted name stands for, None if nothing."""
    try:
        return pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return None


def mend_access(app, pagename, templatename, context, doctree):
    """Help keyboards and screen readers: levels of headings, names of thumbnails, and scrolling."""
    thumbnail = r'(<a class="reference internal" )(href="[^"/]+\.html"><span class="doc">([^<]*)<)'
    for part in ("body", "furo_navigation_tree"):
        text = (context.get(part) or "").replace('role="heading">', 'role="heading" aria-level="2">')
        text = text.replace("<pre>", '<pre tabindex="0">')
        text = text.replace('<div class="table-wrapper', '<div tabindex="0" class="table-wrapper')
        context[part] = re.sub(thumbnail, r'\1aria-label="\3" \2', text)


def setup(app):
    """Connect what Sphinx calls."""
    app.connect("html-page-context", mend_access, priority=900)  # after the theme
    app.connect("missing-reference", find_reference)
    app.connect("autodoc-skip-member", skip_member)
    app.connect("autodoc-process-docstring", escape_bars)
