from .weightings import CheckFailedError as CheckFailedError
from .weightings import check_latent_model as check_latent_model
from .weightings import check_weighting as check_weighting
from .weightings import objective_values as objective_values
from .weightings import weightings as weightings
