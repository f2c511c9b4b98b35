"""Filters: which items a list may hold, said in one line and applied before anything is chosen."""
