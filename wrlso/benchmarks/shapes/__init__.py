"""The study of shapes."""
