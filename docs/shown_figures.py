"""The gallery: its order, and figures of the library's plots, which pyplot does not know."""

from matplotlib import rcParams
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


def larger_letters(gallery_conf, filename):
    """Let figures be read as thumbnails; sphinx-gallery has set all else back before each example."""
    rcParams["font.size"] = 12.0


class Order:
    """The order of the examples: what the method does, then by door; the others behind by name."""

    FIRST = (
        "quickstart", "why_retraining_matters", "latent_space_weighting", "two_goals", "molecules_assay",
        "molecules_objective", "formula", "own_model", "noisy_assay", "failures", "catalogue", "backtest",
    )  # fmt: skip

    def __init__(self, src_dir):
        """Take the folder of the examples, as sphinx-gallery gives it."""

    def __call__(self, filename):
        """Return what to sort by."""
        name = filename.removesuffix(".py").removeprefix("plot_")
        return (self.FIRST.index(name) if name in self.FIRST else len(self.FIRST), name)
