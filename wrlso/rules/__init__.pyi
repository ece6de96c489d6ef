from .book import NAMED as NAMED
from .book import explain as explain
from .checks import Breach as Breach
from .filters import Filters as Filters
