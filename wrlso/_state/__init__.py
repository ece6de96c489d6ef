"""The state of an optimizer: settings, learned parts, changes, and the reading of user input."""
