"""Folders of files -> documents with headings and pages; what was skipped, and why."""

from retriever.loading.content import Content, FileBytes, LoadingOptions, Reader
from retriever.loading.loader import DocumentLoader, hash_file
from retriever.loading.reading import load_bytes

__all__ = [
    "Content",
    "DocumentLoader",
    "FileBytes",
    "LoadingOptions",
    "Reader",
    "hash_file",
    "load_bytes",
]
