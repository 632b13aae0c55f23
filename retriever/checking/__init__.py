"""Proof that manifest, rows, vectors, search and files of a collection agree. Changes nothing."""
