from .molecules import cache_folder as cache_folder
from .molecules import canonical_smiles as canonical_smiles
from .molecules import fetch_zinc250k as fetch_zinc250k
from .molecules import load_molecules as load_molecules
from .molecules import score as score
