"""What any provider's HTTP client has to keep to: texts and keys go where they were sent.

The hooks fit every client of httpx's make, of which the providers' own clients use several.
"""

from collections.abc import Callable
from typing import Any

from retriever.errors import EmbeddingRejected

_FIRST_URL = "retriever.first_url"
_SECURE = ("https", None)
"""Scheme and port of an address that may take the place of one without encryption."""


def hooks() -> dict[str, list[Callable[[Any], None]]]:
    """The hooks of a client, by event."""
    return {"request": [refuse_strangers]}


def refuse_strangers(request: Any) -> None:
    """Let no redirect lead a request away from the server that it was meant for.

    A client takes the Authorization header off such a request, and sends the texts and every
    other header, where other keys may stand.

    Raises:
        EmbeddingRejected: the request is for another server than the first of its chain.
    """
    first = request.extensions.setdefault(_FIRST_URL, request.url)
    here, there = _place(first), _place(request.url)
    if there == here or (there[0] == here[0] and there[1:] == _SECURE):
        return
    raise EmbeddingRejected(
        f"{first.host} redirects to another server, {request.url.host}, and no text or key is sent "
        "there unasked. If it is the right one, set embedding.base_url to its address."
    )


def _place(url: Any) -> tuple[str, str, int | None]:
    return url.host, url.scheme, url.port
