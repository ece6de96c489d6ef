"""Comparison of surrogates with those of other libraries."""
