"""Families that gradient descent trains."""
