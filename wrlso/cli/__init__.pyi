from .bench import parse_numbers as parse_numbers
from .bench import parse_seeds as parse_seeds
from .main import app as app
from .main import run as run
