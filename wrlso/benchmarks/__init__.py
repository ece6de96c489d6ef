"""Seeded studies over tasks: runs, their records, tables and pictures made from records only."""
