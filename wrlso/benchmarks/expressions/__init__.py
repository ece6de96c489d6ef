"""The study of arithmetic expressions."""
