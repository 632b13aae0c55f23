"""What of a document an embedder can embed, where it cannot embed every text."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from retriever.ingestion.batching import Prepared
from retriever.protocols import Embedder, SelectiveEmbedder
from retriever.records import DocumentRecord

_ALL_LEFT_OUT = "nothing to embed: "
_PART_LEFT_OUT = "left out: "


def embeddable(prepared: Iterable[Prepared], embedder: Embedder) -> Iterator[Prepared]:
    """Documents without the chunks that the embedder cannot embed, which are warned of.

    A document of which nothing is left is skipped, with the reason.
    """
    selective = embedder if isinstance(embedder, SelectiveEmbedder) else None
    for one in prepared:
        yield _selected(one, selective) if selective and one.chunks else one


def has_left_out(one: DocumentRecord | Prepared) -> bool:
    """Whether chunks of the document are missing because its embedder could not embed them."""
    return one.reason.startswith((_ALL_LEFT_OUT, _PART_LEFT_OUT))


def _selected(one: Prepared, embedder: SelectiveEmbedder) -> Prepared:
    refusals = embedder.refusals([chunk.embedded_text for chunk in one.chunks])
    pairs = list(zip(one.chunks, refusals, strict=True))
    kept = tuple(chunk for chunk, refusal in pairs if not refusal)
    left_out = [(chunk, refusal) for chunk, refusal in pairs if refusal]
    if not left_out or one.document is None:
        return one
    (first, refusal), count = left_out[0], len(left_out)
    if not kept:
        return Prepared(
            one.file,
            document=None,
            reason=_ALL_LEFT_OUT + refusal,
            reading=one.reading,
            emptied=True,
        )
    reason = (
        f"{_PART_LEFT_OUT}{count} of {len(pairs)} chunks, which cannot be found ({refusal}); "
        f"the first at line {first.line_start}"
    )
    document = replace(one.document, warnings=(*one.document.warnings, reason))
    return replace(one, document=document, chunks=kept, reason=reason)
