"""The stages of a request; each takes candidates and returns candidates."""
