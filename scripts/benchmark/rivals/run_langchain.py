"""LangChain as its pages "Indexing" and "Chroma" show it: loader, splitter, index, records."""

from collections.abc import Callable, Sequence
from pathlib import Path

import measured


def store(state: Path, model: Path) -> object:
    """The vector store with its embedding."""
    from langchain_chroma import Chroma
    from langchain_huggingface import HuggingFaceEmbeddings

    return Chroma(
        collection_name="docs",
        embedding_function=HuggingFaceEmbeddings(model_name=str(model)),
        persist_directory=str(state / "chroma"),
    )


def ingest(corpus: Path, state: Path, model: Path) -> None:
    """Load, split and index; whatever is gone from the folder is deleted."""
    from langchain_classic.indexes import SQLRecordManager
    from langchain_community.document_loaders import DirectoryLoader, TextLoader
    from langchain_core.indexing import index
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    measured.count_texts_of_sentence_transformers()
    records = SQLRecordManager("chroma/docs", db_url=f"sqlite:///{state / 'records.sqlite3'}")
    records.create_schema()
    loader = DirectoryLoader(
        str(corpus), glob="**/*.*", loader_cls=TextLoader, loader_kwargs={"encoding": "utf-8"}
    )
    splitter = RecursiveCharacterTextSplitter(chunk_size=1000, chunk_overlap=200)
    index(
        splitter.split_documents(loader.load()),
        records,
        store(state, model),
        cleanup="full",
        source_id_key="source",
        key_encoder="sha256",
    )


def open_searcher(state: Path, model: Path) -> Callable[[str, int], Sequence[object]]:
    """Similarity search with scores."""
    opened = store(state, model)
    return lambda query, top_k: opened.similarity_search_with_relevance_scores(query, k=top_k)


measured.main(ingest, open_searcher)
