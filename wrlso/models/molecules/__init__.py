"""What the models of molecules share."""
