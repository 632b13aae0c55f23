"""What the model reads of a chunk: its title and the headings above it, then its text."""

from collections.abc import Sequence
from dataclasses import dataclass

_HEADING_LINE_CHARACTERS = 400
"""A first line beyond this is no heading."""


@dataclass(frozen=True, slots=True)
class ChunkingOptions:
    """How documents are cut and what of them is embedded."""

    tokens: int
    """Most tokens of what the model reads for a chunk, prefix and special tokens included."""
    overlap_tokens: int
    """Tokens that a chunk may repeat of the one before it, in whole sentences or lines."""
    embed_title: bool
    embed_headings: bool


def compose_embedded_text(
    title: str, heading_path: Sequence[str], text: str, options: ChunkingOptions
) -> str:
    """What the model reads for a chunk: title, headings and text, one below the other.

    A heading that the text itself begins with is not said twice, and neither is a title that
    equals the first heading. The answer depends on the arguments alone, so that it can be
    rebuilt from a stored chunk.
    """
    wanted = [title] if options.embed_title else []
    if options.embed_headings:
        wanted.extend(heading_path)
    parts = {_plain(part): part for part in wanted if part.strip()}
    for line in leading_headings(text, limit=len(parts)):
        parts.pop(line, None)
    return "\n".join([*(" ".join(part.split()) for part in parts.values()), text])


def leading_headings(text: str, *, limit: int) -> list[str]:
    """The first `limit` lines of a text that hold letters, reduced to these, for comparison."""
    lines: list[str] = []
    position = 0
    while position < len(text) and len(lines) < limit:
        end = text.find("\n", position, position + _HEADING_LINE_CHARACTERS)
        line = text[position : end if end >= 0 else position + _HEADING_LINE_CHARACTERS]
        if plain := _plain(line):
            lines.append(plain)
        if end < 0:
            break
        position = end + 1
    return lines


def _plain(heading: str) -> str:
    """Letters and digits alone, or the heading itself where it has none: markup falls away."""
    return "".join(filter(str.isalnum, heading)) or heading.strip()
