"""A made-up collection of any size: vectors of low inner dimension, words as common as in prose.

Chunks are written as an ingest writes them, so that a retriever reads them as any others; what is
left out is reading files and the model.
"""

import hashlib
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np

from retriever import assembly
from retriever.collection.rows import chunk_row
from retriever.embedding.options import EmbedderOptions
from retriever.protocols import Vectors
from retriever.records import Chunk, Document, EmbeddingFingerprint
from retriever.settings import Settings

DIMENSION = 384
INNER_DIMENSION = 32
CHUNKS_OF_A_DOCUMENT = 20
WORDS_OF_A_CHUNK = 90
VOCABULARY = 30_000
SEED = 20_261_123


QUESTIONS = (
    "How do I reset the pump after a power failure?",
    "What does the warranty of the boiler cover?",
    "Who has to sign the monthly safety report?",
    "Why did visitors get stuck on the hill in February?",
    "Where are the spare keys of the dome kept?",
    "When was the mirror of the telescope cleaned last?",
    "How many volunteers does a public evening need?",
    "Which form do I fill in for travel costs?",
)


def settings(folder: str, *, embedder: str = "TextSeededEmbedder") -> Settings:
    """Settings of a made-up collection in a state folder, read by an embedder of this module."""
    return Settings.load(
        **{
            "storage.path": folder,
            "embedding.backend": f"synthetic:{embedder}",
            "embedding.model": "text-seeded",
            "embedding.cache": False,
        }
    )


class TextSeededEmbedder:
    """A vector for each text, drawn with the text as seed near one of a few hundred centres."""

    def __init__(self, options: EmbedderOptions) -> None:
        """Draw the centres and the map from the inner dimension to the outer one."""
        draw = np.random.default_rng(SEED)
        self._centres = draw.normal(size=(400, INNER_DIMENSION))
        self._map = draw.normal(size=(INNER_DIMENSION, DIMENSION))
        self._fingerprint = EmbeddingFingerprint(
            backend="synthetic",
            model=options.model,
            revision="1",
            dimension=DIMENSION,
            window_tokens=512,
            pooling="mean",
            query_prefix="",
            chunk_prefix="",
        )

    @property
    def fingerprint(self) -> EmbeddingFingerprint:
        """How the vectors are made."""
        return self._fingerprint

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Words."""
        return [len(text.split()) for text in texts]

    def embed_chunks(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors: float32, shape (len(texts), 384)."""
        return np.stack([self.embed_query(text) for text in texts])

    def embed_query(self, text: str) -> Vectors:
        """One unit vector: float32, shape (384,)."""
        seed = hashlib.sha256(text.encode("utf-8")).digest()[:8]
        draw = np.random.default_rng(int.from_bytes(seed, "big"))
        inner = self._centres[draw.integers(len(self._centres))] + draw.normal(size=INNER_DIMENSION)
        vector = inner @ self._map + draw.normal(size=DIMENSION)
        return (vector / np.linalg.norm(vector)).astype(np.float32)


class ModelTimedEmbedder(TextSeededEmbedder):
    """The same vectors, for a query in the time that the default model takes for a question."""

    def __init__(self, options: EmbedderOptions) -> None:
        """Open the default model, too."""
        super().__init__(options)
        self._model = assembly.open_configured_embedder(Settings.load())

    def embed_query(self, text: str) -> Vectors:
        """One unit vector: float32, shape (384,); the model's own is thrown away."""
        self._model.embed_query(QUESTIONS[len(text) % len(QUESTIONS)])
        return super().embed_query(text)


def texts(*, words: int, seed: int) -> Iterator[str]:
    """Made-up prose without end: ranks of words by Zipf's law."""
    draw = np.random.default_rng(seed)
    shares = 1.0 / (np.arange(VOCABULARY) + 2.7)
    steps = np.cumsum(shares / shares.sum())
    while True:
        ranks = np.searchsorted(steps, draw.random(words))
        yield " ".join(f"w{rank:x}q" for rank in ranks.tolist())


def build(chosen: Settings, *, chunks: int) -> None:
    """Fill a new collection with chunks."""
    embedder = assembly.open_configured_embedder(chosen)
    made = assembly.fingerprint(embedder, assembly.open_chunker(chosen, embedder))
    with assembly.open_writing_store(chosen) as store:
        state = store.create(chosen.collection, made)
        data = store.physical(state.live)
        stream = texts(words=WORDS_OF_A_CHUNK, seed=SEED)
        for first in range(0, chunks, 2_000):
            batch = list(islice(stream, min(2_000, chunks - first)))
            rows = [row(first + place, text) for place, text in enumerate(batch)]
            ids = [hashlib.sha256(text.encode()).hexdigest()[:32] for text in batch]
            data.put_chunks(ids, batch, embedder.embed_chunks(batch), rows)
        store.save(state.next())


def row(number: int, text: str) -> dict[str, object]:
    """A chunk's metadata: five keys of a user's, one of them a list."""
    document, ordinal = divmod(number, CHUNKS_OF_A_DOCUMENT)
    source = f"made/{document % 97}/{document}.md"
    whole = Document(
        source=source,
        text="",
        content_hash=hashlib.sha256(source.encode()).hexdigest(),
        title=f"Document {document}",
        format="markdown",
        markup="markdown",
        metadata={
            "half": document % 2,
            "tenth": document % 10,
            "hundredth": document % 100,
            "year": 2000 + document % 26,
            "tags": (f"t{document % 7}", f"u{document % 5}"),
        },
    )
    start = ordinal * 1_000
    chunk = Chunk(
        id="",
        source=source,
        text=text,
        start=start,
        end=start + len(text),
        ordinal=ordinal,
        title=whole.title,
        heading_path=(f"Part {ordinal // 5}",),
        page=None,
        line_start=ordinal * 10 + 1,
        line_end=ordinal * 10 + 9,
        embedded_text=text,
        token_count=WORDS_OF_A_CHUNK,
    )
    return chunk_row(chunk, whole)
