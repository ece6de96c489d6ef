"""The study of searches over sequences."""
