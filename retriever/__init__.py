"""Folders of documents in, exact, scored, cited passages out, on ChromaDB."""
