"""Word vectors from folders of files: read, trained, written as a file that embeds."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from retriever import assembly
from retriever.embedding.word_training import TrainedWords, TrainingOptions, train_words
from retriever.errors import LoadingError
from retriever.ingestion import roots
from retriever.loading.walking import walk
from retriever.records import CorpusFile, Skipped
from retriever.settings import Settings

__all__ = ["TrainingOptions", "TrainingReport", "train_on_folders"]


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """What was read, and what was trained."""

    path: Path
    files: int
    skipped: tuple[Skipped, ...]
    trained: TrainedWords
    options: TrainingOptions


def train_on_folders(
    folders: Sequence[str | Path],
    out: Path,
    settings: Settings,
    *,
    options: TrainingOptions,
    progress: Callable[[int], None] | None = None,
) -> TrainingReport:
    """Train word vectors on the documents of some folders, read as an ingest reads them.

    Args:
        folders: each a path or `NAME=PATH`.
        out: the file to write; the words' counts go beside it.
        settings: which files are read, and what a file may cost.
        options: how to train.
        progress: called with the number of files read so far.

    Raises:
        SettingsError: a folder is not there.
        MissingDependencyError: gensim is not installed.
        EmbeddingRejected: no word comes often enough.
    """
    run_roots, _ = roots.resolve(folders, {})
    skipped: list[Skipped] = []
    own = assembly.own_paths(settings)
    files = 0

    def texts() -> Iterator[str]:
        nonlocal files
        with assembly.open_loader(settings) as loader:
            for found in walk(run_roots, assembly.loading_options(settings), not_into=own):
                if not isinstance(found, CorpusFile):
                    skipped.append(found)
                    continue
                try:
                    text = loader.load(found).text
                except LoadingError as error:
                    skipped.append(Skipped(found.source, error.reason))
                    continue
                files += 1
                if progress is not None:
                    progress(files)
                yield text

    trained = train_words(texts(), out, options)
    return TrainingReport(out.resolve(), files, tuple(skipped), trained, options)
