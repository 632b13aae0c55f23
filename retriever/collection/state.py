"""What a collection remembers of itself, as Chroma metadata: plain data, no client."""

import base64
import json
import os
import secrets
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from retriever.errors import CollectionDamaged
from retriever.records import ChunkingFingerprint, EmbeddingFingerprint, Fingerprint

T = TypeVar("T", EmbeddingFingerprint, ChunkingFingerprint)

LAYOUT = 1
"""Version of the way that data is laid out in Chroma; a reader refuses another."""


@dataclass(frozen=True, slots=True)
class Run:
    """A writing run that has begun and not ended."""

    started_at: str
    """ISO 8601, UTC."""
    pid: int
    host: str
    kind: str = "ingest"
    """What it does: ingest or swap. Other work leaves nothing to complete."""

    @classmethod
    def now(cls, kind: Literal["ingest", "swap"] = "ingest") -> "Run":
        """A run that this process begins."""
        started_at = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(started_at, os.getpid(), socket.gethostname(), kind)

    @property
    def completion(self) -> str:
        """What completes it, for people."""
        if self.kind == "swap":
            return "the same retriever swap completes it; the model before answers until then"
        return "ingest the same folders again to complete it"


@dataclass(frozen=True, slots=True)
class CollectionState:
    """The logical collection: where its data is, and how far it has come."""

    name: str
    live: str
    """Name of the physical collection that answers."""
    revision: int = 0
    """Grows with every commit: the reader's change token."""
    commit: str = ""
    """Drawn anew with every revision: tells it from another of the same number."""
    roots: Mapping[str, str] = field(default_factory=dict)
    """Name and absolute path of every root that was ingested."""
    run: Run | None = None
    """The run that is at work, or was interrupted."""
    tokens_per_s: float = 0.0
    """How fast the last run embedded; 0 before the first that embedded enough to tell."""
    previous: str | None = None
    """The physical collection that answered before the last swap: where rollback leads."""
    previous_run: Run | None = None
    """The ingest into it that was interrupted, which a rollback has to remember."""

    def metadata(self) -> dict[str, Any]:
        """As Chroma metadata."""
        row: dict[str, Any] = {
            "retriever_layout": LAYOUT,
            "live": self.live,
            "revision": self.revision,
            "commit": self.commit,
            "tokens_per_s": self.tokens_per_s,
            "roots": json.dumps(dict(self.roots)),
        }
        for name, run in (("run", self.run), ("previous_run", self.previous_run)):
            row |= {name: json.dumps(asdict(run))} if run else {}
        return row | ({"previous": self.previous} if self.previous else {})

    @classmethod
    def parse(cls, name: str, metadata: Mapping[str, Any] | None) -> "CollectionState | None":
        """The state in a collection's metadata, or None where it is none of ours.

        Raises:
            CollectionDamaged: it is ours and cannot be read, or is of another layout.
        """
        if not metadata or "live" not in metadata or "retriever_layout" not in metadata:
            return None
        if metadata["retriever_layout"] != LAYOUT:
            raise CollectionDamaged(
                f"Collection {name!r} has layout {metadata['retriever_layout']}, this version of "
                f"rag-retriever reads layout {LAYOUT}. Use the version that built it, or ingest "
                "into a new collection."
            )
        try:
            return cls(
                name=name,
                live=str(metadata["live"]),
                revision=int(metadata["revision"]),
                commit=str(metadata.get("commit", "")),
                roots={
                    str(key): str(value) for key, value in json.loads(metadata["roots"]).items()
                },
                run=_run(metadata.get("run")),
                tokens_per_s=float(metadata.get("tokens_per_s", 0.0)),
                previous=metadata.get("previous"),
                previous_run=_run(metadata.get("previous_run")),
            )
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise CollectionDamaged(
                f"The state of collection {name!r} cannot be read: {error}."
            ) from error

    def next(self, **changes: Any) -> "CollectionState":
        """This state with changes, one revision on."""
        return replace(self, revision=self.revision + 1, commit=secrets.token_hex(8), **changes)


def _run(written: str | None) -> Run | None:
    return Run(**json.loads(written)) if written else None


@dataclass(frozen=True, slots=True)
class CollectionSummary:
    """A collection at a glance."""

    state: CollectionState
    fingerprint: Fingerprint
    chunk_count: int


@dataclass(frozen=True, slots=True)
class Canary:
    """A text and the vector that the collection's model once made of it."""

    text: str
    vector: NDArray[np.float32]


def build_metadata(fingerprint: Fingerprint, canary: Canary | None) -> dict[str, Any]:
    """How a physical collection was built, as Chroma metadata."""
    row: dict[str, Any] = {
        "fingerprint_embedding": json.dumps(asdict(fingerprint.embedding)),
        "fingerprint_chunking": json.dumps(asdict(fingerprint.chunking)),
        "fingerprint_layout": fingerprint.layout,
    }
    if canary is not None:
        row["canary_text"] = canary.text
        row["canary_vector"] = base64.b85encode(canary.vector.astype("<f2").tobytes()).decode()
    return row


def read_fingerprint(name: str, metadata: Mapping[str, Any] | None) -> Fingerprint:
    """How a physical collection was built.

    Raises:
        CollectionDamaged: the metadata does not say it.
    """
    try:
        held = metadata or {}
        return Fingerprint(
            embedding=_record(EmbeddingFingerprint, held["fingerprint_embedding"]),
            chunking=_record(ChunkingFingerprint, held["fingerprint_chunking"]),
            layout=int(held["fingerprint_layout"]),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise CollectionDamaged(
            f"Collection {name!r} does not say how it was built ({error!r}): its vectors cannot "
            "be trusted. Ingest the folders into a new collection."
        ) from error


def read_canary(metadata: Mapping[str, Any] | None) -> Canary | None:
    """The canary in a physical collection's metadata, or None where none was stored yet."""
    held = metadata or {}
    if "canary_text" not in held:
        return None
    vector = np.frombuffer(base64.b85decode(held["canary_vector"]), dtype="<f2")
    return Canary(text=str(held["canary_text"]), vector=vector.astype(np.float32))


def _record(kind: type[T], text: str) -> T:
    values = json.loads(text)
    return kind(**{item.name: values[item.name] for item in fields(kind)})


def differences(
    built: EmbeddingFingerprint | ChunkingFingerprint,
    now: EmbeddingFingerprint | ChunkingFingerprint,
) -> dict[str, tuple[object, object]]:
    """The fields in which two fingerprints differ: name to (built, now)."""
    old, new = asdict(built), asdict(now)
    return {name: (old[name], new[name]) for name in old if old[name] != new[name]}
