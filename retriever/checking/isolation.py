"""An examination in a process of its own: a broken index can end the process that reads it.

Chroma checks little of what it finds in its index files. A folder that was scribbled over can
crash it, and whatever runs it, so files that may be damaged are first read where that is safe.
"""

import json
import subprocess
import sys
from pathlib import Path

from retriever.checking.diagnosis import Diagnosis, Part
from retriever.checking.examining import Tell, examine
from retriever.collection.client import StorageOptions
from retriever.collection.store import Store
from retriever.errors import CollectionError, RetrieverError

_COMMAND = (sys.executable, "-P", "-m", "retriever.checking.isolation")
"""The working folder is not on its path: that may be a corpus, which is hostile."""
_PART = "part "
_ANSWER = "answer "
_REFUSAL = "refusal "


def examine_generation(store: Store, name: str) -> Diagnosis:
    """Examine a physical collection, in a process of its own where its index is in files here.

    Raises:
        CollectionError: it cannot be opened, or does not say how it was built.
    """
    if store.options.mode != "embedded":
        return examine_here(store, name)
    asked = json.dumps({"path": str(store.options.path), "name": name})
    done = subprocess.run(_COMMAND, input=asked.encode(), capture_output=True, check=False)
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    for line in reversed(lines):
        if line.startswith(_ANSWER):
            return Diagnosis.parse(json.loads(line.removeprefix(_ANSWER)))
        if line.startswith(_REFUSAL):
            raise CollectionError(json.loads(line.removeprefix(_REFUSAL)))
        if line.startswith(_PART):
            fault = f"reading it ended the process (exit status {done.returncode})"
            part: Part = "documents" if line.endswith("documents") else "chunks"
            return Diagnosis(fault=fault, faulty=part)
    last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
    raise CollectionError(f"The examination of {name} did not start: {''.join(last)}")


def examine_here(store: Store, name: str, tell: Tell = lambda _: None) -> Diagnosis:
    """Examine a physical collection in this process; its documents may be missing."""
    missing = store.missing_parts(name)
    return examine(store.remains(name) if missing else store.physical(name), tell)


def main() -> None:
    """Examine what stdin names, in this process; the answer goes to stdout as JSON."""
    asked = json.loads(sys.stdin.read())
    try:
        with Store(StorageOptions(mode="embedded", path=Path(asked["path"]))) as store:
            diagnosis = examine_here(store, asked["name"], lambda part: _say(_PART, part))
    except RetrieverError as error:
        _say(_REFUSAL, json.dumps(str(error)))
    else:
        _say(_ANSWER, json.dumps(diagnosis.as_json()))


def _say(kind: str, text: str) -> None:
    sys.stdout.write(f"{kind}{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
