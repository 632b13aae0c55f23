"""What any provider's HTTP client has to keep to: where texts and keys go, how much comes back.

The hooks fit every client of httpx's make, of which the providers' own clients use several.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from retriever.errors import EmbeddingRejected, EmbeddingUnavailable

BYTES_PER_NUMBER = 32
"""More than any server writes for one: a sign, 17 digits, an exponent, a comma and a blank."""
SPARE_BYTES = 32 * 2**20
"""For what stands beside the vectors: some servers send the texts back."""
DECODED = ("", "identity", "gzip", "deflate")
"""Encodings of an answer that grow by no more than a thousand times when they are read."""

_FIRST_URL = "retriever.first_url"
_SECURE = ("https", None)
"""Scheme and port of an address that may take the place of one without encryption."""


def hooks(*, texts: int, dimension: int) -> dict[str, list[Callable[[Any], None]]]:
    """The hooks of a client, by event.

    Args:
        texts: most texts of one call.
        dimension: numbers of each one's vector.
    """
    most_bytes = texts * dimension * BYTES_PER_NUMBER + SPARE_BYTES
    return {"request": [prepare], "response": [partial(read_bounded, most_bytes=most_bytes)]}


def prepare(request: Any) -> None:
    """Ask for what `read_bounded` reads, and of no server but the one that was meant.

    A client that follows a redirect to another one leaves the Authorization header out, and sends
    the texts and every other header, where other keys may stand.

    Raises:
        EmbeddingRejected: the request is for another server than the first of its chain.
    """
    request.headers["Accept-Encoding"] = "gzip, deflate"
    first = request.extensions.setdefault(_FIRST_URL, request.url)
    here, there = _place(first), _place(request.url)
    if there == here or (there[0] == here[0] and there[1:] == _SECURE):
        return
    raise EmbeddingRejected(
        f"{first.host} redirects to another server, {request.url.host}, and no text or key is sent "
        "there unasked. If it is the right one, set embedding.base_url to its address."
    )


def read_bounded(response: Any, *, most_bytes: int) -> None:
    """Read an answer here, where reading ends when it is too long; the client finds it read.

    A client alone would read, and unpack, whatever a server sends.

    Raises:
        EmbeddingUnavailable: the answer is larger than vectors can be, or packed in a way that
            was not asked for.
    """
    server = response.request.url.host
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in DECODED:
        raise EmbeddingUnavailable(
            f"{server} sent an answer packed as {encoding[:60]!r}, which was not asked for. Try "
            "again, or check embedding.base_url."
        )
    alike = type(response)
    held = bytearray()
    packed = alike(response.status_code, headers=response.headers, stream=response.stream)
    for part in packed.iter_bytes():
        held += part
        if len(held) > most_bytes:
            raise EmbeddingUnavailable(
                f"{server} sent an answer of more than {most_bytes:,} bytes, which is more than "
                "the vectors that were asked for can take. Try again, or check embedding.base_url."
            )
    response.headers.pop("Content-Encoding", None)
    response.stream = alike(response.status_code, content=bytes(held)).stream


def _place(url: Any) -> tuple[str, str, int | None]:
    return url.host, url.scheme, url.port
