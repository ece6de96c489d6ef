"""Latent-space optimization with weighted retraining."""
