"""The models, each in a room of its own."""
