"""Seeded studies of the tasks: runs, their records, and tables and pictures from records only."""
