"""What a large collection takes: import with vectors made elsewhere, disk, memory, queries, a plan.

    python scripts/benchmark/million.py [--chunks 1000000] [--queries 100] [--folder FOLDER]

Texts and vectors are made up (see `synthetic.py`): an export file is written as any program could
write one, `retriever import` reads it, and the files that it tells of are there, so that a plan
finds nothing changed. Of 1,000,000 chunks the table needs some 20 GB of disk while it is made.
Times of queries are those of the search alone: the made-up embedder takes a tenth of a
millisecond. Memory is the peak of the largest process. FOLDER keeps what was made, and what is
there is not made again.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import latency
import numpy as np
import synthetic

from retriever import assembly
from retriever.collection.rows import chunk_row
from retriever.collection.state import CollectionState
from retriever.moving import exports
from retriever.moving.moves import import_
from retriever.records import Chunk, Document, DocumentRecord
from retriever.retrieval import Retriever
from retriever.settings import Settings
from retriever.timing import stage_times

HERE = Path(__file__).parent
BETWEEN = "\n\n"
LONG_AGO_NS = 1_700_000_000_000_000_000
BYTES_OF_A_GB = 1e9
Figures = dict[str, object]


def documents(chunks: int) -> Iterator[tuple[str, list[str]]]:
    """Path and texts of each document, of 20 chunks."""
    stream = synthetic.texts(words=synthetic.WORDS_OF_A_CHUNK, seed=synthetic.SEED)
    size = synthetic.CHUNKS_OF_A_DOCUMENT
    for number, first in enumerate(range(0, chunks, size)):
        yield f"{number % 97}/{number}.txt", list(islice(stream, min(size, chunks - first)))


def write_corpus(folder: Path, chunks: int) -> int:
    """Write the documents as files; their bytes."""
    total = 0
    for path, texts in documents(chunks):
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        total += file.write_bytes(BETWEEN.join(texts).encode())
        os.utime(file, ns=(LONG_AGO_NS, LONG_AGO_NS))
    return total


def write_export(file: Path, corpus: Path, chunks: int, settings: Settings) -> None:
    """Write an export of the documents, with a vector for each chunk."""
    embedder = assembly.open_configured_embedder(settings)
    built = assembly.fingerprint(embedder, assembly.open_chunker(settings, embedder))
    state = CollectionState("made", "made", roots={corpus.name: str(corpus)})
    reading = assembly.open_loader(settings).reading
    count, remembered = 0, 0
    with file.open("wb") as stream:
        stream.write(exports.write_header(state, built, None))
        for path, texts in documents(chunks):
            vectors = embedder.embed_chunks(texts)
            document = made_document(f"{corpus.name}/{path}", count // 20)
            stream.writelines(chunk_lines(document, texts, vectors))
            record = made_record(document, texts, reading)
            mean = vectors.mean(axis=0)
            one = exports.ExportedDocument(record, mean / np.linalg.norm(mean))
            stream.write(exports.write_document(one))
            count, remembered = count + len(texts), remembered + 1
        stream.write(exports.write_end(exports.End(count, remembered)))


def made_document(source: str, number: int) -> Document:
    """A document with five keys of a user's, one of them a list."""
    return Document(
        source=source,
        text="",
        content_hash=f"{number:064x}",
        title="",
        format="text",
        markup="plain",
        metadata={
            "half": number % 2,
            "tenth": number % 10,
            "hundredth": number % 100,
            "year": 2000 + number % 26,
            "tags": (f"t{number % 7}", f"u{number % 5}"),
        },
    )


def made_record(document: Document, texts: Sequence[str], reading: str) -> DocumentRecord:
    """What a collection remembers of a document."""
    return DocumentRecord(
        source=document.source,
        content_hash=document.content_hash,
        size_bytes=len(BETWEEN.join(texts)),
        mtime_ns=LONG_AGO_NS,
        status="complete",
        chunk_count=len(texts),
        token_count=len(texts) * synthetic.WORDS_OF_A_CHUNK,
        title="",
        format=document.format,
        reason="",
        reading=reading,
        ingested_at="2026-11-23T00:00:00+00:00",
    )


def chunk_lines(document: Document, texts: Sequence[str], vectors: np.ndarray) -> Iterator[bytes]:
    """A line for each chunk; its text is a slice of the document's."""
    start = 0
    for ordinal, (text, vector) in enumerate(zip(texts, vectors, strict=True)):
        chunk = Chunk(
            id=f"{document.content_hash[-24:]}{ordinal:08x}",
            source=document.source,
            text=text,
            start=start,
            end=start + len(text),
            ordinal=ordinal,
            title="",
            heading_path=(),
            page=None,
            line_start=ordinal * 2 + 1,
            line_end=ordinal * 2 + 1,
            embedded_text=text,
            token_count=synthetic.WORDS_OF_A_CHUNK,
        )
        row = chunk_row(chunk, document)
        yield exports.write_chunk(exports.ExportedChunk(chunk.id, text, row, vector))
        start += len(text) + len(BETWEEN)


def command(settings_file: Path, *arguments: str) -> tuple[float, float, dict[str, object]]:
    """Run a command of ours: seconds, peak memory of its largest process in GB, its JSON."""
    program = [str(Path(sys.executable).with_name("retriever")), *arguments]
    return process([*program, "--config", str(settings_file), "--json"])


def process(arguments: Sequence[str]) -> tuple[float, float, dict[str, object]]:
    """Run a process: seconds, peak memory in GB, the JSON that it prints."""
    began_s = time.perf_counter()
    with tempfile.TemporaryFile() as printed:
        ours = subprocess.Popen(arguments, stdout=printed, env=environment())
        _, status, usage = os.wait4(ours.pid, 0)
        ours.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - began_s
        if ours.returncode:
            raise SystemExit(f"{' '.join(arguments[1:3])} ended with {ours.returncode}")
        printed.seek(0)
        return round(seconds, 1), round(usage.ru_maxrss * 1024 / 1e9, 2), json.load(printed)


def environment() -> Mapping[str, str]:
    """Lets a command find the made-up embedder."""
    return os.environ | {"PYTHONPATH": str(HERE)}


def size_gb(folder: Path) -> float:
    """What the files below a folder take."""
    files = (one for one in folder.rglob("*") if one.is_file())
    return round(sum(one.stat().st_size for one in files) / BYTES_OF_A_GB, 2)


def ask(settings_file: Path, queries: int) -> Figures:
    """Open the collection and ask: times in milliseconds, memory in GB."""
    made = list(islice(synthetic.texts(words=latency.QUERY_WORDS, seed=1), queries))
    found: Figures = {}
    began_s = time.perf_counter()
    with Retriever.open(Settings.load(settings_file)) as retriever:
        retriever.retrieve(made[0])
        found["open and first answer, s"] = round(time.perf_counter() - began_s, 2)
        for query in made[:20]:
            retriever.retrieve(query)
        for mode in ("hybrid", "semantic", "lexical"):
            found[f"{mode}, ms"] = asked(retriever, made, mode=mode)
        found["memory, GB"] = peak_gb()
        for name, where in list(latency.FILTERS.items())[1:]:
            few = made[: max(5, queries // 10)]
            found[f"hybrid, {name}, first queries, ms"] = asked(retriever, few, where=where)
        began_s = time.perf_counter()
        retriever._snapshots._filling.wait()
        found["memory table filled, s"] = round(time.perf_counter() - began_s, 1)
        for name, where in list(latency.FILTERS.items())[1:]:
            found[f"hybrid, {name}, then, ms"] = asked(retriever, made, where=where)
        found["memory with table, GB"] = peak_gb()
    return found


def asked(retriever: Retriever, queries: Sequence[str], **options: object) -> str:
    """p50 / p95 in milliseconds."""
    row = latency.timed(lambda query: retriever.retrieve(query, **options), queries)
    return f"{row['p50_ms']} / {row['p95_ms']}"


def peak_gb() -> float:
    """Peak memory of this process."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / BYTES_OF_A_GB, 2)


def measure(work: Path, chunks: int, queries: int) -> Iterator[tuple[str, object]]:
    """Every figure as soon as it is known."""
    corpus, state = work / "corpus", work / "state"
    small, large = work / "default.toml", work / "table.toml"
    write_settings(small, state)
    write_settings(large, state, "[retrieval]\ntable_mb = 100_000\n")
    if not state.is_dir():
        file = work / "export.jsonl"
        if not file.is_file():
            yield "corpus, GB", round(write_corpus(corpus, chunks) / BYTES_OF_A_GB, 2)
            write_export(file, corpus, chunks, Settings.load(small))
        yield "export file, GB", round(file.stat().st_size / BYTES_OF_A_GB, 2)
        worker = [sys.executable, __file__, "--import", str(small), str(file)]
        seconds, memory_gb, stages = process(worker)
        yield "import, s", seconds
        yield "import, chunks/s", round(chunks / seconds)
        yield from ((f"import, {name}, s", round(value)) for name, value in stages.items())
        yield "import, peak memory, GB", memory_gb
    yield "state folder, GB", size_gb(state)
    seconds, memory_gb, plan = command(small, "plan", str(corpus))
    yield "plan, nothing changed, s", seconds
    yield "plan, peak memory, GB", memory_gb
    yield "plan, documents unchanged", plan["unchanged"]
    for settings_file, note in ((small, "default settings"), (large, "table_mb = 100_000")):
        worker = [sys.executable, __file__, "--ask", str(settings_file), "--queries", str(queries)]
        _, _, found = process(worker)
        yield from ((f"{note}: {name}", value) for name, value in found.items())
    seconds, memory_gb, _ = command(small, "check")
    yield "check, s", seconds
    yield "check, peak memory, GB", memory_gb


def write_settings(file: Path, state: Path, more: str = "") -> None:
    """Settings of the made-up collection."""
    file.write_text(
        f'[storage]\npath = "{state}"\n[embedding]\nmodel = "text-seeded"\ncache = false\n'
        f'backend = "synthetic:TextSeededEmbedder"\n{more}',
        encoding="utf-8",
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chunks", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--ask", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--import", type=Path, nargs=2, dest="file", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.file:
        with stage_times() as times_s:
            import_(Settings.load(arguments.file[0]), arguments.file[1])
        sys.stdout.write(json.dumps(times_s))
        return
    if arguments.ask:
        sys.stdout.write(json.dumps(ask(arguments.ask, arguments.queries)))
        return
    figures: Figures = {}
    with tempfile.TemporaryDirectory() as made:
        work = arguments.folder or Path(made)
        work.mkdir(parents=True, exist_ok=True)
        if not arguments.json:
            sys.stdout.write(f"| {arguments.chunks:,} chunks | |\n|---|---|\n")
        for name, value in measure(work.resolve(), arguments.chunks, arguments.queries):
            figures[name] = value
            if not arguments.json:
                sys.stdout.write(f"| {name} | {value} |\n")
                sys.stdout.flush()
    if arguments.json:
        sys.stdout.write(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
