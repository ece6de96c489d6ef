from .drawings import register_drawing as register_drawing
from .summary import html_summary as html_summary
from .summary import text_summary as text_summary
from .write import molecule_svg as molecule_svg
from .write import write_report as write_report
