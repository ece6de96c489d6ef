"""Generative models: the protocol, a VAE from two torch modules, and ready networks."""
