"""What the model reads of a chunk: its title and the headings above it, then its text."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

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
    return "\n".join([*map(_on_one_line, _unsaid(parts, text)), text])


def _unsaid(parts: dict[str, str], text: str) -> Iterable[str]:
    """The parts but those that the text begins with, a line each."""
    initials = {plain[0] for plain in parts}
    position = 0
    while parts:
        end = text.find("\n", position, position + _HEADING_LINE_CHARACTERS)
        line = text[position : end if end >= 0 else position + _HEADING_LINE_CHARACTERS]
        position = end + 1
        initial = next(filter(str.isalnum, line), "")
        if not initial and position:
            continue  # a blank line, or the one that underlines a heading
        if initial and initial not in initials:
            break  # as most lines; the comparison below costs more
        if parts.pop(_plain(line), None) is None or not position:
            break
    return parts.values()


@lru_cache(maxsize=1024)
def _on_one_line(part: str) -> str:
    return " ".join(part.split())


@lru_cache(maxsize=1024)
def _plain(heading: str) -> str:
    """Letters and digits alone, or the heading itself where it has none: markup falls away."""
    return "".join(filter(str.isalnum, heading)) or heading.strip()
