"""Connections to Chroma: embedded, in memory, a server, Chroma Cloud. Nothing else imports it."""

import contextlib
import hashlib
import itertools
import logging
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import SecretStr

from retriever.collection import durable
from retriever.errors import FREE_ROOM, CollectionDamaged, CollectionError, QueryError
from retriever.timing import stage

Client = Any
"""A chromadb client: typed as Any, since chromadb's own types change between releases."""


REQUEST_TIMEOUT_S = 120.0
"""A server that has not answered a request by then is taken for gone."""


class Absent(CollectionError):
    """Chroma has no collection of that name: raised within this room only."""


_DAMAGE = ("finding id", "getting embedding", "hnsw segment", "hnsw index")
"""What Chroma says of an index that has lost vectors or whose files are broken."""

_DROPPED = ("Missing metadata segment", "Missing vector segment")
"""What it says while another process deletes the collection."""

_open_paths: set[str] = set()
_paths_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class StorageOptions:
    """Where the collections are kept; fields as in the settings."""

    mode: Literal["embedded", "memory", "server", "cloud"]
    path: Path
    host: str = "localhost"
    port: int = 8000
    tls: bool = False
    headers: Mapping[str, SecretStr] = field(default_factory=dict)
    tenant: str | None = None
    database: str | None = None
    api_key: SecretStr | None = None

    @property
    def place(self) -> str:
        """The store, named for people."""
        if self.mode == "server":
            return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}"
        if self.mode == "cloud":
            return "Chroma Cloud"
        return "memory" if self.mode == "memory" else str(self.path)


def connect(options: StorageOptions) -> Client:
    """Open a client with caches of its own.

    Raises:
        CollectionError: Chroma cannot be loaded, the folder cannot be opened or the server does
            not answer.
    """
    logging.getLogger("chromadb.telemetry").setLevel(logging.CRITICAL)
    try:
        with stage("load Chroma"):
            import chromadb
            from chromadb.config import Settings
    except RuntimeError as error:  # while it is imported, Chroma looks for the home folder
        raise CollectionError(
            f"Chroma cannot be loaded: {str(error).rstrip('.')}. If it is the home folder that is "
            "not known, set the environment variable HOME to a folder of this user."
        ) from error
    quiet = Settings(anonymized_telemetry=False)
    with chroma_errors(options.place):
        if options.mode == "embedded":
            folder = options.path / "chroma"
            durable.make_folder(folder)
            return chromadb.PersistentClient(path=_own_path(folder), settings=quiet)
        if options.mode == "memory":
            return _connect_memory(options)
        if options.mode == "cloud":
            return chromadb.CloudClient(
                tenant=options.tenant,
                database=options.database,
                api_key=options.api_key.get_secret_value() if options.api_key else None,
                settings=quiet,
            )
        client = chromadb.HttpClient(
            host=options.host,
            port=options.port,
            ssl=options.tls,
            headers={name: value.get_secret_value() for name, value in options.headers.items()},
            settings=quiet,
            **_named(tenant=options.tenant, database=options.database),
        )
        for session in _sessions(client):
            session.timeout = REQUEST_TIMEOUT_S
        return client


@contextlib.contextmanager
def unloaded() -> Iterator[bool]:
    """Whether nothing in this process has loaded Chroma; meanwhile none of our clients opens."""
    with _paths_lock:
        yield "chromadb" not in sys.modules


def disconnect(client: Client) -> None:
    """Close a client; what it held in memory is freed."""
    path = client.get_settings().persist_directory
    sessions = _sessions(client)
    client.close()
    for session in sessions:
        session.close()
    with _paths_lock:
        _open_paths.discard(path)


def _sessions(client: Client) -> list[Any]:
    """The HTTP sessions of a server's client, which Chroma neither bounds nor closes."""
    servers = (client._server, client._admin_client._server)
    return [server._session for server in servers if hasattr(server, "_session")]


def _own_path(folder: Path) -> str:
    """A spelling of the folder that no open client uses.

    Chroma shares one cached system among clients of one path, so a fresh client would see
    the same stale index. It tells paths apart by spelling: `/x`, `/x/.`, `/x/./.` differ.
    """
    with _paths_lock:
        for count in itertools.count():
            path = os.fspath(folder.absolute()) + "/." * count
            if path not in _open_paths:
                _open_paths.add(path)
                return path
    raise AssertionError  # pragma: no cover  (count() does not end)


_memory_clients: list[Client] = []
_memory_databases: set[str] = set()


def _connect_memory(options: StorageOptions) -> Client:
    """One database a path in the process's memory; it lives as long as the process."""
    import chromadb
    from chromadb.config import Settings

    quiet = Settings(anonymized_telemetry=False)
    with _paths_lock:
        if not _memory_clients:
            _memory_clients.append(chromadb.EphemeralClient(settings=quiet))
        path = os.fspath(options.path.absolute())
        name = "memory-" + hashlib.sha256(path.encode("utf-8", "replace")).hexdigest()[:32]
        if name not in _memory_databases:
            chromadb.AdminClient(_memory_clients[0].get_settings()).create_database(name)
            _memory_databases.add(name)
        return chromadb.EphemeralClient(settings=quiet, database=name)


def _named(**values: str | None) -> dict[str, str]:
    return {name: value for name, value in values.items() if value is not None}


_BROKEN_DATABASE = ("malformed", "not a database")
_NO_ROOM = ("disk is full", "disk I/O error", "No space left", "Error in compaction")
_NOT_ALLOWED = ("readonly database", "unable to open database", "Permission denied")


@contextlib.contextmanager
def chroma_errors(place: str) -> Iterator[None]:
    """Turn Chroma's errors, and those of its HTTP client, into this package's."""
    import httpx
    from chromadb.errors import ChromaError, InvalidArgumentError, NotFoundError

    try:
        yield
    except InvalidArgumentError as error:
        raise QueryError(f"{place} refused the request: {error}") from error
    except NotFoundError as error:
        raise Absent(f"{place}: {error}") from error
    except httpx.HTTPError as error:
        raise CollectionError(
            f"{place} does not answer: {error}. Is the server running, and are "
            "storage.host and storage.port right?"
        ) from error
    except ChromaError as error:
        if any(sign in str(error) for sign in _DAMAGE):
            raise CollectionDamaged(
                f"{place}: the index lacks rows that its tables hold, or cannot be read "
                f"({error}). Mend it with: retriever repair"
            ) from error
        if any(sign in str(error) for sign in _DROPPED):
            raise Absent(f"{place}: {error}") from error
        raise CollectionError(_told(place, error)) from error
    except ValueError as error:
        if "Could not connect" in str(error):
            raise CollectionError(
                f"{place} does not answer. Is the server running, and are storage.host and "
                "storage.port right?"
            ) from error
        raise CollectionError(_told(place, error)) from error


def _told(place: str, error: Exception) -> str:
    if any(sign in str(error) for sign in _BROKEN_DATABASE):
        return (
            f"{place}: Chroma's database is damaged ({error}). Restore it from a backup. Without "
            "one, move its folder `chroma` away and ingest the folders again: vectors that are in "
            "the cache are not embedded again."
        )
    if any(sign in str(error) for sign in _NO_ROOM):
        return f"{place}: {error}. It may be that its disk is full. {FREE_ROOM}"
    if any(sign in str(error) for sign in _NOT_ALLOWED):
        return (
            f"{place}: {error}. This user may not use Chroma's files there: change their "
            "permissions, or run the command as their owner."
        )
    return f"{place}: {error}"
