"""From options to an embedder: what is chosen, what is refused, and what is not imported."""

import pytest
from pydantic import SecretStr

from retriever.embedding.opening import open_embedder
from retriever.embedding.options import EmbedderOptions
from retriever.errors import EmbeddingRejected, SettingsError
from retriever.settings.tree import EmbeddingSettings
from retriever.testing import HashingEmbedder


def test_a_class_of_ones_own_is_opened_by_its_name() -> None:
    embedder = open_embedder(
        EmbedderOptions(model="m", backend="retriever.testing:HashingEmbedder", dimension=32)
    )
    assert isinstance(embedder, HashingEmbedder)
    assert embedder.fingerprint.dimension == 32


@pytest.mark.parametrize(
    ("backend", "words"),
    [
        ("no_such_module:Class", "cannot be imported"),
        ("retriever.testing:NoSuchClass", "holds no class"),
        ("pathlib:Path", "could not be made"),
        ("builtins:repr", "is no embedder"),
        ("word2vec", "is one of"),
    ],
)
def test_a_backend_that_cannot_be_opened_says_why(backend: str, words: str) -> None:
    with pytest.raises((SettingsError, EmbeddingRejected), match=words):
        open_embedder(EmbedderOptions(model="m", backend=backend))


def test_the_options_mirror_the_settings() -> None:
    settings = EmbeddingSettings()
    options = EmbedderOptions(model=settings.model)
    for name in EmbeddingSettings.model_fields:
        if name not in ("cache", "cache_path"):
            assert getattr(options, name) == getattr(settings, name), name


def test_a_key_does_not_show_in_the_options() -> None:
    options = EmbedderOptions(model="m", api_key=SecretStr("sk-very-secret"))
    assert "sk-very-secret" not in repr(options)
