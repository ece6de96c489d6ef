"""Molecules as SMILES, tokens and pictures; nothing here knows a model."""
