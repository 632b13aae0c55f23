"""Every error that this package raises, and nothing else.

RetrieverError
  SettingsError            a file is missing, a key unknown, a value bad, a model unknown
  MissingDependencyError   an optional package is not installed; also an ImportError
  LoadingError             a file could not be read
  EmbeddingError
    EmbeddingUnavailable   transient: rate limit, timeout, connection; the only one that is retried
    EmbeddingRejected      final: bad key, input refused, wrong dimension, text beyond the window
      NothingToEmbed       the text holds no word that the model knows
    BudgetExceeded         the work would cost more than the limit that was set
  RerankingError           passages could not be reranked: bad key, unknown model, bad answer
    RerankingUnavailable   transient: the order is left as it was, with a warning
  CollectionError
    CollectionNotFound     says which exist and how to ingest
    CollectionLocked       another writer is at work; its pid and since when
    FingerprintMismatch    the collection was built in another way; field by field
    CollectionDamaged      what disagrees
    DeletionRefused        a run would delete more than it may without being asked
  LanguageModelError       a language model of the user's gave no usable answer
  QueryError               an empty query, top_k below 1, a bad filter; also a ValueError

A message says what happened, what was expected and what to do next. The facts
in it are attributes too. A vendor's exception never escapes: it is chained.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

FREE_ROOM = "Free some room on the disk and run the same command again: what was done is kept."
"""What to do about a full disk, wherever it is met."""


class RetrieverError(Exception):
    """The root of every error raised by this package."""

    def __reduce__(self) -> tuple[object, ...]:
        """Travel between processes with message and facts, whatever the constructor asks for."""
        return _restore, (type(self), self.args, self.__dict__.copy())


def _restore(
    kind: type[RetrieverError], args: tuple[object, ...], facts: dict[str, object]
) -> RetrieverError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(facts)
    return error


class SettingsError(RetrieverError):
    """Settings that cannot be used: the message names the file, the key and what is valid."""


class MissingDependencyError(RetrieverError, ImportError):
    """An optional package is needed and not installed.

    Attributes:
        package: the package that could not be imported.
        extra: the extra of this distribution that installs it.
    """

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        self.package = package
        self.extra = extra
        super().__init__(
            f"{purpose} needs the package {package!r}, which is not installed. "
            f"Install it with: pip install 'rag-retriever[{extra}]'"
        )


class LoadingError(RetrieverError):
    """A file could not be turned into a document.

    Attributes:
        reason: why, in words that the owner of the file understands.
        source: the file's source, empty where the raiser does not know it.
    """

    def __init__(self, reason: str, *, source: str = "") -> None:
        self.reason = reason
        self.source = source
        super().__init__(f"{source}: {reason}" if source else reason)


class EmbeddingError(RetrieverError):
    """Text could not be turned into vectors."""


class EmbeddingUnavailable(EmbeddingError):
    """A transient failure: the same call may succeed later.

    Attributes:
        retry_after_s: seconds after which the provider asked to be called again, or None.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message)


class EmbeddingRejected(EmbeddingError):
    """A final failure: the same call will fail again."""


class NothingToEmbed(EmbeddingRejected):
    """A text holds nothing that the model knows, so that it has no vector."""


class BudgetExceeded(EmbeddingError):
    """The work would cost more than the budget that was set.

    Attributes:
        needed_usd: what the work would cost so far, in US dollars.
        budget_usd: the limit, in US dollars.
    """

    def __init__(self, *, needed_usd: float, budget_usd: float) -> None:
        self.needed_usd = needed_usd
        self.budget_usd = budget_usd
        super().__init__(
            f"This would cost about {_dollars(needed_usd)}, more than the budget of "
            f"{_dollars(budget_usd)}. Raise embedding.budget_usd, or ingest less."
        )


def _dollars(amount: float) -> str:
    """To a hundredth of a cent; of less, all that differs from nothing."""
    return f"${amount:,.4f}" if amount >= 0.01 else f"${amount:.8f}".rstrip("0").rstrip(".")


class RerankingError(RetrieverError):
    """Passages could not be reranked, and would not be the next time."""


class RerankingUnavailable(RerankingError):
    """A transient failure of a reranker: the same call may succeed later."""


class CollectionError(RetrieverError):
    """The vector store could not do what was asked."""


class CollectionNotFound(CollectionError):
    """There is no collection of that name.

    Attributes:
        name: the name asked for.
        existing: the names that exist.
    """

    def __init__(self, name: str, *, place: str, existing: Sequence[str]) -> None:
        self.name = name
        self.existing = tuple(existing)
        there = f"It holds: {', '.join(existing)}." if existing else "It holds no collection yet."
        super().__init__(
            f"There is no collection {name!r} in {place}. {there} "
            f"Make it with: retriever ingest FOLDER --collection {name}"
        )


class CollectionLocked(CollectionError):
    """Another process is writing to the same state folder.

    Attributes:
        pid: the writer's process id, or None where it could not be read.
        since: when it took the lock, or None.
    """

    def __init__(self, place: str, *, pid: int | None, since: datetime | None) -> None:
        self.pid = pid
        self.since = since
        who = f"process {pid}" if pid else "another process"
        when = f" since {since:%Y-%m-%d %H:%M:%S}" if since else ""
        super().__init__(
            f"{place} is being written by {who}{when}. One writer at a time is let in: "
            "wait until it is done, or stop it, and run the command again."
        )


class FingerprintMismatch(CollectionError):
    """The collection was built in another way than the settings now say.

    Attributes:
        collection: the collection's name.
        differences: for each field that differs, the collection's value and the settings' value.
    """

    def __init__(
        self, collection: str, differences: Mapping[str, tuple[object, object]], *, advice: str
    ) -> None:
        self.collection = collection
        self.differences = dict(differences)
        fields = "; ".join(
            f"{name}: {old!r} in the collection, {new!r} now"
            for name, (old, new) in self.differences.items()
        )
        super().__init__(f"Collection {collection!r} was built differently: {fields}. {advice}")


class CollectionDamaged(CollectionError):
    """Parts of the collection disagree with one another."""


class DeletionRefused(CollectionError):
    """A run would delete more than it may without being asked to.

    Attributes:
        deleted: documents that the run would delete.
        existing: documents that the collection holds.
    """

    def __init__(self, reason: str, *, deleted: int, existing: int) -> None:
        self.deleted = deleted
        self.existing = existing
        super().__init__(
            f"{reason}: this run would delete {deleted} of the collection's {existing} documents. "
            "Nothing was changed. If that is what you want, run it again with --allow-delete."
        )


class LanguageModelError(RetrieverError):
    """A language model of the user's gave no answer, or none that can be used."""


class QueryError(RetrieverError, ValueError):
    """A query that cannot be answered: empty, top_k below 1, a filter that cannot be run."""
