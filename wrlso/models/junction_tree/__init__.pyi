from .vae import JunctionTreeVAE as JunctionTreeVAE
from .vocabulary import clique_vocabulary as clique_vocabulary
from .vocabulary import vocabulary_hash as vocabulary_hash
