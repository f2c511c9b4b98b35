"""Bundles made smaller, with what it costs."""
