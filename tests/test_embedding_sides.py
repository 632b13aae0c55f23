"""Providers that speak OpenAI's protocol and take the side of a text as a field of their own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from provider_servers import DIMENSION, ProviderServer, provider_server

from retriever.embedding.opening import open_embedder
from retriever.embedding.options import EmbedderOptions
from retriever.embedding.remote import RemoteEmbedder
from retriever.errors import FingerprintMismatch, SettingsError
from retriever.ingestion import ingest
from retriever.settings import Settings

VOYAGE = {
    "query_fields": {"input_type": "query", "truncation": False},
    "chunk_fields": {"input_type": "document", "truncation": False},
}
JINA = {
    "query_fields": {"task": "retrieval.query"},
    "chunk_fields": {"task": "retrieval.passage"},
}


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with provider_server() as running:
        yield running


def opened(server: ProviderServer, **changes: Any) -> RemoteEmbedder:
    embedder = open_embedder(
        EmbedderOptions(
            model="served-model",
            backend="openai",
            base_url=server.url,
            dimension=DIMENSION,
            window_tokens=500,
            **changes,
        )
    )
    assert isinstance(embedder, RemoteEmbedder)
    return embedder


@pytest.mark.parametrize("fields", [VOYAGE, JINA], ids=["voyage", "jina"])
def test_each_request_says_its_side_in_the_providers_words(
    server: ProviderServer, fields: dict[str, dict[str, object]]
) -> None:
    embedder = opened(server, **fields)
    embedder.embed_chunks(["a chunk"])
    embedder.embed_query("a query")
    embedder.close()
    for request, side in zip(server.requests, ("chunk_fields", "query_fields"), strict=True):
        own = {"model", "input", "encoding_format"}
        assert {name: request.body[name] for name in request.body.keys() - own} == fields[side]


def test_another_side_is_another_space(server: ProviderServer) -> None:
    plain, told = opened(server).fingerprint, opened(server, **VOYAGE).fingerprint
    assert plain.revision == "-"
    assert told.revision != opened(server, **JINA).fingerprint.revision != plain.revision


def test_a_field_that_every_request_has_is_refused(server: ProviderServer) -> None:
    with pytest.raises(SettingsError, match=r"query_fields names 'input'"):
        opened(server, query_fields={"input": "x"})


def test_fields_are_refused_where_no_request_is_made() -> None:
    with pytest.raises(SettingsError, match="chunk_fields"):
        open_embedder(EmbedderOptions(model="minilm", chunk_fields={"task": "x"}))


def test_a_config_file_names_them(server: ProviderServer, tmp_path: Path, corpus: Path) -> None:
    """A collection that was built with fields is not searched or filled without them."""
    config = tmp_path / "voyage.toml"
    config.write_text(
        f"""
        [embedding]
        model = "voyage-like"
        backend = "openai"
        base_url = "{server.url}"
        dimension = {DIMENSION}
        window_tokens = 500
        query_fields = {{ input_type = "query", truncation = false }}
        chunk_fields = {{ input_type = "document", truncation = false }}
        """,
        encoding="utf-8",
    )
    settings = Settings.load(config, storage={"path": tmp_path / "state"})
    ingest(corpus, settings)
    assert {request.body["input_type"] for request in server.requests} == {"document"}
    without = settings.model_copy(
        update={
            "embedding": settings.embedding.model_copy(
                update={"query_fields": {}, "chunk_fields": {}}
            )
        }
    )
    with pytest.raises(FingerprintMismatch, match="revision"):
        ingest(corpus, without)
