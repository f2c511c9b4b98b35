"""Families that are counted or solved, not descended to."""
