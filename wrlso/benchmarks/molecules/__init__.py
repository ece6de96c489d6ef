"""The studies of molecules."""
