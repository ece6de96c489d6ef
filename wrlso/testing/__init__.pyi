from .acquisitions import check_acquisition as check_acquisition
from .checks import CheckFailedError as CheckFailedError
from .models import check_latent_model as check_latent_model
from .surrogates import check_surrogate as check_surrogate
from .weightings import check_weighting as check_weighting
from .weightings import objective_values as objective_values
from .weightings import weightings as weightings
