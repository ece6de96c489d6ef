"""Models of sequences of tokens, such as molecules as SELFIES or proteins: networks, training, files."""
