"""Sphinx configuration. Build: python -m sphinx -W --keep-going docs docs/_build/html"""

import re
import sys
from pathlib import Path

from wrlso import __version__

project = "wrlso"
author = "the wrlso contributors"
version = release = __version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "matplotlib.sphinxext.plot_directive",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "_templates", "benchmarks/**/*.md"]
html_theme = "furo"
html_title = f"wrlso {release}"

autosummary_generate = True
autosummary_ignore_module_all = False
autodoc_typehints = "none"  # numpydoc's Parameters sections say it in words
numpydoc_show_class_members = False

plot_include_source = True  # pictures of the guides are made at build time, by the code above them
plot_html_show_formats = plot_html_show_source_link = False
plot_formats = [("png", 110)]

root = Path(__file__).parent.parent
sys.path.insert(0, str(Path(__file__).parent))  # shown_figures
sphinx_gallery_conf = {
    "examples_dirs": str(root / "examples"),
    "gallery_dirs": "gallery",
    "filename_pattern": r"/plot_\w+\.py$",  # the others are shown, but need a package that is not there
    "ignore_pattern": r"__init__\.py",
    "image_scrapers": ("matplotlib", "shown_figures.scrape"),
    "ignore_repr_types": r"matplotlib",  # the picture says it
    "download_all_examples": False,
    "show_memory": False,
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


def setup(app):
    """Connect what Sphinx calls."""
    app.connect("autodoc-skip-member", skip_member)
    app.connect("autodoc-process-docstring", escape_bars)
