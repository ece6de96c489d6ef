"""The panel: problems of many kinds, on which the defaults are compared with other methods."""
