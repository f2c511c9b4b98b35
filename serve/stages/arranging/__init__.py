"""Arranging: from ranked candidates to a slate, in the manner that a scenario says."""
