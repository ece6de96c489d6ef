"""Sequences of letters, independent of any model: alphabets, alignment, small changes, rules, files."""
