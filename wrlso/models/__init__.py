"""Generative models: the protocol, a VAE from two networks, ready ones of shapes, formulas and molecules."""

from wrlso.models.context_free import ContextFreeGrammar, Rule
from wrlso.models.conv import conv_vae
from wrlso.models.coordinate import coordinate_vae
from wrlso.models.files import load_molecule_model
from wrlso.models.fragments import DerivationFragments
from wrlso.models.grammar import GrammarVAE
from wrlso.models.junction_tree import JunctionTreeVAE, clique_vocabulary
from wrlso.models.protocol import Crosses, HasLogLikelihood, LatentModel, Mutates, SamplesPrior
from wrlso.models.selfies import SelfiesVAE
from wrlso.models.vae import VAE, Codec
from wrlso.models.workers import decode_in_workers

__all__ = [
    "VAE",
    "Codec",
    "ContextFreeGrammar",
    "Crosses",
    "DerivationFragments",
    "GrammarVAE",
    "HasLogLikelihood",
    "JunctionTreeVAE",
    "LatentModel",
    "Mutates",
    "Rule",
    "SamplesPrior",
    "SelfiesVAE",
    "clique_vocabulary",
    "conv_vae",
    "coordinate_vae",
    "decode_in_workers",
    "load_molecule_model",
]
