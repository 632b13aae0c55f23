"""Text to vectors: the catalogue of models, one file for each backend, and the vector cache."""
