"""Searching for better settings over the real training loop."""
