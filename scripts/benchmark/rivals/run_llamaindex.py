"""LlamaIndex as its page "Ingestion Pipeline + Document Management" shows it, on Chroma."""

from collections.abc import Callable, Sequence
from pathlib import Path

import measured


def store(state: Path) -> object:
    """The vector store."""
    import chromadb
    from llama_index.vector_stores.chroma import ChromaVectorStore

    client = chromadb.PersistentClient(path=str(state / "chroma"))
    return ChromaVectorStore(chroma_collection=client.get_or_create_collection("docs"))


def ingest(corpus: Path, state: Path, model: Path) -> None:
    """Read the folder and run the pipeline, with a document store to skip what is unchanged."""
    from llama_index.core import SimpleDirectoryReader
    from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
    from llama_index.core.node_parser import SentenceSplitter
    from llama_index.core.storage.docstore import SimpleDocumentStore
    from llama_index.embeddings.huggingface import HuggingFaceEmbedding

    measured.count_texts_of_sentence_transformers()
    documents = SimpleDirectoryReader(str(corpus), recursive=True, filename_as_id=True).load_data()
    kept = state / "docstore.json"
    pipeline = IngestionPipeline(
        transformations=[SentenceSplitter(), HuggingFaceEmbedding(model_name=str(model))],
        docstore=SimpleDocumentStore.from_persist_path(str(kept))
        if kept.exists()
        else SimpleDocumentStore(),
        vector_store=store(state),
        docstore_strategy=DocstoreStrategy.UPSERTS_AND_DELETE,
    )
    pipeline.run(documents=documents)
    pipeline.docstore.persist(str(kept))


def open_searcher(state: Path, model: Path) -> Callable[[str, int], Sequence[object]]:
    """A retriever over the stored vectors."""
    from llama_index.core import VectorStoreIndex
    from llama_index.embeddings.huggingface import HuggingFaceEmbedding

    index = VectorStoreIndex.from_vector_store(
        store(state), embed_model=HuggingFaceEmbedding(model_name=str(model))
    )
    retriever = index.as_retriever(similarity_top_k=measured.TOP_K)
    return lambda query, _: retriever.retrieve(query)


measured.main(ingest, open_searcher)
