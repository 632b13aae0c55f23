"""Haystack as its tutorial "Preprocessing Different File Types" shows it, on Chroma."""

from collections.abc import Callable, Sequence
from pathlib import Path

import measured


def store(state: Path) -> object:
    """The document store."""
    from haystack_integrations.document_stores.chroma import ChromaDocumentStore

    return ChromaDocumentStore(
        collection_name="docs", persist_path=str(state / "chroma"), distance_function="cosine"
    )


def ingest(corpus: Path, state: Path, model: Path) -> None:
    """Convert, clean, split, embed and write in one pipeline."""
    from haystack import Pipeline
    from haystack.components.converters import TextFileToDocument
    from haystack.components.preprocessors import DocumentCleaner, DocumentSplitter
    from haystack.components.writers import DocumentWriter
    from haystack.document_stores.types import DuplicatePolicy
    from haystack_integrations.components.embedders.sentence_transformers import (
        SentenceTransformersDocumentEmbedder,
    )

    measured.count_texts_of_sentence_transformers()
    pipeline = Pipeline()
    pipeline.add_component("converter", TextFileToDocument())
    pipeline.add_component("cleaner", DocumentCleaner())
    pipeline.add_component("splitter", DocumentSplitter())
    pipeline.add_component("embedder", SentenceTransformersDocumentEmbedder(model=str(model)))
    pipeline.add_component("writer", DocumentWriter(store(state), policy=DuplicatePolicy.OVERWRITE))
    for one, next_one in (
        ("converter", "cleaner"),
        ("cleaner", "splitter"),
        ("splitter", "embedder"),
        ("embedder", "writer"),
    ):
        pipeline.connect(one, next_one)
    files = sorted(path for path in corpus.rglob("*") if path.is_file())
    pipeline.run({"converter": {"sources": files}})


def open_searcher(state: Path, model: Path) -> Callable[[str, int], Sequence[object]]:
    """A pipeline of text embedder and retriever."""
    from haystack import Pipeline
    from haystack_integrations.components.embedders.sentence_transformers import (
        SentenceTransformersTextEmbedder,
    )
    from haystack_integrations.components.retrievers.chroma import ChromaEmbeddingRetriever

    pipeline = Pipeline()
    pipeline.add_component("embedder", SentenceTransformersTextEmbedder(model=str(model)))
    pipeline.add_component("retriever", ChromaEmbeddingRetriever(store(state)))
    pipeline.connect("embedder.embedding", "retriever.query_embedding")

    def search(query: str, top_k: int) -> Sequence[object]:
        answer = pipeline.run({"embedder": {"text": query}, "retriever": {"top_k": top_k}})
        return list(answer["retriever"]["documents"])

    return search


measured.main(ingest, open_searcher)
