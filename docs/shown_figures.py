"""Pictures of the gallery that pyplot does not know: the library's plots make figures of their own."""

from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst


def scrape(block, block_vars, gallery_conf):
    """Save the figure that the last expression of this block gives, and return its reST."""
    shown = block_vars["example_globals"].get("___")
    if not isinstance(shown, Figure) or getattr(shown, "in_gallery", False):
        return ""
    shown.in_gallery = True  # a later block without an expression finds it again
    path = next(block_vars["image_path_iterator"])
    shown.savefig(path, dpi=100)
    return figure_rst([path], gallery_conf["src_dir"])
