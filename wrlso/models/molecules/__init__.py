"""Shared parts of the models of molecules."""
