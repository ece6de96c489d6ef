"""Surrogates against other libraries' ones."""
