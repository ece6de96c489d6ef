"""Molecules as trees of rings and bonds: the junction-tree variational autoencoder, written anew."""

from wrlso.models.junction_tree.vae import JunctionTreeVAE
from wrlso.models.junction_tree.vocabulary import clique_vocabulary, vocabulary_hash

__all__ = ["JunctionTreeVAE", "clique_vocabulary", "vocabulary_hash"]
