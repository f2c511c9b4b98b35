"""The item index: exact, or approximate with an exact overlay."""
