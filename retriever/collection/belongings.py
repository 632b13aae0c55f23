"""What is kept in a state folder, so that nobody takes it for documents."""

from pathlib import Path

from retriever.collection import derived, locking, segments


def belongings(folder: Path) -> list[Path]:
    """The state folder, and the files and folders in it that are this package's.

    For walks over a corpus to pass over: it may hold the state folder, or be that folder.
    """
    names = (segments.CHROMA, derived.LEXICAL, *locking.FILES)
    made = [*folder.glob("*.writing*"), *folder.glob("set-aside-*.jsonl")]
    return [folder, *(folder / name for name in names), *made]
