"""Content as vectors: texts, images and numbers."""
