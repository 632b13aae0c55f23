"""Which collection a configuration is to be judged on: the live one, or one built for it."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from retriever import assembly
from retriever.collection.state import differences
from retriever.errors import SettingsError
from retriever.evaluation.beir import is_judged_set, read_judged_set
from retriever.evaluation.questions import Question
from retriever.evaluation.runs import EvaluationOptions, build_notes, live_questions, set_notes
from retriever.evaluation.temporary import Built, built_from_roots, built_from_set, cost_of
from retriever.records import Fingerprint
from retriever.settings import Settings
from retriever.settings.tree import ChunkingSettings

Opening = Callable[[], contextlib.AbstractContextManager[Built]]


@dataclass(frozen=True, slots=True)
class Shared:
    """Configurations that one collection serves, since they cut and embed alike."""

    labels: tuple[str, ...]
    settings: tuple[Settings, ...]
    """Of each label, as it would be used with that collection."""
    open: Opening


@dataclass(frozen=True, slots=True)
class Contest:
    """The questions, and the collections that the configurations need."""

    questions: list[Question]
    groups: list[Shared]
    notes: tuple[str, ...] = ()


def plan_contest(
    path: Path, configurations: Mapping[str, Settings], options: EvaluationOptions
) -> Contest:
    """Read the questions, and find out how few collections serve all configurations.

    Raises:
        SettingsError: the questions cannot be read, or a folder is needed that is not there.
        CollectionNotFound: the questions are for a collection that is not there.
    """
    if is_judged_set(path):
        found = read_judged_set(path)
        groups = [
            Shared(labels, settings, _set_opening(path, settings[0], options))
            for labels, settings in _alike(configurations)
        ]
        return Contest(list(found.questions), groups, set_notes(found))
    first = next(iter(configurations.values()))
    questions = live_questions(path, first)
    built, roots = _live(first)
    live = {name: one for name, one in configurations.items() if _is_served(one, first, built)}
    others = {
        name: as_built(one, built) for name, one in configurations.items() if name not in live
    }
    groups = [Shared(tuple(live), tuple(live.values()), _live_opening(first, live))] if live else []
    groups += [
        Shared(labels, settings, _roots_opening(roots, settings[0], options))
        for labels, settings in _alike(others)
    ]
    return Contest(questions, groups)


def as_built(settings: Settings, built: Fingerprint) -> Settings:
    """The settings, with what they leave open as a collection was built.

    Raises:
        SettingsError: what they say does not go with that.
    """
    chosen = settings.chunking.model_fields_set
    values = {
        name: getattr(built.chunking, name)
        for name in ChunkingSettings.model_fields
        if name not in chosen and hasattr(built.chunking, name)
    }
    values |= {name: getattr(settings.chunking, name) for name in chosen}
    try:
        chunking = ChunkingSettings(**values)
    except ValueError as error:
        raise SettingsError(
            f"chunking does not go together with how the collection was built: {error}"
        ) from error
    embedding = assembly.remembered_embedding(settings, built.embedding)
    return settings.model_copy(update={"chunking": chunking, "embedding": embedding})


def present(path: Path, settings: Settings) -> Settings:
    """The settings that are in force for some questions: what they leave open is as it was built.

    Raises:
        CollectionNotFound: the questions are for a collection that is not there.
    """
    return settings if is_judged_set(path) else as_built(settings, _live(settings)[0])


def with_settings_of(settings: Settings, built: Built) -> Built:
    """A collection, asked as other settings say."""
    own = settings.model_copy(
        update={
            "collection": built.settings.collection,
            "storage": built.settings.storage,
            "embedding": built.settings.embedding,
        }
    )
    return Built(own, built.cost, built.ids, built.skipped)


def group_notes(built: Built) -> tuple[str, ...]:
    """What is to be known of a group's collection."""
    return build_notes(built, EvaluationOptions())


def _live(settings: Settings) -> tuple[Fingerprint, Mapping[str, str]]:
    with assembly.open_store(settings) as store:
        state = store.state(settings.collection)
        return store.physical(state.live).fingerprint, state.roots


def _is_served(settings: Settings, first: Settings, built: Fingerprint) -> bool:
    """Whether the live collection is what a configuration would build."""
    wanted = as_built(settings, built)
    same_cut = all(
        getattr(wanted.chunking, name) == getattr(built.chunking, name)
        for name in ChunkingSettings.model_fields
        if hasattr(built.chunking, name)
    )
    if not same_cut or settings.loading != first.loading:
        return False
    embedder = assembly.open_collection_embedder(settings, built.embedding)
    return not differences(built.embedding, embedder.fingerprint)


def _alike(
    configurations: Mapping[str, Settings],
) -> Iterator[tuple[tuple[str, ...], tuple[Settings, ...]]]:
    """Configurations grouped by what decides a collection."""
    groups: dict[str, list[str]] = {}
    for name, one in configurations.items():
        key = repr((one.loading, one.chunking, one.embedding, one.retrieval.language))
        groups.setdefault(key, []).append(name)
    for names in groups.values():
        yield tuple(names), tuple(configurations[name] for name in names)


def _set_opening(path: Path, settings: Settings, options: EvaluationOptions) -> Opening:
    return lambda: built_from_set(path, settings, progress=options.progress)


def _live_opening(first: Settings, live: Mapping[str, Settings]) -> Opening:
    """The collection that the first configuration names, embedded as those that it serves say."""
    served = next(iter(live.values()))
    settings = first.model_copy(update={"embedding": served.embedding})
    return lambda: contextlib.nullcontext(Built(settings, cost_of(settings)))


def _roots_opening(
    roots: Mapping[str, str], settings: Settings, options: EvaluationOptions
) -> Opening:
    gone = [name for name, path in roots.items() if not Path(path).is_dir()]
    if gone or not roots:
        raise SettingsError(
            "These configurations cut or embed in another way than the live collection, so its "
            f"folders are needed, and {', '.join(map(repr, gone)) or 'none'} of them is there. "
            "Mount them, or compare configurations that differ in [retrieval] alone."
        )
    return lambda: built_from_roots(roots, settings, progress=options.progress)


def labels_of(files: Sequence[str]) -> list[str]:
    """A short name for each config file: its stem, or its whole path where two share one."""
    stems = [Path(file).stem for file in files]
    return [
        stem if stems.count(stem) == 1 else file for stem, file in zip(stems, files, strict=True)
    ]
